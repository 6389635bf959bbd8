//! JSON Lines: one object for each photo, with its detections.

use serde::Serialize;

use super::form::{Segmentation, Shape, label};
use super::model::{Found, Photo, Plan};
use super::split::Part;
use crate::detection::Object;
use crate::geometry::{Rectangle, size_of};

#[derive(Serialize)]
struct Picture<'a> {
    id: String,
    project_id: String,
    s3_key: &'a str,
    s3_url: &'a str,
    width: i64,
    height: i64,
    exif_orientation: i16,
    capture_time: Option<String>,
    split: Option<&'static str>,
}

#[derive(Serialize)]
struct Run<'a> {
    id: String,
    detection_type: &'a str,
    model_version: &'a str,
    verdict: Option<&'a str>,
}

#[derive(Serialize)]
struct Line<'a> {
    object_id: &'a str,
    label: &'a str,
    category_id: i32,
    confidence: Option<f64>,
    bbox: [f64; 4],
    #[serde(rename = "box")]
    normalised: Option<Rectangle>,
    segmentation: Segmentation<'a>,
    area: f64,
    iscrowd: u8,
    negative: bool,
}

/// Writes a value.
pub(super) fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    // Ours are made of strings, numbers and names that are strings, and a vector takes all.
    let _ = serde_json::to_writer(out, value);
}

/// Writes what stands before the first detection of a photo.
pub(super) fn begin(out: &mut Vec<u8>, photo: &Photo, size: (i32, i32), plan: &Plan) {
    let (width, height) = size_of(plan.frame, (f64::from(size.0), f64::from(size.1)), photo.orientation);
    #[expect(clippy::cast_possible_truncation, reason = "numbers of pixels")]
    let picture = Picture {
        id: photo.id.to_string(),
        project_id: photo.project_id.to_string(),
        s3_key: &photo.s3_key,
        s3_url: &photo.s3_url,
        width: width as i64,
        height: height as i64,
        exif_orientation: photo.orientation,
        capture_time: photo.captured_at.map(|time| time.to_string()),
        split: plan.split.as_ref().map(|split| split.part_of(photo)).map(Part::name),
    };
    out.extend_from_slice(b"{\"photo\":");
    write(out, &picture);
    out.extend_from_slice(b",\"detections\":[");
}

/// Writes what stands before the first object of a detection.
pub(super) fn detection(out: &mut Vec<u8>, first: bool, found: &Found) {
    let run = Run {
        id: found.id.to_string(),
        detection_type: &found.detection_type,
        model_version: &found.model_version,
        verdict: found.verdict.as_deref(),
    };
    if !first {
        out.push(b',');
    }
    write(out, &run);
    // The object goes on.
    out.pop();
    out.extend_from_slice(b",\"objects\":[");
}

/// Writes an object.
pub(super) fn object(
    out: &mut Vec<u8>,
    (first, category_id, negative): (bool, i32, bool),
    object: &Object,
    Shape { bbox, segmentation, area, iscrowd }: Shape<'_>,
) {
    if !first {
        out.push(b',');
    }
    let line = Line {
        object_id: &object.object_id,
        label: label(object),
        category_id,
        confidence: object.confidence,
        bbox,
        normalised: object.bounding_box,
        segmentation,
        area,
        iscrowd,
        negative,
    };
    write(out, &line);
}
