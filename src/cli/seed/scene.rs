//! The demo's photos, with EXIF as a phone writes it, and what models see on them.

use std::collections::BTreeMap;

use prost_types::{Duration, Struct, Value, value::Kind as Json};

use super::demo::{Kind, SHOTS, id};
use crate::check::to_pb_time;
use crate::pb::{self, DetectionType};

/// What a photo shows; one scene per photo of a company, four per project.
struct Scene {
    file: &'static str,
    tags: [&'static str; 2],
    damage: &'static [Finding],
    material: &'static [Finding],
    /// Square or cubic metres, when a volume model ran; `Some(&[])` when it found nothing.
    volume: Option<&'static [Finding]>,
}

/// Label, confidence, and left, top, width, height in percent of the image.
type Finding = (&'static str, f64, [u8; 4]);

const SCENES: [Scene; 12] = [
    Scene {
        file: "ridge-north",
        tags: ["roof", "ridge"],
        damage: &[("missing_slate", 0.94, [22, 31, 18, 12]), ("cracked_slate", 0.71, [55, 40, 9, 8])],
        material: &[("slate", 0.97, [5, 20, 90, 60])],
        volume: Some(&[("damaged_area_m2", 0.82, [20, 29, 46, 21])]),
    },
    Scene {
        file: "dormer-east",
        tags: ["roof", "dormer"],
        damage: &[("lifted_flashing", 0.83, [40, 52, 25, 6])],
        material: &[("slate", 0.93, [0, 45, 100, 55]), ("lead", 0.78, [38, 50, 30, 9])],
        volume: None,
    },
    Scene {
        file: "gutter-west",
        tags: ["roof", "gutter"],
        damage: &[("detached_gutter", 0.88, [10, 60, 70, 12]), ("rust", 0.54, [62, 61, 12, 9])],
        material: &[("zinc", 0.86, [8, 58, 80, 15])],
        volume: Some(&[]),
    },
    Scene {
        file: "attic-beam",
        tags: ["attic", "structure"],
        damage: &[],
        material: &[("timber", 0.96, [0, 10, 100, 70]), ("mineral_wool", 0.81, [0, 60, 100, 40])],
        volume: Some(&[("insulation_m3", 0.67, [0, 60, 100, 40])]),
    },
    Scene {
        file: "sink-wall",
        tags: ["kitchen", "water"],
        damage: &[("water_stain", 0.91, [12, 55, 40, 35]), ("mould", 0.63, [15, 80, 14, 10])],
        material: &[("plasterboard", 0.89, [0, 0, 100, 75])],
        volume: None,
    },
    Scene {
        file: "floor-corner",
        tags: ["kitchen", "floor"],
        damage: &[("warped_floorboard", 0.87, [20, 50, 55, 30])],
        material: &[("oak", 0.84, [0, 35, 100, 65])],
        volume: Some(&[("floor_area_m2", 0.9, [0, 35, 100, 65])]),
    },
    Scene {
        file: "pipe-burst",
        tags: ["kitchen", "pipe"],
        damage: &[("leak", 0.98, [44, 38, 12, 16])],
        material: &[("copper", 0.95, [40, 0, 16, 100])],
        volume: None,
    },
    Scene {
        file: "ceiling-hall",
        tags: ["hall", "ceiling"],
        damage: &[("water_stain", 0.76, [30, 12, 35, 28]), ("crack", 0.42, [60, 5, 30, 4])],
        material: &[("plaster", 0.9, [0, 0, 100, 60])],
        volume: Some(&[("stained_area_m2", 0.58, [30, 12, 35, 28])]),
    },
    Scene {
        file: "facade-south",
        tags: ["facade", "brick"],
        damage: &[("crack", 0.89, [48, 10, 6, 70])],
        material: &[("brick", 0.98, [0, 0, 100, 100])],
        volume: None,
    },
    Scene {
        file: "window-sill",
        tags: ["facade", "window"],
        damage: &[("chipped_sill", 0.69, [25, 70, 20, 8]), ("dent", 0.47, [58, 66, 7, 6])],
        material: &[("sandstone", 0.73, [10, 65, 80, 20])],
        volume: None,
    },
    Scene {
        file: "render-corner",
        tags: ["facade", "render"],
        damage: &[("spalled_render", 0.92, [33, 20, 38, 45])],
        material: &[("lime_render", 0.8, [0, 0, 100, 85]), ("brick", 0.66, [36, 25, 30, 35])],
        volume: Some(&[("render_area_m2", 0.77, [33, 20, 38, 45])]),
    },
    Scene {
        file: "handover",
        tags: ["facade", "finished"],
        damage: &[],
        material: &[("lime_render", 0.95, [0, 0, 100, 100])],
        volume: Some(&[("wall_area_m2", 0.88, [0, 0, 100, 100])]),
    },
];

/// Make, model, pixels per row, rows.
const CAMERAS: [(&str, &str, i32, i32); 3] =
    [("Apple", "iPhone 14 Pro", 4032, 3024), ("Google", "Pixel 8", 4080, 3072), ("samsung", "SM-S911B", 4000, 3000)];
/// Degrees north and east of each company's projects.
const SITES: [[(f64, f64); 3]; 2] = [
    [(57.7061, 11.9384), (57.6988, 11.9502), (57.7104, 11.9731)],
    [(53.5461, 9.9664), (53.5623, 9.9581), (53.5702, 10.0153)],
];
const MODELS: [(DetectionType, &str, &str); 3] = [
    (DetectionType::Damage, "damage-yolo-3.2.0", "demo-2025-06"),
    (DetectionType::Material, "material-net-1.4.1", "demo-2025-06"),
    (DetectionType::Volume, "volume-depth-0.9.0", "demo-2025-06"),
];
/// Every fifth photo is held upright: EXIF orientation 6.
fn upright(number: usize) -> bool {
    number % 5 == 4
}

/// The photos of a company.
pub(super) fn photos(company: usize) -> Vec<pb::Photo> {
    SCENES.iter().enumerate().map(|(number, scene)| photo(company, number, scene)).collect()
}

fn photo(company: usize, number: usize, scene: &Scene) -> pb::Photo {
    let project = number / SHOTS;
    let (_, _, width, height) = CAMERAS[(number + company) % CAMERAS.len()];
    let key = format!("demo/{}/{:02}-{}.jpg", id(Kind::Project, company, project), number % SHOTS + 1, scene.file);
    pb::Photo {
        id: id(Kind::Photo, company, number).to_string(),
        project_id: id(Kind::Project, company, project).to_string(),
        user_id: id(Kind::User, company, number % 3).to_string(),
        s3_url: format!("s3://photometa-demo/{key}"),
        s3_key: key,
        file_size_bytes: Some(2_400_000 + 137_113 * i64::try_from(number).unwrap_or_default()),
        mime_type: Some("image/jpeg".to_owned()),
        width: Some(width),
        height: Some(height),
        exif_data: Some(exif(company, number).into()),
        upload_time: jiff::Timestamp::from_second(taken(company, number) + 95).ok().map(to_pb_time),
        ..pb::Photo::default()
    }
}

/// When a photo was taken, in seconds since 1970: one visit per project, a week apart, from 2025-06-02 07:30 UTC.
fn taken(company: usize, number: usize) -> i64 {
    let (visit, shot) = (number / SHOTS, number % SHOTS);
    let minutes = 60 * 24 * 7 * visit + 4 * shot + 90 * company;
    1_748_849_400 + 60 * i64::try_from(minutes).unwrap_or_default()
}

/// EXIF as exifread prints it. The server reads time, place and orientation from it.
fn exif(company: usize, number: usize) -> Struct {
    let (make, model, width, height) = CAMERAS[(number + company) % CAMERAS.len()];
    // Local summer time, UTC+2.
    let local = jiff::Timestamp::from_second(taken(company, number) + 7200)
        .map(|time| time.strftime("%Y:%m:%d %H:%M:%S").to_string());
    let mut tags = BTreeMap::from([
        ("Image Make", text(make)),
        ("Image Model", text(model)),
        ("Image Orientation", text(if upright(number) { "Rotated 90 CW" } else { "Horizontal (normal)" })),
        ("EXIF DateTimeOriginal", text(&local.unwrap_or_default())),
        ("EXIF OffsetTimeOriginal", text("+02:00")),
        ("EXIF ExifImageWidth", Value::from(f64::from(width))),
        ("EXIF ExifImageLength", Value::from(f64::from(height))),
        ("EXIF FNumber", text(["89/50", "17/10", "9/5"][(number + company) % 3])),
        ("EXIF ExposureTime", text(["1/60", "1/250", "1/1000"][number % 3])),
        ("EXIF ISOSpeedRatings", Value::from([400.0, 125.0, 50.0][number % 3])),
    ]);
    // Inside the attic there was no fix.
    if number != 3 {
        #[expect(clippy::cast_precision_loss, reason = "a dozen photos")]
        let step = (number % SHOTS) as f64 * 0.000_07;
        let (north, east) = SITES[company][number / SHOTS];
        tags.extend([
            ("GPS GPSLatitude", text(&degrees(north + step))),
            ("GPS GPSLatitudeRef", text("N")),
            ("GPS GPSLongitude", text(&degrees(east + step))),
            ("GPS GPSLongitudeRef", text("E")),
        ]);
    }
    Struct { fields: tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

fn text(text: &str) -> Value {
    Value { kind: Some(Json::StringValue(text.to_owned())) }
}

/// `[57, 42, 2196/100]`.
fn degrees(angle: f64) -> String {
    let minutes = angle.fract() * 60.0;
    format!("[{:.0}, {:.0}, {:.0}/100]", angle.trunc(), minutes.trunc(), minutes.fract() * 6000.0)
}

/// What the models see on the photos of a company, by photo.
pub(super) fn detections(company: usize, photos: &[pb::Photo]) -> Vec<pb::Detection> {
    let runs = SCENES.iter().zip(photos).flat_map(|(scene, photo)| {
        let findings = [Some(scene.damage), Some(scene.material), scene.volume];
        MODELS.iter().zip(findings).filter_map(move |(model, findings)| Some((model, photo, findings?)))
    });
    runs.enumerate()
        .map(|(number, (model, photo, findings))| detection(company, number, model, photo, findings))
        .collect()
}

fn detection(
    company: usize,
    number: usize,
    (kind, model, run): &(DetectionType, &str, &str),
    photo: &pb::Photo,
    findings: &[Finding],
) -> pb::Detection {
    let objects = findings.iter().enumerate().map(|(index, finding)| object(index, photo, finding, *kind));
    pb::Detection {
        id: id(Kind::Detection, company, number).to_string(),
        photo_id: photo.id.clone(),
        detection_type: (*kind).into(),
        model_version: (*model).to_owned(),
        run_id: Some((*run).to_owned()),
        results: Some(pb::DetectionResults { objects: objects.collect(), extra: None }),
        processing_time: Some(Duration {
            seconds: 0,
            nanos: 180_000_000 + 1_000_000 * i32::try_from(number * 37 % 400).unwrap_or_default(),
        }),
        ..pb::Detection::default()
    }
}

/// Damage models say pixels of the stored image, the others fractions of the upright one.
fn object(
    index: usize,
    photo: &pb::Photo,
    (label, confidence, place): &Finding,
    kind: DetectionType,
) -> pb::DetectedObject {
    let [x, y, width, height] = place.map(|percent| f64::from(percent) / 100.0);
    let (wide, high) = (f64::from(photo.width.unwrap_or_default()), f64::from(photo.height.unwrap_or_default()));
    let damage = kind == DetectionType::Damage;
    let measure = BTreeMap::from([("amount".to_owned(), Value::from((width * height * 240.0).round() / 10.0))]);
    pb::DetectedObject {
        object_id: (index + 1).to_string(),
        label: (*label).to_owned(),
        confidence: Some(*confidence),
        r#box: (!damage).then_some(pb::BoundingBox { x, y, width, height }),
        pixel_box: damage.then_some(pb::PixelBox {
            x: x * wide,
            y: y * high,
            width: width * wide,
            height: height * high,
        }),
        polygon: None,
        parts: Vec::new(),
        attributes: (kind == DetectionType::Volume).then(|| Struct { fields: measure }.into()),
    }
}

/// What the tagging model puts on the photos.
pub(super) fn ai_tags(photos: &[pb::Photo]) -> Vec<pb::AddTagsRequest> {
    let requests = SCENES.iter().zip(photos).enumerate().map(|(number, (scene, photo))| {
        let sure = [0.97 - 0.02 * f64::from(u8::try_from(number).unwrap_or_default()), 0.81];
        let tags = scene.tags.iter().zip(sure).map(|(tag, confidence)| pb::Tag {
            tag: (*tag).to_owned(),
            source: pb::TagSource::Ai.into(),
            confidence: Some(confidence),
            ..pb::Tag::default()
        });
        pb::AddTagsRequest { photo_ids: vec![photo.id.clone()], tags: tags.collect() }
    });
    requests.collect()
}
