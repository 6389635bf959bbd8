//! Do schema and service draw the same line? Valid documents are spoilt in every place and every way. What a schema
//! refuses must be refused on the wire too, or have no way to be said there; what it accepts must be accepted.

use std::collections::{BTreeMap, BTreeSet};

use photometa::pb;
use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::{Map, Value, json};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::{SCHEMAS, problems};
use crate::harness::{A, App};
use crate::rpcs::POOL;

/// Rules that a schema cannot say, as the service tells them.
const UNSAYABLE: [&str; 5] = [
    "repeats the object_id",
    "names no object of the detection",
    "names an object that",
    "the image ends at",
    "stands beside another verdict",
];

/// What the service puts right instead of refusing it, by the member and what was done to it: names that it makes,
/// what is empty or 0 on the wire unless given, and the rounding of models.
const REPAIRED: [(&str, &[&str]); 11] = [
    ("object_id", &["without", "\"\""]),
    ("feedback_id", &["without", "\"\""]),
    ("comment", &["without"]),
    ("edits", &["without"]),
    ("", &["{}"]),
    ("objects", &["without"]),
    ("points", &["{}"]),
    ("x", &["without", "-1e-9", "1.0000001"]),
    ("y", &["without", "-1e-9", "1.0000001"]),
    ("width", &["1.0000001"]),
    ("height", &["1.0000001"]),
];

/// A document that was valid before: where it was spoilt, and how.
#[derive(Clone)]
struct Mutant {
    member: String,
    how: String,
    document: Value,
}

/// What to put in the place of something: where, how it is called, and what; `None` for nothing.
type Change = (Vec<String>, String, Option<Value>);

impl Mutant {
    fn new(document: &Value, (path, how, spoilt): Change) -> Self {
        let member = path.iter().rev().find(|step| step.parse::<usize>().is_err()).cloned().unwrap_or_default();
        let mut document = document.clone();
        replace(&mut document, &path, spoilt);
        Self { member, how, document }
    }
}

/// Every wrong thing in every place of a document, free JSON aside.
fn changes(document: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    spoil(document, &mut Vec::new(), &mut |path, how, spoilt| found.push((path.to_vec(), how, spoilt)));
    found
}

fn wrong_values() -> Vec<Value> {
    let mut values: Vec<Value> = [0.0, 0.5, 1.0, 1.5, -1.0, -1e-9, 1.000_000_1, 1e300].map(Value::from).into();
    values.extend([json!(null), json!(true), json!([]), json!([null]), json!({}), json!({"a": 1})]);
    values.extend(["", "text", "0.5", "NaN", "correct", "reject"].map(Value::from));
    values.extend([100, 101, 200, 201, 2000, 2001].map(|length| Value::from("\u{e9}".repeat(length))));
    values
}

/// Calls `tell` with a path, a name for the change, and what stands there then; `None` for nothing.
fn spoil(value: &Value, path: &mut Vec<String>, tell: &mut impl FnMut(&[String], String, Option<Value>)) {
    for wrong in wrong_values() {
        let name: String = wrong.to_string().chars().take(12).collect();
        tell(path, name, Some(wrong));
    }
    if !path.is_empty() {
        tell(path, "without".to_owned(), None);
    }
    match value {
        Value::Object(members) => {
            let mut more = members.clone();
            more.insert("surprise".to_owned(), Value::from(1));
            tell(path, "one member more".to_owned(), Some(Value::Object(more)));
            if path.last().is_some_and(|name| ["attributes", "extra"].contains(&name.as_str())) {
                return;
            }
            for (name, below) in members {
                path.push(name.clone());
                spoil(below, path, tell);
                path.pop();
            }
        }
        Value::Array(items) => {
            let outline = path.last().is_some_and(|name| name == "points");
            for length in if outline { [1, 2, 4, 2001] } else { [1, 2, 3, 1001] } {
                let repeated = items.iter().cycle().take(length).cloned().collect();
                tell(path, format!("{length} items"), Some(Value::Array(repeated)));
            }
            tell(path, "in brackets".to_owned(), Some(json!([items])));
            for (index, below) in items.iter().enumerate() {
                path.push(index.to_string());
                spoil(below, path, tell);
                path.pop();
            }
        }
        _ => {}
    }
}

