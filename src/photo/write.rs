//! Writes of photos.

use std::collections::BTreeMap;

use tokio_postgres::types::Json;

use super::model::{Change, Deleted, NewPhoto, Photo};
use crate::create::{Outcome, Settled, first_of_each, place_of};
use crate::db::{Params, Sql, Tx};
use crate::error::{Error, Precondition, Resource, Result};
use crate::id::{PhotoId, now};
use crate::sql;

/// Projects and users are looked up one by one (`offset 0` keeps PostgreSQL from joining in another way), so that what is
/// missing, archived or invisible costs only its own row. What the caller sent does not travel back.
///
/// Index: projects_pkey, users_pkey.
const INSERT: Sql = sql!(
    INSERT,
    "insert into companycam_photos.photos as p
       (organization_id, id, project_id, user_id, s3_url, s3_key, file_size_bytes, mime_type, width, height, exif_data,
        captured_at, latitude, longitude, orientation, uploaded_at, created_at, updated_at, content_digest)
     select pr.organization_id, u.id, u.project_id, coalesce(u.user_id, me.id), u.s3_url, u.s3_key, u.file_size_bytes, u.mime_type,
            u.width, u.height, u.exif_data, u.captured_at, u.latitude, u.longitude, u.orientation, coalesce(u.uploaded_at, $18), $18, $18,
            u.content_digest
     from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::int[], $10::int[], $11::jsonb[],
                 $12::timestamptz[], $13::float8[], $14::float8[], $15::smallint[], $16::timestamptz[], $17::bytea[])
          as u (id, project_id, user_id, s3_url, s3_key, file_size_bytes, mime_type, width, height, exif_data, captured_at, latitude,
                longitude, orientation, uploaded_at, content_digest)
     join lateral (
         select pr.organization_id from companycam_photos.projects pr
         where pr.organization_id = $1 and pr.id = u.project_id and pr.status <> 'archived' offset 0
     ) pr on true
     left join lateral (
         select x.id from companycam_photos.users x where x.organization_id = $1 and x.id = u.user_id offset 0
     ) x on true
     left join lateral (
         select me.id from companycam_photos.users me where me.organization_id = $1 and me.id = $19 offset 0
     ) me on true
     where u.user_id is null or x.id is not null
     on conflict do nothing
     returning p.id, p.user_id"
)
.planned_once();

/// Why a photo was not inserted: what has its id, what has its key, its project's status, whether its user is there. Only
/// what is the same is read with its EXIF.
///
/// Index: photos_pkey, photos_organization_id_s3_key_key, projects_pkey, users_pkey.
const EXPLAIN: Sql = sql!(
    EXPLAIN,
    "select ",
    columns!(),
    ", case when p.content_digest = u.content_digest then p.exif_data end as exif_data,
       u.position::int, pr.status, x.id is not null as user_found, p.content_digest, p.id = u.id as same_id
     from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bytea[])
           with ordinality as u (id, project_id, user_id, s3_key, content_digest, position)
     left join lateral (
         select pr.status from companycam_photos.projects pr where pr.organization_id = $1 and pr.id = u.project_id offset 0
     ) pr on true
     left join lateral (
         select x.id from companycam_photos.users x where x.organization_id = $1 and x.id = u.user_id offset 0
     ) x on true
     left join lateral (
         select by_id.* from companycam_photos.photos by_id where by_id.organization_id = $1 and by_id.id = u.id
         union
         select by_key.* from companycam_photos.photos by_key where by_key.organization_id = $1 and by_key.s3_key = u.s3_key
     ) p on true"
);

