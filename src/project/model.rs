//! Projects and their members as plain data.

use jiff::Timestamp;

use crate::id::{OrganizationId, ProjectId, UserId};

/// A project to be created.
#[derive(Debug, Clone)]
pub(super) struct NewProject {
    /// Chosen by the client, or made.
    pub id: ProjectId,
    /// The client chose the id: a repeated call must name the same.
    pub id_chosen: bool,
    /// Unique within the organization.
    pub name: String,
    /// Free text, may be empty.
    pub description: String,
    /// `active`, `completed` or `archived`.
    pub status: &'static str,
}

/// A project.
#[derive(Debug, Clone)]
pub(super) struct Project {
    /// Tenant.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: ProjectId,
    /// Unique within the organization.
    pub name: String,
    /// Free text, may be empty.
    pub description: String,
    /// `active`, `completed` or `archived`.
    pub status: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A change of mutable fields; `None` leaves a field as it is.
#[derive(Debug)]
pub(super) struct Change {
    /// Which project.
    pub id: ProjectId,
    /// Unique within the organization.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// `active`, `completed` or `archived`.
    pub status: Option<&'static str>,
}

/// Sort key of a project in a list.
pub(super) type SortKey = (String, ProjectId);

impl Project {
    /// Where the project stands in a list.
    pub(super) fn sort_key(&self) -> SortKey {
        (self.name.clone(), self.id)
    }
}

/// People to become members of a project, or to be members no longer.
#[derive(Debug)]
pub(super) struct Membership {
    /// The project.
    pub project_id: ProjectId,
    /// The people, as the request orders them.
    pub user_ids: Vec<UserId>,
}

/// A person in a project.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// The person.
    pub user_id: UserId,
    /// When the membership began.
    pub created_at: Timestamp,
}