fn replace(document: &mut Value, path: &[String], by: Option<Value>) {
    let Some((last, parents)) = path.split_last() else {
        *document = by.unwrap_or_default();
        return;
    };
    let place = parents.iter().fold(document, |place, step| match place {
        Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
        place => &mut place[step.as_str()],
    });
    match (place, by) {
        (Value::Object(members), Some(by)) => drop(members.insert(last.clone(), by)),
        (Value::Object(members), None) => drop(members.remove(last)),
        (Value::Array(items), Some(by)) => items[last.parse::<usize>().unwrap()] = by,
        (Value::Array(items), None) => drop(items.remove(last.parse::<usize>().unwrap())),
        (place, _) => panic!("{place} has no members"),
    }
}

/// Spoils documents once, and some of the spoilt ones once more.
fn generation(documents: &[Value]) -> Vec<Mutant> {
    let once = documents.iter().flat_map(|document| {
        changes(document).into_iter().map(|change| Mutant::new(document, change)).collect::<Vec<_>>()
    });
    let mut all: Vec<Mutant> = once.collect();
    for first in (0..all.len()).step_by(5) {
        let Mutant { document, member, how } = all[first].clone();
        if document.to_string().len() < 5000 {
            let mut again = changes(&document);
            // A prime far over the number of changes: another place and another change each time.
            let change = again.swap_remove(first * 7919 % again.len());
            let mutant = Mutant::new(&document, change);
            all.push(Mutant { how: format!("{} after {member} {how}", mutant.how), ..mutant });
        }
    }
    all
}

/// The message that says exactly this JSON, if there is one.
fn message<M: Message + Default>(name: &str, document: &Value) -> Option<M> {
    let descriptor = POOL.get_message_by_name(name).unwrap();
    let parsed = DynamicMessage::deserialize(descriptor, document).ok()?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    let said = parsed.serialize_with_options(serde_json::value::Serializer, &options).ok()?;
    says(document, &said).then(|| parsed.transcode_to().unwrap())
}

/// Whether everything that is meant was said, as it was meant. Members that are not there mean nothing.
fn says(meant: &Value, said: &Value) -> bool {
    match (meant, said) {
        (Value::Object(meant), Value::Object(said)) => {
            meant.iter().all(|(name, meant)| said.get(name).is_some_and(|said| says(meant, said)))
        }
        (Value::Array(meant), Value::Array(said)) => {
            meant.len() == said.len() && std::iter::zip(meant, said).all(|(meant, said)| says(meant, said))
        }
        (Value::Number(meant), Value::Number(said)) => meant.as_f64() == said.as_f64(),
        (meant, said) => meant == said,
    }
}

/// What became of the mutants: refused (with the problems told), or kept as this.
type Fate = Result<Value, Vec<String>>;

fn told(status: &tonic_types::Status) -> Vec<String> {
    assert_eq!(status.code, i32::from(tonic::Code::InvalidArgument), "{}", status.message);
    let status = tonic::Status::with_details(
        tonic::Code::InvalidArgument,
        status.message.clone(),
        status.encode_to_vec().into(),
    );
    let violations = status.get_details_bad_request().unwrap().field_violations;
    violations.into_iter().map(|violation| violation.description).collect()
}

