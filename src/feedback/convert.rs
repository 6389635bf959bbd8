//! Feedback between the wire and the model, with the field rules.

use super::edit;
use super::model::{Feedback, Filter, SortKey, Verdict};
use super::new::NewFeedback;
use crate::auth::Caller;
use crate::check::{At, Violations, to_pb_time};
use crate::detection::{MAX_RESULTS_BYTES, object};
use crate::error::{Error, Result};
use crate::id::FeedbackId;
use crate::page::{PageRequest, Pages};
use crate::{digest, json, pb};

/// Most items of a batch: their detections are in memory together.
const MAX_FEEDBACK: usize = 200;
/// Most edits of one feedback.
const MAX_EDITS: usize = 1000;

/// Reads `CreateFeedback`.
pub(super) fn create(request: pb::CreateFeedbackRequest) -> Result<NewFeedback> {
    let pb::CreateFeedbackRequest { feedback, detection_etag } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("feedback");
    let feedback = checks.required(&at, feedback);
    let feedback = new_feedback(checks, &at, feedback);
    worth_looking(std::slice::from_ref(&feedback))?;
    Ok(NewFeedback { detection_etag, shown: true, ..feedback })
}

/// Reads `BatchCreateFeedback`; what is wrong with each item, with its place in the request, stands in the item.
pub(super) fn batch_create(request: pb::BatchCreateFeedbackRequest) -> Result<(Vec<NewFeedback>, bool)> {
    let pb::BatchCreateFeedbackRequest { feedback, partial, detection_etags } = request;
    let mut checks = Violations::new();
    let right = checks.count(&At::REQUEST.field("feedback"), feedback.len(), 1..=MAX_FEEDBACK);
    if right && !detection_etags.is_empty() && detection_etags.len() != feedback.len() {
        let (found, wanted) = (detection_etags.len(), feedback.len());
        checks
            .refuse(&At::REQUEST.field("detection_etags"), format!("has {found} items; none or {wanted} are allowed"));
    }
    checks.finish()?;
    let mut etags = detection_etags.into_iter();
    let items = feedback.into_iter().enumerate().map(|(index, feedback)| {
        let new = new_feedback(Violations::new(), &At::REQUEST.item("feedback", index), feedback);
        NewFeedback { detection_etag: etags.next().unwrap_or_default(), ..new }
    });
    let items: Vec<_> = items.collect();
    if !partial {
        worth_looking(&items)?;
    }
    Ok((items, partial))
}

/// Refuses feedback at once when something is wrong with it and no detection would show more.
fn worth_looking(news: &[NewFeedback]) -> Result<()> {
    let violations: Vec<_> = news.iter().flat_map(|new| new.violations.iter().cloned()).collect();
    if violations.is_empty() || news.iter().any(NewFeedback::refers) { Ok(()) } else { Err(Error::Invalid(violations)) }
}

fn new_feedback(mut checks: Violations, at: &At<'_>, feedback: pb::Feedback) -> NewFeedback {
    let content_digest = digest::of(&pb::Feedback {
        id: String::new(),
        photo_id: String::new(),
        user_id: String::new(),
        create_time: None,
        ..feedback.clone()
    });
    let pb::Feedback {
        // Output only.
        photo_id: _,
        user_id: _,
        create_time: _,
        id,
        detection_id,
        verdict,
        edits,
        comment,
        retracts_id,
    } = feedback;
    let id = checks.optional_id::<FeedbackId>(&at.field("id"), &id);
    let detection_id = checks.id(&at.field("detection_id"), &detection_id);
    let verdict = checks.known(&at.field("verdict"), verdict);
    let edits_at = at.field("edits");
    if verdict == pb::Verdict::Correct {
        checks.count(&edits_at, edits.len(), 1..=MAX_EDITS);
    } else if !edits.is_empty() && verdict != pb::Verdict::Unspecified {
        checks.refuse(&edits_at, "stands beside another verdict than VERDICT_CORRECT");
    }
    let retracts_at = at.field("retracts_id");
    let retracts = if verdict == pb::Verdict::Retract {
        Some(checks.id(&retracts_at, &retracts_id)).filter(|id: &FeedbackId| !id.0.is_nil())
    } else {
        if !retracts_id.is_empty() && verdict != pb::Verdict::Unspecified {
            checks.refuse(&retracts_at, "stands beside another verdict than VERDICT_RETRACT");
        }
        None
    };
    let edits = if edits.len() > MAX_EDITS { Vec::new() } else { edit::read_all(&mut checks, at, edits) };
    let kept: Vec<_> = edits.iter().map(|placed| &placed.edit).collect();
    json::text(&mut checks, &edits_at, &kept, MAX_RESULTS_BYTES);
    let comment = checks.text(&at.field("comment"), comment, 0..=2000);
    NewFeedback {
        id_chosen: id.is_some(),
        id: id.unwrap_or_else(FeedbackId::make),
        detection_id,
        detection_etag: String::new(),
        verdict: verdict_of(verdict),
        edits,
        shown: false,
        comment,
        retracts,
        path: at.to_string(),
        violations: checks.found(),
        content_digest,
    }
}

fn verdict_of(verdict: pb::Verdict) -> Verdict {
    match verdict {
        pb::Verdict::Reject => Verdict::Reject,
        pb::Verdict::Correct => Verdict::Correct,
        pb::Verdict::Retract => Verdict::Retract,
        // The first was refused.
        pb::Verdict::Unspecified | pb::Verdict::Confirm => Verdict::Confirm,
    }
}

/// Reads `ListFeedback`.
pub(super) fn list(
    pages: &Pages,
    caller: &Caller,
    request: pb::ListFeedbackRequest,
) -> Result<(Filter, PageRequest<SortKey>)> {
    let scope = pb::ListFeedbackRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let pb::ListFeedbackRequest { detection_id, photo_id, user_id, create_time, page_size, page_token } = request;
    let mut checks = Violations::new();
    let filter = Filter {
        detection_id: detection_id.map(|id| checks.id(&At::REQUEST.field("detection_id"), &id)),
        photo_id: photo_id.map(|id| checks.id(&At::REQUEST.field("photo_id"), &id)),
        user_id: user_id.map(|id| checks.id(&At::REQUEST.field("user_id"), &id)),
        created: checks.time_range(&At::REQUEST.field("create_time"), create_time),
    };
    let page = pages.read(&mut checks, caller, (page_size, &page_token), &scope)?;
    checks.finish()?;
    Ok((filter, page))
}

/// Shows feedback.
pub(super) fn to_pb(feedback: Feedback) -> pb::Feedback {
    let Feedback { id, detection_id, photo_id, user_id, verdict, edits, comment, retracts, created_at } = feedback;
    let verdict = match verdict {
        Verdict::Confirm => pb::Verdict::Confirm,
        Verdict::Reject => pb::Verdict::Reject,
        Verdict::Correct => pb::Verdict::Correct,
        Verdict::Retract => pb::Verdict::Retract,
    };
    pb::Feedback {
        id: id.to_string(),
        detection_id: detection_id.to_string(),
        photo_id: photo_id.to_string(),
        user_id: user_id.to_string(),
        verdict: verdict.into(),
        edits: edits.into_iter().map(object::show_edit).collect(),
        comment,
        create_time: Some(to_pb_time(created_at)),
        retracts_id: retracts.map(|id| id.to_string()).unwrap_or_default(),
    }
}
