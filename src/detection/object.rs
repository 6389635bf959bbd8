//! Objects in a photo: checked on the way in, kept as JSON, shown on the way out.

use serde_json::{Map, Value, json};

use super::model::Frame;
use crate::check::{At, Violations};
use crate::geometry::{Rectangle, upright};
use crate::{json, pb};

/// Room for the rounding of single-precision models: boxes may leave the image by this much, and are cut back.
const SLACK: f64 = 1e-6;
const MAX_POINTS: usize = 2000;

/// A checked object.
#[derive(Debug, Clone)]
pub struct Object {
    /// Given, or still to be made.
    pub object_id: Option<String>,
    /// What it is.
    pub label: String,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// Where it is, in fractions of the upright image.
    pub bounding_box: Option<Rectangle>,
    /// Where it is, in pixels of the stored image: to be converted.
    pub pixel_box: Option<Rectangle>,
    /// Its outline, in fractions of the upright image.
    pub polygon: Vec<(f64, f64)>,
    /// Whatever else the model says of it.
    pub attributes: Option<Value>,
}

/// Reads an object.
pub fn read(checks: &mut Violations, at: &At<'_>, object: pb::DetectedObject) -> Object {
    let pb::DetectedObject { object_id, label, confidence, r#box, pixel_box, polygon, attributes } = object;
    if r#box.is_some() && pixel_box.is_some() {
        checks.refuse(&at.field("pixel_box"), "stands beside box; give one of them");
    }
    Object {
        object_id: (!object_id.is_empty()).then(|| checks.text(&at.field("object_id"), object_id, 1..=100)),
        label: checks.text(&at.field("label"), label, 1..=200),
        confidence: checks.confidence(&at.field("confidence"), confidence),
        bounding_box: r#box.map(|given| bounding_box(checks, &at.field("box"), given)),
        pixel_box: pixel_box.map(|given| {
            let pb::PixelBox { x, y, width, height } = given;
            positive_box(checks, &at.field("pixel_box"), Rectangle { x, y, width, height })
        }),
        polygon: polygon.map(|outline| points(checks, &at.field("polygon"), outline)).unwrap_or_default(),
        attributes: attributes.map(|attributes| json::nested(checks, &at.field("attributes"), attributes)),
    }
}

/// Reads a box in fractions of the upright image: all of it inside.
pub fn bounding_box(checks: &mut Violations, at: &At<'_>, given: pb::BoundingBox) -> Rectangle {
    let pb::BoundingBox { x, y, width, height } = given;
    let mut found = positive_box(checks, at, Rectangle { x, y, width, height });
    inside(checks, at, &mut found, (1.0, 1.0), SLACK);
    found
}

/// Refuses what is no box anywhere.
fn positive_box(checks: &mut Violations, at: &At<'_>, found: Rectangle) -> Rectangle {
    for (name, number, least) in
        [("x", found.x, true), ("y", found.y, true), ("width", found.width, false), ("height", found.height, false)]
    {
        if !number.is_finite() || number < 0.0 || (number == 0.0 && !least) {
            let rule = if least { "0 or more" } else { "more than 0" };
            checks.refuse(&at.field(name), format!("is {number}; it must be {rule}"));
        }
    }
    found
}

/// Refuses a box that leaves its image by more than `slack`, or begins where the image ends; less is cut back.
/// Tells whether something is left of it.
fn inside(
    checks: &mut Violations,
    at: &At<'_>,
    found: &mut Rectangle,
    (width, height): (f64, f64),
    slack: f64,
) -> bool {
    let axes =
        [("width", "left", found.x, &mut found.width, width), ("height", "top", found.y, &mut found.height, height)];
    let mut left = true;
    for (name, edge, begin, side, end) in axes {
        if begin + *side > end + slack {
            left = false;
            let reach = begin + *side;
            checks.refuse(&at.field(name), format!("reaches {reach} from the {edge}; the image ends at {end}"));
        } else if *side > 0.0 && begin >= end {
            left = false;
            checks.refuse(&at.field(name), format!("begins {begin} from the {edge}; the image ends at {end}"));
        }
        *side = side.min(end - begin);
    }
    left
}

