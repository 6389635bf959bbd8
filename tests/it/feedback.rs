//! Feedback: verdicts and what they show, edits against objects, retries, reviewers side by side.

use photometa::pb::{self, object_edit::Edit};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{A, App, B, Who, object, paths, reason};

mod corrections;
mod interleavings;

fn says(detection: &pb::Detection, verdict: pb::Verdict) -> pb::Feedback {
    pb::Feedback { detection_id: detection.id.clone(), verdict: verdict.into(), ..Default::default() }
}

fn corrects(detection: &pb::Detection, edits: Vec<Edit>) -> pb::Feedback {
    let edits = edits.into_iter().map(|edit| pb::ObjectEdit { edit: Some(edit) }).collect();
    pb::Feedback { edits, ..says(detection, pb::Verdict::Correct) }
}

fn relabel(object_id: &str) -> Edit {
    Edit::Relabel(pb::RelabelObject { object_id: object_id.to_owned(), label: "leak".to_owned() })
}

async fn give(app: &App, who: Who, feedback: pb::Feedback, etag: &str) -> Result<pb::CreateFeedbackResponse, Status> {
    let request = pb::CreateFeedbackRequest { feedback: Some(feedback), detection_etag: etag.to_owned() };
    Ok(app.feedback(who).create_feedback(request).await?.into_inner())
}

async fn seen(app: &App, id: &str) -> pb::Detection {
    let request = pb::GetDetectionRequest { id: id.to_owned() };
    app.detections(A.as_service()).get_detection(request).await.unwrap().into_inner().detection.unwrap()
}

async fn found(app: &App) -> pb::Detection {
    let stored = app.photo(A, &format!("{}.jpg", Uuid::now_v7())).await;
    app.detection(A, &stored.id).await
}

fn assert_error(status: &Status, code: Code, expected: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, expected), "{status:?}");
}

