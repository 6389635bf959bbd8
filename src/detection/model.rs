//! Detections as plain data.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::correction::Corrections;
use crate::geometry::Rectangle;
use crate::id::{DetectionId, PhotoId, ProjectId};

/// What a model saw in a photo, and how it is kept: `{"objects": […], "extra": {…}}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// The objects, in the model's order.
    pub objects: Vec<Object>,
    /// Whatever else the model says of the photo; a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<Box<RawValue>>,
}

impl Results {
    /// The ids of the objects.
    pub fn ids(&self) -> HashSet<&str> {
        self.objects.iter().map(|object| object.object_id.as_str()).collect()
    }

    /// Reads what it can of a document that has another shape.
    pub fn of(kept: &RawValue) -> Self {
        let members = members(kept);
        let objects: Vec<&RawValue> = member(&members, "objects").unwrap_or_default();
        Self { objects: objects.into_iter().map(Object::of).collect(), extra: member(&members, "extra") }
    }
}

/// An object in a photo.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Object {
    /// Given, or made; unique in its detection.
    pub object_id: String,
    /// What it is.
    pub label: String,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Where it is, in fractions of the upright image.
    #[serde(rename = "box", skip_serializing_if = "Option::is_none")]
    pub bounding_box: Option<Rectangle>,
    /// Its outline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polygon: Option<Polygon>,
    /// Further outlines, where it is seen in pieces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Polygon>,
    /// Whatever else the model says of it; a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Box<RawValue>>,
}

impl Object {
    /// Reads what it can of an object that has another shape.
    pub fn of(kept: &RawValue) -> Self {
        let members = members(kept);
        Self {
            object_id: member(&members, "object_id").unwrap_or_default(),
            label: member(&members, "label").unwrap_or_default(),
            confidence: member(&members, "confidence"),
            bounding_box: member(&members, "box"),
            polygon: member(&members, "polygon"),
            parts: member(&members, "parts").unwrap_or_default(),
            attributes: member(&members, "attributes"),
        }
    }
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The members of an object; anything else has none.
fn members(kept: &RawValue) -> Members<'_> {
    serde_json::from_str(kept.get()).unwrap_or_default()
}

/// A member, if it is there and has the right shape.
fn member<'a, T: Deserialize<'a>>(members: &Members<'a>, name: &str) -> Option<T> {
    members.get(name).and_then(|kept| serde_json::from_str(kept.get()).ok())
}

impl Object {
    /// Puts it elsewhere; its outlines, which were those of the old place, go.
    pub fn move_to(&mut self, place: Rectangle) {
        self.bounding_box = Some(place);
        self.polygon = None;
        self.parts.clear();
    }
}

/// An outline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Polygon {
    /// Its corners.
    pub points: Vec<Point>,
}

/// A point, in fractions of the upright image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Point {
    /// From the left edge.
    pub x: f64,
    /// From the top edge.
    pub y: f64,
}

/// A detection to be stored.
#[derive(Debug, Clone)]
pub struct NewDetection {
    /// Chosen by the client, or made.
    pub id: DetectionId,
    /// The client chose the id: a repeated call must name the same.
    pub id_chosen: bool,
    /// The photo.
    pub photo_id: PhotoId,
    /// damage, material or volume.
    pub detection_type: &'static str,
    /// The model and its version.
    pub model_version: String,
    /// The worker's own name for the run.
    pub run_id: Option<String>,
    /// What the model saw.
    pub results: Results,
    /// The same as JSON: written once, when its size is checked.
    pub results_json: Box<RawValue>,
    /// Boxes still to be converted, with the place of their object.
    pub pixel_boxes: Vec<(usize, Rectangle)>,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// Milliseconds, > 0.
    pub processing_time_ms: Option<i32>,
    /// Place of the detection in the request, for violations that only the photo can show.
    pub path: String,
    /// Tells a repeated call from a conflicting one.
    pub content_digest: [u8; 16],
}

