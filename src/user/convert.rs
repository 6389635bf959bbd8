//! Users between the wire and the model, with the field rules.

use super::model::{Change, NewUser, SortKey, User};
use crate::auth::Caller;
use crate::check::{At, Violations, to_pb_time};
use crate::error::Result;
use crate::id::UserId;
use crate::page::{PageRequest, Pages};
use crate::pb;

/// Most characters of a first or last name.
const MAX_NAME: usize = 100;

const MUTABLE: &[&str] = &["first_name", "last_name", "role"];
const IMMUTABLE: &[&str] = &["id", "organization_id", "email", "create_time", "update_time"];

/// Reads `CreateUser`.
pub(super) fn create(request: pb::CreateUserRequest) -> Result<NewUser> {
    let pb::CreateUserRequest { user } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("user");
    let pb::User {
        // Output only.
        organization_id: _,
        create_time: _,
        update_time: _,
        id,
        email,
        first_name,
        last_name,
        role,
    } = checks.required(&at, user);
    let id = checks.optional_id(&at.field("id"), &id);
    let email = self::email(&mut checks, &at.field("email"), &email);
    let first_name = checks.text(&at.field("first_name"), first_name, 0..=MAX_NAME);
    let last_name = checks.text(&at.field("last_name"), last_name, 0..=MAX_NAME);
    let role = self::role(&mut checks, &at.field("role"), role);
    checks.finish()?;
    Ok(NewUser { id_chosen: id.is_some(), id: id.unwrap_or_else(UserId::make), email, first_name, last_name, role })
}

/// Reads an address, without the white space around it. Whether it works, only a letter to it would show.
fn email(checks: &mut Violations, at: &At<'_>, email: &str) -> String {
    let email = email.trim();
    let shaped = email.rsplit_once('@').is_some_and(|(mailbox, domain)| !mailbox.is_empty() && !domain.is_empty());
    if !email.is_empty() && (!shaped || email.contains(|c: char| c.is_whitespace() || c.is_control())) {
        checks.refuse(at, "is no address such as ann@example.com");
        return String::new();
    }
    checks.text(at, email.to_owned(), 3..=255)
}

fn role(checks: &mut Violations, at: &At<'_>, role: i32) -> &'static str {
    match checks.known_or_default(at, role) {
        pb::UserRole::Unspecified | pb::UserRole::Contractor => "contractor",
        pb::UserRole::InsuranceAdjuster => "insurance_adjuster",
        pb::UserRole::ProjectManager => "project_manager",
    }
}

fn role_to_pb(role: &str) -> pb::UserRole {
    match role {
        "contractor" => pb::UserRole::Contractor,
        "insurance_adjuster" => pb::UserRole::InsuranceAdjuster,
        "project_manager" => pb::UserRole::ProjectManager,
        _ => pb::UserRole::Unspecified,
    }
}

/// Reads `UpdateUser`. A role that the mask names and the message leaves out takes its default, as in `CreateUser`.
pub(super) fn update(request: pb::UpdateUserRequest) -> Result<Change> {
    let pb::UpdateUserRequest { user, update_mask } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("user");
    let pb::User {
        // Immutable, or output only.
        organization_id: _,
        email: _,
        create_time: _,
        update_time: _,
        id,
        first_name,
        last_name,
        role,
    } = checks.required(&at, user);
    let id = checks.id(&at.field("id"), &id);
    let paths = checks.mask(&At::REQUEST.field("update_mask"), update_mask, MUTABLE, IMMUTABLE);
    let chosen = |path: &str, set: bool| paths.as_ref().map_or(set, |paths| paths.contains(&path));
    let change = Change {
        id,
        first_name: chosen("first_name", !first_name.is_empty())
            .then(|| checks.text(&at.field("first_name"), first_name, 0..=MAX_NAME)),
        last_name: chosen("last_name", !last_name.is_empty())
            .then(|| checks.text(&at.field("last_name"), last_name, 0..=MAX_NAME)),
        role: chosen("role", role != 0).then(|| self::role(&mut checks, &at.field("role"), role)),
    };
    checks.finish()?;
    Ok(change)
}

/// Reads `GetUser`.
pub(super) fn get(request: pb::GetUserRequest) -> Result<UserId> {
    let pb::GetUserRequest { id } = request;
    self::id(&id)
}

/// Reads `DeleteUser`.
pub(super) fn delete(request: pb::DeleteUserRequest) -> Result<UserId> {
    let pb::DeleteUserRequest { id } = request;
    self::id(&id)
}

fn id(id: &str) -> Result<UserId> {
    let mut checks = Violations::new();
    let id = checks.id(&At::REQUEST.field("id"), id);
    checks.finish()?;
    Ok(id)
}

/// Reads `ListUsers`.
pub(super) fn list(pages: &Pages, caller: &Caller, request: pb::ListUsersRequest) -> Result<PageRequest<SortKey>> {
    let scope = pb::ListUsersRequest::default();
    let pb::ListUsersRequest { page_size, page_token } = request;
    let mut checks = Violations::new();
    let page = pages.read(&mut checks, caller, (page_size, &page_token), &scope)?;
    checks.finish()?;
    Ok(page)
}

/// Shows a user.
pub(super) fn to_pb(user: User) -> pb::User {
    let User { organization_id, id, email, first_name, last_name, role, created_at, updated_at } = user;
    pb::User {
        id: id.to_string(),
        organization_id: organization_id.to_string(),
        email,
        first_name,
        last_name,
        role: role_to_pb(&role).into(),
        create_time: Some(to_pb_time(created_at)),
        update_time: Some(to_pb_time(updated_at)),
    }
}

/// Shows what a write did.
pub(super) fn outcome(created: bool) -> pb::WriteOutcome {
    if created { pb::WriteOutcome::Created } else { pb::WriteOutcome::Unchanged }
}
