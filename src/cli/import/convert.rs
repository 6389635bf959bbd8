//! COCO to photos and detections. Everything follows from the file and the target, the ids too: the same import
//! twice sends the same messages.

use std::collections::HashMap;

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::coco::{Annotation, Category, Coco, Image, Segmentation};
use crate::check::to_pb_time;
use crate::{json, pb};

const RUN_ID: &str = "coco-import";
/// Most points of a polygon: the contract's.
const MAX_POINTS: usize = 2000;

/// Where the data goes, and as what.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) project: Uuid,
    pub(super) detection_type: pb::DetectionType,
    pub(super) model_version: String,
}

impl Target {
    /// The photo that an image becomes.
    pub(super) fn photo(&self, image: &Image) -> pb::Photo {
        let url = [&image.flickr_url, &image.coco_url].into_iter().flatten().find(|url| !url.is_empty());
        pb::Photo {
            id: self.photo_id(image).to_string(),
            project_id: self.project.to_string(),
            s3_url: url.cloned().unwrap_or_else(|| format!("file:///{}", image.file_name)),
            s3_key: image.file_name.clone(),
            width: Some(image.width),
            height: Some(image.height),
            capture_time: image.date_captured.as_ref().and_then(Value::as_str).and_then(captured),
            ..pb::Photo::default()
        }
    }

    fn photo_id(&self, image: &Image) -> Uuid {
        stable_id(&["photo", &self.project.to_string(), &image.file_name])
    }

    /// The detection that an image's annotations become. Without annotations it is empty, which is a result.
    pub(super) fn detection(
        &self,
        image: &Image,
        annotations: &[&Annotation],
        categories: &Categories<'_>,
    ) -> pb::Detection {
        let photo_id = self.photo_id(image).to_string();
        let kind = self.detection_type.as_str_name();
        // Real files repeat annotation ids; object ids are unique within their detection.
        let mut seen: HashMap<i64, usize> = HashMap::new();
        let objects = annotations.iter().map(|annotation| {
            let times = seen.entry(annotation.id).or_default();
            *times += 1;
            let object_id = if *times == 1 { annotation.id.to_string() } else { format!("{}-{times}", annotation.id) };
            pb::DetectedObject { object_id, ..object(image, annotation, categories) }
        });
        pb::Detection {
            id: stable_id(&["detection", &photo_id, kind, &self.model_version, RUN_ID]).to_string(),
            photo_id,
            detection_type: self.detection_type.into(),
            model_version: self.model_version.clone(),
            run_id: Some(RUN_ID.to_owned()),
            results: Some(pb::DetectionResults { objects: objects.collect(), extra: None }),
            ..pb::Detection::default()
        }
    }
}

