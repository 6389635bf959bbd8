//! Users as plain data.

use jiff::Timestamp;

use crate::id::{OrganizationId, UserId};

/// A user to be created.
#[derive(Debug, Clone)]
pub(super) struct NewUser {
    /// Chosen by the client, or made.
    pub id: UserId,
    /// The client chose the id: a repeated call must name the same.
    pub id_chosen: bool,
    /// Address, unique without regard to the case of ASCII letters.
    pub email: String,
    /// Given name, may be empty.
    pub first_name: String,
    /// Family name, may be empty.
    pub last_name: String,
    /// `contractor`, `insurance_adjuster` or `project_manager`.
    pub role: &'static str,
}

/// A user.
#[derive(Debug, Clone)]
pub(super) struct User {
    /// Tenant.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: UserId,
    /// Address.
    pub email: String,
    /// Given name, may be empty.
    pub first_name: String,
    /// Family name, may be empty.
    pub last_name: String,
    /// `contractor`, `insurance_adjuster` or `project_manager`.
    pub role: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A change of mutable fields; `None` leaves a field as it is.
#[derive(Debug)]
pub(super) struct Change {
    /// Which user.
    pub id: UserId,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// `contractor`, `insurance_adjuster` or `project_manager`.
    pub role: Option<&'static str>,
}

/// Sort key of a user in a list.
pub(super) type SortKey = (String, UserId);

impl User {
    /// Where the user stands in a list.
    pub(super) fn sort_key(&self) -> SortKey {
        (self.email.clone(), self.id)
    }
}
