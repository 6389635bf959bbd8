//! `FeedbackService`: who, what, do, answer.

use futures_util::future::try_join;
use serde_json::json;
use tonic::{Request, Response, Status};

use super::model::{Feedback, NewFeedback};
use super::{convert, edit, query};
use crate::auth::{Caller, PEOPLE, READERS};
use crate::batch::Batch;
use crate::check::{At, Violations};
use crate::db::{Access, Db, Tx};
use crate::detection;
use crate::error::{Error, Resource, Result, item_status};
use crate::etag;
use crate::id::{DetectionId, UserId, now};
use crate::page::Pages;
use crate::pb::{self, feedback_service_server::FeedbackService};

/// Serves feedback.
#[derive(Debug)]
pub struct Service {
    /// The door to the database.
    pub db: Db,
    /// Makes page tokens.
    pub pages: Pages,
}

/// What became of one feedback: as stored, the detection after it, and whether it is new.
type Recorded = (Feedback, pb::Detection, bool);

#[tonic::async_trait]
impl FeedbackService for Service {
    async fn create_feedback(
        &self,
        request: Request<pb::CreateFeedbackRequest>,
    ) -> Result<Response<pb::CreateFeedbackResponse>, Status> {
        let caller = Caller::of(&request, PEOPLE)?;
        let new = convert::create(request.into_inner())?;
        let (feedback, detection, created) =
            self.db.scoped(&caller, Access::Write, async |tx| record(&tx, &new).await).await?;
        Ok(Response::new(pb::CreateFeedbackResponse {
            feedback: Some(convert::to_pb(feedback)),
            detection: Some(detection),
            outcome: pb::WriteOutcome::of(created).into(),
        }))
    }

    async fn batch_create_feedback(
        &self,
        request: Request<pb::BatchCreateFeedbackRequest>,
    ) -> Result<Response<pb::BatchCreateFeedbackResponse>, Status> {
        let caller = Caller::of(&request, PEOPLE)?;
        let (items, partial) = convert::batch_create(request.into_inner())?;
        let batch = Batch::admit(items, partial)?;
        let stored = if partial {
            self.record_each(&caller, &batch.accepted).await
        } else {
            self.db
                .scoped(&caller, Access::Write, async |tx| record_all(&tx, &batch.accepted).await)
                .await?
                .into_iter()
                .map(Ok)
                .collect()
        };
        Ok(Response::new(pb::BatchCreateFeedbackResponse { results: batch.merge(stored).map(batch_result).collect() }))
    }

    async fn list_feedback(
        &self,
        request: Request<pb::ListFeedbackRequest>,
    ) -> Result<Response<pb::ListFeedbackResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let (filter, page) = convert::list(&self.pages, &caller, request.into_inner())?;
        let (after, limit) = (page.after, page.limit());
        let rows =
            self.db.once(&caller, Access::Read, async |tx| query::list(&tx, &filter, after, limit).await).await?;
        let (feedback, next_page_token) = self.pages.cut(&page, rows, Feedback::sort_key, convert::to_pb);
        Ok(Response::new(pb::ListFeedbackResponse { feedback, next_page_token }))
    }

    type ExportTrainingDataStream =
        std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<pb::ExportTrainingDataResponse, Status>> + Send>>;

    async fn export_training_data(
        &self,
        _: Request<pb::ExportTrainingDataRequest>,
    ) -> Result<Response<Self::ExportTrainingDataStream>, Status> {
        Err(Error::RpcNotFound.into())
    }

    async fn list_categories(
        &self,
        _: Request<pb::ListCategoriesRequest>,
    ) -> Result<Response<pb::ListCategoriesResponse>, Status> {
        Err(Error::RpcNotFound.into())
    }

    async fn register_categories(
        &self,
        _: Request<pb::RegisterCategoriesRequest>,
    ) -> Result<Response<pb::RegisterCategoriesResponse>, Status> {
        Err(Error::RpcNotFound.into())
    }
}

