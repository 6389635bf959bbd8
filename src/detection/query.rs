//! Detections in the database. Each change writes its event in the same statement or transaction.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;

use super::model::{Detection, Filter, Frame, NewDetection, Order, Queue, QueueKey, Rollback, SortKey};
use crate::db::{Sql, Tx};
use crate::error::{Error, Resource, Result};
use crate::id::{DetectionId, PhotoId, now};
use crate::sql;

macro_rules! columns {
    () => {
        "d.id, d.project_id, d.photo_id, d.detection_type, d.model_version, d.run_id, d.confidence, d.processing_time_ms,
         d.created_at, d.updated_at, d.user_confirmed, d.user_feedback, d.version"
    };
}

impl TryFrom<Row> for Detection {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            project_id: row.try_get("project_id")?,
            photo_id: row.try_get("photo_id")?,
            detection_type: row.try_get("detection_type")?,
            model_version: row.try_get("model_version")?,
            run_id: row.try_get("run_id")?,
            results: row.try_get::<_, Option<Value>>("results")?.unwrap_or_default(),
            confidence: row.try_get("confidence")?,
            processing_time_ms: row.try_get("processing_time_ms")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            user_confirmed: row.try_get("user_confirmed")?,
            user_feedback: row.try_get("user_feedback")?,
            version: row.try_get("version")?,
        })
    }
}

/// Photos are joined, so that a missing or invisible one costs only its own row. The event of a creation has
/// the detection's id.
const INSERT: Sql = sql!(
    "with d as (
         insert into companycam_photos.detections as d
           (organization_id, id, project_id, photo_id, detection_type, model_version, run_id, results, confidence,
            processing_time_ms, created_at, updated_at, content_digest)
         select p.organization_id, u.id, p.project_id, p.id, u.detection_type, u.model_version, u.run_id, u.results,
                u.confidence, u.processing_time_ms, $11, $11, u.content_digest
         from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::float8[], $9::int[], $10::bytea[])
              as u (id, photo_id, detection_type, model_version, run_id, results, confidence, processing_time_ms, content_digest)
         join companycam_photos.photos p on p.organization_id = $1 and p.id = u.photo_id
         where p.organization_id = $1
         on conflict do nothing
         returning d.*
     ), event as (
         insert into companycam_photos.detection_events as e
           (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
         select d.organization_id, d.created_at, d.id, d.project_id, d.photo_id, d.id, 'created', d.model_version,
                d.processing_time_ms, jsonb_build_object('detection_type', d.detection_type)
         from d
     )
     select ",
    columns!(),
    ", d.results from d"
);

/// Why a detection was not inserted: what has its id, what has its natural key, whether its photo is there.
const EXPLAIN: Sql = sql!(
    "select u.position::int, p.id is not null as photo_found, d.content_digest, d.id = u.id as same_id, d.results, ",
    columns!(),
    " from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[])
           with ordinality as u (id, photo_id, detection_type, model_version, run_id, position)
     left join companycam_photos.photos p on p.organization_id = $1 and p.id = u.photo_id
     left join lateral (
         select by_id.* from companycam_photos.detections by_id where by_id.organization_id = $1 and by_id.id = u.id
         union all
         select by_run.* from companycam_photos.detections by_run
         where by_run.organization_id = $1 and by_run.photo_id = u.photo_id and by_run.detection_type = u.detection_type
           and by_run.model_version = u.model_version and by_run.run_id = u.run_id and by_run.id <> u.id
     ) d on true"
);

