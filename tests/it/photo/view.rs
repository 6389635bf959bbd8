//! What each view shows, and reading many at once.

use std::fmt::Write as _;

use photometa::pb;
use serde_json::json;
use tonic::Code;

use super::{assert_error, create, exif, get};
use crate::harness::{A, App, B, detection, photo};

#[tokio::test]
async fn get_photo_shows_what_the_view_says() {
    let app = App::start().await;
    let given = pb::Photo { exif_data: exif(json!({"Make": "X"})), ..photo(A.house, "1.jpg") };
    let (stored, _) = create(&app, A.as_service(), given).await.unwrap();
    app.detection(A, &stored.id).await;
    let tags = vec![pb::Tag { tag: "roof".to_owned(), ..Default::default() }];
    app.tags(A.as_member()).add_tags(pb::AddTagsRequest { photo_ids: vec![stored.id.clone()], tags }).await.unwrap();

    for (view, with_exif, nested) in [
        (pb::PhotoView::Unspecified, false, 0),
        (pb::PhotoView::Basic, false, 0),
        (pb::PhotoView::WithExif, true, 0),
        (pb::PhotoView::Full, true, 1),
    ] {
        let found = get(&app, &stored.id, view).await;
        assert_eq!((found.exif_data.is_some(), found.tags.len(), found.detections.len()), (with_exif, nested, nested));
        assert!(!found.tags_truncated && !found.detections_truncated);
        let plain = pb::Photo { exif_data: None, tags: Vec::new(), detections: Vec::new(), ..found };
        assert_eq!(plain, pb::Photo { exif_data: None, ..stored.clone() });
    }
}

#[tokio::test]
async fn get_photo_says_when_full_is_cut() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let exact = app.photo(A, "2.jpg").await;
    for (id, number) in [(&stored.id, 101), (&exact.id, 100)] {
        let detections = vec![detection(id); number];
        let request = pb::BatchCreateDetectionsRequest { detections, partial: false };
        app.detections(A.as_service()).batch_create_detections(request).await.unwrap();
        for first in [0, 100] {
            let tags =
                (first..number.min(first + 100)).map(|n| pb::Tag { tag: format!("t{n:03}"), ..Default::default() });
            let tags: Vec<_> = tags.collect();
            if !tags.is_empty() {
                let request = pb::AddTagsRequest { photo_ids: vec![id.clone()], tags };
                app.tags(A.as_service()).add_tags(request).await.unwrap();
            }
        }
    }

    for (id, cut) in [(&stored.id, true), (&exact.id, false)] {
        let found = get(&app, id, pb::PhotoView::Full).await;
        assert_eq!((found.tags.len(), found.detections.len()), (100, 100));
        assert_eq!((found.tags_truncated, found.detections_truncated), (cut, cut));
        assert_eq!(found.tags[99].tag, "t099");
    }
}

#[tokio::test]
async fn get_photo_full_stays_below_the_limit_of_a_message() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    for _ in 0..20 {
        let mut large = detection(&stored.id);
        let extra = exif(json!({"x": "y".repeat(250 * 1024)}));
        large.results.as_mut().unwrap().extra = extra;
        app.detections(A.as_service())
            .create_detection(pb::CreateDetectionRequest { detection: Some(large) })
            .await
            .unwrap();
    }

    let found = get(&app, &stored.id, pb::PhotoView::Full).await;

    assert!(found.detections_truncated && !found.detections.is_empty());
    assert!(prost::Message::encoded_len(&found) < 4 * 1024 * 1024);
}

#[tokio::test]
async fn get_photo_is_not_found_for_strangers() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;

    for who in [A.as_outsider(), B.as_admin(), B.as_service()] {
        let request = pb::GetPhotoRequest { id: stored.id.clone(), view: 3 };
        let status = app.photos(who).get_photo(request).await.unwrap_err();
        assert_error(&status, Code::NotFound, "PHOTO_NOT_FOUND");
    }
}

#[tokio::test]
async fn batch_get_photos_keeps_order_and_tells_what_is_missing() {
    let app = App::start().await;
    let (one, two) = (app.photo(A, "1.jpg").await.id, app.photo(A, "2.jpg").await.id);
    let foreign = app.photo(B, "1.jpg").await.id;
    let nobody = uuid::Uuid::now_v7().to_string();
    let ids = [&two, &nobody, &one, &foreign, &two, &nobody].map(Clone::clone).to_vec();

    let found = app
        .photos(A.as_member())
        .batch_get_photos(pb::BatchGetPhotosRequest { ids, view: 0 })
        .await
        .unwrap()
        .into_inner();

    assert_eq!(found.photos.iter().map(|photo| &photo.id).collect::<Vec<_>>(), [&two, &one, &two]);
    assert_eq!(found.missing_ids, [nobody.clone(), foreign, nobody]);
}

#[tokio::test]
async fn batch_get_photos_refuses_more_than_fits() {
    let app = App::start().await;
    let mut large = String::new();
    while large.len() < 60 * 1024 {
        write!(large, "{:x}", large.len()).unwrap();
    }
    let given = pb::Photo { exif_data: exif(json!({"x": large})), ..photo(A.house, "1.jpg") };
    let (stored, _) = create(&app, A.as_service(), given).await.unwrap();

    let request = pb::BatchGetPhotosRequest { ids: vec![stored.id.clone(); 100], view: pb::PhotoView::WithExif.into() };
    let status = app.photos(A.as_service()).batch_get_photos(request).await.unwrap_err();
    let request = pb::BatchGetPhotosRequest { ids: vec![stored.id; 1000], view: pb::PhotoView::Basic.into() };
    let found = app.photos(A.as_service()).batch_get_photos(request).await.unwrap().into_inner();

    assert_error(&status, Code::InvalidArgument, "INVALID_FIELDS");
    assert_eq!(found.photos.len(), 1000);
}
