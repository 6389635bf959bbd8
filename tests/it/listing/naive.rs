//! What a list must show: every row held against the filter, one by one, and then sorted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use photometa::pb;
use uuid::Uuid;

use super::rows::{Detection, Photo, World, folded};
use crate::harness::Who;

/// The ids of the photos of a list.
pub fn photos(world: &World, who: Who, request: &pb::ListPhotosRequest) -> Vec<String> {
    let filter = request.filter.clone().unwrap_or_default();
    let shown = world.photos.iter().filter(|photo| world.shows(who, photo.project) && is_photo(world, photo, &filter));
    let by_capture = request.order_by.starts_with("capture_time");
    let key = |photo: &Photo| if by_capture { photo.captured.unwrap_or(i64::MIN) } else { photo.created };
    let descending = request.order_by.is_empty() || request.order_by.ends_with("desc");
    sorted(shown.map(|photo| (key(photo), photo.id)), descending)
}

/// The ids of the detections of a list.
pub fn detections(world: &World, who: Who, request: &pb::ListDetectionsRequest) -> Vec<String> {
    let filter = request.filter.clone().unwrap_or_default();
    let shown = world.detections.iter().filter(|detection| world.shows(who, detection.project));
    let shown = shown.filter(|detection| is_detection(detection, &filter));
    sorted(shown.map(|detection| (detection.created, detection.id)), request.order_by != "create_time")
}

/// The ids of the detections of a review queue.
pub fn queue(world: &World, who: Who, request: &pb::ListPendingDetectionsRequest) -> Vec<String> {
    let waits = |detection: &&Detection| {
        detection.verdict.is_none()
            && world.shows(who, detection.project)
            && among_ids(&request.project_ids, Some(detection.project))
            && among(&request.types, &detection.kind.into())
    };
    let mut shown: Vec<_> = world.detections.iter().filter(waits).collect();
    if request.strategy() == pb::ReviewStrategy::LeastConfidentFirst {
        let sure = |detection: &Detection| detection.confidence.unwrap_or(-1.0);
        shown.sort_by(|one, other| sure(one).total_cmp(&sure(other)).then(one.id.cmp(&other.id)));
    } else {
        shown.sort_by_key(|detection| (detection.created, detection.id));
    }
    shown.into_iter().map(|detection| detection.id.to_string()).collect()
}

/// A vocabulary, as `word: count`.
pub fn tag_counts(world: &World, who: Who, request: &pb::ListTagCountsRequest) -> Vec<String> {
    let mut words: BTreeMap<String, (BTreeSet<&str>, BTreeSet<Uuid>)> = BTreeMap::new();
    for photo in world.photos.iter().filter(|photo| world.shows(who, photo.project)) {
        if request.project_id.as_ref().is_some_and(|project| *project != photo.project.to_string()) {
            continue;
        }
        for (tag, _) in photo.tags.iter().filter(|(tag, _)| folded(tag).starts_with(&request.prefix.to_lowercase())) {
            let (spellings, photos) = words.entry(folded(tag)).or_default();
            spellings.insert(tag);
            photos.insert(photo.id);
        }
    }
    let mut words: Vec<_> = words.into_values().collect();
    if request.order_by != "tag" {
        words.sort_by_key(|(_, photos)| Reverse(photos.len()));
    }
    let shown = words.iter().filter_map(|(spellings, photos)| Some((spellings.first()?, photos.len())));
    shown.map(|(word, count)| format!("{word}: {count}")).collect()
}

/// The ids of the feedback of a list.
pub fn feedback(world: &World, who: Who, request: &pb::ListFeedbackRequest) -> Vec<String> {
    let is = |asked: &Option<String>, own: Uuid| asked.as_ref().is_none_or(|asked| *asked == own.to_string());
    let shown = world.feedback.iter().filter(|feedback| {
        world.shows(who, feedback.project)
            && is(&request.detection_id, feedback.detection)
            && is(&request.photo_id, feedback.photo)
            && is(&request.user_id, feedback.user)
            && within(request.create_time, Some(feedback.created))
    });
    sorted(shown.map(|feedback| (feedback.created, feedback.id)), true)
}