/// A UUIDv8 that the parts alone decide.
fn stable_id(parts: &[&str]) -> Uuid {
    let text = format!("photometa import coco\0{}", parts.join("\0"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// `2013-11-14 17:02:52`, with or without an offset; UTC without one.
fn captured(written: &str) -> Option<prost_types::Timestamp> {
    let instant = written.parse::<jiff::Timestamp>().ok();
    let civil = || written.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    instant.or_else(|| Some(civil()?.timestamp())).filter(|time| time.as_second() >= -62_135_596_800).map(to_pb_time)
}

/// The categories by id.
pub(super) type Categories<'a> = HashMap<i64, &'a Category>;

/// The categories of a file by id.
pub(super) fn categories(data: &Coco) -> Categories<'_> {
    data.categories.iter().map(|category| (category.id, category)).collect()
}

/// The annotations of each image, in the order of the file.
pub(super) fn by_image(data: &Coco) -> HashMap<i64, Vec<&Annotation>> {
    let mut found: HashMap<i64, Vec<&Annotation>> = HashMap::new();
    for annotation in &data.annotations {
        found.entry(annotation.image_id).or_default().push(annotation);
    }
    found
}

fn object(image: &Image, annotation: &Annotation, categories: &Categories<'_>) -> pb::DetectedObject {
    let category = categories.get(&annotation.category_id);
    let (outline, rest) = segmentation(annotation.segmentation.as_ref());
    let mut attributes = Map::new();
    attributes.extend(annotation.iscrowd.as_ref().map(|iscrowd| ("iscrowd".to_owned(), iscrowd.clone())));
    attributes.extend(annotation.area.map(|area| ("area".to_owned(), json!(area))));
    let above = category.and_then(|category| category.supercategory.clone());
    attributes.extend(above.map(|above| ("supercategory".to_owned(), Value::String(above))));
    attributes.extend(rest.map(|rest| ("segmentation".to_owned(), rest)));
    pb::DetectedObject {
        object_id: String::new(),
        label: category.map(|category| category.name.clone()).unwrap_or_default(),
        confidence: annotation.score,
        r#box: None,
        pixel_box: annotation.bbox.and_then(|bbox| clamped(image, bbox)),
        polygon: outline.map(|ring| polygon(image, ring)),
        parts: Vec::new(),
        attributes: Some(json::to_struct(&json::raw(&attributes))),
    }
}

/// The part of a box that lies inside the image; COCO boxes may leave it by fractions of a pixel.
fn clamped(image: &Image, [x, y, width, height]: [f64; 4]) -> Option<pb::PixelBox> {
    let (most_x, most_y) = (f64::from(image.width), f64::from(image.height));
    let (left, top) = (x.clamp(0.0, most_x), y.clamp(0.0, most_y));
    let (width, height) = ((x + width).clamp(0.0, most_x) - left, (y + height).clamp(0.0, most_y) - top);
    (width > 0.0 && height > 0.0).then_some(pb::PixelBox { x: left, y: top, width, height })
}

/// The largest outline that can be a polygon, and what is left: other outlines, or a mask as it is written.
fn segmentation(written: Option<&Segmentation>) -> (Option<&[f64]>, Option<Value>) {
    let rings = match written {
        None => return (None, None),
        Some(Segmentation::Mask(mask)) => return (None, Some(mask.clone())),
        Some(Segmentation::Rings(rings)) => rings,
    };
    let usable = |ring: &&Vec<f64>| ring.len().is_multiple_of(2) && (3..=MAX_POINTS).contains(&(ring.len() / 2));
    let largest = rings.iter().filter(usable).max_by(|a, b| area(a).total_cmp(&area(b)));
    let rest: Vec<&Vec<f64>> =
        rings.iter().filter(|ring| largest.is_none_or(|largest| !std::ptr::eq(*ring, largest))).collect();
    (largest.map(Vec::as_slice), (!rest.is_empty()).then(|| json!(rest)))
}

/// The area inside an outline (the shoelace formula).
fn area(ring: &[f64]) -> f64 {
    let points: Vec<(f64, f64)> = ring.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let next = points.iter().cycle().skip(1);
    points.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>().abs() / 2.0
}

fn polygon(image: &Image, ring: &[f64]) -> pb::Polygon {
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    let points = ring
        .chunks_exact(2)
        .map(|pair| pb::Point { x: (pair[0] / width).clamp(0.0, 1.0), y: (pair[1] / height).clamp(0.0, 1.0) });
    pb::Polygon { points: points.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        serde_json::from_value(json!({"id": 1, "file_name": "a/b.jpg", "width": 400, "height": 200})).expect("an image")
    }

    #[test]
    fn clamped_cuts_what_leaves_the_image() {
        let inside = clamped(&image(), [-0.5, 10.0, 20.0, 190.7]).expect("a box");

        assert_eq!((inside.x, inside.y, inside.width, inside.height), (0.0, 10.0, 19.5, 190.0));
        assert_eq!(clamped(&image(), [400.0, 10.0, 5.0, 5.0]), None);
        assert_eq!(clamped(&image(), [5.0, 10.0, 0.0, 5.0]), None);
    }

    #[test]
    fn segmentation_takes_the_largest_ring_and_keeps_the_rest() {
        let small = vec![0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
        let large = vec![0.0, 0.0, 9.0, 0.0, 9.0, 9.0, 0.0, 9.0];
        let rings = Segmentation::Rings(vec![small.clone(), large.clone(), vec![1.0, 2.0]]);

        let (outline, rest) = segmentation(Some(&rings));

        assert_eq!(outline, Some(large.as_slice()));
        assert_eq!(rest, Some(json!([small, [1.0, 2.0]])));
    }

    #[test]
    fn segmentation_keeps_a_mask_as_it_is() {
        let mask = json!({"size": [2, 2], "counts": "04"});
        let written = Segmentation::Mask(mask.clone());

        assert_eq!(segmentation(Some(&written)), (None, Some(mask)));
    }

    #[test]
    fn detection_tells_annotations_with_one_id_apart() {
        let target = Target {
            project: Uuid::from_u128(1),
            detection_type: pb::DetectionType::Material,
            model_version: "coco".to_owned(),
        };
        let annotation: Annotation =
            serde_json::from_value(json!({"id": 309, "image_id": 1, "category_id": 1})).expect("an annotation");

        let detection = target.detection(&image(), &[&annotation, &annotation], &HashMap::new());

        let objects = detection.results.expect("results").objects;
        assert_eq!(objects.iter().map(|object| object.object_id.as_str()).collect::<Vec<_>>(), ["309", "309-2"]);
    }

    #[test]
    fn ids_follow_from_project_and_file_name() {
        let target = |project| Target {
            project: Uuid::from_u128(project),
            detection_type: pb::DetectionType::Material,
            model_version: "coco".to_owned(),
        };

        let id = target(1).photo_id(&image());

        assert_eq!((id, id.get_version_num()), (target(1).photo_id(&image()), 8));
        assert_ne!(id, target(2).photo_id(&image()));
    }

    #[test]
    fn captured_reads_what_coco_files_write() {
        let seconds = |written| captured(written).map(|time| time.seconds);

        assert_eq!(seconds("2013-11-14 17:02:52"), Some(1_384_448_572));
        assert_eq!(seconds("2013-11-14T17:02:52+01:00"), Some(1_384_444_972));
        assert_eq!(seconds(""), None);
        assert_eq!(seconds("yesterday"), None);
    }
}
