//! Counts detections by bucket and group.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::model::{Cell, Grouping, Keys, MAX_CELLS, Numbers, Report};
use crate::db::{Sql, Tx};
use crate::error::{Error, Result};
use crate::sql;

impl TryFrom<Row> for Cell {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let keys = Keys {
            detection_type: row.try_get("detection_type")?,
            model_version: row.try_get("model_version")?,
            project_id: row.try_get("project_id")?,
        };
        let times: Option<Vec<i32>> = row.try_get("processing_time_ms")?;
        let numbers = Numbers {
            count: row.try_get("count")?,
            objects: row.try_get("objects")?,
            mean_confidence: row.try_get("mean_confidence")?,
            processing_time_ms: times.and_then(|times| times.try_into().ok()),
            confirmed: row.try_get("confirmed")?,
            corrected: row.try_get("corrected")?,
            rejected: row.try_get("rejected")?,
            accepted: row.try_get("accepted")?,
            moved_objects: row.try_get("moved_objects")?,
            mean_iou: row.try_get("mean_iou")?,
        };
        let bucket: i32 = row.try_get("bucket")?;
        Ok(Self { bucket: usize::try_from(bucket).unwrap_or_default(), keys, numbers })
    }
}

/// One statement of statistics: of some projects or of all. `percentile_disc` answers a time that was measured, in
/// whole milliseconds. `offset 0` keeps the verdict from being taken out of the feedback after the sort, which would
/// then carry all of the feedback: three times as much.
macro_rules! cells {
    ($name:ident, $projects:literal) => {
        sql!(
            $name,
            "select d.bucket, d.detection_type, d.model_version, d.project_id, count(*) as count,
                    sum(d.object_count)::bigint as objects, avg(d.confidence) as mean_confidence,
                    percentile_disc(array[0.5, 0.95]) within group (order by d.processing_time_ms) as processing_time_ms,
                    count(*) filter (where d.verdict = 'confirm') as confirmed,
                    count(*) filter (where d.verdict = 'correct') as corrected,
                    count(*) filter (where d.verdict = 'reject') as rejected,
                    count(*) filter (where d.verdict = 'confirm' and d.untouched) as accepted,
                    coalesce(sum(d.moved_objects), 0)::bigint as moved_objects, sum(d.moved_iou) / sum(d.moved_objects) as mean_iou
             from (
                 select width_bucket(d.created_at, $2::timestamptz[]) - 1 as bucket,
                        case when $5 then d.detection_type end as detection_type,
                        case when $6 then d.model_version end as model_version,
                        case when $7 then d.project_id end as project_id,
                        d.object_count, d.confidence, d.processing_time_ms, d.user_feedback->>'verdict' as verdict,
                        d.corrections is null as untouched, d.moved_objects, d.moved_iou
                 from companycam_photos.detections d
                 where d.organization_id = $1 and d.created_at >= $3 and d.created_at < $4",
            $projects,
            "
                 offset 0
             ) d
             group by 1, 2, 3, 4 limit $8"
        )
    };
}
/// Index: detections_created_at_idx, detections_pkey*.
const CELLS: Sql = cells!(CELLS, "");
/// Index: detections_project_id_created_at_idx.
const CELLS_OF_PROJECTS: Sql = cells!(CELLS_OF_PROJECTS, " and d.project_id = any($9)");

/// Reads the groups in buckets that have a detection; of too many, one more than are allowed.
pub(in crate::detection) async fn cells(tx: &Tx, report: &Report) -> Result<Vec<Cell>> {
    let Report { starts, end, grouping: Grouping { detection_type, model_version, project }, project_ids } = report;
    let start = starts.first();
    let limit = i64::try_from(MAX_CELLS + 1).unwrap_or(i64::MAX);
    // The projects come last, because one of the statements has no parameter for them.
    let params: [&(dyn ToSql + Sync); 9] =
        [tx.organization(), starts, &start, end, detection_type, model_version, project, &limit, project_ids];
    let rows = if project_ids.is_empty() {
        tx.query(&CELLS, &params[..8]).await?
    } else {
        tx.query(&CELLS_OF_PROJECTS, &params).await?
    };
    rows.into_iter().map(Cell::try_from).collect()
}
