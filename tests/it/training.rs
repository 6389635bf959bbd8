//! ExportTrainingData: what a document says of photos, of detections and of what people make of them.

use photometa::json::Struct;
use photometa::pb;
use photometa::pb::Verdict::{Confirm, Correct, Reject};
use photometa::pb::object_edit::Edit;
use photometa::pb::{ExportTrainingDataRequest, SkipReason, TrainingDataFormat};
use prost_types::value::Kind;
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;
use tonic::Status;

use crate::harness::{A, App, Who, detection, object, photo};

mod categories;
mod cuts;
pub mod ends;
mod filters;
mod form;
mod refused;
mod scope;
mod split;

/// What came of an export.
#[derive(Debug, Clone)]
pub struct Exported(pub Vec<pb::ExportTrainingDataResponse>);

impl Exported {
    /// All bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|message| message.chunk.clone()).collect()
    }

    /// The document.
    pub fn document(&self) -> Value {
        serde_json::from_slice(&self.bytes()).unwrap()
    }

    /// The lines.
    pub fn lines(&self) -> Vec<Value> {
        let bytes = self.bytes();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line does not end");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the last message says of all.
    pub fn progress(&self) -> pb::TrainingDataProgress {
        self.0.last().unwrap().progress.unwrap()
    }
}

/// Everything with objects, reviewed or not.
pub fn everything() -> ExportTrainingDataRequest {
    ExportTrainingDataRequest { include_unreviewed: true, ..Default::default() }
}

/// The same as lines.
pub fn in_lines(request: ExportTrainingDataRequest) -> ExportTrainingDataRequest {
    ExportTrainingDataRequest { format: TrainingDataFormat::JsonLines.into(), ..request }
}

/// Exports to the end.
pub async fn export(app: &App, who: Who, request: ExportTrainingDataRequest) -> Result<Exported, Status> {
    let mut answers = app.feedback(who).export_training_data(request).await?.into_inner();
    let mut messages = Vec::new();
    while let Some(message) = answers.next().await {
        messages.push(message?);
    }
    Ok(Exported(messages))
}

/// The document of an export.
pub async fn document(app: &App, request: ExportTrainingDataRequest) -> Value {
    export(app, A.as_service(), request).await.unwrap().document()
}

/// Stores a detection of these objects.
pub async fn seen(app: &App, photo_id: &str, objects: Vec<pb::DetectedObject>) -> pb::Detection {
    let results = Some(pb::DetectionResults { objects, extra: None });
    store(app, pb::Detection { results, ..detection(photo_id) }).await
}

/// Stores a detection.
pub async fn store(app: &App, detection: pb::Detection) -> pb::Detection {
    let request = pb::CreateDetectionRequest { detection: Some(detection) };
    app.detections(A.as_service()).create_detection(request).await.unwrap().into_inner().detection.unwrap()
}

/// Registers a photo.
pub async fn registered(app: &App, photo: pb::Photo) -> pb::Photo {
    let request = pb::CreatePhotoRequest { photo: Some(photo) };
    app.photos(A.as_service()).create_photo(request).await.unwrap().into_inner().photo.unwrap()
}

/// Answers to a detection, and gives the id of the answer.
pub async fn answer(app: &App, detection: &pb::Detection, verdict: pb::Verdict, edits: Vec<Edit>) -> String {
    let edits = edits.into_iter().map(|edit| pb::ObjectEdit { edit: Some(edit) }).collect();
    let feedback =
        pb::Feedback { detection_id: detection.id.clone(), verdict: verdict.into(), edits, ..Default::default() };
    give(app, feedback).await
}

/// Takes an answer back.
pub async fn retract(app: &App, detection: &pb::Detection, answer: &str) {
    let feedback = pb::Feedback {
        detection_id: detection.id.clone(),
        verdict: pb::Verdict::Retract.into(),
        retracts_id: answer.to_owned(),
        ..Default::default()
    };
    give(app, feedback).await;
}

async fn give(app: &App, feedback: pb::Feedback) -> String {
    let request = pb::CreateFeedbackRequest { feedback: Some(feedback), ..Default::default() };
    app.feedback(A.as_admin()).create_feedback(request).await.unwrap().into_inner().feedback.unwrap().id
}

/// An object of this label, with a box.
pub fn labelled(object_id: &str, label: &str) -> pb::DetectedObject {
    pb::DetectedObject { label: label.to_owned(), ..object(object_id) }
}

/// A box.
pub fn bounds(x: f64, y: f64, width: f64, height: f64) -> pb::BoundingBox {
    pb::BoundingBox { x, y, width, height }
}