/// Registers the open items, each on its own, in one statement, and settles those that are new. What is taken or refers
/// to nothing stays open, and so does what repeats another item's id or key.
pub(super) async fn insert(tx: &Tx, items: &[NewPhoto], open: &[usize]) -> Result<Settled<NewPhoto>> {
    let ids = first_of_each(open, |place| (items[place].id, Some(&items[place].s3_key)));
    let mut rows: Vec<usize> = ids.values().copied().collect();
    // In one order whatever was sent, so that those who register the same photos wait for one another in line.
    rows.sort_unstable_by(|&one, &other| items[one].s3_key.cmp(&items[other].s3_key));
    let now = now();
    let person = tx.caller().person();
    macro_rules! column {
        ($($field:tt)+) => { &rows.iter().map(|&index| &items[index].$($field)+).collect::<Vec<_>>() };
    }
    let exif: Vec<_> = rows.iter().map(|&index| items[index].fields.exif_data.as_deref().map(Json)).collect();
    let digests: Vec<&[u8]> = rows.iter().map(|&index| items[index].content_digest.as_slice()).collect();
    let params: &Params<'_> = &[
        tx.organization(),
        column!(id),
        column!(project_id),
        column!(user_id),
        column!(fields.s3_url),
        column!(s3_key),
        column!(fields.file_size_bytes),
        column!(fields.mime_type),
        column!(fields.width),
        column!(fields.height),
        &exif,
        column!(fields.captured_at),
        column!(fields.latitude),
        column!(fields.longitude),
        column!(fields.orientation),
        column!(fields.uploaded_at),
        &digests,
        &now,
        &person,
    ];
    let mut settled = Vec::with_capacity(rows.len());
    for row in tx.query(&INSERT, params).await? {
        let Some(&index) = ids.get(&row.try_get("id")?) else { continue };
        settled.push((index, Ok((items[index].stored(*tx.organization(), row.try_get("user_id")?, now), true))));
    }
    Ok(settled)
}

/// Settles the open items that [`insert`] left: what was stored before, is taken, or refers to nothing. What seems
/// free stays open: it is, or a photo has the key that the caller may not see.
pub(super) async fn explain(tx: &Tx, items: &[NewPhoto], open: &[usize]) -> Result<Settled<NewPhoto>> {
    macro_rules! column {
        ($field:ident) => {
            &open.iter().map(|&index| &items[index].$field).collect::<Vec<_>>()
        };
    }
    let digests: Vec<&[u8]> = open.iter().map(|&index| items[index].content_digest.as_slice()).collect();
    let params: &Params<'_> =
        &[tx.organization(), column!(id), column!(project_id), column!(user_id), column!(s3_key), &digests];
    let mut found: BTreeMap<usize, Outcome<NewPhoto>> = BTreeMap::new();
    for row in tx.query(&EXPLAIN, params).await? {
        let Some(index) = place_of(open, row.try_get("position")?) else { continue };
        let wanted = &items[index];
        let outcome = match row.try_get::<_, Option<Vec<u8>>>("content_digest")? {
            // Two rows when the id is one photo's and the key another's: a conflict either way.
            Some(_) if found.contains_key(&index) => match found.remove(&index) {
                Some(Err(error)) => Err(error),
                _ => Err(Error::AlreadyExists(Resource::Photo, wanted.s3_key.clone())),
            },
            Some(digest) => {
                let same = digest == wanted.content_digest && (row.try_get("same_id")? || !wanted.id_chosen);
                let found = Photo::try_from(row)?;
                if same && found.s3_key == wanted.s3_key { Ok((found, false)) } else { Err(taken(wanted, &found)) }
            }
            None => Err(match row.try_get::<_, Option<&str>>("status")? {
                None => Error::NotFound(Resource::Project, wanted.project_id.to_string()),
                Some("archived") => {
                    Error::Precondition(Precondition::ProjectArchived, format!("projects/{}", wanted.project_id))
                }
                Some(_) if wanted.user_id.is_some() && !row.try_get::<_, bool>("user_found")? => {
                    Error::NotFound(Resource::User, wanted.user_id.unwrap_or_default().to_string())
                }
                Some(_) => continue,
            }),
        };
        found.insert(index, outcome);
    }
    Ok(found.into_iter().collect())
}

fn taken(wanted: &NewPhoto, found: &Photo) -> Error {
    let name = if found.id == wanted.id { found.id.to_string() } else { wanted.s3_key.clone() };
    Error::AlreadyExists(Resource::Photo, name)
}

/// Index: photos_pkey.
const UPDATE: Sql = sql!(
    UPDATE,
    "update companycam_photos.photos as p
     set s3_url = $3, file_size_bytes = $4, mime_type = $5, width = $6, height = $7, exif_data = $8, captured_at = $9, latitude = $10,
         longitude = $11, orientation = $12, uploaded_at = coalesce($13, p.uploaded_at), updated_at = $14, version = p.version + 1
     where p.organization_id = $1 and p.id = $2
     returning ",
    columns!(),
    ", p.exif_data"
);

