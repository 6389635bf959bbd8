//! Who is in the fixture, and who else calls.

use photometa::auth::Role;
use uuid::Uuid;

/// The ids of one organization of the fixture.
#[derive(Debug, Clone, Copy)]
pub struct Organization {
    /// The organization.
    pub id: Uuid,
    /// A user.
    pub admin: Uuid,
    /// A user who is a member of `house`.
    pub member: Uuid,
    /// A user who is a member of `bridge`.
    pub outsider: Uuid,
    /// A project.
    pub house: Uuid,
    /// Another project.
    pub bridge: Uuid,
}

const fn organization(first: u128) -> Organization {
    Organization {
        id: id(first, 0x01),
        admin: id(first, 0x11),
        member: id(first, 0x12),
        outsider: id(first, 0x13),
        house: id(first, 0x21),
        bridge: id(first, 0x22),
    }
}

const fn id(first: u128, last: u128) -> Uuid {
    Uuid::from_u128((first << 124) | 0x4000_8000_0000_0000_0000 | last)
}

/// Organization A.
pub const A: Organization = organization(0xa);
/// Organization B.
pub const B: Organization = organization(0xb);

/// Somebody with a credential.
#[derive(Debug, Clone, Copy)]
pub struct Who {
    /// What they may do.
    pub role: Role,
    /// Their organization.
    pub organization: Option<Uuid>,
    /// They.
    pub subject: Uuid,
}

impl Organization {
    /// Its administrator.
    pub fn as_admin(&self) -> Who {
        Who { role: Role::OrgAdmin, organization: Some(self.id), subject: self.admin }
    }

    /// A person who is a member of `house`.
    pub fn as_member(&self) -> Who {
        Who { role: Role::OrgUser, organization: Some(self.id), subject: self.member }
    }

    /// A person who is a member of `bridge`, not of `house`.
    pub fn as_outsider(&self) -> Who {
        Who { role: Role::OrgUser, organization: Some(self.id), subject: self.outsider }
    }

    /// Its upload service or detection worker.
    pub fn as_service(&self) -> Who {
        Who { role: Role::Service, organization: Some(self.id), subject: Uuid::from_u128(0x5e) }
    }
}

/// Platform staff.
pub const OPERATOR: Who = Who { role: Role::Operator, organization: None, subject: Uuid::from_u128(0x0e) };
