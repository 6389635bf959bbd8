//! Reads and writes claims.

use jiff::Timestamp;

use crate::db::{Sql, Tx};
use crate::detection::model::{Claim, Detection};
use crate::detection::query::unless_empty;
use crate::error::Result;
use crate::id::{DetectionId, UserId};
use crate::sql;

/// Index: none.
const LOCK: Sql = sql!(
    LOCK,
    "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('review claims ' || $1::uuid::text, 0))"
);

/// Waits until no other claim of the organization is being made, and keeps others waiting until the transaction ends.
pub(super) async fn lock(tx: &Tx) -> Result<()> {
    tx.query(&LOCK, &[tx.organization()]).await.map(drop)
}

/// `offset 0` keeps PostgreSQL from reading the queue first: a person holds few of it.
///
/// Index: review_claims_user_id_idx, detections_pkey.
const HELD: Sql = sql!(
    HELD,
    "select ",
    columns!(),
    ", d.results, d.corrections from (
         select c.detection_id from companycam_photos.review_claims c
         where c.organization_id = $1 and c.user_id = $2 and c.expires_at > $3 offset 0
     ) c
     cross join lateral (
         select * from companycam_photos.detections d where d.organization_id = $1 and d.id = c.detection_id offset 0
     ) d
     where d.user_feedback is null and ($4::uuid[] is null or d.project_id = any($4))
       and ($5::text[] is null or d.detection_type = any($5))
     order by case when $6 then coalesce(d.confidence, -1) end, case when not $6 then d.created_at end, d.id limit $7"
);

/// Reads what a person holds of the queue.
pub(super) async fn held(tx: &Tx, person: UserId, claim: &Claim, now: Timestamp) -> Result<Vec<Detection>> {
    let Claim { queue, count, .. } = claim;
    let limit = i64::try_from(*count).unwrap_or(i64::MAX);
    let (projects, types) = (unless_empty(&queue.project_ids), unless_empty(&queue.types));
    let least_confident_first = queue.least_confident_first;
    let rows =
        tx.query(&HELD, &[tx.organization(), &person, &now, &projects, &types, &least_confident_first, &limit]).await?;
    rows.into_iter().map(Detection::try_from).collect()
}

/// Waits for whoever is answering one of them, in the order in which answers lock: what is answered by then is left out.
///
/// Index: detections_pkey, review_claims_pkey.
const CLAIM: Sql = sql!(
    CLAIM,
    "with d as (
         select d.organization_id, d.id, d.project_id from companycam_photos.detections d
         where d.organization_id = $1 and d.id = any($2) and d.user_feedback is null order by d.id for share
     )
     insert into companycam_photos.review_claims as c (organization_id, detection_id, project_id, user_id, expires_at)
     select d.organization_id, d.id, d.project_id, $3, $4 from d
     on conflict (organization_id, detection_id) do update set user_id = excluded.user_id, expires_at = excluded.expires_at
     returning c.detection_id"
);

/// Gives detections to a person until some time, and answers which of them: not those that are answered or gone.
pub(super) async fn claim(tx: &Tx, person: UserId, ids: &[DetectionId], until: Timestamp) -> Result<Vec<DetectionId>> {
    let rows = tx.query(&CLAIM, &[tx.organization(), &ids, &person, &until]).await?;
    rows.into_iter().map(|row| Ok(row.try_get("detection_id")?)).collect()
}

/// Index: review_claims_user_id_idx.
const RELEASE: Sql = sql!(
    RELEASE,
    "with c as (
         delete from companycam_photos.review_claims c
         where c.organization_id = $1 and c.user_id = $2 and ($3::uuid[] is null or c.detection_id = any($3))
         returning c.expires_at
     )
     select count(*) filter (where c.expires_at > $4) as released from c"
);

/// Ends a person's claims on some detections, or all of them, and answers how many had not ended by themselves.
pub(in crate::detection) async fn release(
    tx: &Tx,
    person: UserId,
    ids: &Vec<DetectionId>,
    now: Timestamp,
) -> Result<i64> {
    Ok(tx.query_one(&RELEASE, &[tx.organization(), &person, &unless_empty(ids), &now]).await?.try_get("released")?)
}
