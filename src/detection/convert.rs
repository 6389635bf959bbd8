//! Detections between the wire and the model, with the field rules.

use std::collections::HashSet;

use serde_json::Value;

use super::correction::Edit;
use super::model::{
    Deletion, Detection, Filter, Frame, NewDetection, Order, Queue, QueueKey, Results, Rollback, SortKey,
};
use super::object;
use crate::auth::Caller;
use crate::check::{At, Violations, each_once, to_pb_time};
use crate::error::Result;
use crate::geometry::Rectangle;
use crate::id::{DetectionId, PhotoId};
use crate::page::{PageRequest, Pages};
use crate::{MAX_BATCH, digest, etag, json, pb};

/// Largest results in bytes of compact JSON.
pub(crate) const MAX_RESULTS_BYTES: usize = 256 * 1024;
/// Most models or labels of a filter.
const MAX_WORDS: usize = 100;
/// Most objects of a detection.
pub(crate) const MAX_OBJECTS: usize = 1000;

/// Reads CreateDetection.
pub(super) fn create(request: pb::CreateDetectionRequest) -> Result<NewDetection> {
    let pb::CreateDetectionRequest { detection } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("detection");
    let detection = checks.required(&at, detection);
    let detection = new_detection(&mut checks, &at, detection);
    checks.finish()?;
    Ok(detection)
}

/// Reads BatchCreateDetections: each item on its own.
pub(super) fn batch_create(request: pb::BatchCreateDetectionsRequest) -> Result<(Vec<Result<NewDetection>>, bool)> {
    let pb::BatchCreateDetectionsRequest { detections, partial } = request;
    let mut checks = Violations::new();
    checks.count(&At::REQUEST.field("detections"), detections.len(), 1..=MAX_BATCH);
    checks.finish()?;
    let items = detections.into_iter().enumerate().map(|(index, detection)| {
        let mut checks = Violations::new();
        let detection = new_detection(&mut checks, &At::REQUEST.item("detections", index), detection);
        checks.finish().map(|()| detection)
    });
    Ok((items.collect(), partial))
}

/// Reads a message of IngestDetections: each item on its own, when it is asked for.
pub(super) fn ingest(
    request: pb::IngestDetectionsRequest,
) -> Result<impl ExactSizeIterator<Item = (i64, Result<NewDetection>)>> {
    let pb::IngestDetectionsRequest { items } = request;
    let mut checks = Violations::new();
    checks.count(&At::REQUEST.field("items"), items.len(), 0..=MAX_BATCH);
    checks.finish()?;
    Ok(items.into_iter().enumerate().map(|(index, item)| {
        let pb::IngestDetectionsItem { sequence, detection } = item;
        let mut checks = Violations::new();
        let at = At::REQUEST.item("items", index);
        let at = at.field("detection");
        let detection = checks.required(&at, detection);
        let mut detection = new_detection(&mut checks, &at, detection);
        if detection.pixel_boxes.is_empty() {
            // Acknowledgements do not show them, and their JSON is enough to store them: a third of the memory.
            detection.results = Results::default();
        }
        (sequence, checks.finish().map(|()| detection))
    }))
}

fn new_detection(checks: &mut Violations, at: &At<'_>, mut detection: pb::Detection) -> NewDetection {
    let id = std::mem::take(&mut detection.id);
    // Output only.
    detection.project_id.clear();
    detection.etag.clear();
    (detection.create_time, detection.update_time) = (None, None);
    (detection.user_confirmed, detection.user_feedback, detection.corrected_results) = (false, None, None);
    let content_digest = digest::of(&detection);
    let pb::Detection {
        id: _,
        photo_id,
        detection_type,
        model_version,
        run_id,
        results,
        confidence,
        processing_time,
        project_id: _,
        create_time: _,
        update_time: _,
        user_confirmed: _,
        user_feedback: _,
        etag: _,
        corrected_results: _,
    } = detection;
    let id = checks.optional_id(&at.field("id"), &id);
    let results_at = at.field("results");
    let (results, pixel_boxes) = read_results(checks, &results_at, results.unwrap_or_default());
    let highest = results.objects.iter().filter_map(|object| object.confidence).reduce(f64::max);
    NewDetection {
        id_chosen: id.is_some(),
        id: id.unwrap_or_else(DetectionId::make),
        photo_id: checks.id(&at.field("photo_id"), &photo_id),
        detection_type: type_name(checks.known(&at.field("detection_type"), detection_type)).unwrap_or_default(),
        model_version: checks.text(&at.field("model_version"), model_version, 1..=100),
        run_id: checks.optional_text(&at.field("run_id"), run_id, 200),
        results_json: json::text(checks, &results_at, &results, MAX_RESULTS_BYTES),
        results,
        pixel_boxes,
        confidence: checks.confidence(&at.field("confidence"), confidence).or(highest),
        processing_time_ms: processing_time
            .and_then(|duration| milliseconds(checks, &at.field("processing_time"), duration)),
        path: at.to_string(),
        content_digest,
    }
}