impl NewDetection {
    /// What the unique keys of detections are made of.
    pub fn key(&self) -> impl Ord + '_ {
        (self.photo_id, self.detection_type, &self.model_version, &self.run_id, self.id)
    }

    /// The detection that it has become; without results.
    pub fn stored(&self, project_id: ProjectId, at: Timestamp) -> Detection {
        Detection {
            id: self.id,
            project_id,
            photo_id: self.photo_id,
            detection_type: self.detection_type.to_owned(),
            model_version: self.model_version.clone(),
            run_id: self.run_id.clone(),
            results: None,
            corrections: None,
            confidence: self.confidence,
            processing_time_ms: self.processing_time_ms,
            created_at: at,
            updated_at: at,
            user_confirmed: false,
            user_feedback: None,
            version: 1,
        }
    }
}

/// A stored detection.
#[derive(Debug, Clone)]
pub struct Detection {
    /// Identity.
    pub id: DetectionId,
    /// The photo's project.
    pub project_id: ProjectId,
    /// The photo.
    pub photo_id: PhotoId,
    /// damage, material or volume.
    pub detection_type: String,
    /// The model and its version.
    pub model_version: String,
    /// The worker's own name for the run.
    pub run_id: Option<String>,
    /// What the model saw; not read in view BASIC.
    pub results: Option<Results>,
    /// The corrections of them that stand; not read in view BASIC.
    pub corrections: Option<Corrections>,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// Milliseconds.
    pub processing_time_ms: Option<i32>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether the newest verdict confirms it.
    pub user_confirmed: bool,
    /// The newest feedback.
    pub user_feedback: Option<Value>,
    /// Counts changes.
    pub version: i32,
}

/// What a pixel box needs to know of its photo.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Pixels per row and rows, when both are known.
    pub size: Option<(i32, i32)>,
    /// EXIF orientation; 1 when unknown.
    pub orientation: i16,
}

/// Which detections a list shows.
#[derive(Debug, Default)]
pub struct Filter {
    /// On one of these photos; empty means all.
    pub photo_ids: Vec<PhotoId>,
    /// In one of these projects; empty means all.
    pub project_ids: Vec<ProjectId>,
    /// Of one of these types; empty means all.
    pub types: Vec<&'static str>,
    /// By one of these models; empty means all.
    pub model_versions: Vec<String>,
    /// At least this sure.
    pub min_confidence: Option<f64>,
    /// At most this sure.
    pub max_confidence: Option<f64>,
    /// With one of these labels; empty means any or none.
    pub labels: Vec<String>,
    /// Whether confirmed.
    pub user_confirmed: Option<bool>,
    /// Stored from, and before.
    pub created: (Option<Timestamp>, Option<Timestamp>),
}

/// How a list is sorted; ties by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    NewestFirst,
    /// Oldest first.
    OldestFirst,
}

/// Which detections wait for review.
#[derive(Debug)]
pub struct Queue {
    /// In one of these projects; empty means all.
    pub project_ids: Vec<ProjectId>,
    /// Of one of these types; empty means all.
    pub types: Vec<&'static str>,
    /// Least confident first, otherwise oldest first.
    pub least_confident_first: bool,
}

/// What a person asks to work on.
#[derive(Debug)]
pub struct Claim {
    /// Of which queue.
    pub queue: Queue,
    /// How many at most; over 0.
    pub count: usize,
    /// For how long.
    pub duration: Duration,
}

/// Sort key of a detection in a list: microseconds since 1970, then the id.
pub type SortKey = (i64, DetectionId);

/// Sort key of a detection in the review queue: confidence (-1 without one) or microseconds, then the id.
pub type QueueKey = (f64, DetectionId);

impl Queue {
    /// Where the detection stands in the queue, ids aside.
    #[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 stay below 2^53 until the year 2255")]
    pub fn key(&self, detection: &Detection) -> f64 {
        if self.least_confident_first {
            detection.confidence.unwrap_or(-1.0)
        } else {
            detection.created_at.as_microsecond() as f64
        }
    }
}

/// A detection to delete.
#[derive(Debug)]
pub struct Deletion {
    /// Which one.
    pub id: DetectionId,
    /// Its etag as the caller saw it; may be empty.
    pub etag: String,
    /// With people's feedback on it.
    pub include_reviewed: bool,
}

/// A model version to roll back.
#[derive(Debug)]
pub struct Rollback {
    /// The model version.
    pub model_version: String,
    /// Of one of these types; empty means all.
    pub types: Vec<&'static str>,
    /// Reviewed ones too.
    pub include_reviewed: bool,
    /// Count only.
    pub validate_only: bool,
}
