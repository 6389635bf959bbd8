//! Feedback in the database.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::model::{Feedback, Filter, SortKey, Verdict};
use super::new::NewFeedback;
use crate::db::{Params, Sql, Tx};
use crate::detection::Edit;
use crate::error::{Error, Resource, Result};
use crate::id::{DetectionId, FeedbackId, ProjectId};
use crate::sql;

macro_rules! columns {
    () => {
        "f.id, f.detection_id, f.photo_id, f.user_id, f.verdict, f.edits, f.comment, f.retracts_id, f.created_at"
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
            edits: edits(&row)?,
            comment: row.try_get("comment")?,
            retracts: row.try_get("retracts_id")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// Reads edits. What was not written by the service may have another shape.
fn edits(row: &Row) -> Result<Vec<Edit>> {
    if let Ok(Json(edits)) = row.try_get::<_, Json<Vec<Edit>>>("edits") {
        return Ok(edits);
    }
    Ok(Edit::all_of(&row.try_get("edits")?))
}

/// Index: feedback_pkey.
const KNOWN: Sql = sql!(
    KNOWN,
    "select ",
    columns!(),
    ", f.content_digest from companycam_photos.feedback f where f.organization_id = $1 and f.id = any($2)"
);

/// Reads the feedback that is there with one of the ids, with the digests of the messages that created it.
pub(super) async fn known(tx: &Tx, ids: &[FeedbackId]) -> Result<HashMap<FeedbackId, (Feedback, Vec<u8>)>> {
    let rows = tx.query(&KNOWN, &[tx.organization(), &ids]).await?;
    let known = rows.into_iter().map(|row| {
        let digest = row.try_get("content_digest")?;
        let feedback = Feedback::try_from(row)?;
        Ok((feedback.id, (feedback, digest)))
    });
    known.collect()
}

/// Index: feedback_detection_id_created_at_idx.
const ANSWERS: Sql = sql!(
    ANSWERS,
    "select ",
    columns!(),
    " from companycam_photos.feedback f
     where f.organization_id = $1 and f.detection_id = any($2) and ($3::timestamptz is null or f.created_at < $3)
     order by f.detection_id, f.created_at, f.id"
);

/// Reads the answers to detections, all or those before a moment, in their order.
pub(crate) async fn answers(
    tx: &Tx,
    ids: &[DetectionId],
    before: Option<Timestamp>,
) -> Result<HashMap<DetectionId, Vec<Feedback>>> {
    let mut answers: HashMap<DetectionId, Vec<Feedback>> = HashMap::new();
    for row in tx.query(&ANSWERS, &[tx.organization(), &ids, &before]).await? {
        let answer = Feedback::try_from(row)?;
        answers.entry(answer.detection_id).or_default().push(answer);
    }
    Ok(answers)
}

/// Index: none.
const INSERT: Sql = sql!(
    INSERT,
    "insert into companycam_photos.feedback as f
       (organization_id, id, project_id, photo_id, detection_id, user_id, verdict, edits, comment, retracts_id, created_at, content_digest)
     select $1, u.*
     from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::jsonb[], $9::text[], $10::uuid[],
                 $11::timestamptz[], $12::bytea[]) u
     on conflict do nothing
     returning f.id"
);

/// Records feedback on locked detections, each with the project of its photo.
///
/// # Errors
/// [`Error::AlreadyExists`] when an id is taken by feedback on another detection.
pub(super) async fn insert(tx: &Tx, rows: &[(&NewFeedback, ProjectId, &Feedback)]) -> Result<()> {
    macro_rules! column {
        ($field:ident) => {
            &rows.iter().map(|(.., feedback)| &feedback.$field).collect::<Vec<_>>()
        };
    }
    let params: &Params<'_> = &[
        tx.organization(),
        column!(id),
        &rows.iter().map(|(_, project_id, _)| project_id).collect::<Vec<_>>(),
        column!(photo_id),
        column!(detection_id),
        column!(user_id),
        &rows.iter().map(|(.., feedback)| feedback.verdict.name()).collect::<Vec<_>>(),
        &rows.iter().map(|(.., feedback)| Json(&feedback.edits)).collect::<Vec<_>>(),
        column!(comment),
        column!(retracts),
        column!(created_at),
        &rows.iter().map(|(new, ..)| new.content_digest.as_slice()).collect::<Vec<_>>(),
    ];
    let stored = tx.query(&INSERT, params).await?;
    let stored: HashSet<FeedbackId> = stored.into_iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?;
    match rows.iter().find(|(.., feedback)| !stored.contains(&feedback.id)) {
        Some((.., taken)) => Err(Error::AlreadyExists(Resource::Feedback, taken.id.to_string())),
        None => Ok(()),
    }
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
