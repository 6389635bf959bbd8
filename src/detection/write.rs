//! Writes of detections. Each change writes its event in the same statement.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio_postgres::types::Json;

use super::model::{Detection, NewDetection};
use crate::create::{Outcome, Settled, first_of_each, place_of};
use crate::db::{Params, Sql, Tx};
use crate::error::{Error, Resource, Result};
use crate::id::{DetectionId, FeedbackId, now};
use crate::sql;

/// Photos are looked up one by one (`offset 0` keeps PostgreSQL from joining in another way), so that a missing or
/// invisible one costs only its own row. The event of a creation has the detection's id. What the caller sent does not
/// travel back.
///
/// Index: photos_pkey.
pub const INSERT: Sql = sql!(
    INSERT,
    "with d as (
         insert into companycam_photos.detections as d
           (organization_id, id, project_id, photo_id, photo_created_at, detection_type, model_version, run_id, results,
            object_count, confidence, processing_time_ms, created_at, updated_at, content_digest)
         select p.organization_id, u.id, p.project_id, p.id, p.created_at, u.detection_type, u.model_version, u.run_id,
                u.results, jsonb_array_length(u.results -> 'objects'), u.confidence, u.processing_time_ms, $11, $11, u.content_digest
         from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::float8[], $9::int[], $10::bytea[])
              as u (id, photo_id, detection_type, model_version, run_id, results, confidence, processing_time_ms, content_digest)
         join lateral (
             select p.organization_id, p.project_id, p.id, p.created_at from companycam_photos.photos p
             where p.organization_id = $1 and p.id = u.photo_id offset 0
         ) p on true
         on conflict do nothing
         returning d.organization_id, d.created_at, d.id, d.project_id, d.photo_id, d.photo_created_at, d.model_version,
                   d.processing_time_ms, d.detection_type, d.results
     ), label as (
         insert into companycam_photos.detection_labels as l
           (organization_id, label, photo_created_at, photo_id, detection_id, project_id)
         select d.organization_id, o.label, d.photo_created_at, d.photo_id, d.id, d.project_id
         from d cross join lateral (
             select distinct object ->> 'label' as label from jsonb_array_elements(d.results -> 'objects') object
         ) o
     ), event as (
         insert into companycam_photos.detection_events as e
           (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
         select d.organization_id, d.created_at, d.id, d.project_id, d.photo_id, d.id, 'created', d.model_version,
                d.processing_time_ms, jsonb_build_object('detection_type', d.detection_type)
         from d
     )
     select d.id, d.project_id from d"
)
.planned_once();

/// Why a detection was not inserted: what has its id, what has its natural key, whether its photo is there. Only what is
/// the same is read with its results.
///
/// Index: photos_pkey, detections_pkey, detections_run_key.
const EXPLAIN: Sql = sql!(
    EXPLAIN,
    "select ",
    columns!(),
    ", case when d.content_digest = u.content_digest then d.results end, d.corrections, u.position::int, p.id is not null as photo_found, d.content_digest, d.id = u.id as same_id
     from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bytea[])
           with ordinality as u (id, photo_id, detection_type, model_version, run_id, content_digest, position)
     left join lateral (
         select p.id from companycam_photos.photos p where p.organization_id = $1 and p.id = u.photo_id offset 0
     ) p on true
     left join lateral (
         select by_id.* from companycam_photos.detections by_id where by_id.organization_id = $1 and by_id.id = u.id
         union all
         select by_run.* from companycam_photos.detections by_run
         where by_run.organization_id = $1 and by_run.photo_id = u.photo_id and by_run.detection_type = u.detection_type
           and by_run.model_version = u.model_version and by_run.run_id = u.run_id and by_run.id <> u.id
     ) d on true"
);

