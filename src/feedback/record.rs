//! How feedback is recorded: the detections are locked, so that answers to one of them have one order; each answer is
//! checked against what stands before it; then all is written at once. As many statements for a batch as for one.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use super::fold::fold;
use super::model::{Feedback, Verdict};
use super::new::NewFeedback;
use super::{edit, query};
use crate::auth::{Caller, Role};
use crate::check::{At, Violations};
use crate::db::Tx;
use crate::detection::{self, Corrections, Detection, MAX_OBJECTS, MAX_RESULTS_BYTES, Results, Reviewed};
use crate::error::{Error, Resource, Result};
use crate::id::{DetectionId, FeedbackId, UserId, now};
use crate::{etag, json};

/// What became of feedback.
#[derive(Debug)]
pub(super) struct Records {
    /// In the order of the request: as stored, and whether it is new.
    pub(super) outcomes: Vec<Result<(Feedback, bool)>>,
    /// The detections after it.
    pub(super) detections: BTreeMap<DetectionId, Detection>,
}

/// Records feedback. `partial`: each for itself; otherwise all of it or none, and what is wrong with any is told together.
///
/// # Errors
/// Unless `partial`, what is wrong with the feedback. [`Error::AlreadyExists`] when an id is taken by feedback that the
/// caller does not see: nothing is written then.
pub(super) async fn record(tx: &Tx, news: &[NewFeedback], partial: bool) -> Result<Records> {
    let mut desk = Desk::open(tx, news).await?;
    let outcomes: Vec<_> = news.iter().map(|new| desk.answer(tx.caller(), new)).collect();
    if !partial {
        refuse_together(&outcomes)?;
    }
    let answered: Vec<&Case> = desk.cases.values().filter(|case| !case.events.is_empty()).collect();
    if !answered.is_empty() {
        let created = news.iter().zip(&outcomes).filter_map(|(new, outcome)| match outcome {
            Ok((feedback, true)) => Some((new, desk.cases.get(&new.detection_id)?.detection.project_id, feedback)),
            _ => None,
        });
        let created: Vec<_> = created.collect();
        let reviewed: Vec<_> =
            answered.iter().map(|case| Reviewed { detection: &case.detection, events: &case.events }).collect();
        futures_util::future::try_join(query::insert(tx, &created), detection::review(tx, &reviewed)).await?;
    }
    let detections = desk.cases.into_iter().map(|(id, case)| (id, case.detection)).collect();
    Ok(Records { outcomes, detections })
}

/// Tells all violations at once; without any, the first other error.
fn refuse_together(outcomes: &[Result<(Feedback, bool)>]) -> Result<()> {
    let errors = || outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let violations = errors().filter_map(|error| match error {
        Error::Invalid(found) => Some(found.iter().cloned()),
        _ => None,
    });
    let violations: Vec<_> = violations.flatten().collect();
    let first = if violations.is_empty() { errors().next().cloned() } else { Some(Error::Invalid(violations)) };
    first.map_or(Ok(()), Err)
}

/// The detections that are answered to, locked, and the feedback that is there.
struct Desk {
    cases: BTreeMap<DetectionId, Case>,
    /// Feedback with one of the ids that clients chose, and its digest.
    known: HashMap<FeedbackId, (Feedback, Vec<u8>)>,
}

/// A locked detection.
struct Case {
    /// As it is after the answers that were taken.
    detection: Detection,
    /// Its version before them.
    version: i32,
    /// All answers to it, where one is to be taken back.
    answers: Vec<Feedback>,
    /// The answers that were taken.
    events: Vec<(Timestamp, &'static str, FeedbackId)>,
}

impl Desk {
    async fn open(tx: &Tx, news: &[NewFeedback]) -> Result<Self> {
        let ids = |which: fn(&NewFeedback) -> bool| -> Vec<DetectionId> {
            let found: HashSet<_> = news.iter().filter(|new| which(new)).map(|new| new.detection_id).collect();
            found.into_iter().collect()
        };
        let (all, full) = (ids(|_| true), ids(|new| new.shown || new.refers()));
        let retracted = ids(|new| new.retracts.is_some());
        let chosen: Vec<_> = news.iter().filter(|new| new.id_chosen).map(|new| new.id).collect();
        // Sent in this order: what is read behind the lock is what stands.
        let known = async { if chosen.is_empty() { Ok(HashMap::new()) } else { query::known(tx, &chosen).await } };
        let answers = async {
            if retracted.is_empty() { Ok(HashMap::new()) } else { query::answers(tx, &retracted, None).await }
        };
        let (locked, known, mut answers) =
            futures_util::future::try_join3(detection::lock_all(tx, &all, &full), known, answers).await?;
        let case = |detection: Detection| {
            let (version, answers) = (detection.version, answers.remove(&detection.id).unwrap_or_default());
            (detection.id, Case { detection, version, answers, events: Vec::new() })
        };
        Ok(Self { cases: locked.into_iter().map(case).collect(), known })
    }