/// A move.
pub fn moved(object_id: &str, place: pb::BoundingBox) -> Edit {
    Edit::Move(pb::MoveObject { object_id: object_id.to_owned(), r#box: Some(place) })
}

/// A relabelling.
pub fn relabelled(object_id: &str, label: &str) -> Edit {
    Edit::Relabel(pb::RelabelObject { object_id: object_id.to_owned(), label: label.to_owned() })
}

/// A removal.
pub fn removed(object_id: &str) -> Edit {
    Edit::Remove(pb::RemoveObject { object_id: object_id.to_owned() })
}

/// An addition.
pub fn added(object: pb::DetectedObject) -> Edit {
    Edit::Add(pb::AddObject { object: Some(object) })
}

/// Free JSON of numbers and texts.
pub fn attributes(value: &Value) -> Struct {
    fn of(value: &Value) -> prost_types::Value {
        let kind = match value {
            Value::Null => Kind::NullValue(0),
            Value::Bool(flag) => Kind::BoolValue(*flag),
            Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
            Value::String(text) => Kind::StringValue(text.clone()),
            Value::Array(items) => Kind::ListValue(prost_types::ListValue { values: items.iter().map(of).collect() }),
            Value::Object(_) => Kind::StructValue(fields(value)),
        };
        prost_types::Value { kind: Some(kind) }
    }
    fn fields(value: &Value) -> prost_types::Struct {
        let fields = value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), of(value)));
        prost_types::Struct { fields: fields.collect() }
    }
    fields(value).into()
}

/// The members of this name of a list's items.
pub fn column<'a>(list: &'a Value, name: &str) -> Vec<&'a Value> {
    list.as_array().unwrap().iter().map(|item| &item[name]).collect()
}

#[tokio::test]
async fn export_of_nothing_is_a_document_without_images_and_no_line() {
    let app = App::start().await;
    app.photo(A, "without detections.jpg").await;

    let coco = export(&app, A.as_service(), everything()).await.unwrap();
    let lines = export(&app, A.as_service(), in_lines(everything())).await.unwrap();

    let found = coco.document();
    let names: Vec<_> = found.as_object().unwrap().keys().collect();
    assert_eq!(names, ["annotations", "categories", "images", "info"]);
    assert_eq!([&found["images"], &found["annotations"], &found["categories"]], [&json!([]); 3]);
    assert_eq!(coco.progress(), pb::TrainingDataProgress { done: true, ..Default::default() });
    assert_eq!((lines.bytes().len(), lines.progress()), (0, coco.progress()));
}

#[tokio::test]
async fn document_has_images_annotations_and_categories_in_the_order_of_photos() {
    let app = App::start().await;
    let capture_time = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 500_000_000 });
    let first = registered(&app, pb::Photo { capture_time, ..photo(A.house, "a.jpg") }).await;
    let second = app.photo(A, "b.jpg").await;
    app.photo(A, "without detections.jpg").await;
    let late = seen(&app, &second.id, vec![labelled("1", "dent")]).await;
    let early = seen(&app, &first.id, vec![labelled("1", "crack"), labelled("2", "dent")]).await;
    let empty = app.photo(A, "empty.jpg").await;
    seen(&app, &empty.id, vec![]).await;

    let exported = export(&app, A.as_service(), everything()).await.unwrap();

    let found = exported.document();
    assert_eq!(
        found["images"][0],
        json!({"id": 1, "file_name": "a.jpg", "width": 400, "height": 200, "coco_url": "https://example.com/a.jpg",
               "date_captured": "2023-11-14T22:13:20.5Z", "photo_id": first.id, "project_id": first.project_id,
               "exif_orientation": 1})
    );
    assert_eq!(column(&found["images"], "file_name"), ["a.jpg", "b.jpg", "empty.jpg"]);
    assert_eq!(
        found["annotations"][0],
        json!({"id": 1, "image_id": 1, "category_id": 1, "bbox": [100.0, 50.0, 200.0, 50.0], "segmentation": [],
               "area": 10000.0, "iscrowd": 0, "score": 0.75, "object_id": "1", "detection_id": early.id,
               "detection_type": "damage", "model_version": "cracks-1"})
    );
    assert_eq!(column(&found["annotations"], "id"), [1, 2, 3]);
    assert_eq!(column(&found["annotations"], "image_id"), [1, 1, 2]);
    assert_eq!(column(&found["annotations"], "category_id"), [1, 2, 2]);
    assert_eq!(found["annotations"][2]["detection_id"], json!(late.id));
    assert_eq!(found["categories"], json!([{"id": 1, "name": "crack"}, {"id": 2, "name": "dent"}]));
    let expected = pb::TrainingDataProgress { images: 3, annotations: 3, done: true, ..Default::default() };
    assert_eq!(exported.progress(), expected);
}

