//! Reads of detections.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::model::{Detection, Filter, Frame, Order, Queue, QueueKey, Results, Rollback, SortKey};
use crate::db::{Sql, Tx};
use crate::error::{Error, Result};
use crate::id::{DetectionId, PhotoId};
use crate::{one_of, sql};

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
            results: results(&row)?,
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

/// Reads results, if they are there. What was not written by the service may have another shape.
fn results(row: &Row) -> Result<Option<Results>> {
    if let Ok(results) = row.try_get::<_, Option<Json<Results>>>("results") {
        return Ok(results.map(|Json(results)| results));
    }
    let Json(kept) = row.try_get::<_, Json<&RawValue>>("results")?;
    tracing::warn!(detection.id = ?row.try_get::<_, DetectionId>("id"), "results of another shape are shown in part");
    Ok(Some(Results::of(kept)))
}

/// Index: photos_pkey.
const FRAMES: Sql = sql!(
    FRAMES,
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

/// Index: detections_pkey.
const GET: Sql = sql!(
    GET,
    "select ",
    columns!(),
    ", d.results from companycam_photos.detections d where d.organization_id = $1 and d.id = $2"
);

/// Reads a detection.
pub(super) async fn get(tx: &Tx, id: DetectionId) -> Result<Option<Detection>> {
    tx.query_opt(&GET, &[tx.organization(), &id]).await?.map(Detection::try_from).transpose()
}

/// Index: detections_pkey.
const LOCK: Sql = sql!(
    LOCK,
    "select ",
    columns!(),
    ", d.results from companycam_photos.detections d where d.organization_id = $1 and d.id = $2 for no key update"
);

/// Reads a detection and keeps others from changing it until the transaction ends.
pub(crate) async fn lock(tx: &Tx, id: DetectionId) -> Result<Option<Detection>> {
    tx.query_opt(&LOCK, &[tx.organization(), &id]).await?.map(Detection::try_from).transpose()
}

/// Index: detections_photo_id_created_at_idx.
const OF_PHOTOS: Sql = sql!(
    OF_PHOTOS,
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
    ($name:ident, $after:literal, $direction:literal) => {
        sql!(
            $name,
            "select ",
            columns!(),
            ", case when $11 then d.results end as results from companycam_photos.detections d
             where d.organization_id = $1
               and ",
            one_of!("d.photo_id", "$2::uuid[]"),
            " and ",
            one_of!("d.project_id", "$3::uuid[]"),
            " and ",
            one_of!("d.detection_type", "$4::text[]"),
            "
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
/// Index: detections_created_at_idx*, detections_photo_id_created_at_idx, detections_detection_type_created_at_idx,
/// detections_pkey*.
const LIST_NEWEST_FIRST: Sql = list!(LIST_NEWEST_FIRST, "<", "desc");
/// Index: detections_created_at_idx*, detections_photo_id_created_at_idx, detections_detection_type_created_at_idx,
/// detections_pkey*.
const LIST_OLDEST_FIRST: Sql = list!(LIST_OLDEST_FIRST, ">", "asc");

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
    ($name:ident, $key:literal) => {
        sql!(
            $name,
            "select ",
            columns!(),
            ", d.results from companycam_photos.detections d
             where d.organization_id = $1 and not d.user_confirmed and d.user_feedback is null
               and ",
            one_of!("d.project_id", "$2::uuid[]"),
            " and ",
            one_of!("d.detection_type", "$3::text[]"),
            "
               and ($5::uuid is null or (",
            $key,
            ", d.id) > ($4, $5))
             order by ",
            $key,
            ", d.id limit $6"
        )
    };
}
/// Index: detections_pending_idx*, detections_detection_type_created_at_idx, detections_pkey*.
const QUEUE_OLDEST: Sql = queue!(QUEUE_OLDEST, "(extract(epoch from d.created_at) * 1000000)::float8");
/// Index: detections_pending_idx*, detections_detection_type_created_at_idx, detections_pkey*.
const QUEUE_LEAST_CONFIDENT: Sql = queue!(QUEUE_LEAST_CONFIDENT, "coalesce(d.confidence, -1)");

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

/// Index: detections_pkey*, detections_detection_type_created_at_idx.
const OF_MODEL: Sql = sql!(
    OF_MODEL,
    "select d.id, d.user_feedback is not null as reviewed from companycam_photos.detections d
     where d.organization_id = $1 and d.model_version = $2 and ($3::text[] is null or d.detection_type = any($3))
     order by d.id for update"
);
/// Index: detections_pkey*, detections_detection_type_created_at_idx.
const COUNT_OF_MODEL: Sql = sql!(
    COUNT_OF_MODEL,
    "select d.id, d.user_feedback is not null as reviewed from companycam_photos.detections d
     where d.organization_id = $1 and d.model_version = $2 and ($3::text[] is null or d.detection_type = any($3))"
);

/// Lists a model's detections and whether somebody reviewed them; locks them unless it only counts.
pub(super) async fn of_model(tx: &Tx, rollback: &Rollback) -> Result<Vec<(DetectionId, bool)>> {
    let sql = if rollback.validate_only { &COUNT_OF_MODEL } else { &OF_MODEL };
    let rows = tx.query(sql, &[tx.organization(), &rollback.model_version, &unless_empty(&rollback.types)]).await?;
    rows.into_iter().map(|row| Ok((row.try_get("id")?, row.try_get("reviewed")?))).collect()
}
