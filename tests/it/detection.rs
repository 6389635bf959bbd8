//! Detections: retries, what is derived, batches, events.

use std::collections::HashSet;

use photometa::json::MAX_DEPTH;
use photometa::pb;
use serde_json::value::RawValue;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{A, App, B, details, detection, object, photo, reason};

mod claims;
mod review;

async fn create(app: &App, detection: pb::Detection) -> Result<(pb::Detection, pb::WriteOutcome), Status> {
    let request = pb::CreateDetectionRequest { detection: Some(detection) };
    let answer = app.detections(A.as_service()).create_detection(request).await?.into_inner();
    let outcome = answer.outcome();
    Ok((answer.detection.unwrap(), outcome))
}

async fn review(app: &App, detection_id: &str, verdict: pb::Verdict) -> pb::Detection {
    let feedback =
        pb::Feedback { detection_id: detection_id.to_owned(), verdict: verdict.into(), ..Default::default() };
    let request = pb::CreateFeedbackRequest { feedback: Some(feedback), detection_etag: String::new() };
    app.feedback(A.as_member()).create_feedback(request).await.unwrap().into_inner().detection.unwrap()
}

async fn events(app: &App) -> Vec<String> {
    let query = "select event_type from companycam_photos.detection_events order by occurred_at, id";
    app.postgres.query(query, &[]).await.unwrap().iter().map(|row| row.try_get(0).unwrap()).collect()
}

fn assert_error(status: &Status, code: Code, expected: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, expected), "{status:?}");
}

#[tokio::test]
async fn create_detection_is_unchanged_when_repeated() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let by_id = pb::Detection { id: Uuid::now_v7().to_string(), ..detection(&stored.id) };
    let by_run = pb::Detection { run_id: Some("run 1".to_owned()), ..detection(&stored.id) };

    for given in [by_id, by_run] {
        let (first, outcome) = create(&app, given.clone()).await.unwrap();
        assert_eq!(outcome, pb::WriteOutcome::Created);
        let again = create(&app, given.clone()).await.unwrap();
        assert_eq!(again, (first.clone(), pb::WriteOutcome::Unchanged));

        review(&app, &first.id, pb::Verdict::Reject).await;
        let (reviewed, outcome) = create(&app, given.clone()).await.unwrap();
        assert_eq!((reviewed.id, outcome), (first.id, pb::WriteOutcome::Unchanged));
        assert!(reviewed.user_feedback.is_some());

        let other = pb::Detection { confidence: Some(0.1), ..given };
        assert_error(&create(&app, other).await.unwrap_err(), Code::AlreadyExists, "DETECTION_ALREADY_EXISTS");
    }
    assert_eq!(app.count("select count(*) from companycam_photos.detections").await, 2);
}

#[tokio::test]
async fn create_detection_stores_another_run_without_id() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let run = |run: &str, kind: i32| pb::Detection {
        run_id: Some(run.to_owned()),
        detection_type: kind,
        ..detection(&stored.id)
    };

    for given in [detection(&stored.id), detection(&stored.id), run("1", 1), run("2", 1), run("1", 2)] {
        assert_eq!(create(&app, given).await.unwrap().1, pb::WriteOutcome::Created);
    }

    assert_eq!(app.count("select count(*) from companycam_photos.detections").await, 5);
}

#[tokio::test]
async fn create_detection_makes_one_row_when_sixteen_try() {
    let app = std::sync::Arc::new(App::start().await);
    let stored = app.photo(A, "1.jpg").await;
    let given = pb::Detection { run_id: Some("run".to_owned()), ..detection(&stored.id) };

    let tries = (0..16).map(|_| {
        let (app, given) = (app.clone(), given.clone());
        tokio::spawn(async move { create(&app, given).await.unwrap() })
    });
    let mut answers = Vec::new();
    for attempt in tries.collect::<Vec<_>>() {
        answers.push(attempt.await.unwrap());
    }

    assert_eq!(answers.iter().filter(|(_, outcome)| *outcome == pb::WriteOutcome::Created).count(), 1);
    assert!(answers.iter().all(|(detection, _)| detection == &answers[0].0));
    assert_eq!(events(&app).await, ["created"]);
}

