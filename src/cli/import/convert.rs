//! COCO to photos and detections. Everything follows from the file and the target, the ids too: the same import
//! twice sends the same messages.

use std::collections::{HashMap, HashSet};

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::coco::{Annotation, Category, Coco, Image};
use super::outline::{Outlines, Page, outlines};
use crate::check::to_pb_time;
use crate::geometry::Picture;
use crate::{json, pb};

const RUN_ID: &str = "coco-import";
/// Most characters of an object's id: the contract's.
const MAX_OBJECT_ID: usize = 100;

/// Where the data goes, and as what.
#[derive(Debug)]
pub(super) struct Target {
    /// The project of photos that are new; otherwise the one that their image names.
    pub(super) project: Option<Uuid>,
    pub(super) detection_type: pb::DetectionType,
    pub(super) model_version: String,
    /// What the file's pixels are of.
    pub(super) picture: Picture,
}

impl Target {
    /// The photo that an image becomes.
    pub(super) fn photo(&self, image: &Image) -> pb::Photo {
        let url = [&image.flickr_url, &image.coco_url].into_iter().flatten().find(|url| !url.is_empty());
        let page = self.page(image);
        let (width, height) = page.stored();
        pb::Photo {
            id: self.photo_id(image).to_string(),
            project_id: self.project_of(image).unwrap_or_default().to_string(),
            s3_url: url.cloned().unwrap_or_else(|| format!("file:///{}", image.file_name)),
            s3_key: image.file_name.clone(),
            width: Some(width),
            height: Some(height),
            orientation: Some(i32::from(page.orientation())).filter(|orientation| *orientation != 1),
            capture_time: image.date_captured.as_ref().and_then(Value::as_str).and_then(captured),
            ..pb::Photo::default()
        }
    }

    /// The project that a new photo belongs to, if it is said anywhere.
    pub(super) fn project_of(&self, image: &Image) -> Option<Uuid> {
        self.project.or_else(|| image.project())
    }

    fn photo_id(&self, image: &Image) -> Uuid {
        let project = self.project_of(image).unwrap_or_default().to_string();
        image.photo().unwrap_or_else(|| stable_id(&["photo", &project, &image.file_name]))
    }

    fn page(&self, image: &Image) -> Page {
        // Only our own exports know of orientation.
        let orientation = image.exif_orientation.filter(|_| image.photo().is_some()).unwrap_or(1);
        Page::new((image.width, image.height), orientation, self.picture)
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
        let page = self.page(image);
        // Real files repeat ids; object ids are unique within their detection.
        let mut taken = HashSet::new();
        let objects = annotations.iter().map(|annotation| {
            let own = annotation.object_id.as_ref().and_then(Value::as_str);
            let own = own.filter(|own| (1..=MAX_OBJECT_ID).contains(&own.chars().count()));
            let object_id = unique(&mut taken, &own.map_or_else(|| annotation.id.to_string(), str::to_owned));
            pb::DetectedObject { object_id, ..object(page, annotation, categories) }
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

/// A name that is not taken yet: this one, or this one with a number.
fn unique(taken: &mut HashSet<String>, name: &str) -> String {
    let stem: String = name.chars().take(MAX_OBJECT_ID - 5).collect();
    let numbered = (2..).map(|number: usize| format!("{stem}-{number}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
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

fn object(page: Page, annotation: &Annotation, categories: &Categories<'_>) -> pb::DetectedObject {
    let category = categories.get(&annotation.category_id);
    let Outlines { first, others, rest } = outlines(page, annotation.segmentation.as_ref());
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
        r#box: annotation.bbox.and_then(|bbox| page.bounding_box(bbox)),
        pixel_box: None,
        polygon: first,
        parts: others,
        attributes: Some(json::to_struct(&json::raw(&attributes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        serde_json::from_value(json!({"id": 1, "file_name": "a/b.jpg", "width": 400, "height": 200})).expect("an image")
    }

    fn target(project: u128) -> Target {
        Target {
            project: Some(Uuid::from_u128(project)),
            detection_type: pb::DetectionType::Material,
            model_version: "coco".to_owned(),
            picture: Picture::Upright,
        }
    }

    #[test]
    fn detection_tells_annotations_with_one_id_apart() {
        let annotation = |id: i64, object_id: Option<&str>| -> Annotation {
            let written = json!({"id": id, "image_id": 1, "category_id": 1, "object_id": object_id});
            serde_json::from_value(written).expect("an annotation")
        };
        let annotations =
            [annotation(309, None), annotation(1, Some("309-2")), annotation(309, None), annotation(2, Some("crack"))];
        let annotations: Vec<&Annotation> = annotations.iter().collect();

        let detection = target(1).detection(&image(), &annotations, &HashMap::new());

        let objects = detection.results.expect("results").objects;
        let ids: Vec<&str> = objects.iter().map(|object| object.object_id.as_str()).collect();
        assert_eq!(ids, ["309", "309-2", "309-3", "crack"]);
    }

    #[test]
    fn ids_follow_from_project_and_file_name() {
        let id = target(1).photo_id(&image());

        assert_eq!((id, id.get_version_num()), (target(1).photo_id(&image()), 8));
        assert_ne!(id, target(2).photo_id(&image()));
    }

    #[test]
    fn photo_is_the_one_that_an_export_names_as_it_is_stored() {
        let id = Uuid::from_u128(5).to_string();
        let written = json!({"id": 1, "file_name": "a/b.jpg", "width": 400, "height": 200, "photo_id": id, "exif_orientation": 6});

        let photo = target(1).photo(&serde_json::from_value(written).expect("an image"));

        assert_eq!((photo.id, photo.width, photo.height, photo.orientation), (id, Some(200), Some(400), Some(6)));
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
