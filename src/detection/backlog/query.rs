//! Finds the models that are used, and counts what each has not seen.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::Backlog;
use crate::db::{Sql, Tx};
use crate::error::{Error, Result};
use crate::sql;

/// Most models of an answer.
const MAX_BACKLOGS: i64 = 1000;

impl TryFrom<Row> for Backlog {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            detection_type: row.try_get("detection_type")?,
            model_version: row.try_get("model_version")?,
            photos: row.try_get("photos")?,
            oldest: row.try_get("oldest")?,
            newest_result: row.try_get("newest_result")?,
        })
    }
}

/// Each model version is found by the one before it. `except` reads the photos and the model's results once each, in two
/// indexes; a condition for each photo would look every one of them up.
///
/// Index: detections_model_version_created_at_idx*, detections_model_photo_created_at_idx, photos_created_at_idx.
const BACKLOGS: Sql = sql!(
    BACKLOGS,
    "with recursive m (model_version) as (
         (select d.model_version from companycam_photos.detections d
          where d.organization_id = $1 order by d.model_version limit 1)
         union all
         select n.model_version from m cross join lateral (
             select d.model_version from companycam_photos.detections d
             where d.organization_id = $1 and d.model_version > m.model_version order by d.model_version limit 1
         ) n
     )
     select t.detection_type, m.model_version, b.photos, b.oldest, r.created_at as newest_result
     from unnest(array['damage', 'material', 'volume']) t (detection_type)
     cross join m
     cross join lateral (
         select from companycam_photos.detections d
         where d.organization_id = $1 and d.detection_type = t.detection_type and d.model_version = m.model_version
           and d.photo_created_at >= $2 limit 1
     ) used
     cross join lateral (
         select d.created_at from companycam_photos.detections d
         where d.organization_id = $1 and d.detection_type = t.detection_type and d.model_version = m.model_version
         order by d.created_at desc limit 1
     ) r
     cross join lateral (
         select count(*) as photos, min(k.created_at) as oldest from (
             select p.created_at, p.id from companycam_photos.photos p
             where p.organization_id = $1 and p.created_at >= $2
             except
             select d.photo_created_at, d.photo_id from companycam_photos.detections d
             where d.organization_id = $1 and d.detection_type = t.detection_type and d.model_version = m.model_version
               and d.photo_created_at >= $2
         ) k
     ) b
     order by t.detection_type, m.model_version limit $3"
);

/// Reads the backlogs of the models that have a result on a photo created since then.
pub(in crate::detection) async fn backlogs(tx: &Tx, since: Timestamp) -> Result<Vec<Backlog>> {
    let rows = tx.query(&BACKLOGS, &[tx.organization(), &since, &MAX_BACKLOGS]).await?;
    rows.into_iter().map(Backlog::try_from).collect()
}
