//! Objects in a photo: checked on the way in, shown on the way out.

use super::correction::Edit;
use super::model::{Frame, Object, Point, Polygon};
use crate::check::{At, Violations};
use crate::geometry::{Rectangle, upright};
use crate::json;
use crate::pb::{self, object_edit};

/// Room for the rounding of single-precision models: boxes may leave the image by this much, and are cut back.
const SLACK: f64 = 1e-6;
const MAX_POINTS: usize = 2000;
const MAX_PARTS: usize = 100;

/// Reads an object. The pixel box is still to be converted.
pub fn read(checks: &mut Violations, at: &At<'_>, object: pb::DetectedObject) -> (Object, Option<Rectangle>) {
    let pb::DetectedObject { object_id, label, confidence, r#box, pixel_box, polygon, attributes, parts } = object;
    if r#box.is_some() && pixel_box.is_some() {
        checks.refuse(&at.field("pixel_box"), "stands beside box; give one of them");
    }
    if polygon.is_none() && !parts.is_empty() {
        checks.refuse(&at.field("parts"), "stands without polygon, which is the first outline");
    }
    let few = checks.count(&at.field("parts"), parts.len(), 0..=MAX_PARTS);
    let parts = if few { parts } else { Vec::new() };
    let parts = parts
        .into_iter()
        .enumerate()
        .map(|(index, outline)| points(checks, &at.item("parts", index), outline))
        .collect();
    let object = Object {
        object_id: if object_id.is_empty() {
            uuid::Uuid::now_v7().to_string()
        } else {
            checks.text(&at.field("object_id"), object_id, 1..=100)
        },
        label: checks.text(&at.field("label"), label, 1..=200),
        confidence: checks.confidence(&at.field("confidence"), confidence),
        bounding_box: r#box.map(|given| bounding_box(checks, &at.field("box"), given)),
        polygon: polygon.map(|outline| points(checks, &at.field("polygon"), outline)),
        parts,
        attributes: attributes.map(|attributes| json::nested(checks, &at.field("attributes"), attributes)),
    };
    let pixel_box = pixel_box.map(|given| {
        let pb::PixelBox { x, y, width, height } = given;
        positive_box(checks, &at.field("pixel_box"), Rectangle { x, y, width, height })
    });
    (object, pixel_box)
}

/// Reads a box in fractions of the upright image: all of it inside.
pub fn bounding_box(checks: &mut Violations, at: &At<'_>, given: pb::BoundingBox) -> Rectangle {
    let pb::BoundingBox { x, y, width, height } = given;
    let mut found = positive_box(checks, at, Rectangle { x, y, width, height });
    inside(checks, at, &mut found, (1.0, 1.0), SLACK);
    found
}

/// Refuses what is no box anywhere.
fn positive_box(checks: &mut Violations, at: &At<'_>, mut found: Rectangle) -> Rectangle {
    // JSONB knows no negative zero.
    (found.x, found.y) = (found.x + 0.0, found.y + 0.0);
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

fn points(checks: &mut Violations, at: &At<'_>, outline: pb::Polygon) -> Polygon {
    if !checks.count(&at.field("points"), outline.points.len(), 3..=MAX_POINTS) {
        return Polygon::default();
    }
    let points = outline.points.into_iter().enumerate().map(|(index, pb::Point { x, y })| {
        for (name, number) in [("x", x), ("y", y)] {
            if !(-SLACK..=1.0 + SLACK).contains(&number) {
                checks.refuse(&at.item("points", index).field(name), format!("is {number}; 0 to 1 is allowed"));
            }
        }
        Point { x: x.clamp(0.0, 1.0) + 0.0, y: y.clamp(0.0, 1.0) + 0.0 }
    });
    Polygon { points: points.collect() }
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

/// Shows an object.
pub fn show(object: Object) -> pb::DetectedObject {
    let Object { object_id, label, confidence, bounding_box, polygon, parts, attributes } = object;
    let show_points = |outline: Polygon| pb::Polygon {
        points: outline.points.into_iter().map(|Point { x, y }| pb::Point { x, y }).collect(),
    };
    pb::DetectedObject {
        object_id,
        label,
        confidence,
        r#box: bounding_box.map(show_box),
        pixel_box: None,
        polygon: polygon.map(show_points),
        parts: parts.into_iter().map(show_points).collect(),
        attributes: attributes.as_deref().map(json::to_struct),
    }
}

/// Shows an edit of an object.
pub fn show_edit(edit: Edit) -> pb::ObjectEdit {
    let edit = match edit {
        Edit::Move { object_id, bounding_box } => {
            object_edit::Edit::Move(pb::MoveObject { object_id, r#box: Some(show_box(bounding_box)) })
        }
        Edit::Relabel { object_id, label } => object_edit::Edit::Relabel(pb::RelabelObject { object_id, label }),
        Edit::Remove { object_id } => object_edit::Edit::Remove(pb::RemoveObject { object_id }),
        Edit::Add { object } => object_edit::Edit::Add(pb::AddObject { object: Some(show(object)) }),
    };
    pb::ObjectEdit { edit: Some(edit) }
}

/// Shows a box.
pub fn show_box(found: Rectangle) -> pb::BoundingBox {
    let Rectangle { x, y, width, height } = found;
    pb::BoundingBox { x, y, width, height }
}