/// Changes a locked photo: every mutable field takes its value in `photo`.
pub(super) async fn update(tx: &Tx, photo: &Photo) -> Result<Photo> {
    let fields = &photo.fields;
    let row = tx
        .query_one(
            &UPDATE,
            &[
                tx.organization(),
                &photo.id,
                &fields.s3_url,
                &fields.file_size_bytes,
                &fields.mime_type,
                &fields.width,
                &fields.height,
                &fields.exif_data.as_deref().map(Json),
                &fields.captured_at,
                &fields.latitude,
                &fields.longitude,
                &fields.orientation,
                &fields.uploaded_at,
                &now(),
            ],
        )
        .await?;
    Photo::try_from(row)
}

/// Applies a change to the photo as it is stored.
pub(super) fn apply(mut photo: Photo, change: &Change) -> Photo {
    let (to, from) = (&mut photo.fields, &change.fields);
    for path in &change.paths {
        match *path {
            "s3_url" => to.s3_url.clone_from(&from.s3_url),
            "file_size_bytes" => to.file_size_bytes = from.file_size_bytes,
            "mime_type" => to.mime_type.clone_from(&from.mime_type),
            "width" => to.width = from.width,
            "height" => to.height = from.height,
            "exif_data" => to.exif_data.clone_from(&from.exif_data),
            "capture_time" => to.captured_at = from.captured_at,
            "latitude" => to.latitude = from.latitude,
            "longitude" => to.longitude = from.longitude,
            "orientation" => to.orientation = from.orientation,
            "upload_time" => to.uploaded_at = from.uploaded_at,
            _ => {}
        }
    }
    photo
}

/// History and labels first, then the counts, then the photo, whose detections, tags and feedback go by cascade.
///
/// Index: detections_photo_id_created_at_idx, detection_labels_pkey.
const LEAVE: Sql = sql!(
    LEAVE,
    "with d as materialized (
         select d.* from companycam_photos.detections d where d.organization_id = $1 and d.photo_id = $2
     ), label as (
         delete from companycam_photos.detection_labels l
         using d cross join lateral (
             select distinct object ->> 'label' as label from jsonb_array_elements(d.results -> 'objects') object
         ) o
         where l.organization_id = $1 and l.label = o.label and l.photo_created_at = d.photo_created_at
           and l.photo_id = d.photo_id and l.detection_id = d.id
     )
     insert into companycam_photos.detection_events as e
       (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
     select d.organization_id, $3, gen_random_uuid(), d.project_id, d.photo_id, d.id, 'deleted', d.model_version, d.processing_time_ms,
            jsonb_build_object('detection_type', d.detection_type)
     from d"
);
/// Index: photos_pkey, detections_photo_id_created_at_idx, tags_photo_id_tag_source_key, feedback_detection_id_created_at_idx.
const DELETE: Sql = sql!(
    DELETE,
    "with counts as materialized (
         select (select count(*) from companycam_photos.detections d where d.organization_id = $1 and d.photo_id = $2) as detections,
                (select count(*) from companycam_photos.tags t where t.organization_id = $1 and t.photo_id = $2) as tags,
                (select count(*) from companycam_photos.feedback f
                  where f.organization_id = $1 and f.detection_id in
                        (select d.id from companycam_photos.detections d where d.organization_id = $1 and d.photo_id = $2)) as feedback
     )
     delete from companycam_photos.photos p using counts
     where p.organization_id = $1 and p.id = $2
     returning p.s3_key, counts.detections, counts.tags, counts.feedback"
);

/// Deletes a locked photo with everything on it.
pub(super) async fn delete(tx: &Tx, id: PhotoId) -> Result<Deleted> {
    tx.query(&LEAVE, &[tx.organization(), &id, &now()]).await?;
    let row = tx.query_one(&DELETE, &[tx.organization(), &id]).await?;
    Ok(Deleted {
        s3_key: row.try_get("s3_key")?,
        detections: row.try_get("detections")?,
        tags: row.try_get("tags")?,
        feedback: row.try_get("feedback")?,
    })
}
