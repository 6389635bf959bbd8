//! Lists, the review queue, deletes and rolling a model back.

use photometa::pb;
use tonic::Code;
use uuid::Uuid;

use super::{assert_error, create, events, review};
use crate::harness::{A, App, B, detection, photo};

#[tokio::test]
async fn list_detections_follows_its_filter_and_order() {
    let app = App::start().await;
    let one = app.photo(A, "1.jpg").await;
    let request = pb::CreatePhotoRequest { photo: Some(photo(A.bridge, "2.jpg")) };
    let two = app.photos(A.as_service()).create_photo(request).await.unwrap().into_inner().photo.unwrap();
    let mut ids = Vec::new();
    for (number, photo) in [&one, &one, &two, &two].into_iter().enumerate() {
        let confidence = [Some(0.2), Some(0.8), None, Some(1.0)][number];
        let results = None;
        let kind = i32::try_from(number % 3).unwrap() + 1;
        let model_version = format!("m{}", number % 2);
        let given = pb::Detection { confidence, results, detection_type: kind, model_version, ..detection(&photo.id) };
        ids.push(create(&app, given).await.unwrap().0.id);
        let set = "update companycam_photos.detections set created_at = to_timestamp($2::float8) where id = $1";
        let id: Uuid = ids[number].parse().unwrap();
        app.postgres.execute(set, &[&id, &[10.0, 20.0, 30.0, 40.0][number]]).await.unwrap();
    }
    review(&app, &ids[1], pb::Verdict::Confirm).await;
    let any = pb::DetectionFilter::default;
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let cases: Vec<(pb::DetectionFilter, &[usize])> = vec![
        (any(), &[3, 2, 1, 0]),
        (pb::DetectionFilter { photo_ids: vec![one.id.clone()], ..any() }, &[1, 0]),
        (pb::DetectionFilter { project_ids: vec![A.bridge.to_string()], ..any() }, &[3, 2]),
        (pb::DetectionFilter { types: vec![1], ..any() }, &[3, 0]),
        (pb::DetectionFilter { types: vec![2, 3], ..any() }, &[2, 1]),
        (pb::DetectionFilter { model_versions: vec!["m1".to_owned()], ..any() }, &[3, 1]),
        (pb::DetectionFilter { min_confidence: Some(0.8), ..any() }, &[3, 1]),
        (pb::DetectionFilter { max_confidence: Some(0.8), ..any() }, &[1, 0]),
        (pb::DetectionFilter { user_confirmed: Some(true), ..any() }, &[1]),
        (pb::DetectionFilter { user_confirmed: Some(false), ..any() }, &[3, 2, 0]),
        (pb::DetectionFilter { create_time: Some(pb::TimeRange { start: at(20), end: at(40) }), ..any() }, &[2, 1]),
    ];

    for (filter, expected) in cases {
        for (order_by, reversed) in [("create_time desc", false), ("create_time", true)] {
            let request = pb::ListDetectionsRequest {
                filter: Some(filter.clone()),
                order_by: order_by.to_owned(),
                ..Default::default()
            };
            let found = app.detections(A.as_service()).list_detections(request).await.unwrap().into_inner().detections;
            assert!(found.iter().all(|detection| detection.results.is_none()));
            let mut expected: Vec<_> = expected.iter().map(|&number| &ids[number]).collect();
            if reversed {
                expected.reverse();
            }
            assert_eq!(
                found.iter().map(|detection| &detection.id).collect::<Vec<_>>(),
                expected,
                "{filter:?} {order_by}"
            );
        }
    }
    let request = pb::ListDetectionsRequest { view: pb::DetectionView::Full.into(), ..Default::default() };
    let seen = app.detections(A.as_member()).list_detections(request).await.unwrap().into_inner().detections;
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|detection| detection.results.is_some()));
}