#[tokio::test]
async fn create_detection_derives_what_is_not_given() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let sure = |confidence| pb::DetectedObject { confidence, object_id: String::new(), ..object("") };
    let objects = |objects| Some(pb::DetectionResults { objects, extra: None });
    let mixed = pb::Detection {
        results: objects(vec![sure(Some(0.25)), sure(None), sure(Some(0.9))]),
        ..detection(&stored.id)
    };

    let (found, _) = create(&app, mixed.clone()).await.unwrap();
    let (told, _) = create(&app, pb::Detection { confidence: Some(0.0), ..mixed }).await.unwrap();
    let (unsure, _) =
        create(&app, pb::Detection { results: objects(vec![sure(None)]), ..detection(&stored.id) }).await.unwrap();
    let (nothing, outcome) = create(&app, pb::Detection { results: None, ..detection(&stored.id) }).await.unwrap();

    assert_eq!((found.confidence, told.confidence, unsure.confidence), (Some(0.9), Some(0.0), None));
    let made: HashSet<_> = found.results.unwrap().objects.into_iter().map(|object| object.object_id).collect();
    assert_eq!(made.len(), 3);
    assert!(made.iter().all(|id| !id.is_empty()));
    assert_eq!((nothing.confidence, outcome), (None, pb::WriteOutcome::Created));
    assert_eq!(nothing.results, objects(Vec::new()));
    assert_eq!(found.project_id, A.house.to_string());
}