/// Stores detections, each on its own: `true` with those that are new.
pub(super) async fn insert(tx: &Tx, new: &[&NewDetection]) -> Result<Vec<Result<(Detection, bool)>>> {
    macro_rules! column {
        ($field:ident) => {
            &new.iter().map(|detection| &detection.$field).collect::<Vec<_>>()
        };
    }
    let digests: Vec<&[u8]> = new.iter().map(|detection| detection.content_digest.as_slice()).collect();
    let rows = tx
        .query(
            &INSERT,
            &[
                tx.organization(),
                column!(id),
                column!(photo_id),
                column!(detection_type),
                column!(model_version),
                column!(run_id),
                column!(results),
                column!(confidence),
                column!(processing_time_ms),
                &digests,
                &now(),
            ],
        )
        .await?;
    let mut inserted = HashMap::with_capacity(rows.len());
    for row in rows {
        let detection = Detection::try_from(row)?;
        inserted.insert(detection.id, detection);
    }
    // The first item with an id owns the inserted row; a repetition inside the batch is looked up like any other.
    let mut outcomes: Vec<Option<Result<(Detection, bool)>>> =
        new.iter().map(|detection| inserted.remove(&detection.id).map(|detection| Ok((detection, true)))).collect();
    let open: Vec<usize> = (0..new.len()).filter(|&index| outcomes[index].is_none()).collect();
    if !open.is_empty() {
        explain(tx, new, &open, &mut outcomes).await?;
    }
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(Error::ConcurrentChange))).collect())
}

async fn explain(
    tx: &Tx,
    new: &[&NewDetection],
    open: &[usize],
    outcomes: &mut [Option<Result<(Detection, bool)>>],
) -> Result<()> {
    macro_rules! column {
        ($field:ident) => {
            &open.iter().map(|&index| &new[index].$field).collect::<Vec<_>>()
        };
    }
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [
        tx.organization(),
        column!(id),
        column!(photo_id),
        column!(detection_type),
        column!(model_version),
        column!(run_id),
    ];
    for row in tx.query(&EXPLAIN, &params).await? {
        let position: i32 = row.try_get("position")?;
        let Some(&index) = usize::try_from(position - 1).ok().and_then(|position| open.get(position)) else { continue };
        let wanted = new[index];
        let taken = || Err(Error::AlreadyExists(Resource::Detection, wanted.id.to_string()));
        let outcome = match row.try_get::<_, Option<Vec<u8>>>("content_digest")? {
            Some(digest) => {
                let same_id: bool = row.try_get("same_id")?;
                if digest == wanted.content_digest && (same_id || !wanted.id_chosen) {
                    Ok((Detection::try_from(row)?, false))
                } else if same_id || wanted.id_chosen {
                    taken()
                } else {
                    let found = Detection::try_from(row)?;
                    Err(Error::AlreadyExists(Resource::Detection, found.id.to_string()))
                }
            }
            None if row.try_get("photo_found")? => Err(Error::ConcurrentChange),
            None => Err(Error::NotFound(Resource::Photo, wanted.photo_id.to_string())),
        };
        // Two rows when the id is one detection's and the run another's: a conflict either way.
        let outcome = if outcomes[index].is_some() { taken() } else { outcome };
        outcomes[index] = Some(outcome);
    }
    Ok(())
}

const FRAMES: Sql = sql!(
    "select p.id, p.width, p.height, p.orientation from companycam_photos.photos p
     where p.organization_id = $1 and p.id = any($2)"
);

/// Reads what pixel boxes need to know of their photos.
pub(super) async fn frames(tx: &Tx, ids: &[PhotoId]) -> Result<HashMap<PhotoId, Frame>> {
    let rows = tx.query(&FRAMES, &[tx.organization(), &ids]).await?;
    let mut frames = HashMap::with_capacity(rows.len());
    for row in rows {
        let size = row.try_get::<_, Option<i32>>("width")?.zip(row.try_get("height")?);
        let orientation = row.try_get::<_, Option<i16>>("orientation")?.unwrap_or(1);
        frames.insert(row.try_get("id")?, Frame { size, orientation });
    }
    Ok(frames)
}

const GET: Sql = sql!(
    "select ",
    columns!(),
    ", d.results from companycam_photos.detections d where d.organization_id = $1 and d.id = $2"
);

/// Reads a detection.
pub(super) async fn get(tx: &Tx, id: DetectionId) -> Result<Option<Detection>> {
    tx.query_opt(&GET, &[tx.organization(), &id]).await?.map(Detection::try_from).transpose()
}

