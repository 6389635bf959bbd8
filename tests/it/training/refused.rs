//! What an export refuses: fields, and tokens that are not its own.

use photometa::pb::{self, DetectionFilter, ExportTrainingDataRequest, TrainingDataSplit};
use tonic::Code;

use super::{everything, export, in_lines};
use crate::bad_input::assert_refused;
use crate::harness::{A, App, B, Who, reason};

type Case = (&'static str, fn(&mut ExportTrainingDataRequest), &'static [&'static str]);

fn split(change: fn(&mut TrainingDataSplit)) -> TrainingDataSplit {
    let mut split = TrainingDataSplit { key: pb::SplitKey::Photo.into(), ..Default::default() };
    change(&mut split);
    split
}

const CASES: &[Case] = &[
    ("format", |r| r.format = 9, &["format"]),
    ("frame", |r| r.frame = -1, &["frame"]),
    ("no verdict", |r| r.verdicts = vec![1, 0], &["verdicts[1]"]),
    ("unknown verdict", |r| r.verdicts = vec![9], &["verdicts[0]"]),
    ("retraction", |r| r.verdicts = vec![pb::Verdict::Retract.into()], &["verdicts[0]"]),
    ("no key", |r| r.split = Some(split(|s| s.key = 0)), &["split.key"]),
    ("unknown key", |r| r.split = Some(split(|s| s.key = 7)), &["split.key"]),
    ("unknown part", |r| r.split = Some(split(|s| s.part = 7)), &["split.part"]),
    ("less than none", |r| r.split = Some(split(|s| s.validation_percent = -1)), &["split.validation_percent"]),
    ("more than all", |r| r.split = Some(split(|s| s.test_percent = 101)), &["split.test_percent"]),
    (
        "too much together",
        |r| r.split = Some(split(|s| (s.validation_percent, s.test_percent) = (60, 41))),
        &["split.test_percent"],
    ),
    ("long seed", |r| r.split = Some(split(|s| s.seed = "x".repeat(101))), &["split.seed"]),
    (
        "photo",
        |r| r.filter = Some(DetectionFilter { photo_ids: vec!["x".into()], ..Default::default() }),
        &["filter.photo_ids[0]"],
    ),
    (
        "confidence",
        |r| r.filter = Some(DetectionFilter { min_confidence: Some(2.0), ..Default::default() }),
        &["filter.min_confidence"],
    ),
    (
        "nothing fits",
        |r| {
            r.include_unreviewed = false;
            r.filter = Some(DetectionFilter { user_confirmed: Some(false), ..Default::default() });
        },
        &["filter.user_confirmed"],
    ),
];

#[tokio::test]
async fn export_refuses_bad_fields_all_at_once() {
    let app = App::start().await;
    let mut client = app.feedback(A.as_service());

    for (what, spoil, expected) in CASES {
        let mut bad = everything();
        spoil(&mut bad);
        assert_refused(what, client.export_training_data(bad).await.map(|_| tonic::Response::new(())), expected);
    }
    let mut bad = everything();
    (bad.format, bad.frame, bad.verdicts, bad.split) = (9, 9, vec![0], Some(split(|s| s.key = 0)));
    let answer = client.export_training_data(bad).await.map(|_| tonic::Response::new(()));
    assert_refused("many", answer, &["format", "frame", "verdicts[0]", "split.key"]);
}

async fn assert_token_refused(app: &App, who: Who, request: ExportTrainingDataRequest, what: &str) {
    let status = export(app, who, request).await.expect_err(what);
    assert_eq!((status.code(), reason(&status)), (Code::InvalidArgument, "INVALID_PAGE_TOKEN".to_owned()), "{what}");
    assert!(status.message().starts_with("resume_token "), "{what}: {}", status.message());
}

#[tokio::test]
async fn tokens_of_others_and_of_other_requests_and_altered_ones_are_refused() {
    let app = App::start().await;
    let on = app.photo(A, "a.jpg").await;
    app.detection(A, &on.id).await;
    let token = export(&app, A.as_service(), everything()).await.unwrap().0[0].resume_token.clone();
    let of_lines = export(&app, A.as_service(), in_lines(everything())).await.unwrap().0[0].resume_token.clone();
    let with = |request: ExportTrainingDataRequest, token: &str| ExportTrainingDataRequest {
        resume_token: token.to_owned(),
        ..request
    };

    let again = export(&app, A.as_service(), with(everything(), &token)).await.unwrap();
    assert_eq!((again.bytes().len(), again.0.len()), (0, 1));
    assert!(again.progress().done);

    assert_token_refused(&app, B.as_service(), with(everything(), &token), "another organization").await;
    assert_token_refused(&app, A.as_service(), with(everything(), &of_lines), "another form").await;
    let others: [fn(&mut ExportTrainingDataRequest); 5] = [
        |r| r.frame = pb::ImageFrame::Stored.into(),
        |r| r.verdicts = vec![1],
        |r| r.include_unreviewed = false,
        |r| r.split = Some(split(|_| ())),
        |r| r.filter = Some(DetectionFilter { labels: vec!["crack".into()], ..Default::default() }),
    ];
    for change in others {
        let mut other = everything();
        change(&mut other);
        assert_token_refused(&app, A.as_service(), with(other, &token), "another request").await;
    }
    for place in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert_token_refused(&app, A.as_service(), with(everything(), &altered), &altered).await;
    }
    let (cut, long) = (&token[..token.len() - 4], format!("{token}AAAA"));
    let of_list = {
        let request = pb::ListFeedbackRequest { page_size: 1, ..Default::default() };
        let confirm = pb::Feedback {
            detection_id: app.detection(A, &on.id).await.id,
            verdict: pb::Verdict::Confirm.into(),
            ..Default::default()
        };
        let batch = pb::BatchCreateFeedbackRequest { feedback: vec![confirm; 2], ..Default::default() };
        app.feedback(A.as_admin()).batch_create_feedback(batch).await.unwrap();
        app.feedback(A.as_service()).list_feedback(request).await.unwrap().into_inner().next_page_token
    };
    for strange in [cut, &long, "A", "AAAA", "\u{1f600}", "=", &of_list] {
        assert_token_refused(&app, A.as_service(), with(everything(), strange), strange).await;
    }
}
