//! COCO: one document of object detection. Images and annotations are separate lists, each its own pass over the rows.

use serde::Serialize;

use super::form::{Segmentation, Shape};
use super::model::{Category, Found, Photo, Plan, Stage};
use super::split::Part;
use crate::detection::Object;
use crate::geometry::{Picture, size_of};

#[derive(Serialize)]
struct Info<'a> {
    description: &'a str,
    version: &'a str,
    frame: &'a str,
}

#[derive(Serialize)]
struct Image<'a> {
    id: i64,
    file_name: &'a str,
    width: i64,
    height: i64,
    coco_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_captured: Option<String>,
    photo_id: String,
    project_id: String,
    exif_orientation: i16,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<&'static str>,
}

#[derive(Serialize)]
struct Annotation<'a> {
    id: i64,
    image_id: i64,
    category_id: i32,
    bbox: [f64; 4],
    segmentation: Segmentation<'a>,
    area: f64,
    iscrowd: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    object_id: &'a str,
    detection_id: String,
    detection_type: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'a str>,
}

#[derive(Serialize)]
struct Kind<'a> {
    id: i32,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    supercategory: &'a str,
}

/// Adds a value to a list, behind a comma unless it is the first one.
fn push(out: &mut Vec<u8>, first: bool, value: &impl Serialize) {
    out.extend_from_slice(if first { b"\n" } else { b",\n" });
    super::lines::write(out, value);
}

/// Writes what stands before the first image: also which picture pixels are of, so that whoever reads them can tell. It
/// does not tell the time: equal data are equal bytes.
pub(super) fn begin(out: &mut Vec<u8>, plan: &Plan) {
    out.extend_from_slice(b"{\"info\":");
    let frame = if plan.frame == Picture::Stored { "stored" } else { "upright" };
    let info = Info { description: "photometa training data", version: env!("CARGO_PKG_VERSION"), frame };
    super::lines::write(out, &info);
    out.extend_from_slice(b",\n\"images\":[");
}

/// Writes what stands between a list and the next one, and answers which that is.
pub(super) fn next(out: &mut Vec<u8>, stage: Stage, plan: &Plan) -> Stage {
    let (text, stage): (&[u8], _) = match stage {
        Stage::Images => (b"],\n\"annotations\":[", Stage::Objects),
        Stage::Objects if plan.negatives() => (b"],\n\"negatives\":[", Stage::Negatives),
        Stage::Objects | Stage::Negatives => (b"],\n\"categories\":[", Stage::Categories),
        Stage::Categories | Stage::End => (b"]}\n", Stage::End),
    };
    out.extend_from_slice(text);
    stage
}

/// Writes an image, whose size is known.
pub(super) fn image(out: &mut Vec<u8>, id: i64, photo: &Photo, size: (i32, i32), plan: &Plan) {
    let (width, height) = size_of(plan.frame, (f64::from(size.0), f64::from(size.1)), photo.orientation);
    #[expect(clippy::cast_possible_truncation, reason = "numbers of pixels")]
    let image = Image {
        id,
        file_name: &photo.s3_key,
        width: width as i64,
        height: height as i64,
        coco_url: &photo.s3_url,
        date_captured: photo.captured_at.map(|time| time.to_string()),
        photo_id: photo.id.to_string(),
        project_id: photo.project_id.to_string(),
        exif_orientation: photo.orientation,
        split: plan.split.as_ref().map(|split| split.part_of(photo)).map(Part::name),
    };
    push(out, id == 1, &image);
}

/// Writes an object of an image.
pub(super) fn annotation(
    out: &mut Vec<u8>,
    (id, image_id, category_id): (i64, i64, i32),
    found: &Found,
    object: &Object,
    Shape { bbox, segmentation, area, iscrowd }: Shape<'_>,
) {
    let annotation = Annotation {
        id,
        image_id,
        category_id,
        bbox,
        segmentation,
        area,
        iscrowd,
        score: object.confidence,
        object_id: &object.object_id,
        detection_id: found.id.to_string(),
        detection_type: &found.detection_type,
        model_version: &found.model_version,
        verdict: found.verdict.as_deref(),
    };
    push(out, id == 1, &annotation);
}

/// Writes a category.
pub(super) fn category(out: &mut Vec<u8>, first: bool, category: &Category) {
    let Category { id, name, supercategory, created_at: _ } = category;
    push(out, first, &Kind { id: id.unwrap_or_default(), name, supercategory });
}
