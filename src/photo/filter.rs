//! Which photos a list shows: the filter's field rules.

use super::model::{Filter, GeoBox, Seen};
use crate::check::{At, Violations, each_once};
use crate::{MAX_BATCH, detection, pb, tag};

/// Most tags that a photo must all carry.
const MAX_TAGS_ALL: usize = 20;
/// Most tags, models or labels of a filter.
const MAX_WORDS: usize = 100;

/// Reads a filter. What no photo can fulfil is refused.
pub(super) fn read(checks: &mut Violations, at: &At<'_>, filter: pb::PhotoFilter) -> Filter {
    let pb::PhotoFilter {
        project_ids,
        user_ids,
        create_time,
        capture_time,
        upload_time,
        tags_all,
        tags_any,
        tags_none,
        detection,
        without_detection,
        geo_box,
        s3_key_prefix,
    } = filter;
    let filter = Filter {
        project_ids: each_once(checks.ids(at, "project_ids", &project_ids, 0..=MAX_BATCH)),
        user_ids: each_once(checks.ids(at, "user_ids", &user_ids, 0..=MAX_BATCH)),
        created: checks.time_range(&at.field("create_time"), create_time),
        captured: checks.time_range(&at.field("capture_time"), capture_time),
        uploaded: checks.time_range(&at.field("upload_time"), upload_time),
        s3_key_prefix: checks.text(&at.field("s3_key_prefix"), s3_key_prefix, 0..=500),
        tags_all: tags(checks, at, ("tags_all", MAX_TAGS_ALL), &tags_all),
        tags_any: tags(checks, at, ("tags_any", MAX_WORDS), &tags_any),
        tags_none: tags(checks, at, ("tags_none", MAX_WORDS), &tags_none),
        detection: detection.map(|detection| seen(checks, &at.field("detection"), detection)),
        without_detection: without_detection.map(|model| without(checks, &at.field("without_detection"), model)),
        geo_box: geo_box.map(|geo_box| self::geo_box(checks, &at.field("geo_box"), geo_box)),
    };
    contradictions(checks, at, &filter);
    filter
}

fn tags(checks: &mut Violations, at: &At<'_>, (name, most): (&str, usize), tags: &[String]) -> Vec<String> {
    if !checks.count(&at.field(name), tags.len(), 0..=most) {
        return Vec::new();
    }
    let folded = tags.iter().enumerate().map(|(index, word)| tag::folded(checks, &at.item(name, index), word));
    each_once(folded.collect())
}

fn seen(checks: &mut Violations, at: &At<'_>, filter: pb::PhotoDetectionFilter) -> Seen {
    let pb::PhotoDetectionFilter { types, model_versions, min_confidence, labels, user_confirmed } = filter;
    Seen {
        types: each_once(detection::type_names(checks, at, &types)),
        model_versions: each_once(checks.texts(at, "model_versions", model_versions, MAX_WORDS, 100)),
        min_confidence: checks.confidence(&at.field("min_confidence"), min_confidence),
        labels: each_once(checks.texts(at, "labels", labels, MAX_WORDS, 200)),
        user_confirmed,
    }
}

fn without(checks: &mut Violations, at: &At<'_>, model: pb::PhotoWithoutDetectionFilter) -> (&'static str, String) {
    let pb::PhotoWithoutDetectionFilter { r#type, model_version } = model;
    let kind = detection::type_name(checks.known(&at.field("type"), r#type));
    (kind.unwrap_or_default(), checks.text(&at.field("model_version"), model_version, 1..=100))
}

fn geo_box(checks: &mut Violations, at: &At<'_>, geo_box: pb::GeoBox) -> GeoBox {
    let pb::GeoBox { south, west, north, east } = geo_box;
    if south.zip(north).is_some_and(|(south, north)| north < south) {
        checks.refuse(&at.field("north"), "is south of south");
    }
    let mut side = |name: &str, degrees: Option<f64>, most: f64| {
        let found = checks.within(&at.field(name), degrees, -most..=most);
        if found.is_none() {
            checks.refuse(&at.field(name), "is required");
        }
        found.unwrap_or_default()
    };
    let (south, west) = (side("south", south, 90.0), side("west", west, 180.0));
    let (north, east) = (side("north", north, 90.0), side("east", east, 180.0));
    GeoBox { south, west, north, east }
}

/// Refuses fields that no photo can fulfil together.
fn contradictions(checks: &mut Violations, at: &At<'_>, filter: &Filter) {
    let Filter { tags_all, tags_any, tags_none, detection, without_detection, .. } = filter;
    if let Some(tag) = tags_all.iter().find(|tag| tags_none.contains(tag)) {
        checks.refuse(&at.field("tags_none"), format!("names {tag:?}, which tags_all demands"));
    }
    if !tags_any.is_empty() && tags_any.iter().all(|tag| tags_none.contains(tag)) {
        checks.refuse(&at.field("tags_none"), "names every tag of tags_any");
    }
    let (Some(seen), Some((kind, model))) = (detection, without_detection) else { return };
    if seen.types == [*kind] && seen.model_versions == [model.as_str()] && !model.is_empty() {
        checks.refuse(&at.field("without_detection"), "names the only type and model that detection allows");
    }
}
