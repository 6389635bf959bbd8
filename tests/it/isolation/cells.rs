//! The cells of the matrix: for each RPC, every request that names something of the other side in one of the places
//! where an id can stand, or in all of them, or that names nothing at all.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use prost_reflect::{Kind as Type, MethodDescriptor};
use serde_json::{Value, json};

use super::paths::{KINDS, Kind, Path, has, id_paths, mix, put, without};
use crate::rpcs::{PLACEHOLDERS, Rpc};

/// Requests beside those of the table, where one is not enough to reach what an id does.
const MORE: &[(&str, &str)] = &[
    (
        "FeedbackService/CreateFeedback",
        r#"{"feedback": {"detection_id": "$detection", "verdict": "VERDICT_CORRECT", "edits": [{"relabel": {"object_id": "o1", "label": "new"}}]}}"#,
    ),
    (
        "FeedbackService/BatchCreateFeedback",
        r#"{"feedback": [{"detection_id": "$detection", "verdict": "VERDICT_CORRECT", "edits": [{"relabel": {"object_id": "o1", "label": "other"}}]}]}"#,
    ),
    (
        "DetectionService/CreateDetection",
        r#"{"detection": {"photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new", "run_id": "new", "results": {"objects": [{"object_id": "new", "label": "new"}]}}}"#,
    ),
    (
        "DetectionService/IngestDetections",
        r#"{"items": [{"detection": {"photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new", "run_id": "new", "results": {"objects": [{"object_id": "new", "label": "new", "pixel_box": {"x": 1, "y": 1, "width": 1, "height": 1}}]}}}]}"#,
    ),
    ("PhotoService/ListPhotos", r#"{"view": "PHOTO_VIEW_FULL"}"#),
    ("DetectionService/ListDetections", r#"{"view": "DETECTION_VIEW_FULL"}"#),
    ("DetectionService/DeleteDetectionsByModel", r#"{"model_version": "xanadu-1", "include_reviewed": true}"#),
];

/// What a cell is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Read,
    Write,
    List,
    Batch,
    Filter,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// How many cells there are of each group.
pub type Counts = BTreeMap<Group, usize>;

/// One request.
pub struct Cell {
    /// Of which RPC.
    pub rpc: &'static Rpc,
    pub group: Group,
    /// Which field names the other side.
    pub what: String,
    /// With placeholders for own ids and those of the other side.
    pub request: Value,
    /// Whether the id is that of what is to be made.
    pub chosen: bool,
}

impl Cell {
    /// The kinds of ids of the other side in it.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        let text = self.request.to_string();
        KINDS.into_iter().filter(move |(.., theirs)| text.contains(theirs)).map(|(kind, ..)| kind)
    }
}

/// Whether an RPC only reads. Verbs that are not known here count as writing.
pub fn reads(rpc: &Rpc) -> bool {
    let (_, name) = rpc.name.split_once('/').unwrap();
    ["Get", "BatchGet", "List", "WhoAmI", "Export"].iter().any(|verb| name.starts_with(verb))
}

/// Whether an RPC answers pages.
pub fn is_list(method: &MethodDescriptor) -> bool {
    method.input().get_field_by_name("page_token").is_some()
}

/// Every cell of an RPC, for ids of the kinds that the other side has.
pub fn cells(rpc: &'static Rpc, theirs: &[Kind]) -> Vec<Cell> {
    let method = rpc.method();
    let paths: Vec<_> = id_paths(&method).into_iter().filter(|path| theirs.contains(&path.kind)).collect();
    let mut seen = HashSet::new();
    let mut cells = Vec::new();
    for base in bases(rpc, &method) {
        cells.extend(paths.iter().flat_map(|path| of_path(rpc, &method, &base, path, &paths)));
        let given = || paths.iter().filter(|path| has(&base, path));
        let together = given().fold(base.clone(), |request, path| put(&request, path, path.kind.theirs()));
        let bare = given().fold(base.clone(), |request, path| without(&request, path));
        let group = group(rpc, &method, false);
        let whole = |what: &str, request| Cell { rpc, group, what: what.to_owned(), request, chosen: false };
        cells.push(whole("all ids at once", together));
        cells.push(whole("own ids", base));
        if is_list(&method) {
            cells.push(Cell { group: Group::List, ..whole("no id", bare) });
        }
    }
    cells.retain(|cell| seen.insert(cell.request.to_string()));
    cells
}

/// The requests to begin with: those that are given and, of batches, both all or nothing and partial.
fn bases(rpc: &Rpc, method: &MethodDescriptor) -> Vec<Value> {
    let given = MORE.iter().filter(|(name, _)| *name == rpc.name).map(|(_, request)| *request);
    let given = std::iter::once(rpc.request).chain(given).map(|request| serde_json::from_str(request).unwrap());
    let partial = method.input().get_field_by_name("partial").is_some_and(|field| field.kind() == Type::Bool);
    let both = |request: Value| {
        let choices: &[bool] = if partial { &[true, false] } else { &[] };
        let mut requests: Vec<_> = choices.iter().map(|choice| with(&request, "partial", json!(choice))).collect();
        if requests.is_empty() {
            requests.push(request);
        }
        requests
    };
    given.flat_map(both).collect()
}

fn with(request: &Value, name: &str, value: Value) -> Value {
    let mut request = request.clone();
    request[name] = value;
    request
}

fn of_path(rpc: &'static Rpc, method: &MethodDescriptor, base: &Value, path: &Path, all: &[Path]) -> Vec<Cell> {
    let id = path.kind.theirs();
    let own = PLACEHOLDERS.into_iter().find(|own| id == own.replace('$', "$their_"));
    let creates = ["/Create", "/BatchCreate", "/Ingest"].iter().any(|verb| rpc.name.contains(verb));
    // Of a stream, the resource stands beside its sequence.
    let depth = if rpc.name.contains("/Ingest") { 3 } else { 2 };
    let own_id = path.steps.len() == depth && path.steps[depth - 1].name == "id";
    let chosen = creates && own_id && Kind::of_service(method) == Some(path.kind);
    let listed = path.steps.iter().any(|step| step.list);
    let cell = |form: &str, request: Value| Cell {
        rpc,
        group: group(rpc, method, listed),
        what: format!("{path} {form} in {base}"),
        request,
        chosen,
    };

    let alone = put(base, path, id);
    let others = all.iter().filter(|other| other.to_string() != path.to_string());
    let only = others.fold(alone.clone(), |request, other| without(&request, other));
    let mixed = mix(base, path, id, own).map(|request| cell("beside an own one", request));
    let mut cells = vec![cell("alone", alone)];
    cells.extend(mixed);
    if reads(rpc) {
        cells.push(cell("without other ids", only));
    }
    cells
}

fn group(rpc: &Rpc, method: &MethodDescriptor, listed: bool) -> Group {
    match () {
        () if is_list(method) => Group::Filter,
        () if listed || rpc.name.contains("/Batch") => Group::Batch,
        () if reads(rpc) => Group::Read,
        () => Group::Write,
    }
}