/// Inserts the open items, each on its own, in one statement, and settles those that are new; without their results,
/// which the caller has. What is taken or refers to nothing stays open, and so does what repeats another item's id or
/// run.
pub(super) async fn insert(tx: &Tx, items: &[NewDetection], open: &[usize]) -> Result<Settled<NewDetection>> {
    let ids = first_of_each(open, |place| {
        let new = &items[place];
        let run = new.run_id.as_ref().map(|run| (new.photo_id, new.detection_type, &new.model_version, run));
        (new.id, run)
    });
    let mut rows: Vec<usize> = ids.values().copied().collect();
    // In one order whatever was sent, so that those who store the same things wait for one another in line.
    rows.sort_unstable_by(|&one, &other| items[one].key().cmp(&items[other].key()));
    let now = now();
    macro_rules! column {
        ($field:ident) => {
            &rows.iter().map(|&index| &items[index].$field).collect::<Vec<_>>()
        };
    }
    let results: Vec<_> = rows.iter().map(|&index| Json(&*items[index].results_json)).collect();
    let digests: Vec<&[u8]> = rows.iter().map(|&index| items[index].content_digest.as_slice()).collect();
    let params: &Params<'_> = &[
        tx.organization(),
        column!(id),
        column!(photo_id),
        column!(detection_type),
        column!(model_version),
        column!(run_id),
        &results,
        column!(confidence),
        column!(processing_time_ms),
        &digests,
        &now,
    ];
    let mut settled = Vec::with_capacity(rows.len());
    for row in tx.query(&INSERT, params).await? {
        let Some(&index) = ids.get(&row.try_get("id")?) else { continue };
        settled.push((index, Ok((items[index].stored(row.try_get("project_id")?, now), true))));
    }
    Ok(settled)
}

/// Settles the open items that [`insert`] left: what was stored before, is taken, or refers to nothing. What is free
/// now stays open.
pub(super) async fn explain(tx: &Tx, items: &[NewDetection], open: &[usize]) -> Result<Settled<NewDetection>> {
    macro_rules! column {
        ($field:ident) => {
            &open.iter().map(|&index| &items[index].$field).collect::<Vec<_>>()
        };
    }
    let digests: Vec<&[u8]> = open.iter().map(|&index| items[index].content_digest.as_slice()).collect();
    let params: &Params<'_> = &[
        tx.organization(),
        column!(id),
        column!(photo_id),
        column!(detection_type),
        column!(model_version),
        column!(run_id),
        &digests,
    ];
    let mut found: BTreeMap<usize, Outcome<NewDetection>> = BTreeMap::new();
    for row in tx.query(&EXPLAIN, params).await? {
        let Some(index) = place_of(open, row.try_get("position")?) else { continue };
        let wanted = &items[index];
        let taken = || Err(Error::AlreadyExists(Resource::Detection, wanted.id.to_string()));
        let outcome = match row.try_get::<_, Option<Vec<u8>>>("content_digest")? {
            // Two rows when the id is one detection's and the run another's: a conflict either way.
            Some(_) if found.contains_key(&index) => taken(),
            Some(digest) => {
                let same_id: bool = row.try_get("same_id")?;
                if digest == wanted.content_digest && (same_id || !wanted.id_chosen) {
                    Ok((Detection::try_from(row)?, false))
                } else if same_id || wanted.id_chosen {
                    taken()
                } else {
                    let found = Detection::try_from(row)?;
                    Err(Error::AlreadyExists(Resource::Detection, found.id.to_string()))
                }
            }
            None if row.try_get("photo_found")? => continue,
            None => Err(Error::NotFound(Resource::Photo, wanted.photo_id.to_string())),
        };
        found.insert(index, outcome);
    }
    Ok(found.into_iter().collect())
}

/// Who has answered needs no claim any more.
///
/// Index: detections_pkey, review_claims_pkey.
const REVIEW: Sql = sql!(
    REVIEW,
    "with d as (
         update companycam_photos.detections as d
         set user_confirmed = u.user_confirmed, user_feedback = u.user_feedback, corrections = u.corrections,
             moved_objects = u.moved_objects, moved_iou = u.moved_iou, updated_at = u.updated_at, version = d.version + 1
         from unnest($2::uuid[], $3::bool[], $4::jsonb[], $5::jsonb[], $6::int[], $7::float8[], $8::timestamptz[])
              as u (id, user_confirmed, user_feedback, corrections, moved_objects, moved_iou, updated_at)
         where d.organization_id = $1 and d.id = u.id
         returning d.id, d.project_id, d.photo_id, d.model_version, d.processing_time_ms, d.detection_type
     ), claim as (
         delete from companycam_photos.review_claims c where c.organization_id = $1 and c.detection_id = any($2)
     ), event as (
         insert into companycam_photos.detection_events as e
           (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
         select $1, u.occurred_at, gen_random_uuid(), d.project_id, d.photo_id, d.id, u.event_type, d.model_version,
                d.processing_time_ms, jsonb_build_object('detection_type', d.detection_type, 'feedback_id', u.feedback_id)
         from unnest($9::uuid[], $10::timestamptz[], $11::text[], $12::uuid[]) as u (detection_id, occurred_at, event_type, feedback_id)
         join d on d.id = u.detection_id
     )
     select count(*) as reviewed from d"
);

