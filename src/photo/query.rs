//! Reads of photos.

use tokio_postgres::Row;

use super::model::{Fields, Photo, View};
use crate::db::{Sql, Tx};
use crate::error::{Error, Result};
use crate::id::PhotoId;
use crate::sql;

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
                exif_data: row.try_get("exif_data")?,
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