/// Sends mutants, as many at once as fit, and compares what becomes of them with what the schema says of them.
async fn compare<M: Message>(
    validator: &jsonschema::Validator,
    mutants: Vec<Mutant>,
    say: impl Fn(&Value) -> Option<M>,
    send: impl AsyncFn(Vec<M>) -> Vec<Fate>,
) {
    let (sayable, unsayable): (Vec<_>, Vec<_>) =
        mutants.into_iter().map(|mutant| (say(&mutant.document), mutant)).partition(|(message, _)| message.is_some());
    let silent = unsayable.iter().filter(|(_, mutant)| !validator.is_valid(&mutant.document)).count();
    let valid: Vec<_> = unsayable.iter().filter(|(_, mutant)| validator.is_valid(&mutant.document)).collect();
    let made = ["user_id", "create_time"];
    assert!(
        valid.iter().all(|(_, mutant)| made.contains(&mutant.member.as_str())),
        "the wire cannot say {:?}",
        valid.iter().map(|(_, mutant)| (&mutant.member, &mutant.how)).collect::<Vec<_>>()
    );

    let (mut refused, mut kept, mut repaired) = (0, 0, BTreeSet::new());
    let mut waiting = sayable.into_iter().map(|(message, mutant)| (message.unwrap(), mutant)).peekable();
    while waiting.peek().is_some() {
        let (mut messages, mut sent, mut size) = (Vec::new(), Vec::new(), 0);
        while let Some((message, mutant)) = waiting.next_if(|_| size < 1 << 20 && messages.len() < 200) {
            size += message.encoded_len();
            messages.push(message);
            sent.push(mutant);
        }
        for (fate, Mutant { member, how, document }) in std::iter::zip(send(messages).await, sent) {
            let valid = validator.is_valid(&document);
            match fate {
                Err(told) => {
                    refused += 1;
                    let unsayable = told.iter().any(|told| UNSAYABLE.iter().any(|rule| told.contains(rule)));
                    assert!(!valid || unsayable, "{member} {how}: only the service refuses it: {told:?}");
                }
                Ok(stored) => {
                    kept += 1;
                    assert_eq!(problems(validator, &stored), [""; 0], "{member} {how}: kept as {stored}");
                    if !valid && !how.contains("after") {
                        repaired.insert((member, how));
                    }
                }
            }
        }
    }
    assert!(silent > 500 && refused > 100 && kept > 50, "{silent} silent, {refused} refused, {kept} kept");
    let known =
        |member: &str, how: &str| REPAIRED.iter().any(|(name, changes)| *name == member && changes.contains(&how));
    repaired.retain(|(member, how)| !known(member, how));
    assert!(repaired.is_empty(), "the schema refuses this, and the service keeps something else: {repaired:?}");
}

#[tokio::test]
async fn create_detection_refuses_what_the_results_schema_refuses() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let documents = [
        json!({"objects": [
            {"object_id": "1", "label": "crack", "confidence": 0.87,
             "box": {"x": 0.1, "y": 0.2, "width": 0.3, "height": 0.05},
             "polygon": {"points": [{"x": 0.1, "y": 0.2}, {"x": 0.4, "y": 0.2}, {"x": 0.4, "y": 0.25}]},
             "attributes": {"severity": "high"}}],
            "extra": {"camera": "left"}}),
        json!({"objects": [{"object_id": "1", "label": "crack", "box": {"x": 0, "y": 0, "width": 1, "height": 1}},
                           {"object_id": "2", "label": "dent"}]}),
    ];
    let say = |document: &Value| message::<pb::DetectionResults>("photometa.v1.DetectionResults", document);
    let send = async |results: Vec<pb::DetectionResults>| {
        let detections = results
            .into_iter()
            .map(|results| pb::Detection { results: Some(results), ..crate::harness::detection(&stored.id) });
        let request = pb::BatchCreateDetectionsRequest { detections: detections.collect(), partial: true };
        let answer = app.detections(A.as_service()).batch_create_detections(request).await.unwrap().into_inner();
        let kept = kept(&app, "select id, results from companycam_photos.detections").await;
        let fates = answer.results.into_iter().map(|result| match result.status {
            Some(status) => Err(told(&status)),
            None => Ok(kept[&result.detection.unwrap().id].clone()),
        });
        fates.collect()
    };

    compare(&SCHEMAS.results, generation(&documents), say, send).await;
}

