//! Feedback as plain data.

use jiff::Timestamp;
use serde_json::Value;

use crate::id::{DetectionId, FeedbackId, PhotoId, UserId};

/// What a person says of a detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The model is right.
    Confirm,
    /// The model is wrong.
    Reject,
    /// Right after edits.
    Correct,
}

impl Verdict {
    /// The name in the database.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Reject => "reject",
            Self::Correct => "correct",
        }
    }

    /// The verdict of that name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        [Self::Confirm, Self::Reject, Self::Correct].into_iter().find(|verdict| verdict.name() == name)
    }

    /// The event that it is in the detection's history.
    pub(super) fn event_type(self) -> &'static str {
        match self {
            Self::Confirm => "confirmed",
            Self::Reject => "rejected",
            Self::Correct => "corrected",
        }
    }

    /// Tells whether there is something to be seen where the model saw it, or near.
    pub(super) fn confirms(self) -> bool {
        matches!(self, Self::Confirm | Self::Correct)
    }
}

/// The kinds of edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EditKind {
    /// The object is elsewhere.
    Move,
    /// The object is something else.
    Relabel,
    /// The object is not there.
    Remove,
    /// The model missed an object.
    Add,
}

/// One correction of one object.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    /// What it does.
    pub(super) kind: EditKind,
    /// To which object; the new one's, for an addition.
    pub(super) object_id: String,
    /// As it is kept.
    pub(super) kept: Value,
}

/// Feedback to be recorded.
#[derive(Debug, Clone)]
pub(super) struct NewFeedback {
    /// Chosen by the client, or made.
    pub(super) id: FeedbackId,
    /// The client chose the id: it may be there already.
    pub(super) id_chosen: bool,
    /// The detection.
    pub(super) detection_id: DetectionId,
    /// The detection's etag as the person saw it; may be empty.
    pub(super) detection_etag: String,
    /// What the person says.
    pub(super) verdict: Verdict,
    /// The corrections.
    pub(super) edits: Vec<Edit>,
    /// The person's words.
    pub(super) comment: String,
    /// Place of the feedback in the request, for violations that only the detection can show.
    pub(super) path: String,
    /// Tells a repeated call from a conflicting one.
    pub(super) content_digest: [u8; 16],
}

/// Recorded feedback.
#[derive(Debug, Clone)]
pub(super) struct Feedback {
    /// Identity.
    pub(super) id: FeedbackId,
    /// The detection.
    pub(super) detection_id: DetectionId,
    /// Its photo.
    pub(super) photo_id: PhotoId,
    /// The person.
    pub(super) user_id: UserId,
    /// What the person says.
    pub(super) verdict: Verdict,
    /// The corrections as they are kept.
    pub(super) edits: Value,
    /// The person's words.
    pub(super) comment: String,
    /// When it was given.
    pub(super) created_at: Timestamp,
}

/// Which feedback a list shows; `None` means all.
#[derive(Debug)]
pub(super) struct Filter {
    /// On this detection.
    pub(super) detection_id: Option<DetectionId>,
    /// On detections of this photo.
    pub(super) photo_id: Option<PhotoId>,
    /// By this person.
    pub(super) user_id: Option<UserId>,
    /// Given from, and before.
    pub(super) created: (Option<Timestamp>, Option<Timestamp>),
}

/// Sort key of feedback in a list: microseconds since 1970, then the id.
pub(super) type SortKey = (i64, FeedbackId);

impl Feedback {
    /// Where the feedback stands in a list.
    pub(super) fn sort_key(&self) -> SortKey {
        (self.created_at.as_microsecond(), self.id)
    }
}
