//! Corrections that add up, and answers that are taken back.

use photometa::pb::{self, Verdict, object_edit::Edit};
use tonic::Code;
use uuid::Uuid;

use super::{assert_error, corrects, found, give, relabel, says, seen};
use crate::harness::{A, App, B, object, paths};

fn moved(object_id: &str, x: f64) -> Edit {
    let r#box = Some(pb::BoundingBox { x, y: 0.0, width: 0.25, height: 0.5 });
    Edit::Move(pb::MoveObject { object_id: object_id.to_owned(), r#box })
}

fn removed(object_id: &str) -> Edit {
    Edit::Remove(pb::RemoveObject { object_id: object_id.to_owned() })
}

fn added(object_id: &str) -> Edit {
    Edit::Add(pb::AddObject { object: Some(object(object_id)) })
}

fn takes_back(answer: &pb::Feedback) -> pb::Feedback {
    pb::Feedback {
        detection_id: answer.detection_id.clone(),
        verdict: Verdict::Retract.into(),
        retracts_id: answer.id.clone(),
        ..Default::default()
    }
}

/// What stands of a detection: id, label and left edge of each object.
fn stands(detection: &pb::Detection) -> Vec<(&str, &str, f64)> {
    let results = detection.corrected_results.as_ref().or(detection.results.as_ref()).unwrap();
    let object = |object: &'_ pb::DetectedObject| object.r#box.map_or(-1.0, |place| place.x);
    results.objects.iter().map(|one| (one.object_id.as_str(), one.label.as_str(), object(one))).collect()
}

#[tokio::test]
async fn corrections_of_two_people_add_up_and_show_wherever_the_detection_does() {
    let app = App::start().await;
    let first = found(&app).await;
    let place = first.results.as_ref().unwrap().objects[0].r#box.unwrap();

    give(&app, A.as_member(), corrects(&first, vec![moved("o1", 0.125), added("n1")]), "").await.unwrap();
    let shown = give(&app, A.as_admin(), corrects(&first, vec![relabel("o1"), moved("n1", 0.5)]), "").await.unwrap();
    let shown = shown.detection.unwrap();

    assert_eq!(stands(&shown), [("o1", "leak", 0.125), ("n1", "crack", 0.5)]);
    assert_eq!(shown.results, first.results);
    assert_eq!(seen(&app, &first.id).await, shown);
    let list = |view: pb::DetectionView| pb::ListDetectionsRequest { view: view.into(), ..Default::default() };
    let mut reader = app.detections(A.as_service());
    let full = reader.list_detections(list(pb::DetectionView::Full)).await.unwrap().into_inner().detections;
    assert_eq!(full, std::slice::from_ref(&shown));
    let basic = reader.list_detections(list(pb::DetectionView::Basic)).await.unwrap().into_inner().detections;
    assert_eq!((&basic[0].results, &basic[0].corrected_results), (&None, &None));
    let photo = pb::GetPhotoRequest { id: first.photo_id.clone(), view: pb::PhotoView::Full.into() };
    let photo = app.photos(A.as_member()).get_photo(photo).await.unwrap().into_inner().photo.unwrap();
    assert_eq!(photo.detections, [shown]);

    // A verdict without edits leaves them standing; back where it was, an object is as the model had it, but for its label.
    for verdict in [Verdict::Reject, Verdict::Confirm] {
        let shown = give(&app, A.as_member(), says(&first, verdict), "").await.unwrap().detection.unwrap();
        assert_eq!(stands(&shown), [("o1", "leak", 0.125), ("n1", "crack", 0.5)]);
    }
    let back = Edit::Move(pb::MoveObject { object_id: "o1".to_owned(), r#box: Some(place) });
    let shown = give(&app, A.as_member(), corrects(&first, vec![back, removed("n1")]), "").await.unwrap();
    assert_eq!(stands(&shown.detection.unwrap()), [("o1", "leak", place.x)]);
}

#[tokio::test]
async fn edits_are_of_what_stands() {
    let app = App::start().await;
    let first = found(&app).await;
    give(&app, A.as_member(), corrects(&first, vec![removed("o1"), added("n1")]), "").await.unwrap();
    let before = app.rows().await;

    let edits = vec![relabel("o1"), added("o1"), added("n1"), moved("n2", 0.0)];
    let status = give(&app, A.as_admin(), corrects(&first, edits), "").await.unwrap_err();
    assert_error(&status, Code::InvalidArgument, "INVALID_FIELDS");
    // The second edit of o1 is one too many already.
    let expected = [
        "edits[1].add.object.object_id",
        "edits[0].relabel.object_id",
        "edits[2].add.object.object_id",
        "edits[3].move.object_id",
    ];
    assert_eq!(paths(&status), expected.map(|path| format!("feedback.{path}")));
    let status = give(&app, A.as_admin(), corrects(&first, vec![added("o1")]), "").await.unwrap_err();
    assert!(status.message().ends_with("names an object that the detection had, and that was removed"), "{status:?}");
    let many = corrects(&first, vec![added(""); 1000]);
    let status = give(&app, A.as_admin(), many, "").await.unwrap_err();
    assert_eq!(status.message(), "feedback.edits leave the detection with 1001 objects; 1000 are allowed");

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_feedback_tells_what_is_wrong_with_fields_and_references_at_once() {
    let app = App::start().await;
    let first = found(&app).await;
    let before = app.rows().await;
    let two = vec![moved("o1", 0.0), removed("o1"), relabel("o9")];

    let confirmed =
        pb::Feedback { verdict: Verdict::Confirm.into(), comment: "x".repeat(2001), ..corrects(&first, two.clone()) };
    let status = give(&app, A.as_member(), confirmed, "").await.unwrap_err();
    assert_eq!(
        paths(&status),
        [
            "feedback.edits",
            "feedback.edits[1].remove.object_id",
            "feedback.comment",
            "feedback.edits[2].relabel.object_id"
        ]
    );
    let retracted = pb::Feedback {
        verdict: Verdict::Retract.into(),
        retracts_id: Uuid::now_v7().to_string(),
        ..corrects(&first, two)
    };
    let status = give(&app, A.as_member(), retracted, "stale").await.unwrap_err();
    assert_eq!(
        paths(&status),
        [
            "feedback.edits",
            "feedback.edits[1].remove.object_id",
            "feedback.edits[2].relabel.object_id",
            "feedback.retracts_id"
        ]
    );
    // Of a detection that is not there, or not theirs, only the fields.
    for who in [A.as_outsider(), B.as_admin()] {
        let given = pb::Feedback { comment: "x".repeat(2001), ..corrects(&first, vec![relabel("o9")]) };
        let status = give(&app, who, given, "").await.unwrap_err();
        assert_eq!(paths(&status), ["feedback.comment"]);
    }

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn a_retraction_leaves_the_detection_as_if_the_answer_had_not_been_given() {
    let app = App::start().await;
    let first = found(&app).await;
    let answer = async |given| give(&app, A.as_member(), given, "").await.unwrap();
    let moves = answer(corrects(&first, vec![moved("o1", 0.125), added("n1")])).await.feedback.unwrap();
    let labels = answer(corrects(&first, vec![relabel("o1"), moved("n1", 0.5)])).await.feedback.unwrap();

    let shown = answer(takes_back(&moves)).await.detection.unwrap();
    assert_eq!(stands(&shown), [("o1", "leak", first.results.as_ref().unwrap().objects[0].r#box.unwrap().x)]);
    assert_eq!(shown.user_feedback.unwrap().feedback_id, labels.id);
    let again = answer(takes_back(&moves)).await;
    assert_eq!((again.outcome(), again.feedback.unwrap().retracts_id), (pb::WriteOutcome::Unchanged, moves.id.clone()));
    let shown = answer(takes_back(&labels)).await.detection.unwrap();

    assert_eq!((shown.user_confirmed, &shown.user_feedback, &shown.corrected_results), (false, &None, &None));
    // It waits for review again, and its history is whole.
    let pending = pb::ListPendingDetectionsRequest::default();
    let pending = app.detections(A.as_member()).list_pending_detections(pending).await.unwrap().into_inner().detections;
    assert_eq!(pending, [shown]);
    let list = pb::ListFeedbackRequest::default();
    let kept = app.feedback(A.as_member()).list_feedback(list).await.unwrap().into_inner().feedback;
    let kept: Vec<_> = kept.iter().map(|one| (one.verdict(), one.retracts_id.as_str(), one.edits.len())).collect();
    assert_eq!(
        kept,
        [
            (Verdict::Retract, labels.id.as_str(), 0),
            (Verdict::Retract, moves.id.as_str(), 0),
            (Verdict::Correct, "", 2),
            (Verdict::Correct, "", 2)
        ]
    );
    let events = "select string_agg(event_type, ' ' order by occurred_at, id) from companycam_photos.detection_events";
    let events: String = app.postgres.query_one(events, &[]).await.unwrap().try_get(0).unwrap();
    assert_eq!(events, "created corrected corrected retracted retracted");
}

#[tokio::test]
async fn only_the_giver_and_an_admin_take_an_answer_back() {
    let app = App::start().await;
    let (one, two) = (found(&app).await, found(&app).await);
    let admins = give(&app, A.as_admin(), says(&one, Verdict::Reject), "").await.unwrap().feedback.unwrap();
    let members = give(&app, A.as_member(), says(&one, Verdict::Confirm), "").await.unwrap().feedback.unwrap();

    let status = give(&app, A.as_member(), takes_back(&admins), "").await.unwrap_err();
    assert_eq!(paths(&status), ["feedback.retracts_id"]);
    assert!(status.message().contains("another person's answer"), "{status:?}");
    let elsewhere = pb::Feedback { detection_id: two.id.clone(), ..takes_back(&members) };
    let status = give(&app, A.as_member(), elsewhere, "").await.unwrap_err();
    assert!(status.message().ends_with("names no answer to this detection"), "{status:?}");
    let named = pb::Feedback { id: Uuid::now_v7().to_string(), ..takes_back(&members) };
    let first = give(&app, A.as_admin(), named.clone(), "").await.unwrap().feedback.unwrap();
    let repeated = give(&app, A.as_admin(), named.clone(), "stale").await.unwrap();
    let other = pb::Feedback { id: Uuid::now_v7().to_string(), ..named };
    let other = give(&app, A.as_admin(), other, "").await.unwrap_err();
    let back = give(&app, A.as_admin(), takes_back(&first), "").await.unwrap_err();

    assert_eq!((repeated.outcome(), repeated.feedback.unwrap().id), (pb::WriteOutcome::Unchanged, first.id));
    assert_error(&other, Code::AlreadyExists, "FEEDBACK_ALREADY_EXISTS");
    assert!(back.message().contains("takes another one back"), "{back:?}");
    assert_eq!(seen(&app, &one.id).await.user_feedback.unwrap().feedback_id, admins.id);
}

#[tokio::test]
async fn batch_create_feedback_checks_the_versions_that_people_saw() {
    let app = App::start().await;
    let (one, two) = (found(&app).await, found(&app).await);
    give(&app, A.as_member(), says(&two, Verdict::Reject), "").await.unwrap();
    let before = app.rows().await;
    // Two answers to one detection in a batch are to the version that was seen, in their order.
    let feedback = vec![
        corrects(&one, vec![added("n1")]),
        corrects(&one, vec![removed("n1"), relabel("o1")]),
        says(&two, Verdict::Confirm),
    ];
    let request = pb::BatchCreateFeedbackRequest {
        feedback,
        detection_etags: vec![one.etag.clone(), one.etag.clone(), two.etag.clone()],
        partial: false,
    };

    let mut client = app.feedback(A.as_member());
    let all = client.batch_create_feedback(request.clone()).await.unwrap_err();
    assert_error(&all, Code::Aborted, "STALE_ETAG");
    assert_eq!(app.rows().await, before);
    let partial = pb::BatchCreateFeedbackRequest { partial: true, ..request.clone() };
    let answer = client.batch_create_feedback(partial).await.unwrap().into_inner();
    let short = pb::BatchCreateFeedbackRequest { detection_etags: vec![one.etag.clone()], ..request };
    let short = client.batch_create_feedback(short).await.unwrap_err();

    let codes: Vec<_> = answer.results.iter().map(|result| result.status.as_ref().map(|status| status.code)).collect();
    assert_eq!(codes, [None, None, Some(10)]);
    let shown = seen(&app, &one.id).await;
    assert_eq!(
        answer.results.iter().map(|result| result.detection_etag.as_str()).collect::<Vec<_>>(),
        [&shown.etag, &shown.etag, ""]
    );
    assert_eq!(stands(&shown)[0].1, "leak");
    assert_eq!(shown.user_feedback.unwrap().feedback_id, answer.results[1].feedback.as_ref().unwrap().id);
    assert_eq!(paths(&short), ["detection_etags"]);
}

#[tokio::test]
async fn answers_have_one_order_though_a_clock_stands_still() {
    let app = App::start().await;
    let first = found(&app).await;
    give(&app, A.as_member(), says(&first, Verdict::Reject), "").await.unwrap();
    // The machine that took this answer was an hour ahead.
    let ahead = "update companycam_photos.detections set updated_at = updated_at + interval '1 hour';
                 update companycam_photos.feedback set created_at = created_at + interval '1 hour'";
    app.postgres.batch_execute(ahead).await.unwrap();

    let mut last = None;
    for verdict in [Verdict::Confirm, Verdict::Reject, Verdict::Confirm] {
        last = give(&app, A.as_member(), says(&first, verdict), "").await.unwrap().feedback;
    }

    let list = pb::ListFeedbackRequest::default();
    let kept = app.feedback(A.as_member()).list_feedback(list).await.unwrap().into_inner().feedback;
    let verdicts: Vec<_> = kept.iter().map(pb::Feedback::verdict).collect();
    assert_eq!(verdicts, [Verdict::Confirm, Verdict::Reject, Verdict::Confirm, Verdict::Reject]);
    assert_eq!(kept.first(), last.as_ref());
    assert_eq!(seen(&app, &first.id).await.user_feedback.unwrap().feedback_id, kept[0].id);
}