fn points(checks: &mut Violations, at: &At<'_>, outline: pb::Polygon) -> Vec<(f64, f64)> {
    if !checks.count(&at.field("points"), outline.points.len(), 3..=MAX_POINTS) {
        return Vec::new();
    }
    let points = outline.points.into_iter().enumerate().map(|(index, pb::Point { x, y })| {
        for (name, number) in [("x", x), ("y", y)] {
            if !(-SLACK..=1.0 + SLACK).contains(&number) {
                checks.refuse(&at.item("points", index).field(name), format!("is {number}; 0 to 1 is allowed"));
            }
        }
        (x.clamp(0.0, 1.0), y.clamp(0.0, 1.0))
    });
    points.collect()
}

/// Turns a box in pixels of the stored image into a box of the upright image.
pub fn place(checks: &mut Violations, at: &At<'_>, mut pixels: Rectangle, frame: Frame) -> Option<Rectangle> {
    let Some((width, height)) = frame.size else {
        checks.refuse(
            at,
            "needs the photo's width and height, which are not known; set them with UpdatePhoto, or give box",
        );
        return None;
    };
    let size = (f64::from(width), f64::from(height));
    let left = inside(checks, at, &mut pixels, size, SLACK * size.0.max(size.1));
    let found = upright(pixels, size, frame.orientation);
    if left && !(found.width > 0.0 && found.height > 0.0) {
        checks.refuse(at, "is so thin that its fraction of the image is 0");
    }
    Some(found)
}

impl Object {
    /// The object as it is kept.
    pub fn into_json(self) -> Value {
        let mut kept = Map::new();
        kept.insert(
            "object_id".to_owned(),
            Value::String(self.object_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string())),
        );
        kept.insert("label".to_owned(), Value::String(self.label));
        if let Some(confidence) = self.confidence {
            kept.insert("confidence".to_owned(), json!(confidence));
        }
        if let Some(found) = self.bounding_box {
            kept.insert("box".to_owned(), box_to_json(found));
        }
        if !self.polygon.is_empty() {
            let points: Vec<Value> = self.polygon.into_iter().map(|(x, y)| json!({"x": x, "y": y})).collect();
            kept.insert("polygon".to_owned(), json!({"points": points}));
        }
        if let Some(attributes) = self.attributes {
            kept.insert("attributes".to_owned(), attributes);
        }
        Value::Object(kept)
    }
}

/// A box as it is kept.
pub fn box_to_json(found: Rectangle) -> Value {
    json!({"x": found.x, "y": found.y, "width": found.width, "height": found.height})
}

/// Shows a kept box.
pub fn box_from_json(kept: &Value) -> pb::BoundingBox {
    let number = |name: &str| kept.get(name).and_then(Value::as_f64).unwrap_or_default();
    pb::BoundingBox { x: number("x"), y: number("y"), width: number("width"), height: number("height") }
}

/// Shows a kept object.
pub fn from_json(kept: &Value) -> pb::DetectedObject {
    let text = |name: &str| kept.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let polygon =
        kept.get("polygon").and_then(|polygon| polygon.get("points")).and_then(Value::as_array).map(|points| {
            pb::Polygon {
                points: points
                    .iter()
                    .map(|point| {
                        let number = |name: &str| point.get(name).and_then(Value::as_f64).unwrap_or_default();
                        pb::Point { x: number("x"), y: number("y") }
                    })
                    .collect(),
            }
        });
    pb::DetectedObject {
        object_id: text("object_id"),
        label: text("label"),
        confidence: kept.get("confidence").and_then(Value::as_f64),
        r#box: kept.get("box").map(box_from_json),
        pixel_box: None,
        polygon,
        attributes: kept.get("attributes").cloned().map(json::to_struct),
    }
}
