//! What the answers to a detection come to. Answers that were taken back count as if they had not been given; of the
//! others the newest is the verdict, and the corrections add up in their order.

use std::collections::HashSet;

use super::model::{Feedback, Verdict};
use crate::detection::Corrections;

/// What the answers come to.
#[derive(Debug, Default)]
pub(crate) struct Stand<'a> {
    /// The corrections that stand.
    pub(crate) corrections: Corrections,
    /// The newest answer that stands.
    pub(crate) newest: Option<&'a Feedback>,
}

/// Folds all answers to a detection, in their order, whose model saw objects with the ids `seen`.
pub(crate) fn fold<'a>(answers: &'a [Feedback], seen: &HashSet<&str>) -> Stand<'a> {
    let retracted: HashSet<_> = answers.iter().filter_map(|answer| answer.retracts).collect();
    let mut stand = Stand::default();
    for answer in answers {
        if answer.verdict == Verdict::Retract || retracted.contains(&answer.id) {
            continue;
        }
        for edit in &answer.edits {
            stand.corrections.take(edit, seen);
        }
        stand.newest = Some(answer);
    }
    stand
}
