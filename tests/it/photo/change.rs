//! Updates with masks and etags, and deletes with what goes with them.

use photometa::pb;
use prost_types::FieldMask;
use serde_json::json;
use tonic::{Code, Status};

use super::{assert_error, create, exif, get};
use crate::harness::{A, App, B, photo};

async fn update(app: &App, photo: pb::Photo, paths: &[&str]) -> Result<pb::Photo, Status> {
    let update_mask = (!paths.is_empty()).then(|| FieldMask { paths: paths.iter().map(ToString::to_string).collect() });
    let request = pb::UpdatePhotoRequest { photo: Some(photo), update_mask };
    Ok(app.photos(A.as_service()).update_photo(request).await?.into_inner().photo.unwrap())
}

fn full(s3_key: &str) -> pb::Photo {
    pb::Photo {
        file_size_bytes: Some(1),
        mime_type: Some("image/jpeg".to_owned()),
        exif_data: exif(json!({"Make": "X"})),
        capture_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        latitude: Some(1.0),
        longitude: Some(2.0),
        orientation: Some(3),
        ..photo(A.house, s3_key)
    }
}

#[tokio::test]
async fn update_photo_follows_its_mask() {
    let app = App::start().await;
    let (first, _) = create(&app, A.as_service(), full("1.jpg")).await.unwrap();
    let bare = pb::Photo { id: first.id.clone(), ..Default::default() };
    let png = pb::Photo { mime_type: Some("image/png".to_owned()), orientation: Some(8), ..bare.clone() };
    let same = |photo: &pb::Photo| pb::Photo { update_time: None, etag: String::new(), ..photo.clone() };

    // A mask changes what it names, and nothing else that is set.
    let masked = update(&app, png.clone(), &["mime_type"]).await.unwrap();
    assert_eq!(same(&masked), same(&pb::Photo { mime_type: png.mime_type.clone(), ..first.clone() }));
    assert_ne!(masked.etag, first.etag);
    assert!(masked.update_time.unwrap().nanos != first.update_time.unwrap().nanos);

    // What it names and is not set is cleared.
    let clear = [
        "file_size_bytes",
        "mime_type",
        "width",
        "height",
        "exif_data",
        "capture_time",
        "latitude",
        "longitude",
        "orientation",
    ];
    let cleared = update(&app, bare.clone(), &clear).await.unwrap();
    let empty = pb::Photo {
        file_size_bytes: None,
        mime_type: None,
        width: None,
        height: None,
        exif_data: None,
        capture_time: None,
        latitude: None,
        longitude: None,
        orientation: None,
        ..first.clone()
    };
    assert_eq!(same(&cleared), same(&empty));

    // Without a mask, and with *, what is set changes.
    let set = update(&app, png.clone(), &[]).await.unwrap();
    assert_eq!(same(&set), same(&pb::Photo { mime_type: png.mime_type, orientation: Some(8), ..cleared.clone() }));
    let star = update(&app, pb::Photo { width: Some(7), ..bare.clone() }, &["*"]).await.unwrap();
    assert_eq!(same(&star), same(&pb::Photo { width: Some(7), ..set }));
    let nothing = update(&app, bare, &[]).await.unwrap();
    assert_eq!(nothing, star);
    assert_eq!(get(&app, &first.id, pb::PhotoView::WithExif).await, star);
}

#[tokio::test]
async fn update_photo_is_aborted_with_a_stale_etag() {
    let app = App::start().await;
    let (first, _) = create(&app, A.as_service(), full("1.jpg")).await.unwrap();
    let change = pb::Photo { width: Some(9), ..first.clone() };
    let second = update(&app, change.clone(), &["width"]).await.unwrap();

    for etag in [first.etag.as_str(), "nonsense", "\u{1f600}"] {
        let stale = pb::Photo { etag: etag.to_owned(), height: Some(9), ..change.clone() };
        assert_error(&update(&app, stale, &["height"]).await.unwrap_err(), Code::Aborted, "STALE_ETAG");
        let request = pb::DeletePhotoRequest { id: first.id.clone(), etag: etag.to_owned() };
        let status = app.photos(A.as_service()).delete_photo(request).await.unwrap_err();
        assert_error(&status, Code::Aborted, "STALE_ETAG");
    }

    assert_eq!(get(&app, &first.id, pb::PhotoView::WithExif).await, second);
}

