//! DetectionService: who, what, do, answer.

use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};

use super::ingest::Ingest;
use super::model::{Deletion, Detection, NewDetection};
use super::rollback::{self, Rolled};
use super::{backlog, claim, convert, list, query, stats, store, write};
use crate::auth::{Caller, PEOPLE, READERS, WRITERS};
use crate::batch::Batch;
use crate::check::to_pb_time;
use crate::db::{Access, Db, Tx};
use crate::error::{Error, Precondition, Resource, Result, item_status};
use crate::group::Group;
use crate::id::{UserId, now};
use crate::page::Pages;
use crate::pb::{self, detection_service_server::DetectionService};
use crate::streaming::{Answers, Bounds};
use crate::{create, etag};

/// Serves detections.
#[derive(Debug)]
pub struct Service {
    db: Db,
    pages: Pages,
    streams: Bounds,
    group: Group<NewDetection, (Detection, bool)>,
}

impl Service {
    /// Works on a database, makes page tokens with `pages`, and ends streams when their bounds say so.
    pub fn new(db: Db, pages: Pages, streams: Bounds) -> Self {
        let door = db.clone();
        let group = Group::new("detection", move |caller, items| {
            let door = door.clone();
            async move { store::each(&door, &caller, items).await }
        });
        Self { db, pages, streams, group }
    }
}

#[tonic::async_trait]
impl DetectionService for Service {
    async fn create_detection(
        &self,
        request: Request<pb::CreateDetectionRequest>,
    ) -> Result<Response<pb::CreateDetectionResponse>, Status> {
        let caller = Caller::of(&request, WRITERS)?;
        let request = request.into_inner();
        let bytes = request.encoded_len();
        let (detection, created) = self.group.store(&caller, convert::create(request)?, bytes).await?;
        let detection = Some(convert::to_pb(detection, true));
        Ok(Response::new(pb::CreateDetectionResponse { detection, outcome: pb::WriteOutcome::of(created).into() }))
    }

    async fn batch_create_detections(
        &self,
        request: Request<pb::BatchCreateDetectionsRequest>,
    ) -> Result<Response<pb::BatchCreateDetectionsResponse>, Status> {
        let caller = Caller::of(&request, WRITERS)?;
        let (items, partial) = convert::batch_create(request.into_inner())?;
        let mut batch = Batch::admit(items, partial)?;
        let placed = store::place(&self.db, &caller, std::mem::take(&mut batch.accepted)).await?;
        let batch = batch.look_again(placed)?;
        let stored = create::batch(&self.db, &caller, &batch).await?;
        let results = batch.merge(stored).map(batch_result).collect();
        Ok(Response::new(pb::BatchCreateDetectionsResponse { results }))
    }

    type IngestDetectionsStream = Answers<pb::IngestDetectionsResponse>;

    async fn ingest_detections(
        &self,
        request: Request<Streaming<pb::IngestDetectionsRequest>>,
    ) -> Result<Response<Self::IngestDetectionsStream>, Status> {
        let caller = Caller::of(&request, WRITERS)?;
        let ingest = Ingest { db: self.db.clone(), caller: caller.streaming(), bounds: self.streams.clone() };
        Ok(Response::new(ingest.answer(request.into_inner())))
    }