#[tokio::test]
async fn create_feedback_shows_the_newest_verdict() {
    let app = App::start().await;
    let first = found(&app).await;
    let moved = pb::BoundingBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
    let edits = vec![
        Edit::Move(pb::MoveObject { object_id: "o1".to_owned(), r#box: Some(moved) }),
        relabel("o1"),
        Edit::Add(pb::AddObject { object: Some(object("o2")) }),
    ];
    let removed = vec![Edit::Remove(pb::RemoveObject { object_id: "o1".to_owned() })];
    let cases = [
        (says(&first, pb::Verdict::Confirm), true),
        (says(&first, pb::Verdict::Reject), false),
        (corrects(&first, edits), true),
        (pb::Feedback { comment: "\u{1f44d} \u{202e}".to_owned(), ..says(&first, pb::Verdict::Reject) }, false),
        (corrects(&first, removed), true),
    ];

    for (given, confirmed) in cases {
        let before = seen(&app, &first.id).await;
        let answer = give(&app, A.as_member(), given.clone(), &before.etag).await.unwrap();
        let (kept, shown) = (answer.feedback.clone().unwrap(), answer.detection.clone().unwrap());

        assert_eq!(answer.outcome(), pb::WriteOutcome::Created);
        assert_eq!((kept.verdict, &kept.edits, &kept.comment), (given.verdict, &given.edits, &given.comment));
        assert_eq!((&kept.user_id, &kept.photo_id), (&A.member.to_string(), &first.photo_id));
        assert_eq!(shown.user_confirmed, confirmed);
        let projection = shown.user_feedback.clone().unwrap();
        assert_eq!(
            (&projection.feedback_id, &projection.edits, projection.create_time),
            (&kept.id, &kept.edits, kept.create_time)
        );
        assert_ne!(shown.etag, before.etag);
        // What the model said stays.
        assert_eq!((&shown.results, shown.confidence), (&first.results, first.confidence));
        assert_eq!(seen(&app, &first.id).await, shown);
    }
    let events = "select string_agg(event_type, ' ' order by occurred_at, id) from companycam_photos.detection_events";
    let events: String = app.postgres.query_one(events, &[]).await.unwrap().try_get(0).unwrap();
    assert_eq!(events, "created confirmed rejected corrected rejected corrected");
    assert_eq!(app.count("select count(*) from companycam_photos.feedback").await, 5);
}

#[tokio::test]
async fn create_feedback_checks_every_edit_at_once() {
    let app = App::start().await;
    let first = found(&app).await;
    let before = app.rows().await;
    let outside = pb::BoundingBox { x: 0.5, y: 0.5, width: 0.6, height: f64::NAN };
    let pixels = pb::DetectedObject { r#box: None, pixel_box: Some(pb::PixelBox::default()), ..object("o9") };
    let shapes = vec![
        Edit::Move(pb::MoveObject { object_id: String::new(), r#box: None }),
        Edit::Move(pb::MoveObject { object_id: "o1".to_owned(), r#box: Some(outside) }),
        Edit::Relabel(pb::RelabelObject { object_id: "o1".to_owned(), label: String::new() }),
        Edit::Remove(pb::RemoveObject { object_id: "o1".to_owned() }),
        Edit::Add(pb::AddObject { object: None }),
        Edit::Add(pb::AddObject { object: Some(pixels) }),
    ];
    let references = vec![relabel("o1"), relabel("o2"), Edit::Add(pb::AddObject { object: Some(object("o1")) })];
    let shape_paths = [
        "feedback.edits[0].move.object_id",
        "feedback.edits[0].move.box",
        "feedback.edits[1].move.box.height",
        "feedback.edits[1].move.box.width",
        "feedback.edits[2].relabel.label",
        "feedback.edits[3].remove.object_id",
        "feedback.edits[4].add.object",
        "feedback.edits[5].add.object.pixel_box",
    ];
    // The addition of o1 contradicts the first edit, which is told once.
    let reference_paths = ["feedback.edits[2].add.object.object_id", "feedback.edits[1].relabel.object_id"];
    let missing = vec![relabel("o7"), relabel("o1"), Edit::Add(pb::AddObject { object: Some(object("o1")) })];
    let only_references = vec![
        relabel("o7"),
        Edit::Remove(pb::RemoveObject { object_id: "o8".to_owned() }),
        Edit::Add(pb::AddObject { object: Some(object("o1")) }),
    ];
    let only_paths = [
        "feedback.edits[0].relabel.object_id",
        "feedback.edits[1].remove.object_id",
        "feedback.edits[2].add.object.object_id",
    ];

    for (edits, expected) in
        [(shapes, &shape_paths[..]), (references, &reference_paths), (only_references, &only_paths)]
    {
        let status = give(&app, A.as_member(), corrects(&first, edits), "").await.unwrap_err();
        assert_error(&status, Code::InvalidArgument, "INVALID_FIELDS");
        assert_eq!(paths(&status), expected, "{status:?}");
    }
    let status = give(&app, A.as_member(), corrects(&first, missing), "").await.unwrap_err();
    assert_eq!(paths(&status), ["feedback.edits[2].add.object.object_id", "feedback.edits[0].relabel.object_id"]);

    assert_eq!(app.rows().await, before);
    assert_eq!(seen(&app, &first.id).await, first);
}

#[tokio::test]
async fn create_feedback_is_unchanged_when_repeated() {
    let app = App::start().await;
    let first = found(&app).await;
    let given = pb::Feedback { id: Uuid::now_v7().to_string(), ..says(&first, pb::Verdict::Confirm) };

    let kept = give(&app, A.as_member(), given.clone(), &first.etag).await.unwrap();
    // The etag is stale by now; the call is the same all the same.
    let again = give(&app, A.as_member(), given.clone(), &first.etag).await.unwrap();
    let stale = give(&app, A.as_member(), says(&first, pb::Verdict::Reject), &first.etag).await.unwrap_err();
    let other = pb::Feedback { comment: "x".to_owned(), ..given.clone() };
    let other = give(&app, A.as_member(), other, "").await.unwrap_err();
    let somebody = give(&app, A.as_admin(), given, "").await.unwrap_err();

    assert_eq!((again.feedback.clone(), again.outcome()), (kept.feedback, pb::WriteOutcome::Unchanged));
    assert_error(&stale, Code::Aborted, "STALE_ETAG");
    assert_error(&other, Code::AlreadyExists, "FEEDBACK_ALREADY_EXISTS");
    assert_error(&somebody, Code::AlreadyExists, "FEEDBACK_ALREADY_EXISTS");
    assert_eq!(app.count("select count(*) from companycam_photos.feedback").await, 1);
}

#[tokio::test]
async fn create_feedback_is_not_for_services_and_strangers() {
    let app = App::start().await;
    let first = found(&app).await;
    let before = app.rows().await;

    let service = give(&app, A.as_service(), says(&first, pb::Verdict::Confirm), "").await.unwrap_err();
    assert_error(&service, Code::PermissionDenied, "ROLE_NOT_ALLOWED");
    for who in [A.as_outsider(), B.as_admin()] {
        let status = give(&app, who, says(&first, pb::Verdict::Confirm), "").await.unwrap_err();
        assert_error(&status, Code::NotFound, "DETECTION_NOT_FOUND");
    }

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn batch_create_feedback_partial_answers_each_in_its_place() {
    let app = App::start().await;
    let (one, two) = (found(&app).await, found(&app).await);
    let id = Uuid::now_v7().to_string();
    let named = pb::Feedback { id: id.clone(), ..says(&two, pb::Verdict::Reject) };
    let feedback = vec![
        says(&one, pb::Verdict::Confirm),
        says(&one, pb::Verdict::Unspecified),
        named.clone(),
        corrects(&two, vec![relabel("o7")]),
        named.clone(),
        pb::Feedback { comment: "x".to_owned(), ..named },
        says(&pb::Detection { id: Uuid::now_v7().to_string(), ..Default::default() }, pb::Verdict::Confirm),
    ];
    let before = app.rows().await;
    let request = pb::BatchCreateFeedbackRequest { feedback, ..Default::default() };

    let all = app.feedback(A.as_member()).batch_create_feedback(request.clone()).await.unwrap_err();
    assert_eq!(all.code(), Code::InvalidArgument);
    assert_eq!(paths(&all), ["feedback[1].verdict", "feedback[3].edits[0].relabel.object_id"]);
    assert_eq!(app.rows().await, before);
    let request = pb::BatchCreateFeedbackRequest { partial: true, ..request };
    let answer = app.feedback(A.as_member()).batch_create_feedback(request).await.unwrap().into_inner();

    let codes: Vec<_> = answer.results.iter().map(|result| result.status.as_ref().map(|status| status.code)).collect();
    assert_eq!(codes, [None, Some(3), None, Some(3), None, Some(6), Some(5)]);
    assert_eq!(answer.results[4].outcome(), pb::WriteOutcome::Unchanged);
    let message = &answer.results[3].status.as_ref().unwrap().message;
    assert!(message.starts_with("feedback[3].edits[0].relabel.object_id "), "{message}");
    assert_eq!(app.count("select count(*) from companycam_photos.feedback").await, 2);
}

#[tokio::test]
async fn create_feedback_keeps_all_when_eight_review_at_once() {
    let app = std::sync::Arc::new(App::start().await);
    let first = found(&app).await;

    let reviewers = (0..8).map(|number| {
        let (app, who) = (app.clone(), Who { subject: Uuid::now_v7(), ..A.as_admin() });
        let verdict = if number % 2 == 0 { pb::Verdict::Confirm } else { pb::Verdict::Reject };
        let given = says(&first, verdict);
        tokio::spawn(async move { give(&app, who, given, "").await.unwrap() })
    });
    for reviewer in reviewers.collect::<Vec<_>>() {
        assert_eq!(reviewer.await.unwrap().outcome(), pb::WriteOutcome::Created);
    }

    let request = pb::ListFeedbackRequest { detection_id: Some(first.id.clone()), ..Default::default() };
    let kept = app.feedback(A.as_member()).list_feedback(request).await.unwrap().into_inner().feedback;
    let shown = seen(&app, &first.id).await;
    assert_eq!(kept.len(), 8);
    assert_eq!(shown.user_feedback.unwrap().feedback_id, kept[0].id);
    assert_eq!(shown.user_confirmed, kept[0].verdict() == pb::Verdict::Confirm);
}

#[tokio::test]
async fn list_feedback_follows_its_filter() {
    let app = App::start().await;
    let (one, two) = (found(&app).await, found(&app).await);
    let mut ids = Vec::new();
    for (who, detection) in [(A.as_member(), &one), (A.as_admin(), &one), (A.as_member(), &two)] {
        ids.push(give(&app, who, says(detection, pb::Verdict::Confirm), "").await.unwrap().feedback.unwrap().id);
    }
    let all = pb::ListFeedbackRequest::default;
    let cases: Vec<(Who, pb::ListFeedbackRequest, &[usize])> = vec![
        (A.as_service(), all(), &[2, 1, 0]),
        (A.as_member(), pb::ListFeedbackRequest { detection_id: Some(one.id.clone()), ..all() }, &[1, 0]),
        (A.as_member(), pb::ListFeedbackRequest { photo_id: Some(two.photo_id.clone()), ..all() }, &[2]),
        (A.as_member(), pb::ListFeedbackRequest { user_id: Some(A.member.to_string()), ..all() }, &[2, 0]),
        (
            A.as_member(),
            pb::ListFeedbackRequest {
                photo_id: Some(one.photo_id.clone()),
                user_id: Some(A.admin.to_string()),
                ..all()
            },
            &[1],
        ),
        (A.as_member(), pb::ListFeedbackRequest { detection_id: Some(Uuid::now_v7().to_string()), ..all() }, &[]),
        (A.as_outsider(), all(), &[]),
        (B.as_admin(), pb::ListFeedbackRequest { detection_id: Some(one.id.clone()), ..all() }, &[]),
    ];

    for (who, request, expected) in cases {
        let found = app.feedback(who).list_feedback(request.clone()).await.unwrap().into_inner().feedback;
        let expected: Vec<_> = expected.iter().map(|&number| &ids[number]).collect();
        assert_eq!(found.iter().map(|feedback| &feedback.id).collect::<Vec<_>>(), expected, "{request:?}");
    }
}

#[tokio::test]
async fn feedback_cannot_be_changed_by_the_service() {
    let app = App::start().await;
    let first = found(&app).await;
    give(&app, A.as_member(), says(&first, pb::Verdict::Confirm), "").await.unwrap();
    let connection = crate::cluster::connect(&app.database.app()).await;

    for role in ["org_admin", "org_user", "org_service"] {
        for change in ["update companycam_photos.feedback set comment = 'x'", "delete from companycam_photos.feedback"]
        {
            let sql = format!("begin; set local role {role}; {change}");
            let error = connection.batch_execute(&sql).await.unwrap_err();
            connection.batch_execute("rollback").await.unwrap();
            assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{role}: {change}");
        }
    }
}