#[tokio::test]
async fn update_photo_loses_no_change_when_eight_write() {
    let app = std::sync::Arc::new(App::start().await);
    let (first, _) = create(&app, A.as_service(), full("1.jpg")).await.unwrap();

    let writers = (1..=8).map(|width| {
        let (app, photo) = (app.clone(), pb::Photo { width: Some(width), ..first.clone() });
        tokio::spawn(
            async move { update(&app, photo, &["width"]).await.map_err(|status| crate::harness::reason(&status)) },
        )
    });
    let mut outcomes = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        outcomes.push(writer.await.unwrap());
    }

    // All read the same version: one of them wins.
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(|reason| reason == "STALE_ETAG"));
}

#[tokio::test]
async fn update_and_delete_photo_are_not_found_for_strangers() {
    let app = App::start().await;
    let foreign = app.photo(B, "1.jpg").await;
    let before = app.rows().await;

    let updated = update(&app, pb::Photo { width: Some(1), ..foreign.clone() }, &["width"]).await.unwrap_err();
    let request = pb::DeletePhotoRequest { id: foreign.id, etag: foreign.etag };
    let deleted = app.photos(A.as_service()).delete_photo(request).await.unwrap_err();

    assert_error(&updated, Code::NotFound, "PHOTO_NOT_FOUND");
    assert_error(&deleted, Code::NotFound, "PHOTO_NOT_FOUND");
    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn delete_photo_takes_everything_with_it() {
    let app = App::start().await;
    let (kept, doomed) = (app.photo(A, "kept.jpg").await, app.photo(A, "doomed.jpg").await);
    app.detection(A, &kept.id).await;
    let reviewed = app.detection(A, &doomed.id).await;
    app.detection(A, &doomed.id).await;
    let feedback = pb::Feedback { detection_id: reviewed.id, verdict: 1, ..Default::default() };
    let request = pb::BatchCreateFeedbackRequest { feedback: vec![feedback; 3], ..Default::default() };
    app.feedback(A.as_member()).batch_create_feedback(request).await.unwrap();
    let tags = ["a", "b", "c", "d"].map(|tag| pb::Tag { tag: tag.to_owned(), ..Default::default() }).to_vec();
    let photo_ids = vec![kept.id.clone(), doomed.id.clone()];
    app.tags(A.as_member()).add_tags(pb::AddTagsRequest { photo_ids, tags }).await.unwrap();

    let request = pb::DeletePhotoRequest { id: doomed.id.clone(), etag: doomed.etag };
    let gone = app.photos(A.as_service()).delete_photo(request.clone()).await.unwrap().into_inner();
    let again = app.photos(A.as_service()).delete_photo(request).await.unwrap_err();

    assert_eq!(
        gone,
        pb::DeletePhotoResponse {
            s3_key: "doomed.jpg".to_owned(),
            detections_deleted: 2,
            tags_deleted: 4,
            feedback_deleted: 3
        }
    );
    assert_error(&again, Code::NotFound, "PHOTO_NOT_FOUND");
    let rows = app.rows().await;
    assert_eq!((rows[4], rows[5], rows[6], rows[8], rows[9]), (1, 1, 1, 4, 0));
    let deleted = "select count(*) from companycam_photos.detection_events where event_type = 'deleted'";
    assert_eq!(app.count(&format!("{deleted} and photo_id = '{}'", doomed.id)).await, 2);
    assert_eq!(app.count(deleted).await, 2);
}
