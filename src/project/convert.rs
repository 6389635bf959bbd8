//! Projects and their members between the wire and the model, with the field rules.

use super::model::{Change, Member, Membership, NewProject, Project, SortKey};
use crate::auth::Caller;
use crate::check::{At, Violations, to_pb_time};
use crate::error::Result;
use crate::id::{ProjectId, UserId};
use crate::page::{PageRequest, Pages};
use crate::{MAX_BATCH, pb};

/// Most characters of a name.
const MAX_NAME: usize = 255;
/// Most characters of a description.
const MAX_DESCRIPTION: usize = 10_000;

const MUTABLE: &[&str] = &["name", "description", "status"];
const IMMUTABLE: &[&str] = &["id", "organization_id", "create_time", "update_time"];

/// Reads `CreateProject`.
pub(super) fn create(request: pb::CreateProjectRequest) -> Result<NewProject> {
    let pb::CreateProjectRequest { project } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("project");
    // The organization and the times are output only.
    let pb::Project { id, organization_id: _, name, description, status, create_time: _, update_time: _ } =
        checks.required(&at, project);
    let id = checks.optional_id(&at.field("id"), &id);
    let name = checks.text(&at.field("name"), name, 1..=MAX_NAME);
    let description = checks.text(&at.field("description"), description, 0..=MAX_DESCRIPTION);
    let status = stored_status(checks.known_or_default(&at.field("status"), status));
    checks.finish()?;
    Ok(NewProject { id_chosen: id.is_some(), id: id.unwrap_or_else(ProjectId::make), name, description, status })
}

/// Reads `UpdateProject`. A status that the mask names and the message leaves out takes its default, as in
/// `CreateProject`.
pub(super) fn update(request: pb::UpdateProjectRequest) -> Result<Change> {
    let pb::UpdateProjectRequest { project, update_mask } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("project");
    // The organization and the times are output only.
    let pb::Project { id, organization_id: _, name, description, status, create_time: _, update_time: _ } =
        checks.required(&at, project);
    let id = checks.id(&at.field("id"), &id);
    let paths = checks.mask(&At::REQUEST.field("update_mask"), update_mask, MUTABLE, IMMUTABLE);
    let chosen = |path: &str, set: bool| paths.as_ref().map_or(set, |paths| paths.contains(&path));
    let change = Change {
        id,
        name: chosen("name", !name.is_empty()).then(|| checks.text(&at.field("name"), name, 1..=MAX_NAME)),
        description: chosen("description", !description.is_empty())
            .then(|| checks.text(&at.field("description"), description, 0..=MAX_DESCRIPTION)),
        status: chosen("status", status != 0)
            .then(|| stored_status(checks.known_or_default(&at.field("status"), status))),
    };
    checks.finish()?;
    Ok(change)
}

fn stored_status(status: pb::ProjectStatus) -> &'static str {
    match status {
        pb::ProjectStatus::Unspecified | pb::ProjectStatus::Active => "active",
        pb::ProjectStatus::Completed => "completed",
        pb::ProjectStatus::Archived => "archived",
    }
}

fn status_to_pb(status: &str) -> pb::ProjectStatus {
    match status {
        "active" => pb::ProjectStatus::Active,
        "completed" => pb::ProjectStatus::Completed,
        "archived" => pb::ProjectStatus::Archived,
        _ => pb::ProjectStatus::Unspecified,
    }
}

/// Reads `GetProject`.
pub(super) fn get(request: pb::GetProjectRequest) -> Result<ProjectId> {
    let pb::GetProjectRequest { id } = request;
    self::id(&id)
}

/// Reads `DeleteProject`.
pub(super) fn delete(request: pb::DeleteProjectRequest) -> Result<ProjectId> {
    let pb::DeleteProjectRequest { id } = request;
    self::id(&id)
}

fn id(id: &str) -> Result<ProjectId> {
    let mut checks = Violations::new();
    let id = checks.id(&At::REQUEST.field("id"), id);
    checks.finish()?;
    Ok(id)
}

/// Reads `ListProjects`: the statuses, of which none means all, and the page.
pub(super) fn list(
    pages: &Pages,
    caller: &Caller,
    request: pb::ListProjectsRequest,
) -> Result<(Vec<&'static str>, PageRequest<SortKey>)> {
    let scope = pb::ListProjectsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let pb::ListProjectsRequest { statuses, page_size, page_token } = request;
    let mut checks = Violations::new();
    checks.count(&At::REQUEST.field("statuses"), statuses.len(), 0..=MAX_BATCH);
    let statuses = statuses.into_iter().take(MAX_BATCH).enumerate();
    let statuses =
        statuses.map(|(index, status)| stored_status(checks.known(&At::REQUEST.item("statuses", index), status)));
    let statuses = statuses.collect();
    let page = pages.read(&mut checks, caller, (page_size, &page_token), &scope)?;
    checks.finish()?;
    Ok((statuses, page))
}

/// Reads `AddProjectMembers`.
pub(super) fn add_members(request: pb::AddProjectMembersRequest) -> Result<Membership> {
    let pb::AddProjectMembersRequest { project_id, user_ids } = request;
    membership(&project_id, &user_ids)
}

/// Reads `RemoveProjectMembers`.
pub(super) fn remove_members(request: pb::RemoveProjectMembersRequest) -> Result<Membership> {
    let pb::RemoveProjectMembersRequest { project_id, user_ids } = request;
    membership(&project_id, &user_ids)
}

fn membership(project_id: &str, user_ids: &[String]) -> Result<Membership> {
    let mut checks = Violations::new();
    let project_id = checks.id(&At::REQUEST.field("project_id"), project_id);
    let user_ids = checks.ids(&At::REQUEST, "user_ids", user_ids, 1..=MAX_BATCH);
    checks.finish()?;
    Ok(Membership { project_id, user_ids })
}

/// Reads `ListProjectMembers`.
pub(super) fn list_members(
    pages: &Pages,
    caller: &Caller,
    request: pb::ListProjectMembersRequest,
) -> Result<(ProjectId, PageRequest<UserId>)> {
    let scope = pb::ListProjectMembersRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let pb::ListProjectMembersRequest { project_id, page_size, page_token } = request;
    let mut checks = Violations::new();
    let project_id = checks.id(&At::REQUEST.field("project_id"), &project_id);
    let page = pages.read(&mut checks, caller, (page_size, &page_token), &scope)?;
    checks.finish()?;
    Ok((project_id, page))
}

/// Shows a project.
pub(super) fn to_pb(project: Project) -> pb::Project {
    let Project { organization_id, id, name, description, status, created_at, updated_at } = project;
    pb::Project {
        id: id.to_string(),
        organization_id: organization_id.to_string(),
        name,
        description,
        status: status_to_pb(&status).into(),
        create_time: Some(to_pb_time(created_at)),
        update_time: Some(to_pb_time(updated_at)),
    }
}

/// Shows a member.
pub(super) fn member_to_pb(member: Member) -> pb::ProjectMember {
    let Member { user_id, created_at } = member;
    pb::ProjectMember { user_id: user_id.to_string(), create_time: Some(to_pb_time(created_at)) }
}

/// Shows what a write did.
pub(super) fn outcome(created: bool) -> pb::WriteOutcome {
    if created { pb::WriteOutcome::Created } else { pb::WriteOutcome::Unchanged }
}