#[tokio::test]
async fn lines_have_each_photo_with_its_detections() {
    let app = App::start().await;
    let first = app.photo(A, "a.jpg").await;
    let one = seen(&app, &first.id, vec![labelled("1", "crack")]).await;
    let two = seen(&app, &first.id, vec![]).await;
    answer(&app, &two, Confirm, vec![]).await;

    let exported = export(&app, A.as_service(), in_lines(everything())).await.unwrap();

    let lines = exported.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        lines[0]["photo"],
        json!({"id": first.id, "project_id": first.project_id, "s3_key": "a.jpg", "s3_url": "https://example.com/a.jpg",
               "width": 400, "height": 200, "exif_orientation": 1, "capture_time": null, "split": null})
    );
    assert_eq!(
        lines[0]["detections"],
        json!([
            {"id": one.id, "detection_type": "damage", "model_version": "cracks-1", "verdict": null, "objects": [
                {"object_id": "1", "label": "crack", "category_id": 1, "confidence": 0.75, "bbox": [100.0, 50.0, 200.0, 50.0],
                 "box": {"x": 0.25, "y": 0.25, "width": 0.5, "height": 0.25}, "segmentation": [], "area": 10000.0, "iscrowd": 0,
                 "negative": false}]},
            {"id": two.id, "detection_type": "damage", "model_version": "cracks-1", "verdict": "confirm", "objects": []},
        ])
    );
    let expected = pb::TrainingDataProgress { images: 1, annotations: 1, done: true, ..Default::default() };
    assert_eq!(exported.progress(), expected);
}

