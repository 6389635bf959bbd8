//! Detections that a batch refuses.

use photometa::pb;
use tonic::Status;
use uuid::Uuid;

use super::{Answers, Batches, Expected, Refusal, status};
use crate::bad_input::detection::DETECTIONS;
use crate::harness::{A, App, B, detection};

fn good(photo_id: &str) -> pb::Detection {
    pb::Detection { run_id: Some(Uuid::now_v7().to_string()), ..detection(photo_id) }
}

/// Every kind of bad detection.
async fn bad(app: &App, photo_id: &str) -> Vec<(String, pb::Detection, Expected)> {
    let theirs = app.photo(B, "site/1.jpg").await;
    let run = good(photo_id);
    let request = pb::CreateDetectionRequest { detection: Some(run.clone()) };
    let taken = app.detections(A.as_service()).create_detection(request).await.unwrap().into_inner().detection.unwrap();
    let mut bad = Vec::new();
    for (what, spoil, expected) in DETECTIONS {
        let mut item = good(photo_id);
        spoil(&mut item);
        let paths = expected.iter().map(|path| path.trim_start_matches("detection."));
        bad.push(((*what).to_owned(), item, Refusal::fields(paths)));
    }
    let unknown = Uuid::now_v7().to_string();
    for (what, item, reason, name) in [
        ("an unknown photo", good(&unknown), "PHOTO_NOT_FOUND", &unknown),
        ("another organization's photo", good(&theirs.id), "PHOTO_NOT_FOUND", &theirs.id),
        ("a taken id", pb::Detection { id: taken.id.clone(), ..good(photo_id) }, "DETECTION_ALREADY_EXISTS", &taken.id),
        ("a taken run", pb::Detection { confidence: Some(0.125), ..run }, "DETECTION_ALREADY_EXISTS", &taken.id),
    ] {
        bad.push((what.to_owned(), item, Refusal::of(reason, name)));
    }
    bad
}

async fn send(app: &App, detections: Vec<pb::Detection>, partial: bool) -> Result<Answers, Status> {
    let request = pb::BatchCreateDetectionsRequest { detections, partial };
    let answer = app.detections(A.as_service()).batch_create_detections(request).await?.into_inner();
    let answers = answer.results.into_iter().map(|result| {
        let outcome = result.outcome();
        assert_eq!(result.detection.is_some(), result.status.is_none());
        result.status.map_or(Ok(outcome), |told| Err(status(told)))
    });
    Ok(answers.collect())
}

#[tokio::test]
async fn batch_create_detections_refuses_every_kind_of_bad_detection_at_every_place() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let bad = bad(&app, &photo.id).await;
    let send = async |detections, partial| send(&app, detections, partial).await;
    let batches = Batches { app: &app, field: "detections", send };

    batches.assert_everywhere(|| good(&photo.id), &bad).await;
}

/// One that has the run or the id of another one, which has both.
fn repeat(first: &pb::Detection, way: usize) -> (pb::Detection, Expected) {
    let refused = Refusal::of("DETECTION_ALREADY_EXISTS", &first.id);
    match way % 4 {
        0 => (first.clone(), Expected::Unchanged),
        1 => (pb::Detection { id: String::new(), ..first.clone() }, Expected::Unchanged),
        2 => (pb::Detection { id: String::new(), confidence: Some(0.125), ..first.clone() }, refused),
        _ => (pb::Detection { id: first.id.clone(), ..good(&first.photo_id) }, refused),
    }
}

#[tokio::test]
async fn batch_create_detections_tells_each_of_a_mixed_batch_its_own() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let mut bad = bad(&app, &photo.id).await;
    // What is outside of the photo is known only when that has been read, after what is wrong by itself was told.
    bad.retain(|(what, ..)| !what.contains("pixels"));
    let send = async |detections, partial| send(&app, detections, partial).await;
    let batches = Batches { app: &app, field: "detections", send };
    let good = || pb::Detection { id: Uuid::now_v7().to_string(), ..good(&photo.id) };

    batches.assert_mixed(good, &bad, repeat).await;
}
