//! COCO to photos and detections. Everything follows from the file and the target, the ids too: the same import
//! twice sends the same messages.

use std::collections::{HashMap, HashSet};

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::coco::{Annotation, Category, Coco, Image, Segmentation};
use crate::check::to_pb_time;
use crate::geometry::{self, Rectangle};
use crate::{json, pb};

const RUN_ID: &str = "coco-import";
/// Most points of a polygon: the contract's.
const MAX_POINTS: usize = 2000;
/// Most outlines of an object besides the first one: the contract's.
const MAX_PARTS: usize = 100;
/// Most characters of an object's own id, with room for what tells it from another one.
const MAX_ID: usize = 90;

/// Where the data goes, and as what.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) project: Uuid,
    pub(super) detection_type: pb::DetectionType,
    pub(super) model_version: String,
    /// Pixels are of images as they are stored.
    pub(super) stored: bool,
}

impl Target {
    /// The photo that an image becomes.
    pub(super) fn photo(&self, image: &Image) -> pb::Photo {
        // The size of a photo is that of the stored image.
        let turned = !self.stored && image.orientation() >= 5;
        let url = [&image.flickr_url, &image.coco_url].into_iter().flatten().find(|url| !url.is_empty());
        pb::Photo {
            id: self.photo_id(image).to_string(),
            project_id: self.project.to_string(),
            s3_url: url.cloned().unwrap_or_else(|| format!("file:///{}", image.file_name)),
            s3_key: image.file_name.clone(),
            width: Some(if turned { image.height } else { image.width }),
            height: Some(if turned { image.width } else { image.height }),
            orientation: (image.orientation() != 1).then(|| image.orientation().into()),
            capture_time: image.date_captured.as_ref().and_then(Value::as_str).and_then(captured),
            ..pb::Photo::default()
        }
    }

    /// The picture that an image's pixels are of.
    fn picture(&self, image: &Image) -> Picture {
        Picture {
            size: (f64::from(image.width), f64::from(image.height)),
            orientation: if self.stored { image.orientation() } else { 1 },
        }
    }