/// How a detection stands after feedback.
#[derive(Debug)]
pub(crate) struct Reviewed<'a> {
    /// The detection, as it is to be.
    pub(crate) detection: &'a Detection,
    /// What happened to it: when, what (confirmed, rejected, corrected, retracted), by which feedback.
    pub(crate) events: &'a [(Timestamp, &'static str, FeedbackId)],
}

/// Shows feedback on locked detections, and writes the events.
pub(crate) async fn review(tx: &Tx, reviewed: &[Reviewed<'_>]) -> Result<()> {
    macro_rules! column {
        ($field:ident) => {
            &reviewed.iter().map(|one| &one.detection.$field).collect::<Vec<_>>()
        };
    }
    let corrections: Vec<_> = reviewed.iter().map(|one| one.detection.corrections.as_ref().map(Json)).collect();
    let overlap = |one: &Reviewed<'_>| {
        let Detection { results, corrections, .. } = one.detection;
        results.as_ref().zip(corrections.as_ref()).and_then(|(results, corrections)| corrections.overlap(results))
    };
    let (moved, iou): (Vec<_>, Vec<_>) = reviewed.iter().map(overlap).map(Option::unzip).unzip();
    let events = || reviewed.iter().flat_map(|one| one.events.iter().map(|event| (one.detection.id, event)));
    let params: &Params<'_> = &[
        tx.organization(),
        column!(id),
        column!(user_confirmed),
        column!(user_feedback),
        &corrections,
        &moved,
        &iou,
        column!(updated_at),
        &events().map(|(id, _)| id).collect::<Vec<_>>(),
        &events().map(|(_, (at, ..))| *at).collect::<Vec<_>>(),
        &events().map(|(_, (_, kind, _))| *kind).collect::<Vec<_>>(),
        &events().map(|(.., (.., feedback))| *feedback).collect::<Vec<_>>(),
    ];
    let count: i64 = tx.query_one(&REVIEW, params).await?.try_get("reviewed")?;
    if usize::try_from(count) == Ok(reviewed.len()) { Ok(()) } else { Err(Error::ConcurrentChange) }
}

/// One statement of deletion: of all, or of those that nobody gave feedback on.
macro_rules! delete {
    ($name:ident, $which:literal) => {
        sql!(
            $name,
            "with d as (
                 delete from companycam_photos.detections d where d.organization_id = $1 and d.id = any($2)",
            $which,
            " returning d.*
             ), label as (
                 delete from companycam_photos.detection_labels l
                 using d cross join lateral (
                     select distinct object ->> 'label' as label from jsonb_array_elements(d.results -> 'objects') object
                 ) o
                 where l.organization_id = $1 and l.label = o.label and l.photo_created_at = d.photo_created_at
                   and l.photo_id = d.photo_id and l.detection_id = d.id
             ), event as (
                 insert into companycam_photos.detection_events as e
                   (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
                 select $1, $3, gen_random_uuid(), d.project_id, d.photo_id, d.id, 'deleted', d.model_version,
                        d.processing_time_ms, jsonb_build_object('detection_type', d.detection_type)
                 from d
             )
             select count(*) as deleted from d"
        )
    };
}
/// Index: detections_pkey, detection_labels_pkey.
const DELETE: Sql = delete!(DELETE, "");
/// Index: detections_pkey, detection_labels_pkey, feedback_detection_id_created_at_idx.
const DELETE_UNREVIEWED: Sql = delete!(
    DELETE_UNREVIEWED,
    " and not exists (select from companycam_photos.feedback f where f.organization_id = $1 and f.detection_id = d.id offset 0)"
);

/// Deletes locked detections, with the feedback on them or only those without any; answers how many.
pub(super) async fn delete(tx: &Tx, ids: &[DetectionId], reviewed_too: bool) -> Result<i64> {
    let sql = if reviewed_too { &DELETE } else { &DELETE_UNREVIEWED };
    tx.query_one(sql, &[tx.organization(), &ids, &now()]).await?.try_get("deleted").map_err(Error::from)
}