/// Reads results. Pixel boxes are still to be converted; they come with the places of their objects.
fn read_results(
    checks: &mut Violations,
    at: &At<'_>,
    results: pb::DetectionResults,
) -> (Results, Vec<(usize, Rectangle)>) {
    let pb::DetectionResults { objects, extra } = results;
    let mut pixel_boxes = Vec::new();
    let mut read = Vec::with_capacity(objects.len().min(MAX_OBJECTS));
    if checks.count(&at.field("objects"), objects.len(), 0..=MAX_OBJECTS) {
        for (index, object) in objects.into_iter().enumerate() {
            let (object, pixel_box) = object::read(checks, &at.item("objects", index), object);
            pixel_boxes.extend(pixel_box.map(|pixels| (index, pixels)));
            read.push(object);
        }
    }
    let mut names = HashSet::with_capacity(read.len());
    for (index, object) in read.iter().enumerate() {
        if !names.insert(object.object_id.as_str()) {
            checks.refuse(&at.item("objects", index).field("object_id"), "repeats the object_id of another object");
        }
    }
    let extra = extra.map(|extra| json::nested(checks, &at.field("extra"), extra));
    (Results { objects: read, extra }, pixel_boxes)
}

/// Whole milliseconds, rounded up.
fn milliseconds(checks: &mut Violations, at: &At<'_>, duration: prost_types::Duration) -> Option<i32> {
    let prost_types::Duration { seconds, nanos } = duration;
    let proper = (0..1_000_000_000).contains(&nanos) && seconds >= 0 && (seconds > 0 || nanos > 0);
    let whole = seconds.checked_mul(1000).and_then(|whole| whole.checked_add((i64::from(nanos) + 999_999) / 1_000_000));
    let found = whole.filter(|_| proper).and_then(|whole| i32::try_from(whole).ok());
    if found.is_none() {
        checks.refuse(at, "is no duration over 0 and under 24 days");
    }
    found
}

/// Converts the pixel boxes of a detection, now that its photo is known.
pub(super) fn place(mut new: NewDetection, frame: Frame) -> Result<NewDetection> {
    let mut checks = Violations::new();
    let root = At::REQUEST.field(&new.path);
    let results_at = root.field("results");
    for (index, pixels) in std::mem::take(&mut new.pixel_boxes) {
        let object_at = results_at.item("objects", index);
        let found = object::place(&mut checks, &object_at.field("pixel_box"), pixels, frame);
        if let Some(object) = new.results.objects.get_mut(index) {
            object.bounding_box = found;
        }
    }
    checks.finish()?;
    new.results_json = json::raw(&new.results);
    Ok(new)
}

pub(crate) fn type_name(kind: pb::DetectionType) -> Option<&'static str> {
    match kind {
        pb::DetectionType::Unspecified => None,
        pb::DetectionType::Damage => Some("damage"),
        pb::DetectionType::Material => Some("material"),
        pb::DetectionType::Volume => Some("volume"),
    }
}

