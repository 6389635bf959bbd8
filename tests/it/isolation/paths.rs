//! Where ids stand in a request, read from the descriptor: every text named `id`, `ids`, `…_id` or `…_ids`, however
//! deep. What cannot be told apart here fails with its name, so that no new id slips through.

use std::fmt;

use prost_reflect::{FieldDescriptor, Kind as Type, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value, json};

/// What an id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Organization,
    User,
    Project,
    Photo,
    Detection,
    Tag,
    Feedback,
    /// An object in a detection's results; ids of edits name these.
    Object,
    /// A worker's own name of a run.
    Run,
}

/// Every kind, with the word that fields use for it and what stands for one of the other side in a request.
pub const KINDS: [(Kind, &str, &str); 9] = [
    (Kind::Organization, "organization", "$their_organization"),
    (Kind::User, "user", "$their_user"),
    (Kind::Project, "project", "$their_project"),
    (Kind::Photo, "photo", "$their_photo"),
    (Kind::Detection, "detection", "$their_detection"),
    (Kind::Tag, "tag", "$their_tag"),
    (Kind::Feedback, "feedback", "$their_feedback"),
    (Kind::Object, "object", "$their_object"),
    (Kind::Run, "run", "$their_run"),
];

/// Messages of others that carry no id.
const PLAIN: [&str; 4] =
    ["google.protobuf.Duration", "google.protobuf.FieldMask", "google.protobuf.Struct", "google.protobuf.Timestamp"];

/// Numbers that name nothing but a label of the caller's own organization.
const NUMBERS: [&str; 1] = ["photometa.v1.Category.id"];

impl Kind {
    fn named(word: &str) -> Option<Self> {
        KINDS.iter().find(|(_, name, _)| *name == word).map(|(kind, ..)| *kind)
    }

    /// What stands for an id of the other side.
    pub fn theirs(self) -> &'static str {
        KINDS.iter().find(|(kind, ..)| *kind == self).unwrap().2
    }

    /// The kind that a service is about.
    pub fn of_service(method: &MethodDescriptor) -> Option<Self> {
        Self::named(&method.parent_service().name().trim_end_matches("Service").to_lowercase())
    }
}

/// One field on the way to an id.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: String,
    pub list: bool,
    /// Fields that cannot be set beside this one.
    rivals: Vec<String>,
}

/// A field that carries an id.
#[derive(Debug, Clone)]
pub struct Path {
    pub steps: Vec<Step>,
    pub kind: Kind,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.steps.iter().map(|step| format!("{}{}", step.name, if step.list { "[]" } else { "" }));
        f.write_str(&names.collect::<Vec<_>>().join("."))
    }
}

/// Every field of an RPC's request that carries an id.
pub fn id_paths(method: &MethodDescriptor) -> Vec<Path> {
    let mut found = Vec::new();
    walk(method, &method.input(), &mut Vec::new(), &mut Vec::new(), &mut found);
    found
}

fn walk(
    method: &MethodDescriptor,
    message: &MessageDescriptor,
    above: &mut Vec<String>,
    steps: &mut Vec<Step>,
    found: &mut Vec<Path>,
) {
    if PLAIN.contains(&message.full_name()) || above.iter().any(|name| name == message.full_name()) {
        return;
    }
    assert_eq!(message.package_name(), "photometa.v1", "{} may carry ids: say how in isolation", message.full_name());
    above.push(message.full_name().to_owned());
    for field in message.fields() {
        assert!(!field.is_map(), "{} may carry ids: say how in isolation", field.full_name());
        steps.push(step(&field));
        if is_id(field.name()) && !NUMBERS.contains(&field.full_name()) {
            assert_eq!(field.kind(), Type::String, "{} is an id of another type", field.full_name());
            found.push(Path { steps: steps.clone(), kind: kind(method, &field) });
        } else if let Type::Message(inner) = field.kind() {
            walk(method, &inner, above, steps, found);
        }
        steps.pop();
    }
    above.pop();
}

