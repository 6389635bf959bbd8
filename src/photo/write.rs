//! Writes of photos.

use super::model::{Change, Deleted, NewPhoto, Photo};
use crate::db::{Sql, Tx};
use crate::error::{Error, Precondition, Resource, Result};
use crate::id::{PhotoId, now};
use crate::sql;

/// Projects and users are joined, so that what is missing, archived or invisible costs only its own row.
///
/// Index: projects_pkey, projects_organization_id_name_key*, users_pkey.
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
     join companycam_photos.projects pr on pr.organization_id = $1 and pr.id = u.project_id and pr.status <> 'archived'
     left join companycam_photos.users x on x.organization_id = $1 and x.id = u.user_id
     left join companycam_photos.users me on me.organization_id = $1 and me.id = $19
     where pr.organization_id = $1 and (u.user_id is null or x.id is not null)
     on conflict do nothing
     returning ",
    columns!(),
    ", p.exif_data"
);

/// Why a photo was not inserted: what has its id, what has its key, its project's status, whether its user is there.
///
/// Index: photos_pkey, photos_organization_id_s3_key_key, projects_pkey, projects_organization_id_name_key*,
/// users_pkey.
const EXPLAIN: Sql = sql!(
    EXPLAIN,
    "select u.position::int, pr.status, x.id is not null as user_found, p.content_digest, p.id = u.id as same_id, p.exif_data, ",
    columns!(),
    " from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) with ordinality as u (id, project_id, user_id, s3_key, position)
     left join companycam_photos.projects pr on pr.organization_id = $1 and pr.id = u.project_id
     left join companycam_photos.users x on x.organization_id = $1 and x.id = u.user_id
     left join lateral (
         select by_id.* from companycam_photos.photos by_id where by_id.organization_id = $1 and by_id.id = u.id
         union
         select by_key.* from companycam_photos.photos by_key where by_key.organization_id = $1 and by_key.s3_key = u.s3_key
     ) p on true"
);

/// What became of each item: `true` with those that are new, `None` with those still to be explained.
pub(super) type Outcomes = Vec<Option<Result<(Photo, bool)>>>;

/// Registers photos, each on its own, in one statement; what is taken or refers to nothing stays open.
pub(super) async fn insert(tx: &Tx, photos: &[NewPhoto]) -> Result<Outcomes> {
    macro_rules! column {
        ($($field:tt)+) => { &photos.iter().map(|photo| &photo.$($field)+).collect::<Vec<_>>() };
    }
    let digests: Vec<&[u8]> = photos.iter().map(|photo| photo.content_digest.as_slice()).collect();
    let rows = tx
        .query(
            &INSERT,
            &[
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
                column!(fields.exif_data),
                column!(fields.captured_at),
                column!(fields.latitude),
                column!(fields.longitude),
                column!(fields.orientation),
                column!(fields.uploaded_at),
                &digests,
                &now(),
                &tx.caller().person(),
            ],
        )
        .await?;
    let mut inserted = rows
        .into_iter()
        .map(|row| Photo::try_from(row).map(|photo| (photo.id, photo)))
        .collect::<Result<std::collections::HashMap<_, _>>>()?;

    // The first item with an id owns the inserted row; a repetition inside the batch is looked up like any other.
    Ok(photos.iter().map(|photo| inserted.remove(&photo.id).map(|photo| Ok((photo, true)))).collect())
}

/// Answers for the items that [`insert`] left open; asks nothing when there is none.
pub(super) async fn explain(
    tx: &Tx,
    photos: &[NewPhoto],
    mut outcomes: Outcomes,
) -> Result<Vec<Result<(Photo, bool)>>> {
    let open: Vec<usize> = (0..photos.len()).filter(|&index| outcomes[index].is_none()).collect();
    if open.is_empty() {
        return Ok(outcomes.into_iter().flatten().collect());
    }
    macro_rules! column {
        ($field:ident) => {
            &open.iter().map(|&index| &photos[index].$field).collect::<Vec<_>>()
        };
    }
    let rows = tx
        .query(&EXPLAIN, &[tx.organization(), column!(id), column!(project_id), column!(user_id), column!(s3_key)])
        .await?;
    for row in rows {
        let position: i32 = row.try_get("position")?;
        let Some(&index) = usize::try_from(position - 1).ok().and_then(|position| open.get(position)) else { continue };
        let wanted = &photos[index];
        let outcome = match row.try_get::<_, Option<Vec<u8>>>("content_digest")? {
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
                // Taken by a photo that the caller may not see.
                Some(_) => Error::AlreadyExists(Resource::Photo, wanted.s3_key.clone()),
            }),
        };
        // Two rows when the id is one photo's and the key another's: a conflict either way.
        let outcome = match outcomes[index].take() {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) => Err(Error::AlreadyExists(Resource::Photo, wanted.s3_key.clone())),
            None => outcome,
        };
        outcomes[index] = Some(outcome);
    }
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(Error::ConcurrentChange))).collect())
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
                &fields.exif_data,
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

/// History first, then the counts, then the photo, whose detections, tags and feedback go by cascade.
///
/// Index: detections_photo_id_created_at_idx.
const DELETE_EVENTS: Sql = sql!(
    DELETE_EVENTS,
    "insert into companycam_photos.detection_events as e
       (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version, processing_time_ms, payload)
     select d.organization_id, $3, gen_random_uuid(), d.project_id, d.photo_id, d.id, 'deleted', d.model_version, d.processing_time_ms,
            jsonb_build_object('detection_type', d.detection_type)
     from companycam_photos.detections d where d.organization_id = $1 and d.photo_id = $2"
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
    tx.query(&DELETE_EVENTS, &[tx.organization(), &id, &now()]).await?;
    let row = tx.query_one(&DELETE, &[tx.organization(), &id]).await?;
    Ok(Deleted {
        s3_key: row.try_get("s3_key")?,
        detections: row.try_get("detections")?,
        tags: row.try_get("tags")?,
        feedback: row.try_get("feedback")?,
    })
}
