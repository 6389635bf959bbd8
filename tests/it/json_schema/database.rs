//! The main rules of the schemas hold in the database too, for whoever writes past the service.

use serde_json::{Value, json};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::{SCHEMAS, problems};
use crate::harness::{A, App};

type Spoil = fn(&mut Value);

/// Breaks of the rules of detections.results, each applied to a valid document.
const RESULTS: [(&str, Spoil); 22] = [
    ("no object", |d| *d = json!([])),
    ("no objects", |d| *d = json!({})),
    ("objects is null", |d| d["objects"] = Value::Null),
    ("objects is an object", |d| d["objects"] = json!({"object_id": "1", "label": "crack"})),
    ("1001 objects", |d| d["objects"] = json!(vec![json!({"object_id": "1", "label": "crack"}); 1001])),
    ("an object is null", |d| d["objects"][1] = Value::Null),
    ("an object is a text", |d| d["objects"][1] = json!("crack")),
    ("no object_id", |d| drop(d["objects"][1].as_object_mut().unwrap().remove("object_id"))),
    ("object_id is a number", |d| d["objects"][1]["object_id"] = json!(1)),
    ("no label", |d| drop(d["objects"][1].as_object_mut().unwrap().remove("label"))),
    ("label is null", |d| d["objects"][1]["label"] = Value::Null),
    ("confidence over 1", |d| d["objects"][1]["confidence"] = json!(1.01)),
    ("confidence below 0", |d| d["objects"][1]["confidence"] = json!(-0.01)),
    ("confidence is a text", |d| d["objects"][1]["confidence"] = json!("0.5")),
    ("confidence is null", |d| d["objects"][1]["confidence"] = Value::Null),
    ("box without height", |d| drop(d["objects"][1]["box"].as_object_mut().unwrap().remove("height"))),
    ("box is null", |d| d["objects"][1]["box"] = Value::Null),
    ("box left of the image", |d| d["objects"][1]["box"]["x"] = json!(-0.1)),
    ("box past the right side", |d| d["objects"][1]["box"]["width"] = json!(0.6)),
    ("box of less than no area", |d| d["objects"][1]["box"]["height"] = json!(-0.01)),
    ("box of texts", |d| d["objects"][1]["box"]["y"] = json!("0.5")),
    ("outline of two points", |d| {
        d["objects"][1]["polygon"] = json!({"points": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]});
    }),
];

/// Breaks of the rules of edits: of feedback.edits, and of the edits in detections.user_feedback.
const EDITS: [(&str, Spoil); 15] = [
    ("no array", |d| *d = json!({})),
    ("null", |d| *d = Value::Null),
    ("no edit although the verdict is correct", |d| *d = json!([])),
    ("1001 edits", |d| *d = json!(vec![json!({"remove": {"object_id": "1"}}); 1001])),
    ("an edit is empty", |d| d[0] = json!({})),
    ("an edit is a text", |d| d[0] = json!("remove")),
    ("an unknown edit", |d| d[0] = json!({"rotate": {"object_id": "1"}})),
    ("remove names nothing", |d| d[2] = json!({"remove": {}})),
    ("relabel without label", |d| d[1] = json!({"relabel": {"object_id": "1"}})),
    ("move without box", |d| d[0] = json!({"move": {"object_id": "1"}})),
    ("move out of the image", |d| d[0]["move"]["box"]["y"] = json!(0.99)),
    ("move of nothing", |d| drop(d[0]["move"].as_object_mut().unwrap().remove("object_id"))),
    ("add of nothing", |d| d[3] = json!({"add": {}})),
    ("add without label", |d| drop(d[3]["add"]["object"].as_object_mut().unwrap().remove("label"))),
    ("add with a confidence in percent", |d| d[3]["add"]["object"]["confidence"] = json!(75)),
];

/// Breaks of the other rules of detections.user_feedback.
const USER_FEEDBACK: [(&str, Spoil); 10] = [
    ("no object", |d| *d = json!([])),
    ("null inside", |d| *d = Value::Null),
    ("no verdict", |d| drop(d.as_object_mut().unwrap().remove("verdict"))),
    ("unknown verdict", |d| d["verdict"] = json!("maybe")),
    ("edits beside another verdict", |d| d["verdict"] = json!("confirm")),
    ("no edits", |d| drop(d.as_object_mut().unwrap().remove("edits"))),
    ("no feedback_id", |d| drop(d.as_object_mut().unwrap().remove("feedback_id"))),
    ("user_id is a number", |d| d["user_id"] = json!(1)),
    ("comment is null", |d| d["comment"] = Value::Null),
    ("no create_time", |d| drop(d.as_object_mut().unwrap().remove("create_time"))),
];

pub(super) fn results() -> Value {
    json!({"objects": [
        {"object_id": "1", "label": "crack"},
        {"object_id": "2", "label": "crack", "confidence": 0.5,
         "box": {"x": 0.5, "y": 0.5, "width": 0.5, "height": 0.1},
         "polygon": {"points": [{"x": 0, "y": 0}, {"x": 1, "y": 0}, {"x": 1, "y": 1}]}, "attributes": {"a": null}}],
        "extra": {"b": []}})
}

