//! Reads of photos.

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Timestamp as Instant};

use super::model::{Fields, Filter, Order, Photo, SortKey, View};
use crate::db::{Sql, Tx};
use crate::error::{Error, Result};
use crate::id::PhotoId;
use crate::{one_of, sql};

impl TryFrom<Row> for Photo {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.try_get("organization_id")?,
            id: row.try_get("id")?,
            project_id: row.try_get("project_id")?,
            user_id: row.try_get("user_id")?,
            s3_key: row.try_get("s3_key")?,
            fields: Fields {
                s3_url: row.try_get("s3_url")?,
                file_size_bytes: row.try_get("file_size_bytes")?,
                mime_type: row.try_get("mime_type")?,
                width: row.try_get("width")?,
                height: row.try_get("height")?,
                exif_data: row.try_get::<_, Option<Json<_>>>("exif_data")?.map(|Json(exif)| exif),
                captured_at: row.try_get("captured_at")?,
                latitude: row.try_get("latitude")?,
                longitude: row.try_get("longitude")?,
                orientation: row.try_get("orientation")?,
                uploaded_at: row.try_get("uploaded_at")?,
            },
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            version: row.try_get("version")?,
        })
    }
}

/// Index: photos_pkey.
const GET_BASIC: Sql = sql!(
    GET_BASIC,
    "select ",
    columns!(),
    ", null::jsonb as exif_data from companycam_photos.photos p where p.organization_id = $1 and p.id = any($2)"
);
/// Index: photos_pkey.
const GET_WITH_EXIF: Sql = sql!(
    GET_WITH_EXIF,
    "select ",
    columns!(),
    ", p.exif_data from companycam_photos.photos p where p.organization_id = $1 and p.id = any($2)"
);

/// Reads the photos that are there, in no order.
pub(super) async fn get(tx: &Tx, ids: &[PhotoId], view: View) -> Result<Vec<Photo>> {
    let sql = if view == View::Basic { &GET_BASIC } else { &GET_WITH_EXIF };
    tx.query(sql, &[tx.organization(), &ids]).await?.into_iter().map(Photo::try_from).collect()
}

/// One list statement: sort expression, comparison and direction differ, the rest is the same.
macro_rules! list {
    ($name:ident, $time:literal, $after:literal, $direction:literal) => {
        sql!(
            $name,
            "select ",
            columns!(),
            ", case when $12 then p.exif_data end as exif_data from companycam_photos.photos p
             where p.organization_id = $1
               and ",
            one_of!("p.project_id", "$2::uuid[]"),
            " and ",
            one_of!("p.user_id", "$3::uuid[]"),
            "
               and ($4::timestamptz is null or p.created_at >= $4) and ($5::timestamptz is null or p.created_at < $5)
               and ($6::timestamptz is null or p.captured_at >= $6) and ($7::timestamptz is null or p.captured_at < $7)
               and ($8::timestamptz is null or p.uploaded_at >= $8) and ($9::timestamptz is null or p.uploaded_at < $9)
               and ($10::text is null or p.s3_key ^@ $10)
               and ($13::uuid is null or (", $time, ", p.id) ", $after, " ($11::timestamptz, $13))
             order by ", $time, " ", $direction, ", p.id ", $direction,
            " limit $14"
        )
    };
}
/// Index: photos_created_at_idx*, photos_project_id_created_at_idx, photos_user_id_created_at_idx,
/// photos_organization_id_s3_key_key, photos_organization_id_project_id_id_key, photos_pkey*.
const LIST_CREATED_DESCENDING: Sql = list!(LIST_CREATED_DESCENDING, "p.created_at", "<", "desc");
/// Index: photos_created_at_idx*, photos_project_id_created_at_idx, photos_user_id_created_at_idx, photos_pkey*.
const LIST_CREATED_ASCENDING: Sql = list!(LIST_CREATED_ASCENDING, "p.created_at", ">", "asc");
/// Index: photos_pkey*, photos_project_id_created_at_idx, photos_organization_id_project_id_id_key.
const LIST_CAPTURED_DESCENDING: Sql =
    list!(LIST_CAPTURED_DESCENDING, "coalesce(p.captured_at, '-infinity')", "<", "desc");
/// Index: photos_pkey*, photos_project_id_created_at_idx, photos_organization_id_project_id_id_key.
const LIST_CAPTURED_ASCENDING: Sql = list!(LIST_CAPTURED_ASCENDING, "coalesce(p.captured_at, '-infinity')", ">", "asc");

/// Lists at most `limit` photos after `after`.
pub(super) async fn list(
    tx: &Tx,
    filter: &Filter,
    order: Order,
    view: View,
    after: Option<SortKey>,
    limit: i64,
) -> Result<Vec<Photo>> {
    let sql = match order {
        Order::CreatedDescending => &LIST_CREATED_DESCENDING,
        Order::CreatedAscending => &LIST_CREATED_ASCENDING,
        Order::CapturedDescending => &LIST_CAPTURED_DESCENDING,
        Order::CapturedAscending => &LIST_CAPTURED_ASCENDING,
    };
    let project_ids = (!filter.project_ids.is_empty()).then_some(&filter.project_ids);
    let user_ids = (!filter.user_ids.is_empty()).then_some(&filter.user_ids);
    let prefix = (!filter.s3_key_prefix.is_empty()).then_some(&filter.s3_key_prefix);
    let after_time = after.map(|(time, _)| match time.and_then(|time| Timestamp::from_microsecond(time).ok()) {
        Some(time) => Instant::Value(time),
        None => Instant::NegInfinity,
    });
    let after_id = after.map(|(_, id)| id);
    let rows = tx
        .query(
            sql,
            &[
                tx.organization(),
                &project_ids,
                &user_ids,
                &filter.created.0,
                &filter.created.1,
                &filter.captured.0,
                &filter.captured.1,
                &filter.uploaded.0,
                &filter.uploaded.1,
                &prefix,
                &after_time,
                &(view != View::Basic),
                &after_id,
                &limit,
            ],
        )
        .await?;
    rows.into_iter().map(Photo::try_from).collect()
}

/// Index: photos_pkey.
const LOCK: Sql = sql!(
    LOCK,
    "select ",
    columns!(),
    ", p.exif_data from companycam_photos.photos p where p.organization_id = $1 and p.id = $2 for update"
);

/// Reads a photo and keeps others from changing it, or adding to it, until the transaction ends.
pub(super) async fn lock(tx: &Tx, id: PhotoId) -> Result<Option<Photo>> {
    tx.query_opt(&LOCK, &[tx.organization(), &id]).await?.map(Photo::try_from).transpose()
}