impl Service {
    /// Records each feedback in a transaction of its own.
    async fn record_each(&self, caller: &Caller, news: &[NewFeedback]) -> Vec<Result<Recorded>> {
        let mut outcomes = Vec::with_capacity(news.len());
        for new in news {
            outcomes.push(self.db.scoped(caller, Access::Write, async |tx| record(&tx, new).await).await);
        }
        outcomes
    }
}

/// Records feedback together. Edits that do not fit their detections are told of all items at once; any other
/// error ends the work, because the transaction may have failed with it.
async fn record_all(tx: &Tx, news: &[NewFeedback]) -> Result<Vec<Recorded>> {
    let ids: Vec<DetectionId> = news.iter().map(|new| new.detection_id).collect();
    let found = query::lock_detections(tx, &ids).await?;
    if let Some(missing) = ids.iter().find(|id| found.binary_search(id).is_err()) {
        return Err(Error::NotFound(Resource::Detection, missing.to_string()));
    }
    let (mut recorded, mut violations) = (Vec::with_capacity(news.len()), Vec::new());
    for new in news {
        match record(tx, new).await {
            Ok(outcome) => recorded.push(outcome),
            Err(Error::Invalid(found)) => violations.extend(found),
            Err(error) => return Err(error),
        }
    }
    if violations.is_empty() { Ok(recorded) } else { Err(Error::Invalid(violations)) }
}

/// Records one feedback and shows it on its detection. A repeated call is recognised before the etag is looked
/// at: the first call has changed it.
async fn record(tx: &Tx, new: &NewFeedback) -> Result<Recorded> {
    let id = new.detection_id;
    let stored = detection::lock(tx, id).await?.ok_or_else(|| Error::NotFound(Resource::Detection, id.to_string()))?;
    let user_id = UserId(tx.caller().subject);
    if let Some((first, digest)) = if new.id_chosen { query::find(tx, new.id).await? } else { None } {
        if digest == new.content_digest && first.user_id == user_id {
            return Ok((first, detection::to_pb(stored, true), false));
        }
        return Err(Error::AlreadyExists(Resource::Feedback, new.id.to_string()));
    }
    if etag::is_stale(&new.detection_etag, stored.version, stored.created_at) {
        return Err(Error::StaleEtag(Resource::Detection, id.to_string()));
    }
    let mut checks = Violations::new();
    edit::refer(&mut checks, &At::REQUEST.field(&new.path), &new.edits, &stored.results.unwrap_or_default());
    checks.finish()?;

    let feedback = Feedback {
        id: new.id,
        detection_id: id,
        photo_id: stored.photo_id,
        user_id,
        verdict: new.verdict,
        edits: edit::edits_to_json(&new.edits),
        comment: new.comment.clone(),
        // Taken under the lock, so that the newest verdict is the last one.
        created_at: now(),
    };
    let shown = json!({
        "feedback_id": feedback.id,
        "user_id": user_id,
        "verdict": new.verdict.name(),
        "edits": feedback.edits,
        "comment": feedback.comment,
        "create_time": feedback.created_at.to_string(),
    });
    let (verdict, at) = (new.verdict, feedback.created_at);
    let ((), reviewed) = try_join(
        query::insert(tx, new, stored.project_id, &feedback),
        detection::review(tx, id, verdict.confirms(), &shown, at, verdict.event_type()),
    )
    .await?;
    Ok((feedback, detection::to_pb(reviewed, true), true))
}

fn batch_result(outcome: Result<Recorded>) -> pb::BatchCreateFeedbackResult {
    match outcome {
        Ok((feedback, _, created)) => pb::BatchCreateFeedbackResult {
            feedback: Some(convert::to_pb(feedback)),
            outcome: pb::WriteOutcome::of(created).into(),
            status: None,
            detection_etag: String::new(),
        },
        Err(error) => pb::BatchCreateFeedbackResult {
            feedback: None,
            outcome: 0,
            status: Some(item_status(error)),
            detection_etag: String::new(),
        },
    }
}