pub(super) fn edits() -> Value {
    json!([{"move": {"object_id": "1", "box": {"x": 0, "y": 0.5, "width": 1, "height": 0.1}}},
        {"relabel": {"object_id": "1", "label": "dent"}},
        {"remove": {"object_id": "2"}},
        {"add": {"object": {"object_id": "3", "label": "dent", "confidence": 1}}}])
}

pub(super) fn user_feedback(edits: &Value) -> Value {
    json!({"feedback_id": Uuid::now_v7(), "user_id": A.member, "verdict": "correct", "edits": edits, "comment": "",
        "create_time": "2026-01-31T09:30:00Z"})
}

/// A detection with feedback, through the API: its id.
pub(super) async fn arrange(app: &App) -> Uuid {
    let stored = app.photo(A, "1.jpg").await;
    let found = app.detection(A, &stored.id).await;
    let feedback = photometa::pb::Feedback {
        detection_id: found.id.clone(),
        verdict: photometa::pb::Verdict::Confirm.into(),
        ..Default::default()
    };
    let request = photometa::pb::CreateFeedbackRequest { feedback: Some(feedback), detection_etag: String::new() };
    app.feedback(A.as_member()).create_feedback(request).await.unwrap();
    found.id.parse().unwrap()
}

pub(super) async fn write(
    app: &App,
    statement: &str,
    document: &Value,
    id: Uuid,
) -> Result<u64, tokio_postgres::Error> {
    app.postgres.execute(statement, &[document, &id]).await
}

/// Asserts that a statement takes the valid document, and refuses each spoilt one by the constraint.
async fn assert_guarded(
    app: &App,
    statement: &str,
    constraint: &str,
    id: Uuid,
    cases: Vec<(&str, Value)>,
    valid: &Value,
) {
    assert_eq!(write(app, statement, valid, id).await.unwrap(), 1, "{constraint}");
    for (what, document) in cases {
        let error = write(app, statement, &document, id).await.expect_err(what);
        let said = error.as_db_error().unwrap_or_else(|| panic!("{what}: {error}"));
        assert_eq!((said.code(), said.constraint()), (&SqlState::CHECK_VIOLATION, Some(constraint)), "{what}: {said}");
    }
}

fn spoilt(valid: &Value, cases: &[(&'static str, Spoil)]) -> Vec<(&'static str, Value)> {
    let spoil = |(what, spoil): &(&'static str, Spoil)| {
        let mut document = valid.clone();
        spoil(&mut document);
        (*what, document)
    };
    cases.iter().map(spoil).collect()
}

pub(super) const SET_RESULTS: &str = "update companycam_photos.detections set results = $1 where id = $2";
pub(super) const SET_FEEDBACK: &str = "update companycam_photos.detections set user_feedback = $1 where id = $2";
pub(super) const SET_EDITS: &str =
    "update companycam_photos.feedback set verdict = 'correct', edits = $1 where detection_id = $2";

#[tokio::test]
async fn update_past_the_service_is_refused_when_it_breaks_a_main_rule() {
    let app = App::start().await;
    let id = arrange(&app).await;
    let (results, edits) = (results(), edits());
    let shown = user_feedback(&edits);
    let in_feedback = spoilt(&edits, &EDITS).into_iter().map(|(what, edits)| (what, user_feedback(&edits))).collect();

    // The schema refuses each of them too: the database is nowhere stricter than it.
    let cases = [
        (&SCHEMAS.results, &results, spoilt(&results, &RESULTS)),
        (&SCHEMAS.user_feedback, &shown, spoilt(&shown, &USER_FEEDBACK)),
    ];
    for (validator, valid, cases) in cases {
        assert_eq!(problems(validator, valid), [""; 0]);
        for (what, document) in cases {
            let sum = what == "box past the right side";
            assert!(sum || !validator.is_valid(&document), "{what}: the schema takes {document}");
        }
    }

    let guarded = [
        (SET_RESULTS, "detections_results_check", spoilt(&results, &RESULTS), &results),
        (SET_FEEDBACK, "detections_user_feedback_check", spoilt(&shown, &USER_FEEDBACK), &shown),
        (SET_FEEDBACK, "detections_user_feedback_check", in_feedback, &shown),
        (SET_EDITS, "feedback_edits_check", spoilt(&edits, &EDITS), &edits),
    ];
    for (statement, constraint, cases, valid) in guarded {
        assert_guarded(&app, statement, constraint, id, cases, valid).await;
    }
}

#[tokio::test]
async fn insert_past_the_service_is_refused_when_its_results_are_no_results() {
    let app = App::start().await;
    let id = arrange(&app).await;
    let insert = "insert into companycam_photos.detections
        select organization_id, gen_random_uuid(), project_id, photo_id, detection_type, model_version, run_id, $1, confidence,
               processing_time_ms, created_at, updated_at, user_confirmed, user_feedback, version, content_digest, photo_created_at, object_count
        from companycam_photos.detections where id = $2";

    assert_guarded(&app, insert, "detections_results_check", id, spoilt(&results(), &RESULTS), &results()).await;

    assert_eq!(app.count("select count(*) from companycam_photos.detections").await, 2);
}