#[tokio::test]
async fn create_detection_turns_pixels_upright() {
    let app = App::start().await;
    let pixels = pb::PixelBox { x: 20.0, y: 30.0, width: 40.0, height: 10.0 };
    // Of a 400 × 200 image; orientation 6 shows it as 200 × 400.
    for (orientation, expected) in [
        (None, [20.0 / 400.0, 30.0 / 200.0, 40.0 / 400.0, 10.0 / 200.0]),
        (Some(3), [340.0 / 400.0, 160.0 / 200.0, 40.0 / 400.0, 10.0 / 200.0]),
        (Some(6), [160.0 / 200.0, 20.0 / 400.0, 10.0 / 200.0, 40.0 / 400.0]),
    ] {
        let given = pb::Photo { orientation, ..photo(A.house, &format!("{orientation:?}.jpg")) };
        let request = pb::CreatePhotoRequest { photo: Some(given) };
        let stored = app.photos(A.as_service()).create_photo(request).await.unwrap().into_inner().photo.unwrap();
        let placed = pb::DetectedObject { r#box: None, pixel_box: Some(pixels), ..object("o1") };
        let results = Some(pb::DetectionResults { objects: vec![placed], extra: None });
        let given = pb::Detection { run_id: Some("r".to_owned()), results, ..detection(&stored.id) };

        let (found, _) = create(&app, given.clone()).await.unwrap();
        let turned = pb::Photo { id: stored.id, orientation: Some(8), ..Default::default() };
        let request = pb::UpdatePhotoRequest { photo: Some(turned), update_mask: None };
        app.photos(A.as_service()).update_photo(request).await.unwrap();
        let again = create(&app, given).await.unwrap();

        let kept = found.results.as_ref().unwrap().objects[0].clone();
        let shown = kept.r#box.unwrap();
        for (side, expected) in [shown.x, shown.y, shown.width, shown.height].into_iter().zip(expected) {
            assert!((side - expected).abs() < 1e-12, "{orientation:?}: {shown:?}");
        }
        assert_eq!(kept.pixel_box, None);
        assert_eq!(again, (found, pb::WriteOutcome::Unchanged));
    }
}

#[tokio::test]
async fn create_detection_is_not_found_on_what_the_caller_has_not() {
    let app = App::start().await;
    let foreign = app.photo(B, "1.jpg").await;
    let before = app.rows().await;

    for photo_id in [Uuid::now_v7().to_string(), foreign.id] {
        let status = create(&app, detection(&photo_id)).await.unwrap_err();
        assert_error(&status, Code::NotFound, "PHOTO_NOT_FOUND");
        assert_eq!(details(&status).resource_info().unwrap().resource_name, photo_id);
    }

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn batch_create_detections_partial_answers_each_in_its_place() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let run = pb::Detection { run_id: Some("r".to_owned()), ..detection(&stored.id) };
    let mut edge = detection(&stored.id);
    edge.results.as_mut().unwrap().objects[0] = pb::DetectedObject {
        r#box: None,
        pixel_box: Some(pb::PixelBox { x: 399.0, y: 0.0, width: 2.0, height: 1.0 }),
        ..object("o1")
    };
    let given = [
        run.clone(),
        detection(&Uuid::now_v7().to_string()),
        pb::Detection { model_version: String::new(), ..run.clone() },
        run.clone(),
        pb::Detection { confidence: Some(0.5), ..run },
        edge,
    ];
    let request = pb::BatchCreateDetectionsRequest { detections: given.to_vec(), partial: true };
    let all = pb::BatchCreateDetectionsRequest { partial: false, ..request.clone() };

    let before = app.rows().await;
    let mut detections = app.detections(A.as_service());
    assert_error(&detections.batch_create_detections(all).await.unwrap_err(), Code::InvalidArgument, "INVALID_FIELDS");
    assert_eq!(app.rows().await, before);
    let answer = detections.batch_create_detections(request).await.unwrap().into_inner();

    let codes: Vec<_> = answer.results.iter().map(|result| result.status.as_ref().map(|status| status.code)).collect();
    assert_eq!(codes, [None, Some(5), Some(3), None, Some(6), Some(3)]);
    assert_eq!(answer.results[3].outcome(), pb::WriteOutcome::Unchanged);
    let message = &answer.results[5].status.as_ref().unwrap().message;
    assert!(message.starts_with("detections[5].results.objects[0].pixel_box.width "), "{message}");
    assert_eq!(events(&app).await, ["created"]);
}

#[tokio::test]
async fn list_detections_shows_in_part_what_somebody_else_wrote_in_another_shape() {
    let app = App::start().await;
    let photo = app.photo(A, "1.jpg").await;
    let odd = app.detection(A, &photo.id).await;
    let deep = |levels: usize, inner: &str| format!("{}{inner}{}", r#"{"a": "#.repeat(levels), "}".repeat(levels));
    let shown = |text: &str| Some(photometa::json::to_struct(&serde_json::from_str::<Box<RawValue>>(text).unwrap()));
    // The check constraint leaves the points of outlines open, and free JSON.
    let results = format!(
        r#"{{"objects": [{{"object_id": "o1", "label": "crack", "polygon": {{"points": [0.1, 0.2, 0.3]}},
                         "box": {{"x": 0, "y": 0, "width": 0.5, "height": 0.5}}, "attributes": {{"n": 1e400}}}}],
            "extra": {}}}"#,
        deep(1000, "true")
    );
    let write = format!("update companycam_photos.detections set results = '{results}' where id = '{}'", odd.id);
    app.postgres.batch_execute(&write).await.unwrap();
    let mut detections = app.detections(A.as_service());

    let request = pb::ListDetectionsRequest { view: pb::DetectionView::Full.into(), ..Default::default() };
    let listed = detections.list_detections(request).await.unwrap().into_inner().detections;
    let results = listed[0].results.as_ref().unwrap();
    assert_eq!(results.extra, shown(&deep(MAX_DEPTH, "null")));
    let found = &results.objects[0];
    assert_eq!(found.attributes, shown("{}"));
    assert_eq!((found.object_id.as_str(), found.label.as_str(), &found.polygon), ("o1", "crack", &None));
    assert_eq!(found.r#box, Some(pb::BoundingBox { x: 0.0, y: 0.0, width: 0.5, height: 0.5 }));
    let request = pb::DeleteDetectionRequest { id: odd.id, ..Default::default() };
    detections.delete_detection(request).await.unwrap();
}

#[tokio::test]
async fn create_detection_is_not_found_when_its_photo_comes_after_its_pixel_boxes_were_converted() {
    let app = App::start().await;
    let photo = app.photo(A, "1.jpg").await;
    app.hide_from_readers("photos").await;
    let mut new = detection(&photo.id);
    new.results.as_mut().unwrap().objects[0] = pb::DetectedObject {
        r#box: None,
        pixel_box: Some(pb::PixelBox { x: 0.0, y: 0.0, width: 2.0, height: 1.0 }),
        ..object("o1")
    };

    let request = pb::CreateDetectionRequest { detection: Some(new) };
    let status = app.detections(A.as_service()).create_detection(request).await.unwrap_err();

    assert_error(&status, Code::NotFound, "PHOTO_NOT_FOUND");
    assert_eq!(app.count("select count(*) from companycam_photos.detections").await, 0);
}