#[tokio::test]
async fn list_pending_detections_empties_as_people_review() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let given = [Some(0.9), None, Some(0.1), Some(0.1), Some(0.5)].map(|confidence| pb::Detection {
        confidence,
        results: None,
        ..detection(&stored.id)
    });
    // One batch: all at the same time, so that the ids decide.
    let request = pb::BatchCreateDetectionsRequest { detections: given.to_vec(), partial: false };
    let answer = app.detections(A.as_service()).batch_create_detections(request).await.unwrap().into_inner();
    let ids: Vec<_> = answer.results.into_iter().map(|result| result.detection.unwrap().id).collect();
    let queue = async |strategy: pb::ReviewStrategy| {
        let mut request =
            pb::ListPendingDetectionsRequest { strategy: strategy.into(), page_size: 2, ..Default::default() };
        let mut found = Vec::new();
        loop {
            let page =
                app.detections(A.as_member()).list_pending_detections(request.clone()).await.unwrap().into_inner();
            found.extend(
                page.detections.into_iter().map(|detection| ids.iter().position(|id| *id == detection.id).unwrap()),
            );
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return found;
            }
        }
    };

    assert_eq!(queue(pb::ReviewStrategy::Unspecified).await, [0, 1, 2, 3, 4]);
    assert_eq!(queue(pb::ReviewStrategy::LeastConfidentFirst).await, [1, 2, 3, 4, 0]);
    review(&app, &ids[2], pb::Verdict::Reject).await;
    review(&app, &ids[4], pb::Verdict::Confirm).await;
    assert_eq!(queue(pb::ReviewStrategy::OldestFirst).await, [0, 1, 3]);
    assert_eq!(queue(pb::ReviewStrategy::LeastConfidentFirst).await, [1, 3, 0]);
    let elsewhere = pb::ListPendingDetectionsRequest { project_ids: vec![A.bridge.to_string()], ..Default::default() };
    let found = app.detections(A.as_admin()).list_pending_detections(elsewhere).await.unwrap().into_inner();
    assert_eq!(found.detections, []);
}

#[tokio::test]
async fn delete_detection_asks_for_a_fresh_etag() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let first = app.detection(A, &stored.id).await;
    review(&app, &first.id, pb::Verdict::Confirm).await;
    let delete =
        |etag: &str| pb::DeleteDetectionRequest { id: first.id.clone(), etag: etag.to_owned(), ..Default::default() };
    let mut detections = app.detections(A.as_service());

    let stale = detections.delete_detection(delete(&first.etag)).await.unwrap_err();
    let foreign = app.detections(B.as_service()).delete_detection(delete("")).await.unwrap_err();
    let found = detections.get_detection(pb::GetDetectionRequest { id: first.id.clone() }).await.unwrap();
    detections.delete_detection(delete(&found.into_inner().detection.unwrap().etag)).await.unwrap();
    let again = detections.delete_detection(delete("")).await.unwrap_err();

    assert_error(&stale, Code::Aborted, "STALE_ETAG");
    assert_error(&foreign, Code::NotFound, "DETECTION_NOT_FOUND");
    assert_error(&again, Code::NotFound, "DETECTION_NOT_FOUND");
    assert_eq!(app.count("select count(*) from companycam_photos.feedback").await, 0);
    assert_eq!(events(&app).await, ["created", "confirmed", "deleted"]);
}

#[tokio::test]
async fn delete_detection_by_a_machine_spares_feedback_that_it_has_not_seen() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let first = app.detection(A, &stored.id).await;
    let given = review(&app, &first.id, pb::Verdict::Reject).await;
    let feedback = pb::Feedback {
        detection_id: first.id.clone(),
        verdict: pb::Verdict::Retract.into(),
        retracts_id: given.user_feedback.unwrap().feedback_id,
        ..Default::default()
    };
    let request = pb::CreateFeedbackRequest { feedback: Some(feedback), ..Default::default() };
    app.feedback(A.as_admin()).create_feedback(request).await.unwrap();
    let before = app.rows().await;

    // What was taken back was said all the same.
    let blind = pb::DeleteDetectionRequest { id: first.id.clone(), ..Default::default() };
    let status = app.detections(A.as_service()).delete_detection(blind.clone()).await.unwrap_err();
    assert_error(&status, Code::FailedPrecondition, "DETECTION_REVIEWED");
    assert_eq!(app.rows().await, before);
    let model_version = first.model_version.clone();
    let rollback = pb::DeleteDetectionsByModelRequest { model_version, ..Default::default() };
    let kept = app.detections(A.as_service()).delete_detections_by_model(rollback).await.unwrap().into_inner();
    assert_eq!((kept.deleted, kept.kept_reviewed, kept.remaining), (0, 1, 0));
    assert_eq!(app.rows().await, before);
    let asked = pb::DeleteDetectionRequest { include_reviewed: true, ..blind };
    app.detections(A.as_service()).delete_detection(asked).await.unwrap();

    assert_eq!(app.count("select count(*) from companycam_photos.feedback").await, 0);
}