/// Documents by the id of their row.
async fn kept(app: &App, query: &str) -> BTreeMap<String, Value> {
    let rows = app.postgres.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (row.try_get::<_, Uuid>(0).unwrap().to_string(), row.try_get(1).unwrap())).collect()
}

/// A document of user_feedback as the message that leads to it. Who says it and when is not the client's to say.
fn feedback(document: &Value, first: &Value, detection_id: &str) -> Option<pb::Feedback> {
    let members: &Map<String, Value> = document.as_object()?;
    let mut feedback = pb::Feedback { detection_id: detection_id.to_owned(), ..Default::default() };
    for (name, value) in members {
        match name.as_str() {
            "user_id" | "create_time" if value == &first[name] => {}
            // Each feedback has its own.
            "feedback_id" if value == &first[name] => feedback.id = Uuid::now_v7().to_string(),
            "feedback_id" => value.as_str()?.clone_into(&mut feedback.id),
            "comment" => value.as_str()?.clone_into(&mut feedback.comment),
            "verdict" => {
                let name = format!("VERDICT_{}", value.as_str()?.to_uppercase());
                feedback.verdict = pb::Verdict::from_str_name(&name)?.into();
            }
            "edits" => {
                let edits = value.as_array()?.iter().map(|edit| message("photometa.v1.ObjectEdit", edit));
                feedback.edits = edits.collect::<Option<_>>()?;
            }
            _ => return None,
        }
    }
    (members.contains_key("user_id") && members.contains_key("create_time")).then_some(feedback)
}

#[tokio::test]
async fn create_feedback_refuses_what_the_user_feedback_schema_refuses() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let results = pb::DetectionResults { objects: ["1", "2", "text"].map(crate::harness::object).into(), extra: None };
    let given = pb::Detection { results: Some(results), ..crate::harness::detection(&stored.id) };
    let corrected = json!({
        "feedback_id": "019aae7c-0c0e-7c3a-9d56-3b1f8c8f1a01",
        "user_id": "019aae7c-0c0e-7c3a-9d56-3b1f8c8f1a02",
        "verdict": "correct",
        "edits": [
            {"move": {"object_id": "1", "box": {"x": 0, "y": 0.2, "width": 1, "height": 0.05}}},
            {"relabel": {"object_id": "1", "label": "hairline_crack"}},
            {"remove": {"object_id": "2"}},
            {"add": {"object": {"object_id": "3", "label": "dent", "confidence": 0.5}}}],
        "comment": "only the left part",
        "create_time": "2026-01-31T09:30:00.123456Z"});
    let mut confirmed = corrected.clone();
    (confirmed["verdict"], confirmed["edits"]) = (json!("confirm"), json!([]));
    let say = |document: &Value| feedback(document, &corrected, "");
    let send = async |mut feedback: Vec<pb::Feedback>| {
        // Each one is the first answer to its detection.
        let detections = vec![given.clone(); feedback.len()];
        let request = pb::BatchCreateDetectionsRequest { detections, partial: false };
        let answer = app.detections(A.as_service()).batch_create_detections(request).await.unwrap().into_inner();
        for (feedback, result) in std::iter::zip(&mut feedback, answer.results) {
            feedback.detection_id = result.detection.unwrap().id;
        }
        let request = pb::BatchCreateFeedbackRequest { feedback, partial: true, ..Default::default() };
        let answer = app.feedback(A.as_member()).batch_create_feedback(request).await.unwrap().into_inner();
        // As it shows on the detection.
        let query = "select id, jsonb_build_object('feedback_id', id, 'user_id', user_id, 'verdict', verdict, 'edits', edits,
                         'comment', comment, 'create_time', '2026-01-31T09:30:00.123456Z') from companycam_photos.feedback";
        let kept = kept(&app, query).await;
        let fates = answer.results.into_iter().map(|result| match result.status {
            Some(status) => Err(told(&status)),
            None => Ok(kept[&result.feedback.unwrap().id].clone()),
        });
        fates.collect()
    };

    compare(&SCHEMAS.user_feedback, generation(&[corrected.clone(), confirmed]), say, send).await;
}