fn is_photo(world: &World, photo: &Photo, filter: &pb::PhotoFilter) -> bool {
    among_ids(&filter.project_ids, Some(photo.project))
        && among_ids(&filter.user_ids, photo.user)
        && within(filter.create_time, Some(photo.created))
        && within(filter.capture_time, photo.captured)
        && within(filter.upload_time, Some(photo.uploaded))
        && photo.s3_key.starts_with(&filter.s3_key_prefix)
        && filter.tags_all.iter().all(|tag| photo.carries(tag))
        && (filter.tags_any.is_empty() || filter.tags_any.iter().any(|tag| photo.carries(tag)))
        && !filter.tags_none.iter().any(|tag| photo.carries(tag))
        && filter.geo_box.is_none_or(|geo_box| photo.place.is_some_and(|place| inside(&geo_box, place)))
        && filter
            .detection
            .as_ref()
            .is_none_or(|seen| world.detections_on(photo.id).any(|detection| is_seen(detection, seen)))
        && filter.without_detection.as_ref().is_none_or(|without| {
            !world
                .detections_on(photo.id)
                .any(|detection| detection.kind == without.r#type() && detection.model == without.model_version)
        })
}

fn is_seen(detection: &Detection, seen: &pb::PhotoDetectionFilter) -> bool {
    among(&seen.types, &detection.kind.into())
        && among(&seen.model_versions, &detection.model)
        && seen.min_confidence.is_none_or(|least| detection.confidence.is_some_and(|sure| sure >= least))
        && has_label(detection, &seen.labels)
        && seen.user_confirmed.is_none_or(|confirmed| confirmed == detection.is_confirmed())
}

fn is_detection(detection: &Detection, filter: &pb::DetectionFilter) -> bool {
    among_ids(&filter.photo_ids, Some(detection.photo))
        && among_ids(&filter.project_ids, Some(detection.project))
        && among(&filter.types, &detection.kind.into())
        && among(&filter.model_versions, &detection.model)
        && filter.min_confidence.is_none_or(|least| detection.confidence.is_some_and(|sure| sure >= least))
        && filter.max_confidence.is_none_or(|most| detection.confidence.is_some_and(|sure| sure <= most))
        && has_label(detection, &filter.labels)
        && filter.user_confirmed.is_none_or(|confirmed| confirmed == detection.is_confirmed())
        && within(filter.create_time, Some(detection.created))
}

fn has_label(detection: &Detection, labels: &[String]) -> bool {
    labels.is_empty() || detection.labels.iter().any(|label| labels.contains(label))
}

/// Whether a value is one of those that are asked for; none asks for all.
fn among<T: PartialEq>(asked: &[T], value: &T) -> bool {
    asked.is_empty() || asked.contains(value)
}

fn among_ids(asked: &[String], id: Option<Uuid>) -> bool {
    asked.is_empty() || id.is_some_and(|id| asked.contains(&id.to_string()))
}

/// Half-open.
fn within(range: Option<pb::TimeRange>, time: Option<i64>) -> bool {
    let Some(pb::TimeRange { start, end }) = range else { return true };
    let micros = |time: prost_types::Timestamp| time.seconds * 1_000_000 + i64::from(time.nanos) / 1000;
    time.is_some_and(|time| start.is_none_or(|start| time >= micros(start)) && end.is_none_or(|end| time < micros(end)))
}

fn inside(geo_box: &pb::GeoBox, (latitude, longitude): (f64, f64)) -> bool {
    let (south, west, north, east) = (geo_box.south(), geo_box.west(), geo_box.north(), geo_box.east());
    let across = west > east;
    (south..=north).contains(&latitude)
        && if across { longitude >= west || longitude <= east } else { (west..=east).contains(&longitude) }
}

/// By time and id.
fn sorted(rows: impl Iterator<Item = (i64, Uuid)>, descending: bool) -> Vec<String> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    if descending {
        rows.reverse();
    }
    rows.into_iter().map(|(_, id)| id.to_string()).collect()
}
