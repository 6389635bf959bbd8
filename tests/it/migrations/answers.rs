//! Corrections that were given before the schema kept what they come to.

use photometa::db::migrate::{Migrator, newest};
use photometa::pb::{self, Verdict, object_edit::Edit};

use crate::harness::{A, App, detection, object};

fn edits(edits: Vec<Edit>) -> Vec<pb::ObjectEdit> {
    edits.into_iter().map(|edit| pb::ObjectEdit { edit: Some(edit) }).collect()
}

#[tokio::test]
async fn corrections_of_before_come_to_what_they_would_come_to_now() {
    let app = App::start().await;
    let photo = app.photo(A, "1.jpg").await;
    let objects = ["o1", "o2", "o3"].map(object).to_vec();
    let given = pb::Detection { results: Some(pb::DetectionResults { objects, extra: None }), ..detection(&photo.id) };
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = pb::CreateDetectionRequest { detection: Some(given.clone()) };
        let stored = app.detections(A.as_service()).create_detection(request).await.unwrap().into_inner();
        ids.push(stored.detection.unwrap().id);
    }
    let moved = |object_id: &str, x| {
        let r#box = Some(pb::BoundingBox { x, y: 0.0, width: 0.25, height: 0.5 });
        Edit::Move(pb::MoveObject { object_id: object_id.to_owned(), r#box })
    };
    let relabelled = |object_id: &str| {
        Edit::Relabel(pb::RelabelObject { object_id: object_id.to_owned(), label: "leak".to_owned() })
    };
    let removed = |object_id: &str| Edit::Remove(pb::RemoveObject { object_id: object_id.to_owned() });
    let added = |object_id: &str| Edit::Add(pb::AddObject { object: Some(object(object_id)) });
    let answers = [
        (Verdict::Correct, vec![moved("o1", 0.125), added("n1"), relabelled("o3")]),
        (Verdict::Confirm, vec![]),
        (Verdict::Correct, vec![relabelled("o1"), moved("o3", 0.5), added("n2")]),
        (Verdict::Correct, vec![moved("o1", 0.25), removed("o3"), moved("n2", 0.0)]),
        (Verdict::Reject, vec![]),
    ];
    for (verdict, given) in answers {
        let feedback = pb::Feedback {
            detection_id: ids[0].clone(),
            verdict: verdict.into(),
            edits: edits(given),
            ..Default::default()
        };
        let request = pb::CreateFeedbackRequest { feedback: Some(feedback), ..Default::default() };
        app.feedback(A.as_member()).create_feedback(request).await.unwrap();
    }
    let list = pb::ListDetectionsRequest { view: pb::DetectionView::Full.into(), ..Default::default() };
    let before = app.detections(A.as_member()).list_detections(list.clone()).await.unwrap().into_inner().detections;

    let mut migrator = Migrator::connect(&app.database.superuser()).await.unwrap();
    assert_eq!(migrator.down(10).await.unwrap().len(), newest() as usize - 10);
    migrator.up().await.unwrap();

    let replica = app.replica().await;
    let after = replica.detections(A.as_member()).list_detections(list).await.unwrap().into_inner().detections;
    assert_eq!(before.iter().filter(|one| one.corrected_results.is_some()).count(), 1);
    assert_eq!(after, before);
}

#[tokio::test]
async fn undoing_retractions_lets_the_answers_stand_again() {
    let app = App::start().await;
    let photo = app.photo(A, "1.jpg").await;
    let found = app.detection(A, &photo.id).await;
    let say = async |feedback: pb::Feedback| {
        let feedback = pb::Feedback { detection_id: found.id.clone(), ..feedback };
        let request = pb::CreateFeedbackRequest { feedback: Some(feedback), ..Default::default() };
        app.feedback(A.as_member()).create_feedback(request).await.unwrap().into_inner()
    };
    let first =
        say(pb::Feedback { verdict: Verdict::Reject.into(), comment: "no".to_owned(), ..Default::default() }).await;
    let retracts_id = first.feedback.unwrap().id;
    let shown = first.detection.unwrap();
    let back = say(pb::Feedback { verdict: Verdict::Retract.into(), retracts_id, ..Default::default() }).await;
    assert_eq!(back.detection.unwrap().user_feedback, None);

    let mut migrator = Migrator::connect(&app.database.superuser()).await.unwrap();
    migrator.down(10).await.unwrap();
    migrator.up().await.unwrap();

    let replica = app.replica().await;
    let request = pb::GetDetectionRequest { id: found.id.clone() };
    let after = replica.detections(A.as_member()).get_detection(request).await.unwrap().into_inner().detection.unwrap();
    assert_eq!((after.user_confirmed, after.user_feedback), (shown.user_confirmed, shown.user_feedback));
    assert_eq!(app.count("select count(*) from companycam_photos.feedback").await, 1);
}