    /// The photo that an image is or becomes.
    pub(super) fn photo_id(&self, image: &Image) -> Uuid {
        image.photo_id.unwrap_or_else(|| stable_id(&["photo", &self.project.to_string(), &image.file_name]))
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
        let mut seen: HashSet<String> = HashSet::new();
        let objects = annotations.iter().enumerate().map(|(index, annotation)| {
            let own = annotation.object_id.clone().filter(|id| (1..=MAX_ID).contains(&id.chars().count()));
            let first =
                own.unwrap_or_else(|| annotation.id.map_or_else(|| (index + 1).to_string(), |id| id.to_string()));
            let mut object_id = first.clone();
            let mut times = 1;
            while !seen.insert(object_id.clone()) {
                times += 1;
                object_id = format!("{first}-{times}");
            }
            pb::DetectedObject { object_id, ..object(&self.picture(image), annotation, categories) }
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

/// A picture in pixels, and how it is turned.
struct Picture {
    size: (f64, f64),
    orientation: i16,
}

impl Picture {
    /// Fractions of the upright image.
    fn upright(&self, pixels: Rectangle) -> Rectangle {
        geometry::upright(pixels, self.size, self.orientation)
    }
}

fn object(picture: &Picture, annotation: &Annotation, categories: &Categories<'_>) -> pb::DetectedObject {
    let category = categories.get(&annotation.category_id);
    let Outlines { first, parts, rest } = segmentation(annotation.segmentation.as_ref());
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
        r#box: annotation.bbox.and_then(|bbox| clamped(picture, bbox)),
        pixel_box: None,
        polygon: first.map(|ring| polygon(picture, ring)),
        parts: parts.into_iter().map(|ring| polygon(picture, ring)).collect(),
        attributes: Some(json::to_struct(&json::raw(&attributes))),
    }
}

/// The part of a box that lies inside the image; COCO boxes may leave it by fractions of a pixel.
fn clamped(picture: &Picture, [x, y, width, height]: [f64; 4]) -> Option<pb::BoundingBox> {
    let (most_x, most_y) = picture.size;
    let (left, top) = (x.clamp(0.0, most_x), y.clamp(0.0, most_y));
    let (width, height) = ((x + width).clamp(0.0, most_x) - left, (y + height).clamp(0.0, most_y) - top);
    if !(width > 0.0 && height > 0.0) {
        return None;
    }
    let Rectangle { x, y, width, height } = picture.upright(Rectangle { x: left, y: top, width, height });
    (width > 0.0 && height > 0.0).then_some(pb::BoundingBox { x, y, width, height })
}

/// What a segmentation becomes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outlines<'a> {
    /// The largest outline.
    first: Option<&'a [f64]>,
    /// The others, in their order.
    parts: Vec<&'a [f64]>,
    /// What cannot be an outline: a mask, or rings that are none, as they are written.
    rest: Option<Value>,
}

/// Whether an annotation has an outline that cannot be kept as one.
pub(super) fn is_unshaped(annotation: &Annotation) -> bool {
    matches!(annotation.segmentation, Some(Segmentation::Rings(_)))
        && segmentation(annotation.segmentation.as_ref()).rest.is_some()
}

/// The outlines of an object that can be polygons, and what is left.
fn segmentation(written: Option<&Segmentation>) -> Outlines<'_> {
    let rings = match written {
        None => return Outlines::default(),
        Some(Segmentation::Mask(mask)) => return Outlines { rest: Some(mask.clone()), ..Outlines::default() },
        Some(Segmentation::Rings(rings)) => rings,
    };
    let usable = |ring: &&Vec<f64>| {
        ring.len().is_multiple_of(2)
            && (3..=MAX_POINTS).contains(&(ring.len() / 2))
            && ring.iter().all(|number| number.is_finite())
    };
    let (outlines, mut rest): (Vec<_>, Vec<_>) = rings.iter().partition(usable);
    let first = outlines.iter().copied().max_by(|a, b| area(a).total_cmp(&area(b)));
    let mut parts: Vec<_> =
        outlines.into_iter().filter(|ring| first.is_none_or(|first| !std::ptr::eq(*ring, first))).collect();
    rest.extend(parts.split_off(parts.len().min(MAX_PARTS)));
    Outlines {
        first: first.map(Vec::as_slice),
        parts: parts.into_iter().map(Vec::as_slice).collect(),
        rest: (!rest.is_empty()).then(|| json!(rest)),
    }
}

/// The area inside an outline (the shoelace formula).
fn area(ring: &[f64]) -> f64 {
    let points: Vec<(f64, f64)> = ring.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let next = points.iter().cycle().skip(1);
    points.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>().abs() / 2.0
}

fn polygon(picture: &Picture, ring: &[f64]) -> pb::Polygon {
    let points = ring.chunks_exact(2).map(|pair| {
        let Rectangle { x, y, .. } = picture.upright(Rectangle { x: pair[0], y: pair[1], ..Rectangle::default() });
        pb::Point { x: x.clamp(0.0, 1.0), y: y.clamp(0.0, 1.0) }
    });
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
        let picture = Picture { size: (400.0, 200.0), orientation: 1 };
        let inside = clamped(&picture, [-0.5, 10.0, 20.0, 190.7]).expect("a box");

        assert_eq!((inside.x, inside.y, inside.width, inside.height), (0.0, 0.05, 0.048_75, 0.95));
        assert_eq!(clamped(&picture, [400.0, 10.0, 5.0, 5.0]), None);
        assert_eq!(clamped(&picture, [5.0, 10.0, 0.0, 5.0]), None);
    }

    #[test]
    fn segmentation_takes_the_largest_ring_first_and_keeps_what_is_none() {
        let small = vec![0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
        let large = vec![0.0, 0.0, 9.0, 0.0, 9.0, 9.0, 0.0, 9.0];
        let rings = Segmentation::Rings(vec![small.clone(), large.clone(), vec![1.0, 2.0]]);

        let found = segmentation(Some(&rings));

        let (first, parts) = (Some(large.as_slice()), vec![small.as_slice()]);
        assert_eq!(found, Outlines { first, parts, rest: Some(json!([[1.0, 2.0]])) });
    }

    #[test]
    fn segmentation_keeps_a_mask_as_it_is() {
        let mask = json!({"size": [2, 2], "counts": "04"});
        let written = Segmentation::Mask(mask.clone());

        assert_eq!(segmentation(Some(&written)), Outlines { rest: Some(mask), ..Outlines::default() });
    }

    #[test]
    fn detection_tells_annotations_with_one_id_apart() {
        let target = Target {
            project: Uuid::from_u128(1),
            detection_type: pb::DetectionType::Material,
            model_version: "coco".to_owned(),
            stored: false,
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
            stored: false,
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
