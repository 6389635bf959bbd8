//! Organizations as plain data.

use jiff::Timestamp;

use crate::id::OrganizationId;

/// An organization to be created.
#[derive(Debug, Clone)]
pub(super) struct NewOrganization {
    /// Chosen by the client, or made.
    pub id: OrganizationId,
    /// The client chose the id: a repeated call must name the same.
    pub id_chosen: bool,
    /// Unique name.
    pub name: String,
}

/// An organization.
#[derive(Debug, Clone)]
pub(super) struct Organization {
    /// Identity.
    pub id: OrganizationId,
    /// Unique name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Sort key of an organization in a list.
pub(super) type SortKey = (String, OrganizationId);

impl Organization {
    /// Where the organization stands in a list.
    pub(super) fn sort_key(&self) -> SortKey {
        (self.name.clone(), self.id)
    }
}
