//! Photos and detections by the hundred thousand, made by PostgreSQL itself.

use super::Failure;
use super::content::{MODEL, PROCESSING_TIME_MS, photo_id};
use super::rows::{DETECTION_TYPE, ORGANIZATION, PROJECT, ROLE, Results, confidence};
use super::server::Server;
use super::work::Clients;

/// Days over which detections are spread.
const DAYS: usize = 90;
/// Rows of a statement: each is an interruption's wait.
const CHUNK: usize = 100_000;

/// Registers photos: the first through the service, the others as copies of it.
///
/// # Errors
/// When the service or PostgreSQL refuses.
pub async fn photos(server: &Server, count: usize) -> Result<(), Failure> {
    let token = server.token(ROLE, ORGANIZATION, None).await?;
    Clients::connect(server.address, &token, PROJECT.parse()?).await?.register_photos().await?;
    let copies = format!(
        "insert into companycam_photos.photos
         select made.* from companycam_photos.photos p
         cross join generate_series({}, {}) number
         cross join lateral jsonb_populate_record(p, jsonb_build_object(
             'id', {}, 's3_key', 'bench/' || number || '.jpg')) made
         where p.organization_id = '{ORGANIZATION}' and p.id = '{}'",
        super::content::PHOTOS,
        count - 1,
        photo("number")?,
        photo_id(0)
    );
    server.superuser().await?.batch_execute(&copies).await?;
    settle(server).await
}

/// The id of the photo with a number, in SQL.
fn photo(number: &str) -> Result<String, Failure> {
    let first = photo_id(0).to_string();
    let (prefix, _) = first.rsplit_once('-').ok_or("an id without dashes")?;
    Ok(format!("('{prefix}-' || lpad(to_hex({number} + 1), 12, '0'))::uuid"))
}

/// Deletes all detections.
///
/// # Errors
/// When PostgreSQL refuses.
pub async fn empty(server: &Server) -> Result<(), Failure> {
    let truncate = "truncate companycam_photos.detections, companycam_photos.detection_labels,
                    companycam_photos.detection_events cascade";
    Ok(server.superuser().await?.batch_execute(truncate).await?)
}

/// Stores detections with their events, in order of time, the photos one after the other: from row number `from` to
/// row number `to` of `all`, which end about now.
///
/// # Errors
/// When PostgreSQL refuses.
pub async fn detections(server: &Server, photos: usize, (from, to, all): (usize, usize, usize)) -> Result<(), Failure> {
    let superuser = server.superuser().await?;
    // The foreign key is not asked: the photos are known to be there.
    superuser.batch_execute("set session_replication_role = replica").await?;
    let results = serde_json::to_string(&Results::new())?;
    let photo = photo(&format!("(number % {photos})"))?;
    let confidence = confidence();
    for begin in (from..to).step_by(CHUNK) {
        let end = (begin + CHUNK).min(to) - 1;
        let chunk = format!(
            "with made as (
                 select number, now() - interval '{DAYS} days' * (1 - number::float8 / {all}) as at
                 from generate_series({begin}, {end}) number
             ), stored as (
                 insert into companycam_photos.detections (organization_id, id, project_id, photo_id,
                     photo_created_at, detection_type, model_version, results, object_count, confidence, processing_time_ms, created_at, updated_at, content_digest)
                 select '{ORGANIZATION}',
                     encode(overlay(uuid_send(gen_random_uuid()) placing substring(
                         int8send((extract(epoch from at) * 1000)::bigint) from 3) from 1 for 6), 'hex')::uuid,
                     '{PROJECT}', {photo}, at, '{DETECTION_TYPE}', '{MODEL}', '{results}', 2, {confidence},
                     {PROCESSING_TIME_MS}, at, at, uuid_send(gen_random_uuid())
                 from made order by number
                 returning organization_id, created_at, id, project_id, photo_id, detection_type, model_version,
                     processing_time_ms
             )
             insert into companycam_photos.detection_events (organization_id, occurred_at, id, project_id, photo_id,
                 detection_id, event_type, model_version, processing_time_ms, payload)
             select organization_id, created_at, id, project_id, photo_id, id, 'created', model_version,
                 processing_time_ms, jsonb_build_object('detection_type', detection_type)
             from stored"
        );
        superuser.batch_execute(&chunk).await?;
    }
    settle(server).await
}

/// Leaves no work behind that would fall into a measurement: statistics, hint bits, dirty pages.
///
/// # Errors
/// When PostgreSQL refuses.
pub async fn settle(server: &Server) -> Result<(), Failure> {
    let superuser = server.superuser().await?;
    for table in ["photos", "detections", "detection_labels", "detection_events"] {
        superuser.batch_execute(&format!("vacuum (analyze) companycam_photos.{table}")).await?;
    }
    Ok(superuser.batch_execute("checkpoint").await?)
}
