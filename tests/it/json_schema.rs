//! The JSON that is kept, against the schemas in `migrations/json`: everything the service writes is valid.

use std::process::Command;
use std::sync::LazyLock;

use jsonschema::{Registry, Validator};
use photometa::json::Struct;
use photometa::pb::{self, object_edit::Edit};
use serde_json::{Value, json};

use crate::bad_input::nested;
use crate::harness::{A, App, B, SECRET, object, photo};
use crate::world::World;

mod agreement;
mod database;
mod upgrade;

const RESULTS: &str = include_str!("../../migrations/json/results.schema.json");
const USER_FEEDBACK: &str = include_str!("../../migrations/json/user_feedback.schema.json");

/// What each column must be.
pub struct Schemas {
    /// detections.results
    pub results: Validator,
    /// detections.user_feedback, where it is not null
    pub user_feedback: Validator,
    /// feedback.edits
    pub edits: Validator,
}

/// The schemas, which refer to one another and to nothing else.
pub static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let documents = [RESULTS, USER_FEEDBACK].map(document);
    let [results, user_feedback] = documents.each_ref().map(|document| document["$id"].as_str().unwrap());
    let registry = Registry::new().add(results, &documents[0]).unwrap().add(user_feedback, &documents[1]).unwrap();
    let registry = registry.prepare().unwrap();
    let validator = |reference: &str| {
        let options = jsonschema::options().offline().should_validate_formats(true).with_registry(&registry);
        options.build(&json!({"$schema": documents[0]["$schema"], "$ref": reference})).unwrap()
    };
    Schemas {
        results: validator(results),
        user_feedback: validator(user_feedback),
        edits: validator(&format!("{user_feedback}#/$defs/edits")),
    }
});

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What is wrong with a document; empty when nothing is.
pub fn problems(validator: &Validator, document: &Value) -> Vec<String> {
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Asserts that all JSON in the database is valid, and answers how many detections, feedbacks and edits there are.
async fn assert_kept_is_valid(app: &App) -> (usize, usize, usize) {
    let detections = "select results, user_feedback from companycam_photos.detections";
    let detections = app.postgres.query(detections, &[]).await.unwrap();
    for row in &detections {
        let results: Value = row.try_get("results").unwrap();
        assert_eq!(problems(&SCHEMAS.results, &results), [""; 0], "{results}");
        if let Some(shown) = row.try_get::<_, Option<Value>>("user_feedback").unwrap() {
            assert_eq!(problems(&SCHEMAS.user_feedback, &shown), [""; 0], "{shown}");
        }
    }
    let feedback = app.postgres.query("select edits from companycam_photos.feedback", &[]).await.unwrap();
    let mut number = 0;
    for row in &feedback {
        let edits: Value = row.try_get("edits").unwrap();
        assert_eq!(problems(&SCHEMAS.edits, &edits), [""; 0], "{edits}");
        number += edits.as_array().unwrap().len();
    }
    (detections.len(), feedback.len(), number)
}

/// Objects of every shape that the contract has.
fn shapes() -> Vec<pb::DetectedObject> {
    let bare = || pb::DetectedObject { label: "crack".to_owned(), ..Default::default() };
    let place =
        |x, y, width, height| pb::DetectedObject { r#box: Some(pb::BoundingBox { x, y, width, height }), ..bare() };
    let pixels =
        |x, y, width, height| pb::DetectedObject { pixel_box: Some(pb::PixelBox { x, y, width, height }), ..bare() };
    let outline = |points: usize, far: f64| pb::DetectedObject {
        polygon: Some(pb::Polygon { points: vec![pb::Point { x: far, y: 0.5 }; points] }),
        ..bare()
    };
    let says = |attributes| pb::DetectedObject { attributes: Some(attributes), ..bare() };
    vec![
        object(""),
        bare(),
        pb::DetectedObject { confidence: Some(0.0), ..bare() },
        pb::DetectedObject { confidence: Some(-0.0), ..bare() },
        pb::DetectedObject { confidence: Some(1.0), ..bare() },
        pb::DetectedObject { confidence: Some(f64::from(0.1_f32)), ..bare() },
        pb::DetectedObject { object_id: "\u{1f3e0}".repeat(100), label: "\u{1f3e0}".repeat(200), ..bare() },
        place(0.0, 0.0, 1.0, 1.0),
        place(0.1, 0.2, 0.9, 0.8),
        place(0.7, 0.7, 0.300_000_9, 0.300_000_9),
        place(0.5, 0.5, f64::MIN_POSITIVE, 5e-324),
        place(1.0 - f64::EPSILON, 0.0, 1e-9, 1.0),
        pixels(0.0, 0.0, 400.0, 200.0),
        pixels(399.5, 199.5, 0.500_01, 0.500_01),
        pixels(1.0 / 3.0, 0.1, 1e-9, 1e-9),
        outline(3, 0.0),
        outline(2000, 1.0 + 9e-7),
        outline(4, -9e-7),
        pb::DetectedObject { parts: vec![outline(3, 0.5).polygon.unwrap()], ..outline(3, 0.0) },
        pb::DetectedObject { parts: vec![outline(3, 0.5).polygon.unwrap(); 100], ..outline(3, 0.0) },
        says(Struct::default()),
        says(nested(32, true)),
        pb::DetectedObject { polygon: outline(5, 1.0).polygon, attributes: Some(nested(2, false)), ..object("") },
    ]
}

async fn detect(app: &App, photo_id: &str, objects: Vec<pb::DetectedObject>, extra: Option<Struct>) {
    let results = Some(pb::DetectionResults { objects, extra });
    let given = pb::Detection { results, ..crate::harness::detection(photo_id) };
    let request = pb::CreateDetectionRequest { detection: Some(given) };
    app.detections(A.as_service()).create_detection(request).await.unwrap();
}

/// A photo for each way in which a picture may be stored: eight orientations.
async fn upright_and_turned(app: &App) -> Vec<pb::Photo> {
    let mut photos = Vec::new();
    for orientation in 1..=8 {
        let turned =
            pb::Photo { orientation: Some(orientation), ..photo(A.house, &format!("turned/{orientation}.jpg")) };
        let request = pb::CreatePhotoRequest { photo: Some(turned) };
        photos.push(app.photos(A.as_service()).create_photo(request).await.unwrap().into_inner().photo.unwrap());
    }
    photos
}

#[tokio::test]
async fn create_detection_keeps_valid_results_whatever_their_shape() {
    let app = App::start().await;
    let photos = upright_and_turned(&app).await;

    for photo in &photos {
        detect(&app, &photo.id, shapes(), Some(nested(32, false))).await;
    }
    for shape in shapes() {
        detect(&app, &photos[0].id, vec![shape], None).await;
    }
    detect(&app, &photos[0].id, Vec::new(), None).await;
    detect(&app, &photos[0].id, Vec::new(), Some(Struct::default())).await;
    detect(&app, &photos[0].id, vec![object(""); 1000], None).await;
    let none = pb::Detection { results: None, ..crate::harness::detection(&photos[0].id) };
    let request = pb::BatchCreateDetectionsRequest { detections: vec![none; 2], partial: true };
    app.detections(A.as_service()).batch_create_detections(request).await.unwrap();

    let (detections, _, _) = assert_kept_is_valid(&app).await;
    assert_eq!(detections, photos.len() + shapes().len() + 5);
}

#[tokio::test]
async fn create_feedback_keeps_valid_edits_of_every_kind() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let whole = pb::BoundingBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
    let moved = || Edit::Move(pb::MoveObject { object_id: "o1".to_owned(), r#box: Some(whole) });
    let relabelled = || Edit::Relabel(pb::RelabelObject { object_id: "o1".to_owned(), label: "\u{1f3e0}".repeat(200) });
    let added = |shape| Edit::Add(pb::AddObject { object: Some(shape) });
    // Pixels are for models only.
    let mut shapes = shapes();
    shapes.retain(|shape| shape.pixel_box.is_none());
    let mut corrections = vec![
        vec![Edit::Remove(pb::RemoveObject { object_id: "o1".to_owned() })],
        vec![moved(), relabelled()],
        shapes.iter().cloned().map(added).collect(),
        vec![added(object("")); 999],
    ];
    corrections.extend(shapes.into_iter().map(|shape| vec![relabelled(), added(shape), moved()]));

    let corrected = corrections.len();
    let corrected: Vec<_> = std::iter::zip(corrections, std::iter::repeat_n(pb::Verdict::Correct, corrected)).collect();
    let plain = [(Vec::new(), pb::Verdict::Confirm), (Vec::new(), pb::Verdict::Reject)];
    for (edits, verdict) in corrected.into_iter().chain(plain) {
        let found = app.detection(A, &stored.id).await;
        let feedback = pb::Feedback {
            detection_id: found.id.clone(),
            verdict: verdict.into(),
            edits: edits.into_iter().map(|edit| pb::ObjectEdit { edit: Some(edit) }).collect(),
            comment: "\u{1f44d}".repeat(2000),
            ..Default::default()
        };
        let request = pb::CreateFeedbackRequest { feedback: Some(feedback), detection_etag: String::new() };
        app.feedback(A.as_member()).create_feedback(request).await.unwrap();
        let shown = "select user_feedback from companycam_photos.detections where id::text = $1";
        let shown: Value = app.postgres.query_one(shown, &[&found.id]).await.unwrap().try_get(0).unwrap();
        assert_eq!(problems(&SCHEMAS.user_feedback, &shown), [""; 0], "{shown}");
    }

    let (_, feedback, edits) = assert_kept_is_valid(&app).await;
    assert!(feedback > 20 && edits > 1000, "{feedback} {edits}");
}

#[tokio::test]
async fn seed_and_world_keep_valid_json() {
    let app = App::start().await;
    World::grow(&app, A).await;
    World::grow(&app, B).await;

    let (address, secret) = (app.address.to_string(), std::str::from_utf8(SECRET).unwrap());
    let mut seed = Command::new(env!("CARGO_BIN_EXE_photometa"));
    seed.args(["seed", "--address", &address, "--jwt-secret", secret]);
    let output = tokio::task::spawn_blocking(move || seed.output()).await.unwrap().unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (detections, feedback, edits) = assert_kept_is_valid(&app).await;
    assert!(detections > 20 && feedback > 10 && edits > 5, "{detections} {feedback} {edits}");
}

#[test]
fn schemas_are_schemas_and_explain_every_property() {
    for text in [RESULTS, USER_FEEDBACK] {
        let schema = document(text);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        assert_explained("", &schema);
    }
}

fn assert_explained(path: &str, schema: &Value) {
    let Some(members) = schema.as_object() else { return };
    for (name, below) in members {
        let path = format!("{path}/{name}");
        if name == "properties" && !path.contains("/if/") && !path.contains("/then/") && !path.contains("/else/") {
            for (property, schema) in below.as_object().unwrap() {
                let told = schema.get("description").is_some() || schema.get("$ref").is_some();
                assert!(told, "{path}/{property} has no description");
            }
            assert_eq!(members.get("additionalProperties"), Some(&Value::Bool(false)), "{path} is open");
        }
        let items = below.as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().chain([below]).for_each(|below| assert_explained(&path, below));
    }
}

#[test]
fn examples_in_the_readme_are_valid() {
    let readme = include_str!("../../migrations/README.md");
    let section = readme.split("\n## JSON columns\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let examples: Vec<_> =
        section.split("```json\n").skip(1).map(|rest| document(rest.split("```").next().unwrap())).collect();

    let [results, user_feedback] = examples.as_slice() else { panic!("two examples, not {}", examples.len()) };
    assert_eq!(problems(&SCHEMAS.results, results), [""; 0]);
    assert_eq!(problems(&SCHEMAS.user_feedback, user_feedback), [""; 0]);
    assert_eq!(problems(&SCHEMAS.edits, &user_feedback["edits"]), [""; 0]);
}
