//! Feedback to be recorded, as it was read.

use super::model::Verdict;
use crate::detection::Edit;
use crate::error::Violation;
use crate::id::{DetectionId, FeedbackId};

/// One correction of one object, with its place in the request's list.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// The correction.
    pub(super) edit: Edit,
    /// Its place, for violations that only the detection can show.
    pub(super) index: usize,
    /// Its object was refused already.
    pub(super) refused: bool,
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
    /// The corrections that could be read.
    pub(super) edits: Vec<Placed>,
    /// The detection is shown with the answer.
    pub(super) shown: bool,
    /// The person's words.
    pub(super) comment: String,
    /// The answer that is taken back, with [`Verdict::Retract`] only.
    pub(super) retracts: Option<FeedbackId>,
    /// Place of the feedback in the request, for violations that only the detection can show.
    pub(super) path: String,
    /// What is wrong with it already. It is looked at all the same, so that everything is told at once.
    pub(super) violations: Vec<Violation>,
    /// Tells a repeated call from a conflicting one.
    pub(super) content_digest: [u8; 16],
}

impl NewFeedback {
    /// Whether only its detection shows all that is wrong with it.
    pub(super) fn refers(&self) -> bool {
        let names = !self.edits.is_empty() || self.retracts.is_some();
        names && !self.detection_id.0.is_nil()
    }
}