fn is_id(name: &str) -> bool {
    ["id", "ids"].contains(&name) || name.ends_with("_id") || name.ends_with("_ids") || name.contains("uuid")
}

fn kind(method: &MethodDescriptor, field: &FieldDescriptor) -> Kind {
    let found = match field.name().strip_suffix("_ids").or_else(|| field.name().strip_suffix("_id")) {
        Some("retracts") => Some(Kind::Feedback),
        Some(word) => Kind::named(word),
        None if field.parent_message() == &method.input() => Kind::of_service(method),
        None => Kind::named(&field.parent_message().name().to_lowercase()),
    };
    found.unwrap_or_else(|| panic!("{}: what does this id name? Add its kind to isolation", field.full_name()))
}

fn step(field: &FieldDescriptor) -> Step {
    let rivals = field.containing_oneof().filter(|choice| !choice.is_synthetic()).map(|choice| {
        let others = choice.fields().filter(|other| other != field);
        others.map(|other| other.name().to_owned()).collect()
    });
    Step { name: field.name().to_owned(), list: field.is_list(), rivals: rivals.unwrap_or_default() }
}

/// The object at `step`, made when it is not there; of a list, the last one.
fn enter<'a>(at: &'a mut Map<String, Value>, step: &Step) -> &'a mut Map<String, Value> {
    for rival in &step.rivals {
        at.remove(rival);
    }
    let inner = at.entry(&step.name).or_insert_with(|| if step.list { json!([{}]) } else { json!({}) });
    let inner = if step.list { inner.as_array_mut().unwrap().last_mut().unwrap() } else { inner };
    inner.as_object_mut().unwrap()
}

/// The request with this id there and, in a list, nothing else; what is missing on the way is made.
pub fn put(request: &Value, path: &Path, id: &str) -> Value {
    let mut request = request.clone();
    let (leaf, way) = path.steps.split_last().unwrap();
    let at = way.iter().fold(request.as_object_mut().unwrap(), enter);
    at.insert(leaf.name.clone(), if leaf.list { json!([id]) } else { json!(id) });
    request
}

/// The request with this id beside what its first list has; `None` when no list on the way has anything.
pub fn mix(request: &Value, path: &Path, id: &str, own: Option<&str>) -> Option<Value> {
    let first = path.steps.iter().position(|step| step.list)?;
    let (mut mixed, leaf) = (request.clone(), path.steps.len() - 1);
    let at = path.steps[..first].iter().fold(mixed.as_object_mut().unwrap(), enter);
    if first == leaf {
        let own = at.get(&path.steps[leaf].name).and_then(|list| list.get(0)).cloned().or(own.map(Value::from))?;
        at.insert(path.steps[leaf].name.clone(), json!([own, id]));
        return Some(mixed);
    }
    let list = at.get_mut(&path.steps[first].name)?.as_array_mut()?;
    let other = another(list.last()?);
    list.push(other);
    Some(put(&mixed, path, id))
}

/// A copy that takes no name of the original: what requests make, they call `new…`.
fn another(item: &Value) -> Value {
    match item {
        Value::String(text) if text.starts_with("new") => json!(format!("{text}-other")),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), another(value))).collect(),
        other => other.clone(),
    }
}

/// Whether the request has this field.
pub fn has(request: &Value, path: &Path) -> bool {
    let found = path.steps.iter().try_fold(request, |at, step| {
        let inner = at.get(&step.name)?;
        if step.list { inner.get(0) } else { Some(inner) }
    });
    found.is_some()
}

/// The request without this field.
pub fn without(request: &Value, path: &Path) -> Value {
    fn cut(at: &mut Value, steps: &[Step]) {
        let (Some(at), Some((step, rest))) = (at.as_object_mut(), steps.split_first()) else { return };
        match at.get_mut(&step.name) {
            Some(_) if rest.is_empty() => drop(at.remove(&step.name)),
            Some(Value::Array(items)) => items.iter_mut().for_each(|item| cut(item, rest)),
            Some(inner) => cut(inner, rest),
            None => {}
        }
    }
    let mut request = request.clone();
    cut(&mut request, &path.steps);
    request
}
