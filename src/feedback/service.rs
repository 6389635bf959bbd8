//! `FeedbackService`: who, what, do, answer.

use tonic::{Request, Response, Status};

use super::model::Feedback;
use super::new::NewFeedback;
use super::record::{Records, record};
use super::{convert, query};
use crate::auth::{Caller, PEOPLE, READERS, WRITERS};
use crate::db::{Access, Db, Tx};
use crate::detection;
use crate::error::{Error, Result, item_status};
use crate::etag;
use crate::id::DetectionId;
use crate::page::Pages;
use crate::pb::{self, feedback_service_server::FeedbackService};
use crate::streaming::{Answers, Bounds};
use crate::training;

/// Serves feedback, and the training data that come of it.
#[derive(Debug)]
pub struct Service {
    /// The door to the database.
    pub db: Db,
    /// Makes page tokens.
    pub pages: Pages,
    /// What ends streams.
    pub streams: Bounds,
}

#[tonic::async_trait]
impl FeedbackService for Service {
    async fn create_feedback(
        &self,
        request: Request<pb::CreateFeedbackRequest>,
    ) -> Result<Response<pb::CreateFeedbackResponse>, Status> {
        let caller = Caller::of(&request, PEOPLE)?;
        let new = convert::create(request.into_inner())?;
        let news = std::slice::from_ref(&new);
        let work = async |tx: Tx| record(&tx, news, false).await;
        let Records { mut outcomes, mut detections } = self.db.scoped(&caller, Access::Write, work).await?;
        let (feedback, created) = outcomes.pop().unwrap_or(Err(Error::ConcurrentChange))?;
        let detection = detections.remove(&new.detection_id);
        Ok(Response::new(pb::CreateFeedbackResponse {
            feedback: Some(convert::to_pb(feedback)),
            detection: detection.map(|detection| detection::to_pb(detection, true)),
            outcome: pb::WriteOutcome::of(created).into(),
        }))
    }

    async fn batch_create_feedback(
        &self,
        request: Request<pb::BatchCreateFeedbackRequest>,
    ) -> Result<Response<pb::BatchCreateFeedbackResponse>, Status> {
        let caller = Caller::of(&request, PEOPLE)?;
        let (news, partial) = convert::batch_create(request.into_inner())?;
        let work = async |tx: Tx| record(&tx, &news, partial).await;
        let recorded = match self.db.scoped(&caller, Access::Write, work).await {
            // What only the database could tell: it refuses one of them, and so each is asked for alone.
            Err(Error::AlreadyExists(..)) if partial => self.record_each(&caller, &news).await,
            recorded => batch_results(recorded?),
        };
        Ok(Response::new(pb::BatchCreateFeedbackResponse { results: recorded }))
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

    type ExportTrainingDataStream = Answers<pb::ExportTrainingDataResponse>;

    async fn export_training_data(
        &self,
        request: Request<pb::ExportTrainingDataRequest>,
    ) -> Result<Response<Self::ExportTrainingDataStream>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let (plan, binding, cursor) = training::export(&self.pages, &caller, request.into_inner())?;
        let (db, pages, bounds) = (self.db.clone(), self.pages.clone(), self.streams.clone());
        Ok(Response::new(training::Exporter { db, pages, caller, bounds, plan, binding, cursor }.answer()))
    }

    async fn list_categories(
        &self,
        request: Request<pb::ListCategoriesRequest>,
    ) -> Result<Response<pb::ListCategoriesResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let page = training::page_of(&self.pages, &caller, &request.into_inner())?;
        let rows = training::list(&self.db, &caller, page.after.unwrap_or(-1), page.limit()).await?;
        let (categories, next_page_token) =
            self.pages.cut(&page, rows, |category| category.id.unwrap_or_default(), training::shown);
        Ok(Response::new(pb::ListCategoriesResponse { categories, next_page_token }))
    }

    async fn register_categories(
        &self,
        request: Request<pb::RegisterCategoriesRequest>,
    ) -> Result<Response<pb::RegisterCategoriesResponse>, Status> {
        let caller = Caller::of(&request, WRITERS)?;
        let wanted = training::categories(request.into_inner())?;
        let categories = training::register(&self.db, &caller, &wanted).await?;
        Ok(Response::new(pb::RegisterCategoriesResponse {
            categories: categories.into_iter().map(training::shown).collect(),
        }))
    }
}

impl Service {
    /// Records each feedback in a transaction of its own.
    async fn record_each(&self, caller: &Caller, news: &[NewFeedback]) -> Vec<pb::BatchCreateFeedbackResult> {
        let mut results = Vec::with_capacity(news.len());
        for new in news {
            let work = async |tx: Tx| record(&tx, std::slice::from_ref(new), true).await;
            match self.db.scoped(caller, Access::Write, work).await {
                Ok(recorded) => results.extend(batch_results(recorded)),
                Err(error) => results.push(batch_result(Err(error), String::new())),
            }
        }
        results
    }
}

fn batch_results(Records { outcomes, detections }: Records) -> Vec<pb::BatchCreateFeedbackResult> {
    let etag =
        |id: &DetectionId| detections.get(id).map(|detection| etag::make(detection.version, detection.created_at));
    let results = outcomes.into_iter().map(|outcome| {
        let etag = outcome.as_ref().ok().and_then(|(feedback, _)| etag(&feedback.detection_id));
        batch_result(outcome, etag.unwrap_or_default())
    });
    results.collect()
}

fn batch_result(outcome: Result<(Feedback, bool)>, detection_etag: String) -> pb::BatchCreateFeedbackResult {
    match outcome {
        Ok((feedback, created)) => pb::BatchCreateFeedbackResult {
            feedback: Some(convert::to_pb(feedback)),
            outcome: pb::WriteOutcome::of(created).into(),
            status: None,
            detection_etag,
        },
        Err(error) => pb::BatchCreateFeedbackResult {
            status: Some(item_status(error)),
            ..pb::BatchCreateFeedbackResult::default()
        },
    }
}