#[tokio::test]
async fn delete_detections_by_model_goes_on_where_its_time_was_up() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    for chunk in 0..5 {
        let detections =
            (0..500).map(|number| pb::Detection { run_id: Some(format!("{chunk}-{number}")), ..detection(&stored.id) });
        let request = pb::BatchCreateDetectionsRequest { detections: detections.collect(), partial: false };
        let answer = app.detections(A.as_service()).batch_create_detections(request).await.unwrap().into_inner();
        let one = answer.results[250].detection.as_ref().unwrap();
        review(&app, &one.id, pb::Verdict::Confirm).await;
    }
    // Somebody holds a detection of the second chunk: it is reached, and the time passes there.
    let held = "select id from companycam_photos.detections where run_id = '1-7' for update";
    let mut holder = crate::cluster::connect(&app.database.superuser()).await;
    let transaction = holder.transaction().await.unwrap();
    transaction.query_one(held, &[]).await.unwrap();
    let request = pb::DeleteDetectionsByModelRequest { model_version: "cracks-1".to_owned(), ..Default::default() };
    let timed = || {
        let mut timed = tonic::Request::new(request.clone());
        timed.set_timeout(std::time::Duration::from_secs(6));
        timed
    };
    let late = app.detections(A.as_service()).delete_detections_by_model(timed()).await.unwrap_err();
    // Whose clock is first, the client's or the server's, nobody knows.
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&late.code()), "{late:?}");
    let after_one = app.count("select count(*) from companycam_photos.detections").await;
    transaction.rollback().await.unwrap();

    let answer = app.detections(A.as_service()).delete_detections_by_model(request.clone()).await.unwrap().into_inner();

    // The first chunk had gone for good; two reviewed ones of it were passed over.
    assert_eq!(after_one, 2500 - 1000);
    assert_eq!((answer.deleted, answer.kept_reviewed, answer.remaining), (2500 - 1000 - 5, 5, 0));
    assert_eq!(app.count("select count(*) from companycam_photos.feedback").await, 5);
}

#[tokio::test]
async fn delete_detections_by_model_keeps_what_people_reviewed() {
    let app = App::start().await;
    let (stored, foreign) = (app.photo(A, "1.jpg").await, app.photo(B, "1.jpg").await);
    for number in 0..6 {
        let kind = if number == 5 { 2 } else { 1 };
        let (found, _) = create(&app, pb::Detection { detection_type: kind, ..detection(&stored.id) }).await.unwrap();
        if number < 2 {
            review(&app, &found.id, pb::Verdict::Reject).await;
        }
    }
    create(&app, pb::Detection { model_version: "cracks-10".to_owned(), ..detection(&stored.id) }).await.unwrap();
    app.detection(B, &foreign.id).await;
    let request = |types: &[i32], include_reviewed, validate_only| pb::DeleteDetectionsByModelRequest {
        model_version: "cracks-1".to_owned(),
        types: types.to_vec(),
        include_reviewed,
        validate_only,
    };
    let left = async || app.count("select count(*) from companycam_photos.detections").await;

    for (request, expected, rows) in [
        (request(&[], false, true), (4, 2), 8),
        (request(&[], true, true), (6, 0), 8),
        (request(&[2, 3], true, true), (1, 0), 8),
        (request(&[1], false, false), (3, 2), 5),
        (request(&[], false, false), (1, 2), 4),
        (request(&[], true, false), (2, 0), 2),
        (request(&[], true, false), (0, 0), 2),
    ] {
        let answer = app.detections(A.as_service()).delete_detections_by_model(request).await.unwrap().into_inner();
        assert_eq!((answer.deleted, answer.kept_reviewed), expected);
        assert_eq!(left().await, rows);
    }
    assert_eq!(events(&app).await.iter().filter(|event| *event == "deleted").count(), 6);
}