    async fn get_detection(
        &self,
        request: Request<pb::GetDetectionRequest>,
    ) -> Result<Response<pb::GetDetectionResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let id = convert::get(request.into_inner())?;
        let detection = self.db.once(&caller, Access::Read, async |tx| query::get(&tx, id).await).await?;
        let detection = detection.ok_or_else(|| Error::NotFound(Resource::Detection, id.to_string()))?;
        Ok(Response::new(pb::GetDetectionResponse { detection: Some(convert::to_pb(detection, true)) }))
    }

    async fn list_detections(
        &self,
        request: Request<pb::ListDetectionsRequest>,
    ) -> Result<Response<pb::ListDetectionsResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let convert::List { filter, order, full, mut page } =
            convert::list(&self.pages, &caller, request.into_inner())?;
        let (after, limit) = (page.after.take(), page.limit());
        let list = async |tx: Tx| list::list(&tx, &filter, (order, full), after, limit).await;
        let rows = self.db.once(&caller, Access::Read, list).await?;
        let key = |row: &Detection| (row.created_at.as_microsecond(), row.id);
        let (detections, next_page_token) = self.pages.cut(&page, rows, key, |row| convert::to_pb(row, full));
        Ok(Response::new(pb::ListDetectionsResponse { detections, next_page_token }))
    }

    async fn list_pending_detections(
        &self,
        request: Request<pb::ListPendingDetectionsRequest>,
    ) -> Result<Response<pb::ListPendingDetectionsResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let (queue, mut page) = convert::queue(&self.pages, &caller, request.into_inner())?;
        let (after, limit) = (page.after.take(), page.limit());
        let rows =
            self.db.once(&caller, Access::Read, async |tx| list::queue(&tx, &queue, None, after, limit).await).await?;
        let key = |row: &Detection| (queue.key(row), row.id);
        let (detections, next_page_token) = self.pages.cut(&page, rows, key, |row| convert::to_pb(row, true));
        Ok(Response::new(pb::ListPendingDetectionsResponse { detections, next_page_token }))
    }

    async fn claim_pending_detections(
        &self,
        request: Request<pb::ClaimPendingDetectionsRequest>,
    ) -> Result<Response<pb::ClaimPendingDetectionsResponse>, Status> {
        let caller = Caller::of(&request, PEOPLE)?;
        let person = UserId(caller.subject);
        let wanted = claim::read(request.into_inner())?;
        let work = async |tx: Tx| claim::claim(&tx, person, &wanted).await;
        let (detections, until) = self.db.scoped(&caller, Access::Write, work).await?;
        let expire_time = Some(to_pb_time(until));
        Ok(Response::new(pb::ClaimPendingDetectionsResponse { detections, expire_time }))
    }

    async fn release_claimed_detections(
        &self,
        request: Request<pb::ReleaseClaimedDetectionsRequest>,
    ) -> Result<Response<pb::ReleaseClaimedDetectionsResponse>, Status> {
        let caller = Caller::of(&request, PEOPLE)?;
        let (person, now) = (UserId(caller.subject), now());
        let ids = claim::read_release(request.into_inner())?;
        let work = async |tx: Tx| claim::release(&tx, person, &ids, now).await;
        let released = self.db.once(&caller, Access::Write, work).await?;
        Ok(Response::new(pb::ReleaseClaimedDetectionsResponse { released }))
    }

    async fn delete_detection(
        &self,
        request: Request<pb::DeleteDetectionRequest>,
    ) -> Result<Response<pb::DeleteDetectionResponse>, Status> {
        let caller = Caller::of(&request, WRITERS)?;
        let Deletion { id, etag, include_reviewed } = convert::delete(request.into_inner())?;
        // A machine takes nobody's words away that it has not seen.
        let reviewed_too = include_reviewed || !etag.is_empty() || caller.role.is_person();
        let work = async |tx: Tx| {
            let name = || id.to_string();
            let found = query::lock(&tx, id).await?.ok_or_else(|| Error::NotFound(Resource::Detection, name()))?;
            if etag::is_stale(&etag, found.version, found.created_at) {
                return Err(Error::StaleEtag(Resource::Detection, name()));
            }
            match write::delete(&tx, &[id], reviewed_too).await? {
                0 => Err(Error::Precondition(Precondition::DetectionReviewed, format!("detections/{id}"))),
                _ => Ok(()),
            }
        };
        self.db.scoped(&caller, Access::Write, work).await?;
        Ok(Response::new(pb::DeleteDetectionResponse {}))
    }

    async fn delete_detections_by_model(
        &self,
        request: Request<pb::DeleteDetectionsByModelRequest>,
    ) -> Result<Response<pb::DeleteDetectionsByModelResponse>, Status> {
        let caller = Caller::of(&request, WRITERS)?;
        let rollback = convert::rollback(request.into_inner())?;
        let rolled = if rollback.validate_only {
            rollback::count(&self.db, &caller, &rollback).await?
        } else {
            rollback::run(&self.db, &caller, &rollback).await?
        };
        let Rolled { deleted, kept, remaining } = rolled;
        Ok(Response::new(pb::DeleteDetectionsByModelResponse { deleted, kept_reviewed: kept, remaining }))
    }

    async fn get_detection_stats(
        &self,
        request: Request<pb::GetDetectionStatsRequest>,
    ) -> Result<Response<pb::GetDetectionStatsResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let report = stats::read(request.into_inner())?;
        let cells = self.db.once(&caller, Access::Read, async |tx| stats::cells(&tx, &report).await).await?;
        Ok(Response::new(stats::answer(&report, cells)?))
    }

    async fn get_model_backlogs(
        &self,
        request: Request<pb::GetModelBacklogsRequest>,
    ) -> Result<Response<pb::GetModelBacklogsResponse>, Status> {
        let caller = Caller::of(&request, WRITERS)?;
        let since = now() - backlog::read(request.into_inner())?;
        let found = self.db.once(&caller, Access::Read, async |tx| backlog::backlogs(&tx, since).await).await?;
        Ok(Response::new(backlog::answer(found)))
    }
}

fn batch_result(outcome: Result<(Detection, bool)>) -> pb::BatchCreateDetectionsResult {
    match outcome {
        Ok((detection, created)) => pb::BatchCreateDetectionsResult {
            detection: Some(convert::to_pb(detection, false)),
            outcome: pb::WriteOutcome::of(created).into(),
            status: None,
        },
        Err(error) => pb::BatchCreateDetectionsResult { detection: None, outcome: 0, status: Some(item_status(error)) },
    }
}
