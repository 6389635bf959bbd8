//! Feedback in the database.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::model::{Feedback, Filter, NewFeedback, SortKey, Verdict};
use crate::db::{Params, Sql, Tx};
use crate::error::{Error, OnConstraint as _, Resource, Result};
use crate::id::{DetectionId, FeedbackId, ProjectId};
use crate::sql;

macro_rules! columns {
    () => {
        "f.id, f.detection_id, f.photo_id, f.user_id, f.verdict, f.edits, f.comment, f.created_at"
    };
}

impl TryFrom<Row> for Feedback {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let verdict: &str = row.try_get("verdict")?;
        Ok(Self {
            id: row.try_get("id")?,
            detection_id: row.try_get("detection_id")?,
            photo_id: row.try_get("photo_id")?,
            user_id: row.try_get("user_id")?,
            verdict: Verdict::of_name(verdict)
                .ok_or_else(|| Error::Internal(format!("feedback has the verdict {verdict}")))?,
            edits: row.try_get("edits")?,
            comment: row.try_get("comment")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// Index: detections_pkey.
const LOCK_DETECTIONS: Sql = sql!(
    LOCK_DETECTIONS,
    "select d.id from companycam_photos.detections d
     where d.organization_id = $1 and d.id = any($2)
     order by d.id
     for no key update"
);

/// Keeps others from changing detections until the transaction ends; answers which are there. Locked in one
/// order everywhere, so that two batches wait for each other instead of deadlocking.
pub(super) async fn lock_detections(tx: &Tx, ids: &[DetectionId]) -> Result<Vec<DetectionId>> {
    let rows = tx.query(&LOCK_DETECTIONS, &[tx.organization(), &ids]).await?;
    rows.into_iter().map(|row| Ok(row.try_get("id")?)).collect()
}

/// Index: feedback_pkey.
const FIND: Sql = sql!(
    FIND,
    "select ",
    columns!(),
    ", f.content_digest from companycam_photos.feedback f where f.organization_id = $1 and f.id = $2"
);

/// Reads feedback with the digest of the message that created it.
pub(super) async fn find(tx: &Tx, id: FeedbackId) -> Result<Option<(Feedback, Vec<u8>)>> {
    let Some(row) = tx.query_opt(&FIND, &[tx.organization(), &id]).await? else { return Ok(None) };
    let digest = row.try_get("content_digest")?;
    Ok(Some((Feedback::try_from(row)?, digest)))
}

/// Index: none.
const INSERT: Sql = sql!(
    INSERT,
    "insert into companycam_photos.feedback as f
       (organization_id, id, project_id, photo_id, detection_id, user_id, verdict, edits, comment, created_at, content_digest)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
);

/// Records feedback on a locked detection of the project.
///
/// # Errors
/// [`Error::AlreadyExists`] when the id is taken by feedback on another detection.
pub(super) async fn insert(tx: &Tx, new: &NewFeedback, project_id: ProjectId, feedback: &Feedback) -> Result<()> {
    let Feedback { id, detection_id, photo_id, user_id, verdict, edits, comment, created_at } = feedback;
    tx.query(
        &INSERT,
        &[
            tx.organization(),
            id,
            &project_id,
            photo_id,
            detection_id,
            user_id,
            &verdict.name(),
            edits,
            comment,
            created_at,
            &new.content_digest.as_slice(),
        ],
    )
    .await
    .on_constraint("feedback_pkey", || Error::AlreadyExists(Resource::Feedback, id.to_string()))?;
    Ok(())
}

/// One list statement: how a photo is found differs, because feedback is indexed by detection.
macro_rules! list {
    ($name:ident, $of_photo:literal) => {
        sql!(
            $name,
            "select ",
            columns!(),
            " from companycam_photos.feedback f
             where f.organization_id = $1
               and ($2::uuid is null or f.detection_id = $2)
               and ",
            $of_photo,
            " and ($4::uuid is null or f.user_id = $4)
               and ($8::timestamptz is null or f.created_at >= $8) and ($9::timestamptz is null or f.created_at < $9)
               and ($6::uuid is null or (f.created_at, f.id) < ($5::timestamptz, $6))
             order by f.created_at desc, f.id desc
             limit $7"
        )
    };
}
/// Index: feedback_created_at_idx*, feedback_detection_id_created_at_idx, feedback_user_id_created_at_idx.
const LIST: Sql = list!(LIST, "$3::uuid is null");
/// Index: detections_photo_id_created_at_idx, feedback_detection_id_created_at_idx.
const LIST_OF_PHOTO: Sql = list!(
    LIST_OF_PHOTO,
    "f.detection_id in (select d.id from companycam_photos.detections d where d.organization_id = $1 and d.photo_id = $3::uuid)"
);

/// Lists at most `limit` feedback after `after`, newest first.
pub(super) async fn list(tx: &Tx, filter: &Filter, after: Option<SortKey>, limit: i64) -> Result<Vec<Feedback>> {
    let Filter { detection_id, photo_id, user_id, created } = filter;
    let sql = if photo_id.is_some() { &LIST_OF_PHOTO } else { &LIST };
    let after_time = after.and_then(|(time, _)| Timestamp::from_microsecond(time).ok());
    let after_id = after.map(|(_, id)| id);
    let params: &Params<'_> =
        &[tx.organization(), detection_id, photo_id, user_id, &after_time, &after_id, &limit, &created.0, &created.1];
    let rows = tx.query(sql, params).await?;
    rows.into_iter().map(Feedback::try_from).collect()
}
