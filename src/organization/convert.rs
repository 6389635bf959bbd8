//! Organizations between the wire and the model, with the field rules.

use super::model::{NewOrganization, Organization, SortKey};
use crate::auth::Caller;
use crate::check::{At, Violations, to_pb_time};
use crate::error::Result;
use crate::id::OrganizationId;
use crate::page::{PageRequest, Pages};
use crate::pb;

/// Reads `CreateOrganization`.
pub(super) fn create(request: pb::CreateOrganizationRequest) -> Result<NewOrganization> {
    let pb::CreateOrganizationRequest { organization } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("organization");
    // The time is output only.
    let pb::Organization { id, name, create_time: _ } = checks.required(&at, organization);
    let id = checks.optional_id(&at.field("id"), &id);
    let name = checks.text(&at.field("name"), name, 1..=255);
    checks.finish()?;
    Ok(NewOrganization { id_chosen: id.is_some(), id: id.unwrap_or_else(OrganizationId::make), name })
}

/// Reads `GetOrganization`.
pub(super) fn get(request: pb::GetOrganizationRequest) -> Result<OrganizationId> {
    let pb::GetOrganizationRequest { id } = request;
    self::id(&id)
}

/// Reads `DeleteOrganization`.
pub(super) fn delete(request: pb::DeleteOrganizationRequest) -> Result<OrganizationId> {
    let pb::DeleteOrganizationRequest { id } = request;
    self::id(&id)
}

fn id(id: &str) -> Result<OrganizationId> {
    let mut checks = Violations::new();
    let id = checks.id(&At::REQUEST.field("id"), id);
    checks.finish()?;
    Ok(id)
}

/// Reads `ListOrganizations`.
pub(super) fn list(
    pages: &Pages,
    caller: &Caller,
    request: pb::ListOrganizationsRequest,
) -> Result<PageRequest<SortKey>> {
    let scope = pb::ListOrganizationsRequest::default();
    let pb::ListOrganizationsRequest { page_size, page_token } = request;
    let mut checks = Violations::new();
    let page = pages.read(&mut checks, caller, (page_size, &page_token), &scope)?;
    checks.finish()?;
    Ok(page)
}

/// Shows an organization.
pub(super) fn to_pb(organization: Organization) -> pb::Organization {
    let Organization { id, name, created_at } = organization;
    pb::Organization { id: id.to_string(), name, create_time: Some(to_pb_time(created_at)) }
}

/// Shows what a write did.
pub(super) fn outcome(created: bool) -> pb::WriteOutcome {
    if created { pb::WriteOutcome::Created } else { pb::WriteOutcome::Unchanged }
}
