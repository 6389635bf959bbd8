//! Feedback as plain data.

use jiff::Timestamp;

use crate::detection::Edit;
use crate::id::{DetectionId, FeedbackId, PhotoId, UserId};

/// What a person says of a detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The model is right.
    Confirm,
    /// The model is wrong.
    Reject,
    /// Right after edits.
    Correct,
    /// An earlier answer is taken back.
    Retract,
}

impl Verdict {
    /// The name in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Reject => "reject",
            Self::Correct => "correct",
            Self::Retract => "retract",
        }
    }

    /// The verdict of that name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        [Self::Confirm, Self::Reject, Self::Correct, Self::Retract].into_iter().find(|verdict| verdict.name() == name)
    }

    /// The event that it is in the detection's history.
    pub(crate) fn event_type(self) -> &'static str {
        match self {
            Self::Confirm => "confirmed",
            Self::Reject => "rejected",
            Self::Correct => "corrected",
            Self::Retract => "retracted",
        }
    }

    /// Tells whether there is something to be seen where the model saw it, or near.
    pub(crate) fn confirms(self) -> bool {
        matches!(self, Self::Confirm | Self::Correct)
    }
}

/// Recorded feedback.
#[derive(Debug, Clone)]
pub(crate) struct Feedback {
    /// Identity.
    pub(crate) id: FeedbackId,
    /// The detection.
    pub(crate) detection_id: DetectionId,
    /// Its photo.
    pub(crate) photo_id: PhotoId,
    /// The person.
    pub(crate) user_id: UserId,
    /// What the person says.
    pub(crate) verdict: Verdict,
    /// The corrections.
    pub(crate) edits: Vec<Edit>,
    /// The person's words.
    pub(crate) comment: String,
    /// The answer that it takes back.
    pub(crate) retracts: Option<FeedbackId>,
    /// When it was given.
    pub(crate) created_at: Timestamp,
}

/// Which feedback a list shows; `None` means all.
#[derive(Debug)]
pub(crate) struct Filter {
    /// On this detection.
    pub(crate) detection_id: Option<DetectionId>,
    /// On detections of this photo.
    pub(crate) photo_id: Option<PhotoId>,
    /// By this person.
    pub(crate) user_id: Option<UserId>,
    /// Given from, and before.
    pub(crate) created: (Option<Timestamp>, Option<Timestamp>),
}

/// Sort key of feedback in a list: microseconds since 1970, then the id.
pub(crate) type SortKey = (i64, FeedbackId);

impl Feedback {
    /// Where the feedback stands in a list.
    pub(crate) fn sort_key(&self) -> SortKey {
        (self.created_at.as_microsecond(), self.id)
    }
}