const LOCK: Sql = sql!(
    "select ",
    columns!(),
    ", d.results from companycam_photos.detections d where d.organization_id = $1 and d.id = $2 for no key update"
);

/// Reads a detection and keeps others from changing it until the transaction ends.
pub(crate) async fn lock(tx: &Tx, id: DetectionId) -> Result<Option<Detection>> {
    tx.query_opt(&LOCK, &[tx.organization(), &id]).await?.map(Detection::try_from).transpose()
}

const OF_PHOTOS: Sql = sql!(
    "select ",
    columns!(),
    ", d.results from unnest($2::uuid[]) as u (photo_id)
     cross join lateral (
         select * from companycam_photos.detections d
         where d.organization_id = $1 and d.photo_id = u.photo_id
         order by d.created_at, d.id limit $3
     ) d
     order by d.photo_id, d.created_at, d.id"
);

/// Reads the oldest `most` detections of each photo.
pub(super) async fn of_photos(tx: &Tx, ids: &[PhotoId], most: usize) -> Result<Vec<Detection>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    tx.query(&OF_PHOTOS, &[tx.organization(), &ids, &most]).await?.into_iter().map(Detection::try_from).collect()
}

/// One list statement: comparison and direction differ, the rest is the same.
macro_rules! list {
    ($after:literal, $direction:literal) => {
        sql!(
            "select ",
            columns!(),
            ", case when $11 then d.results end as results from companycam_photos.detections d
             where d.organization_id = $1
               and ($2::uuid[] is null or d.photo_id = any($2))
               and ($3::uuid[] is null or d.project_id = any($3))
               and ($4::text[] is null or d.detection_type = any($4))
               and ($5::text[] is null or d.model_version = any($5))
               and ($6::float8 is null or d.confidence >= $6) and ($7::float8 is null or d.confidence <= $7)
               and ($8::bool is null or d.user_confirmed = $8)
               and ($9::timestamptz is null or d.created_at >= $9) and ($10::timestamptz is null or d.created_at < $10)
               and ($12::timestamptz is null or (d.created_at, d.id) ",
            $after,
            " ($12, $13::uuid))
             order by d.created_at ",
            $direction,
            ", d.id ",
            $direction,
            " limit $14"
        )
    };
}
const LIST_NEWEST_FIRST: Sql = list!("<", "desc");
const LIST_OLDEST_FIRST: Sql = list!(">", "asc");

fn unless_empty<T>(list: &Vec<T>) -> Option<&Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Lists at most `limit` detections after `after`.
pub(super) async fn list(
    tx: &Tx,
    filter: &Filter,
    (order, full): (Order, bool),
    after: Option<SortKey>,
    limit: i64,
) -> Result<Vec<Detection>> {
    let sql = match order {
        Order::NewestFirst => &LIST_NEWEST_FIRST,
        Order::OldestFirst => &LIST_OLDEST_FIRST,
    };
    let after_time = after.and_then(|(time, _)| Timestamp::from_microsecond(time).ok());
    let rows = tx
        .query(
            sql,
            &[
                tx.organization(),
                &unless_empty(&filter.photo_ids),
                &unless_empty(&filter.project_ids),
                &unless_empty(&filter.types),
                &unless_empty(&filter.model_versions),
                &filter.min_confidence,
                &filter.max_confidence,
                &filter.user_confirmed,
                &filter.created.0,
                &filter.created.1,
                &full,
                &after_time,
                &after.map(|(_, id)| id),
                &limit,
            ],
        )
        .await?;
    rows.into_iter().map(Detection::try_from).collect()
}

/// The review queue; `not d.user_confirmed` stands literally, for the partial index.
macro_rules! queue {
    ($key:literal) => {
        sql!(
            "select ",
            columns!(),
            ", d.results from companycam_photos.detections d
             where d.organization_id = $1 and not d.user_confirmed and d.user_feedback is null
               and ($2::uuid[] is null or d.project_id = any($2))
               and ($3::text[] is null or d.detection_type = any($3))
               and ($5::uuid is null or (", $key, ", d.id) > ($4, $5))
             order by ", $key, ", d.id limit $6"
        )
    };
}
const QUEUE_OLDEST: Sql = queue!("(extract(epoch from d.created_at) * 1000000)::float8");
const QUEUE_LEAST_CONFIDENT: Sql = queue!("coalesce(d.confidence, -1)");

/// Lists at most `limit` detections that wait for review, after `after`.
pub(super) async fn queue(tx: &Tx, queue: &Queue, after: Option<QueueKey>, limit: i64) -> Result<Vec<Detection>> {
    let sql = if queue.least_confident_first { &QUEUE_LEAST_CONFIDENT } else { &QUEUE_OLDEST };
    let rows = tx
        .query(
            sql,
            &[
                tx.organization(),
                &unless_empty(&queue.project_ids),
                &unless_empty(&queue.types),
                &after.map(|(key, _)| key),
                &after.map(|(_, id)| id),
                &limit,
            ],
        )
        .await?;
    rows.into_iter().map(Detection::try_from).collect()
}

const REVIEW: Sql = sql!(
    "with d as (
         update companycam_photos.detections as d
         set user_confirmed = $3, user_feedback = $4, updated_at = $5, version = d.version + 1
         where d.organization_id = $1 and d.id = $2
         returning d.*
     ), event as (
         insert into companycam_photos.detection_events as e
           (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
         select d.organization_id, $5, $7, d.project_id, d.photo_id, d.id, $6, d.model_version, d.processing_time_ms,
                jsonb_build_object('detection_type', d.detection_type, 'feedback_id', $4::jsonb -> 'feedback_id')
         from d
     )
     select ",
    columns!(),
    ", d.results from d"
);

/// Shows the newest feedback on a locked detection, and writes the event (confirmed, rejected or corrected).
pub(crate) async fn review(
    tx: &Tx,
    id: DetectionId,
    confirmed: bool,
    user_feedback: &Value,
    at: Timestamp,
    event_type: &str,
) -> Result<Detection> {
    let event_id = uuid::Uuid::now_v7();
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [tx.organization(), &id, &confirmed, user_feedback, &at, &event_type, &event_id];
    Detection::try_from(tx.query_one(&REVIEW, &params).await?)
}

const DELETE: Sql = sql!(
    "with d as (
         delete from companycam_photos.detections d where d.organization_id = $1 and d.id = any($2) returning d.*
     ), event as (
         insert into companycam_photos.detection_events as e
           (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
         select d.organization_id, $3, gen_random_uuid(), d.project_id, d.photo_id, d.id, 'deleted', d.model_version,
                d.processing_time_ms, jsonb_build_object('detection_type', d.detection_type)
         from d
     )
     select count(*) as deleted from d"
);

/// Deletes detections with the feedback on them; answers how many there were.
pub(super) async fn delete(tx: &Tx, ids: &[DetectionId]) -> Result<i64> {
    Ok(tx.query_one(&DELETE, &[tx.organization(), &ids, &now()]).await?.try_get("deleted")?)
}

const OF_MODEL: Sql = sql!(
    "select d.id, d.user_feedback is not null as reviewed from companycam_photos.detections d
     where d.organization_id = $1 and d.model_version = $2 and ($3::text[] is null or d.detection_type = any($3))
     order by d.id for update"
);
const COUNT_OF_MODEL: Sql = sql!(
    "select d.id, d.user_feedback is not null as reviewed from companycam_photos.detections d
     where d.organization_id = $1 and d.model_version = $2 and ($3::text[] is null or d.detection_type = any($3))"
);

/// Lists a model's detections and whether somebody reviewed them; locks them unless it only counts.
pub(super) async fn of_model(tx: &Tx, rollback: &Rollback) -> Result<Vec<(DetectionId, bool)>> {
    let sql = if rollback.validate_only { &COUNT_OF_MODEL } else { &OF_MODEL };
    let rows = tx.query(sql, &[tx.organization(), &rollback.model_version, &unless_empty(&rollback.types)]).await?;
    rows.into_iter().map(|row| Ok((row.try_get("id")?, row.try_get("reviewed")?))).collect()
}