#[tokio::test]
async fn corrections_of_all_answers_that_stand_win() {
    let app = App::start().await;
    let on = app.photo(A, "a.jpg").await;
    let detection = seen(&app, &on.id, ["1", "2", "3"].map(|id| labelled(id, "crack")).into()).await;
    answer(&app, &detection, Correct, vec![moved("1", bounds(0.0, 0.0, 0.1, 0.1)), removed("2")]).await;
    let wrong = answer(&app, &detection, Correct, vec![relabelled("3", "wrong")]).await;
    let new = pb::DetectedObject { r#box: Some(bounds(0.5, 0.5, 0.25, 0.5)), ..labelled("new", "stain") };
    answer(&app, &detection, Correct, vec![relabelled("1", "dent"), added(new)]).await;
    retract(&app, &detection, &wrong).await;

    let found = document(&app, ExportTrainingDataRequest::default()).await;

    let annotations = &found["annotations"];
    assert_eq!(column(annotations, "object_id"), ["1", "3", "new"]);
    assert_eq!(annotations[0]["bbox"], json!([0.0, 0.0, 40.0, 20.0]));
    assert_eq!(annotations[0]["area"], json!(800.0));
    assert_eq!(annotations[2]["bbox"], json!([200.0, 100.0, 100.0, 100.0]));
    assert_eq!(column(annotations, "verdict"), ["correct"; 3]);
    let names = column(&found["categories"], "name");
    let labels: Vec<_> = column(annotations, "category_id")
        .iter()
        .map(|id| names[usize::try_from(id.as_u64().unwrap()).unwrap() - 1])
        .collect();
    assert_eq!(labels, ["dent", "crack", "stain"]);
    assert!(found.get("negatives").is_none());
}

#[tokio::test]
async fn verdicts_decide_what_is_there_and_what_is_not() {
    let app = App::start().await;
    let on = app.photo(A, "a.jpg").await;
    let mut detections = Vec::new();
    for id in ["confirmed", "corrected", "rejected", "open"] {
        detections.push(seen(&app, &on.id, vec![labelled(id, "crack"), labelled("gone", "dent")]).await);
    }
    answer(&app, &detections[0], Confirm, vec![]).await;
    answer(&app, &detections[1], Correct, vec![removed("gone")]).await;
    answer(&app, &detections[2], Reject, vec![]).await;
    let taken_back = answer(&app, &detections[3], Reject, vec![]).await;
    retract(&app, &detections[3], &taken_back).await;
    let ids = async |verdicts: &[pb::Verdict], include_unreviewed: bool| {
        let verdicts = verdicts.iter().map(|verdict| i32::from(*verdict)).collect();
        let request = ExportTrainingDataRequest { verdicts, include_unreviewed, ..Default::default() };
        let found = document(&app, request.clone()).await;
        let lines = export(&app, A.as_service(), in_lines(request)).await.unwrap().lines();
        let of_lines = |negative: bool| -> Vec<Value> {
            let detections = lines.iter().flat_map(|line| line["detections"].as_array().unwrap());
            let objects = detections.flat_map(|one| one["objects"].as_array().unwrap());
            objects.filter(|one| one["negative"] == json!(negative)).map(|one| one["object_id"].clone()).collect()
        };
        let negatives = found.get("negatives").cloned().unwrap_or_else(|| json!([]));
        assert_eq!(json!(column(&found["annotations"], "object_id")), json!(of_lines(false)));
        assert_eq!(json!(column(&negatives, "object_id")), json!(of_lines(true)));
        (json!(column(&found["annotations"], "object_id")), json!(column(&negatives, "object_id")))
    };

    let usual = json!(["confirmed", "gone", "corrected"]);
    assert_eq!(ids(&[], false).await, (usual.clone(), json!([])));
    assert_eq!(ids(&[], true).await, (json!(["confirmed", "gone", "corrected", "open", "gone"]), json!([])));
    assert_eq!(ids(&[Confirm], false).await, (json!(["confirmed", "gone"]), json!([])));
    assert_eq!(ids(&[Correct], true).await, (json!(["corrected", "open", "gone"]), json!([])));
    assert_eq!(ids(&[Reject], false).await, (json!([]), json!(["rejected", "gone"])));
    assert_eq!(ids(&[Confirm, Correct, Reject], false).await, (usual, json!(["gone", "rejected", "gone"])));
}

#[tokio::test]
async fn what_has_no_pixels_is_left_out_listed_and_counted() {
    let app = App::start().await;
    let unknown = registered(&app, pb::Photo { width: None, height: None, ..photo(A.house, "unknown.jpg") }).await;
    let half = registered(&app, pb::Photo { width: None, ..photo(A.house, "half.jpg") }).await;
    registered(&app, pb::Photo { width: None, ..photo(A.house, "nothing on it.jpg") }).await;
    let known = app.photo(A, "known.jpg").await;
    seen(&app, &unknown.id, vec![labelled("1", "never"), labelled("2", "never")]).await;
    seen(&app, &half.id, vec![]).await;
    let placeless = pb::DetectedObject { r#box: None, ..labelled("nowhere", "never") };
    let on_known = seen(&app, &known.id, vec![placeless.clone(), labelled("1", "crack")]).await;
    let rejected = seen(&app, &known.id, vec![placeless]).await;
    answer(&app, &rejected, Reject, vec![]).await;

    for request in [everything(), in_lines(everything())] {
        let verdicts = vec![Confirm.into(), Reject.into()];
        let exported = export(&app, A.as_service(), ExportTrainingDataRequest { verdicts, ..request }).await.unwrap();

        let skipped: Vec<_> = exported.0.iter().flat_map(|message| &message.skipped).collect();
        let of = |reason: SkipReason| -> Vec<(&str, &str, &str)> {
            let with = skipped.iter().filter(|one| one.reason() == reason);
            with.map(|one| (one.photo_id.as_str(), one.detection_id.as_str(), one.object_id.as_str())).collect()
        };
        assert_eq!(of(SkipReason::NoDimensions), [(&*unknown.id, "", ""), (&*half.id, "", "")]);
        let nowhere = [(&*known.id, &*on_known.id, "nowhere"), (&*known.id, &*rejected.id, "nowhere")];
        assert_eq!(of(SkipReason::NoBox), nowhere);
        let expected = pb::TrainingDataProgress {
            images: 1,
            annotations: 1,
            negatives: 0,
            skipped_photos: 2,
            skipped_objects: 2,
            done: true,
        };
        assert_eq!(exported.progress(), expected);
    }
    let found = document(&app, everything()).await;
    assert_eq!(column(&found["images"], "file_name"), ["known.jpg"]);
    assert_eq!(column(&found["categories"], "name"), ["crack"]);
}

#[tokio::test]
async fn rows_that_the_service_did_not_write_are_exported_as_far_as_they_go() {
    let app = App::start().await;
    let on = app.photo(A, "a.jpg").await;
    app.detection(A, &on.id).await;
    let place = r#"{"x": 0, "y": 0, "width": 0.5, "height": 0.5}"#;
    let spoil = format!(
        r#"alter table companycam_photos.detections disable trigger all;
           alter table companycam_photos.detections drop constraint detections_results_check;
           update companycam_photos.detections set results = '{{"objects": [
             {{"object_id": 7, "box": {place}}}, {{"object_id": "long", "label": "{}", "box": {place}}}, 5,
             {{"object_id": "odd", "label": "crack", "box": {place}, "attributes": {{"area": "big", "iscrowd": true, "segmentation": 5}}}}]}}'"#,
        "ü".repeat(300)
    );
    app.postgres.batch_execute(&spoil).await.unwrap();

    let found = document(&app, everything()).await;

    let names: Vec<_> = column(&found["categories"], "name").iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, ["crack", "unlabelled", &"ü".repeat(200)]);
    assert_eq!(column(&found["annotations"], "object_id"), ["", "long", "odd"]);
    assert_eq!(found["annotations"][2]["iscrowd"], json!(1));
    assert_eq!(found["annotations"][2]["area"], json!(20000.0));
}