pub(crate) fn type_names(checks: &mut Violations, at: &At<'_>, kinds: &[i32]) -> Vec<&'static str> {
    let names =
        kinds.iter().enumerate().filter_map(|(index, kind)| type_name(checks.known(&at.item("types", index), *kind)));
    names.collect()
}

/// Reads GetDetection.
pub(super) fn get(request: pb::GetDetectionRequest) -> Result<DetectionId> {
    let pb::GetDetectionRequest { id } = request;
    let mut checks = Violations::new();
    let id = checks.id(&At::REQUEST.field("id"), &id);
    checks.finish()?;
    Ok(id)
}

/// Reads DeleteDetection.
pub(super) fn delete(request: pb::DeleteDetectionRequest) -> Result<Deletion> {
    let pb::DeleteDetectionRequest { id, etag, include_reviewed } = request;
    let mut checks = Violations::new();
    let id = checks.id(&At::REQUEST.field("id"), &id);
    checks.finish()?;
    Ok(Deletion { id, etag, include_reviewed })
}

/// Reads DeleteDetectionsByModel.
pub(super) fn rollback(request: pb::DeleteDetectionsByModelRequest) -> Result<Rollback> {
    let pb::DeleteDetectionsByModelRequest { model_version, types, include_reviewed, validate_only } = request;
    let mut checks = Violations::new();
    let rollback = Rollback {
        model_version: checks.text(&At::REQUEST.field("model_version"), model_version, 1..=100),
        types: type_names(&mut checks, &At::REQUEST, &types),
        include_reviewed,
        validate_only,
    };
    checks.finish()?;
    Ok(rollback)
}

/// What ListDetections asks for.
#[derive(Debug)]
pub(super) struct List {
    pub(super) filter: Filter,
    pub(super) order: Order,
    pub(super) full: bool,
    pub(super) page: PageRequest<SortKey>,
}

/// Reads ListDetections.
pub(super) fn list(pages: &Pages, caller: &Caller, request: pb::ListDetectionsRequest) -> Result<List> {
    let scope = pb::ListDetectionsRequest { page_size: 0, page_token: String::new(), view: 0, ..request.clone() };
    let pb::ListDetectionsRequest { filter, order_by, page_size, page_token, view } = request;
    let mut checks = Violations::new();
    let filter = self::filter(&mut checks, &At::REQUEST.field("filter"), filter.unwrap_or_default());
    let order = match order_by.split_whitespace().collect::<Vec<_>>().as_slice() {
        [] | ["create_time", "desc"] => Order::NewestFirst,
        ["create_time"] | ["create_time", "asc"] => Order::OldestFirst,
        _ => {
            checks.refuse(&At::REQUEST.field("order_by"), "is none of create_time, create_time desc");
            Order::NewestFirst
        }
    };
    let full =
        checks.known_or_default::<pb::DetectionView>(&At::REQUEST.field("view"), view) == pb::DetectionView::Full;
    let page = pages.read(&mut checks, caller, (page_size, &page_token), &scope)?;
    checks.finish()?;
    Ok(List { filter, order, full, page })
}

/// Reads a filter.
pub(crate) fn filter(checks: &mut Violations, at: &At<'_>, filter: pb::DetectionFilter) -> Filter {
    let pb::DetectionFilter {
        photo_ids,
        project_ids,
        types,
        model_versions,
        min_confidence,
        max_confidence,
        labels,
        user_confirmed,
        create_time,
    } = filter;
    if min_confidence.zip(max_confidence).is_some_and(|(least, most)| least > most) {
        checks.refuse(&at.field("max_confidence"), "is below min_confidence");
    }
    Filter {
        photo_ids: each_once(checks.ids::<PhotoId>(at, "photo_ids", &photo_ids, 0..=MAX_BATCH)),
        project_ids: each_once(checks.ids(at, "project_ids", &project_ids, 0..=MAX_BATCH)),
        types: each_once(type_names(checks, at, &types)),
        model_versions: each_once(checks.texts(at, "model_versions", model_versions, MAX_WORDS, 100)),
        labels: checks.texts(at, "labels", labels, MAX_WORDS, 200),
        min_confidence: checks.confidence(&at.field("min_confidence"), min_confidence),
        max_confidence: checks.confidence(&at.field("max_confidence"), max_confidence),
        user_confirmed,
        created: checks.time_range(&at.field("create_time"), create_time),
    }
}

/// Reads ListPendingDetections.
pub(super) fn queue(
    pages: &Pages,
    caller: &Caller,
    request: pb::ListPendingDetectionsRequest,
) -> Result<(Queue, PageRequest<QueueKey>)> {
    let scope = pb::ListPendingDetectionsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let pb::ListPendingDetectionsRequest { project_ids, types, strategy, page_size, page_token } = request;
    let mut checks = Violations::new();
    let queue = read_queue(&mut checks, &project_ids, &types, strategy);
    let page = pages.read(&mut checks, caller, (page_size, &page_token), &scope)?;
    checks.finish()?;
    Ok((queue, page))
}

/// Reads which detections of the review queue, and in which order.
pub(super) fn read_queue(checks: &mut Violations, project_ids: &[String], types: &[i32], strategy: i32) -> Queue {
    let strategy = checks.known_or_default::<pb::ReviewStrategy>(&At::REQUEST.field("strategy"), strategy);
    Queue {
        project_ids: each_once(checks.ids(&At::REQUEST, "project_ids", project_ids, 0..=MAX_BATCH)),
        types: type_names(checks, &At::REQUEST, types),
        least_confident_first: strategy == pb::ReviewStrategy::LeastConfidentFirst,
    }
}

/// Shows a detection; `full` with its results and the edits of its feedback.
pub(crate) fn to_pb(detection: Detection, full: bool) -> pb::Detection {
    let Detection {
        id,
        project_id,
        photo_id,
        detection_type,
        model_version,
        run_id,
        results,
        corrections,
        confidence,
        processing_time_ms,
        created_at,
        updated_at,
        user_confirmed,
        user_feedback,
        version,
    } = detection;
    let corrected = results.as_ref().zip(corrections.as_ref().filter(|_| full));
    let corrected = corrected.map(|(results, corrections)| corrections.applied_to(results));
    pb::Detection {
        id: id.to_string(),
        photo_id: photo_id.to_string(),
        project_id: project_id.to_string(),
        detection_type: shown_type(&detection_type).into(),
        model_version,
        run_id,
        results: results.filter(|_| full).map(show_results),
        confidence,
        processing_time: processing_time_ms.map(shown_duration),
        create_time: Some(to_pb_time(created_at)),
        update_time: Some(to_pb_time(updated_at)),
        user_confirmed,
        user_feedback: user_feedback.map(|kept| shown_feedback(&kept, full)),
        etag: etag::make(version, created_at),
        corrected_results: corrected.map(show_results),
    }
}

/// Shows a type.
pub(super) fn shown_type(name: &str) -> pb::DetectionType {
    match name {
        "damage" => pb::DetectionType::Damage,
        "material" => pb::DetectionType::Material,
        "volume" => pb::DetectionType::Volume,
        _ => pb::DetectionType::Unspecified,
    }
}

/// Shows whole milliseconds.
pub(super) fn shown_duration(milliseconds: i32) -> prost_types::Duration {
    prost_types::Duration { seconds: i64::from(milliseconds / 1000), nanos: milliseconds % 1000 * 1_000_000 }
}

fn show_results(results: Results) -> pb::DetectionResults {
    let Results { objects, extra } = results;
    pb::DetectionResults {
        objects: objects.into_iter().map(object::show).collect(),
        extra: extra.as_deref().map(json::to_struct),
    }
}

/// Shows kept edits.
fn shown_edits(kept: &Value) -> Vec<pb::ObjectEdit> {
    Edit::all_of(kept).into_iter().map(object::show_edit).collect()
}

fn shown_feedback(kept: &Value, full: bool) -> pb::UserFeedback {
    let text = |name: &str| kept.get(name).and_then(Value::as_str).unwrap_or_default();
    let verdict = match text("verdict") {
        "confirm" => pb::Verdict::Confirm,
        "reject" => pb::Verdict::Reject,
        "correct" => pb::Verdict::Correct,
        _ => pb::Verdict::Unspecified,
    };
    pb::UserFeedback {
        feedback_id: text("feedback_id").to_owned(),
        user_id: text("user_id").to_owned(),
        verdict: verdict.into(),
        edits: kept.get("edits").filter(|_| full).map(shown_edits).unwrap_or_default(),
        comment: text("comment").to_owned(),
        create_time: text("create_time").parse().ok().map(to_pb_time),
    }
}
