//! Feedback between the wire and the model, with the field rules.

use super::edit;
use super::model::{Feedback, Filter, NewFeedback, SortKey, Verdict};
use crate::auth::Caller;
use crate::check::{At, Violations, to_pb_time};
use crate::detection::MAX_RESULTS_BYTES;
use crate::error::Result;
use crate::id::FeedbackId;
use crate::page::{PageRequest, Pages};
use crate::{digest, json, pb};

/// Most items of a batch: each costs several statements.
const MAX_FEEDBACK: usize = 200;
/// Most edits of one feedback.
const MAX_EDITS: usize = 1000;

/// Reads `CreateFeedback`.
pub(super) fn create(request: pb::CreateFeedbackRequest) -> Result<NewFeedback> {
    let pb::CreateFeedbackRequest { feedback, detection_etag } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("feedback");
    let feedback = checks.required(&at, feedback);
    let feedback = new_feedback(&mut checks, &at, feedback);
    checks.finish()?;
    Ok(NewFeedback { detection_etag, ..feedback })
}

/// Reads `BatchCreateFeedback`: each item on its own, with its place in the request in the violations.
pub(super) fn batch_create(request: pb::BatchCreateFeedbackRequest) -> Result<(Vec<Result<NewFeedback>>, bool)> {
    let pb::BatchCreateFeedbackRequest { feedback, partial, detection_etags: _ } = request;
    let mut checks = Violations::new();
    checks.count(&At::REQUEST.field("feedback"), feedback.len(), 1..=MAX_FEEDBACK);
    checks.finish()?;
    let items = feedback.into_iter().enumerate().map(|(index, feedback)| {
        let mut checks = Violations::new();
        let feedback = new_feedback(&mut checks, &At::REQUEST.item("feedback", index), feedback);
        checks.finish().map(|()| feedback)
    });
    Ok((items.collect(), partial))
}

fn new_feedback(checks: &mut Violations, at: &At<'_>, feedback: pb::Feedback) -> NewFeedback {
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
        retracts_id: _,
    } = feedback;
    let id = checks.optional_id::<FeedbackId>(&at.field("id"), &id);
    let detection_id = checks.id(&at.field("detection_id"), &detection_id);
    let edits_at = at.field("edits");
    let verdict = match checks.known(&at.field("verdict"), verdict) {
        pb::Verdict::Correct => {
            checks.count(&edits_at, edits.len(), 1..=MAX_EDITS);
            Verdict::Correct
        }
        other => {
            if !edits.is_empty() && other != pb::Verdict::Unspecified {
                checks.refuse(&edits_at, "stands beside another verdict than VERDICT_CORRECT");
            }
            if other == pb::Verdict::Reject { Verdict::Reject } else { Verdict::Confirm }
        }
    };
    let edits = if edits.len() > MAX_EDITS { Vec::new() } else { edit::read_all(checks, at, edits) };
    json::text(checks, &edits_at, &edit::edits_to_json(&edits), MAX_RESULTS_BYTES);
    let comment = checks.text(&at.field("comment"), comment, 0..=2000);
    NewFeedback {
        id_chosen: id.is_some(),
        id: id.unwrap_or_else(FeedbackId::make),
        detection_id,
        detection_etag: String::new(),
        verdict,
        edits,
        comment,
        path: at.to_string(),
        content_digest,
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
    let Feedback { id, detection_id, photo_id, user_id, verdict, edits, comment, created_at } = feedback;
    let verdict = match verdict {
        Verdict::Confirm => pb::Verdict::Confirm,
        Verdict::Reject => pb::Verdict::Reject,
        Verdict::Correct => pb::Verdict::Correct,
    };
    pb::Feedback {
        id: id.to_string(),
        detection_id: detection_id.to_string(),
        photo_id: photo_id.to_string(),
        user_id: user_id.to_string(),
        verdict: verdict.into(),
        edits: edit::edits_from_json(&edits),
        comment,
        create_time: Some(to_pb_time(created_at)),
        retracts_id: String::new(),
    }
}
