//! Reads of detections.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::correction::Corrections;
use super::model::{Detection, Frame, Results, Rollback};
use crate::db::{Page, Source, Sql, Tx};
use crate::error::{Error, Result};
use crate::id::{DetectionId, PhotoId};
use crate::{source, sql};

impl TryFrom<Row> for Detection {
    type Error = Error;

    /// By position, in the order of `columns!()`, then results and corrections: finding each column by its name takes longer than
    /// all the rest.
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get(0)?,
            project_id: row.try_get(1)?,
            photo_id: row.try_get(2)?,
            detection_type: row.try_get(3)?,
            model_version: row.try_get(4)?,
            run_id: row.try_get(5)?,
            confidence: row.try_get(6)?,
            processing_time_ms: row.try_get(7)?,
            created_at: row.try_get(8)?,
            updated_at: row.try_get(9)?,
            user_confirmed: row.try_get(10)?,
            user_feedback: row.try_get(11)?,
            version: row.try_get(12)?,
            results: results_at(&row, RESULTS)?,
            corrections: corrections_at(&row, RESULTS + 1)?,
        })
    }
}

/// The position of a detection's results.
const RESULTS: usize = 13;

/// Reads results in a position of a detection's row, if they are there. What was not written by the service may have
/// another shape.
pub(crate) fn results_at(row: &Row, position: usize) -> Result<Option<Results>> {
    if let Ok(results) = row.try_get::<_, Option<Json<Results>>>(position) {
        return Ok(results.map(|Json(results)| results));
    }
    let Json(kept) = row.try_get::<_, Json<&RawValue>>(position)?;
    tracing::warn!(detection.id = ?row.try_get::<_, DetectionId>(0), "results of another shape are shown in part");
    Ok(Some(Results::of(kept)))
}

/// Reads corrections in a position of a detection's row, if they are there. Those of another shape, which the service did
/// not write, are passed over.
pub(crate) fn corrections_at(row: &Row, position: usize) -> Result<Option<Corrections>> {
    row.try_get::<_, Option<Json<Corrections>>>(position).map(|found| found.map(|Json(found)| found)).or_else(|_| {
        row.try_get::<_, Json<&RawValue>>(position)?;
        tracing::warn!(detection.id = ?row.try_get::<_, DetectionId>(0), "corrections of another shape are passed over");
        Ok(None)
    })
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
    ", d.results, d.corrections from companycam_photos.detections d where d.organization_id = $1 and d.id = $2"
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
    ", d.results, d.corrections from companycam_photos.detections d where d.organization_id = $1 and d.id = $2 for no key update"
);

/// Reads a detection and keeps others from changing it until the transaction ends.
pub(super) async fn lock(tx: &Tx, id: DetectionId) -> Result<Option<Detection>> {
    tx.query_opt(&LOCK, &[tx.organization(), &id]).await?.map(Detection::try_from).transpose()
}

/// Index: detections_pkey.
const LOCK_ALL: Sql = sql!(
    LOCK_ALL,
    "select ",
    columns!(),
    ", case when d.id = any($3) or d.corrections is not null then d.results end, d.corrections
     from companycam_photos.detections d where d.organization_id = $1 and d.id = any($2)
     order by d.id for no key update"
);

/// Reads detections, those that are in `full` or have corrections with their results, and keeps others from changing them until the transaction ends.
/// Locked in one order everywhere, so that two batches wait for each other instead of deadlocking.
pub(crate) async fn lock_all(tx: &Tx, ids: &[DetectionId], full: &[DetectionId]) -> Result<Vec<Detection>> {
    let rows = tx.query(&LOCK_ALL, &[tx.organization(), &ids, &full]).await?;
    rows.into_iter().map(Detection::try_from).collect()
}

/// Index: detections_photo_id_created_at_idx.
const OF_PHOTOS: Sql = sql!(
    OF_PHOTOS,
    "select ",
    columns!(),
    ", d.results, d.corrections from unnest($2::uuid[]) as u (photo_id)
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

/// The next detections of a model, newest first.
///
/// Index: detections_model_version_created_at_idx.
const OF_MODEL: Source = source!(OF_MODEL);

/// Locks the next `limit` detections of a model behind `after`, newest first; unless reviewed ones are asked for, those that
/// show no feedback. Answers where they stand.
pub(super) async fn lock_of_model(
    tx: &Tx,
    rollback: &Rollback,
    after: Option<(Timestamp, DetectionId)>,
    limit: i64,
) -> Result<Vec<(Timestamp, DetectionId)>> {
    let mut page = Page::new(tx, OF_MODEL, true, after, limit);
    let draft = &mut page.draft;
    draft.sql("select d.created_at, d.id from companycam_photos.detections d where d.organization_id = $1 and d.model_version = ");
    draft.value(&rollback.model_version);
    draft.among("d.detection_type", &rollback.types);
    if !rollback.include_reviewed {
        draft.sql(" and d.user_feedback is null");
    }
    page.after("d.created_at", "d.id");
    page.order_and_limit("d.created_at", "d.id");
    page.draft.sql(" for update");
    let rows = page.draft.query(tx).await?;
    rows.into_iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// A parameter that is null when it has no values.
pub(super) fn unless_empty<T>(list: &Vec<T>) -> Option<&Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Index: detections_model_version_created_at_idx, detections_model_photo_created_at_idx, feedback_detection_id_created_at_idx.
const COUNT_OF_MODEL: Sql = sql!(
    COUNT_OF_MODEL,
    "select count(*) as all_of_them, count(*) filter (where d.reviewed) as reviewed
     from (
         select d.user_feedback is not null or exists (
             select from companycam_photos.feedback f where f.organization_id = $1 and f.detection_id = d.id offset 0
         ) as reviewed
         from companycam_photos.detections d
         where d.organization_id = $1 and d.model_version = $2 and ($3::text[] is null or d.detection_type = any($3))
     ) d"
);

/// Counts a model's detections, and those of them that people gave feedback on.
pub(super) async fn count_of_model(tx: &Tx, rollback: &Rollback) -> Result<(i64, i64)> {
    let types = unless_empty(&rollback.types);
    let row = tx.query_one(&COUNT_OF_MODEL, &[tx.organization(), &rollback.model_version, &types]).await?;
    Ok((row.try_get("all_of_them")?, row.try_get("reviewed")?))
}
