//! What do the photos and detections of a benchmark say? Photos have fixed ids, so that registering them again changes
//! nothing; all detections say the same, whichever way they are stored.

use photometa::pb;
use uuid::Uuid;

/// Photos of calls that carry one detection: one full batch.
pub const PHOTOS: usize = photometa::MAX_BATCH;
/// The id of the first photo; the others follow.
const FIRST_PHOTO: u128 = 0xbe9c_0000_0000_8000_8000_0000_0000_0001;

/// Type of every detection.
pub const DETECTION_TYPE: pb::DetectionType = pb::DetectionType::Damage;
/// Model of every detection.
pub const MODEL: &str = "bench-1.0.0";
/// How long the model took.
pub const PROCESSING_TIME_MS: i32 = 1500;
/// Two objects: `object_id`, label, confidence, and the box's x, y, width and height.
pub const OBJECTS: [(&str, &str, f64, [f64; 4]); 2] =
    [("1", "missing_slate", 0.94, [0.22, 0.31, 0.18, 0.12]), ("2", "cracked_slate", 0.71, [0.55, 0.4, 0.09, 0.08])];

/// Id of a photo.
pub fn photo_id(number: usize) -> Uuid {
    Uuid::from_u128(FIRST_PHOTO + number as u128)
}

/// A detection on a photo, without an id.
pub fn detection(photo: usize) -> pb::Detection {
    let objects = OBJECTS.iter().map(|&(object_id, label, confidence, [x, y, width, height])| pb::DetectedObject {
        object_id: object_id.to_owned(),
        label: label.to_owned(),
        confidence: Some(confidence),
        r#box: Some(pb::BoundingBox { x, y, width, height }),
        ..pb::DetectedObject::default()
    });
    pb::Detection {
        photo_id: photo_id(photo).to_string(),
        detection_type: DETECTION_TYPE.into(),
        model_version: MODEL.to_owned(),
        results: Some(pb::DetectionResults { objects: objects.collect(), extra: None }),
        processing_time: Some(prost_types::Duration {
            seconds: i64::from(PROCESSING_TIME_MS / 1000),
            nanos: PROCESSING_TIME_MS % 1000 * 1_000_000,
        }),
        ..pb::Detection::default()
    }
}
