//! Reads of photos.

use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::model::{Fields, Photo, View};
use crate::db::{Sql, Tx};
use crate::error::{Error, Result};
use crate::id::PhotoId;
use crate::sql;

impl TryFrom<Row> for Photo {
    type Error = Error;

    /// By position, in the order of `columns!()`, and then the EXIF: finding each column by its name takes longer than
    /// all the rest.
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.try_get(0)?,
            id: row.try_get(1)?,
            project_id: row.try_get(2)?,
            user_id: row.try_get(3)?,
            s3_key: row.try_get(5)?,
            fields: Fields {
                s3_url: row.try_get(4)?,
                file_size_bytes: row.try_get(6)?,
                mime_type: row.try_get(7)?,
                width: row.try_get(8)?,
                height: row.try_get(9)?,
                captured_at: row.try_get(10)?,
                latitude: row.try_get(11)?,
                longitude: row.try_get(12)?,
                orientation: row.try_get(13)?,
                uploaded_at: row.try_get(14)?,
                exif_data: row.try_get::<_, Option<Json<_>>>(18)?.map(|Json(exif)| exif),
            },
            created_at: row.try_get(15)?,
            updated_at: row.try_get(16)?,
            version: row.try_get(17)?,
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