    /// Takes one answer, if nothing is wrong with it; answers it as stored, and whether it is new. A repeated call is
    /// recognised before the etag is looked at: the first call has changed it.
    fn answer(&mut self, caller: &Caller, new: &NewFeedback) -> Result<(Feedback, bool)> {
        let user_id = UserId(caller.subject);
        let right = new.violations.is_empty();
        let Some(case) = self.cases.get_mut(&new.detection_id) else {
            let id = new.detection_id.to_string();
            return Err(if right {
                Error::NotFound(Resource::Detection, id)
            } else {
                Error::Invalid(new.violations.clone())
            });
        };
        let taken = |id: FeedbackId| Err(Error::AlreadyExists(Resource::Feedback, id.to_string()));
        if right {
            match self.known.get(&new.id) {
                Some((first, digest)) if *digest == new.content_digest && first.user_id == user_id => {
                    return Ok((first.clone(), false));
                }
                Some(_) => return taken(new.id),
                None => {}
            }
            if etag::is_stale(&new.detection_etag, case.version, case.detection.created_at) {
                return Err(Error::StaleEtag(Resource::Detection, new.detection_id.to_string()));
            }
        }
        let at = At::REQUEST.field(&new.path);
        let mut checks = Violations::of(new.violations.clone());
        let corrections = case.corrected(&mut checks, &at, new);
        let earlier = new.retracts.and_then(|id| case.retraction(&mut checks, &at.field("retracts_id"), caller, id));
        checks.finish()?;
        if let Some(earlier) = earlier {
            return if new.id_chosen { taken(earlier.id) } else { Ok((earlier.clone(), false)) };
        }
        let feedback = case.take(new, user_id, corrections);
        self.known.insert(feedback.id, (feedback.clone(), new.content_digest.to_vec()));
        Ok((feedback, true))
    }
}

impl Case {
    /// The corrections after an answer; refuses edits of what does not stand, and more than can be kept.
    fn corrected(&self, checks: &mut Violations, at: &At<'_>, new: &NewFeedback) -> Corrections {
        let mut corrections = self.detection.corrections.clone().unwrap_or_default();
        if new.edits.is_empty() {
            return corrections;
        }
        let results = self.detection.results.as_ref();
        let seen = results.map(Results::ids).unwrap_or_default();
        edit::refer(checks, at, &new.edits, &seen, &corrections);
        for edit in &new.edits {
            corrections.take(&edit.edit, &seen);
        }
        let objects = corrections.count(seen.len());
        if objects > MAX_OBJECTS {
            checks.refuse(
                &at.field("edits"),
                format!("leave the detection with {objects} objects; {MAX_OBJECTS} are allowed"),
            );
        }
        json::text(checks, &at.field("edits"), &corrections, MAX_RESULTS_BYTES);
        corrections
    }

    /// Refuses to take back what cannot be taken back; answers the retraction that is there already.
    fn retraction(&self, checks: &mut Violations, at: &At<'_>, caller: &Caller, id: FeedbackId) -> Option<&Feedback> {
        match self.answers.iter().find(|answer| answer.id == id) {
            None => checks.refuse(at, "names no answer to this detection"),
            Some(answer) if answer.verdict == Verdict::Retract => {
                checks.refuse(at, "names an answer that takes another one back; give that one again instead");
            }
            Some(answer) if answer.user_id.0 != caller.subject && caller.role != Role::OrgAdmin => {
                checks.refuse(at, "names another person's answer, which only that person and an org_admin take back");
            }
            Some(_) => {}
        }
        self.answers.iter().find(|answer| answer.retracts == Some(id))
    }

    /// Takes an answer in which nothing is wrong.
    fn take(&mut self, new: &NewFeedback, user_id: UserId, corrections: Corrections) -> Feedback {
        let detection = &mut self.detection;
        // Later than all before it, whatever the clocks say of the machines that took them.
        let after = detection.updated_at.checked_add(Span::new().microseconds(1)).unwrap_or(detection.updated_at);
        let feedback = Feedback {
            id: new.id,
            detection_id: detection.id,
            photo_id: detection.photo_id,
            user_id,
            verdict: new.verdict,
            edits: new.edits.iter().map(|edit| edit.edit.clone()).collect(),
            comment: new.comment.clone(),
            retracts: new.retracts,
            created_at: now().max(after),
        };
        self.answers.push(feedback.clone());
        self.events.push((feedback.created_at, feedback.verdict.event_type(), feedback.id));
        let (corrections, newest) = if feedback.verdict == Verdict::Retract {
            let stand = fold(&self.answers, &detection.results.as_ref().map(Results::ids).unwrap_or_default());
            (stand.corrections, stand.newest)
        } else {
            (corrections, Some(&feedback))
        };
        detection.corrections = Some(corrections).filter(|corrections| !corrections.is_empty());
        detection.user_confirmed = newest.is_some_and(|newest| newest.verdict.confirms());
        detection.user_feedback = newest.map(shown);
        detection.updated_at = feedback.created_at;
        detection.version = self.version + 1;
        feedback
    }
}

/// The newest feedback as it is shown with its detection.
fn shown(feedback: &Feedback) -> Value {
    json!({
        "feedback_id": feedback.id,
        "user_id": feedback.user_id,
        "verdict": feedback.verdict.name(),
        "edits": feedback.edits,
        "comment": feedback.comment,
        "create_time": feedback.created_at.to_string(),
    })
}
