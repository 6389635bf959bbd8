//! What are the documented reasons of what can be missing, taken or forbidden?

use super::{Precondition, Resource};
use crate::pb::ErrorReason;

impl Resource {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::User => "user",
            Self::Project => "project",
            Self::Photo => "photo",
            Self::Detection => "detection",
            Self::Feedback => "feedback",
        }
    }

    pub(super) fn not_found(self) -> ErrorReason {
        match self {
            Self::Organization => ErrorReason::OrganizationNotFound,
            Self::User => ErrorReason::UserNotFound,
            Self::Project => ErrorReason::ProjectNotFound,
            Self::Photo => ErrorReason::PhotoNotFound,
            Self::Detection | Self::Feedback => ErrorReason::DetectionNotFound,
        }
    }

    pub(super) fn already_exists(self) -> ErrorReason {
        match self {
            Self::Organization => ErrorReason::OrganizationAlreadyExists,
            Self::User => ErrorReason::UserAlreadyExists,
            Self::Project => ErrorReason::ProjectAlreadyExists,
            Self::Photo => ErrorReason::PhotoAlreadyExists,
            Self::Detection => ErrorReason::DetectionAlreadyExists,
            Self::Feedback => ErrorReason::FeedbackAlreadyExists,
        }
    }
}

impl Precondition {
    pub(super) fn told(self) -> (ErrorReason, &'static str) {
        match self {
            Self::ProjectArchived => (
                ErrorReason::ProjectArchived,
                "the project is archived and takes no new photos; set its status to ACTIVE first",
            ),
            Self::OrganizationNotEmpty => {
                (ErrorReason::OrganizationNotEmpty, "the organization still has users or projects; delete them first")
            }
            Self::ProjectNotEmpty => (
                ErrorReason::ProjectNotEmpty,
                "the project still has photos; delete them first, or archive the project",
            ),
            Self::DetectionReviewed => (
                ErrorReason::DetectionReviewed,
                "people gave feedback on the detection; give its etag, or set include_reviewed, to delete that too",
            ),
            Self::UserInUse => (ErrorReason::UserInUse, "photos refer to the user; delete them first"),
        }
    }
}
