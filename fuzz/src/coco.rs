//! COCO files: whatever is in one, an import refuses it with a sentence or sends what the server takes, but for texts
//! and documents that are too long.

use photometa::cli::import::messages;
use photometa::pb;
use serde_json::{Value, json};

use crate::entropy::{Entropy, edited};
use crate::memory::within;
use crate::stack::{ORGANIZATION, Stack};

/// Bytes that reading a file may hold for each of its bytes, and so many more.
const PER_BYTE: usize = 256;
const FLAT: usize = 64 * 1024;

const NUMBERS: [f64; 12] = [0.0, 1.0, 10.5, 100.0, -1.0, 399.999_999_9, 400.0, 1e6, 1e300, -1e308, 1e308, 5e-324];
const SIDES: [i64; 8] = [400, 200, 1, 1_000_000, 0, -1, 1_000_001, i64::MAX];

thread_local! {
    static STACK: Stack = Stack::default();
}

/// Checks what an import makes of a file.
///
/// # Panics
/// When something does not hold that always should.
pub fn coco(data: &[u8]) {
    let mut entropy = Entropy::new(data);
    let (file, predictions) = match entropy.below(3) {
        0 => (document(&mut entropy).to_string().into_bytes(), None),
        1 => {
            let mut edits = entropy.clone();
            entropy.take(13);
            let mut file = document(&mut entropy);
            let predictions = entropy.one_in_256(64).then(|| file["annotations"].take().to_string().into_bytes());
            (edited(file.to_string().into_bytes(), &mut edits), predictions)
        }
        _ => (entropy.rest().to_vec(), None),
    };
    let budget = FLAT + PER_BYTE * (file.len() + predictions.as_ref().map_or(0, Vec::len));
    let sent = within(budget, || messages(&file, predictions.as_deref(), ORGANIZATION));
    let (photos, detections) = match sent {
        Ok(sent) => sent,
        Err(problem) => {
            let problem = problem.to_string();
            assert!(problem.starts_with("dataset: ") || problem.starts_with("predictions: "), "{problem}");
            assert!(problem.len() < 64 * 1024, "a sentence of {} bytes", problem.len());
            return;
        }
    };
    assert_eq!(photos.len(), detections.len());
    for (photo, detection) in photos.iter().zip(&detections) {
        assert_eq!(photo.id, detection.photo_id);
    }
    taken("PhotoService/BatchCreatePhotos", &pb::BatchCreatePhotosRequest { photos, partial: false });
    taken("DetectionService/BatchCreateDetections", &pb::BatchCreateDetectionsRequest { detections, partial: false });
}

/// Whether the server takes what an import sends. Numbers and ids are the import's work; texts are the file's.
fn taken(rpc: &str, request: &impl prost::Message) {
    let path = format!("/photometa.v1.{rpc}");
    let answer = STACK.with(|stack| stack.call(&path, 1, &request.encode_to_vec()));
    let details = answer.details();
    let violations = details.bad_request().map(|request| request.field_violations.as_slice()).unwrap_or_default();
    for violation in violations {
        let told = |what: &str| violation.field.ends_with(what) || violation.field.contains(&format!("{what}["));
        let texts = ["s3_url", "s3_key", "label", "object_id", "attributes", "results", "photos", "detections"];
        assert!(texts.into_iter().any(told), "{violation:?}");
    }
    assert!(answer.is_valid() || !violations.is_empty(), "{answer:?}");
}

/// A file of the right form, for the most part.
fn document(entropy: &mut Entropy<'_>) -> Value {
    let images: Vec<Value> = (0..entropy.below(4)).map(|index| image(index, entropy)).collect();
    let categories: Vec<Value> = (0..=entropy.below(3))
        .map(|id| json!({"id": id, "name": entropy.of(&["crack", "dent", "", "\0", "crack"]), "supercategory": entropy.of(&[None, Some("damage")])}))
        .collect();
    let annotations: Vec<Value> = (0..entropy.below(6)).map(|index| annotation(index, entropy)).collect();
    let frame = entropy.of(&[None, Some("stored"), Some("upright"), Some("")]);
    json!({"info": {"frame": frame}, "images": images, "annotations": annotations, "categories": categories})
}

fn image(index: usize, entropy: &mut Entropy<'_>) -> Value {
    let id = if entropy.one_in_256(16) { 0 } else { index };
    let mut image =
        json!({"id": id, "file_name": format!("{id}.jpg"), "width": entropy.of(&SIDES), "height": entropy.of(&SIDES)});
    if entropy.one_in_256(128) {
        image["photo_id"] = format!("01890a5d-ac96-774b-bcce-b302099a80{:02x}", entropy.byte()).into();
        image["exif_orientation"] = (*entropy.of(&[1, 2, 3, 4, 5, 6, 7, 8, 0, 9, -1])).into();
    }
    if entropy.one_in_256(64) {
        let times = [
            "2013-11-14 17:02:52",
            "2013-11-14T17:02:52+01:00",
            "-009999-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
            "0000-12-31 23:59:59.9",
            "",
        ];
        image["date_captured"] = (*entropy.of(&times)).into();
    }
    image
}

fn annotation(index: usize, entropy: &mut Entropy<'_>) -> Value {
    let number = |entropy: &mut Entropy<'_>| *entropy.of(&NUMBERS);
    let mut annotation = json!({"id": index, "image_id": entropy.below(3), "category_id": entropy.below(3)});
    if !entropy.one_in_256(64) {
        annotation["bbox"] = (0..4).map(|_| number(entropy)).collect();
    }
    match entropy.below(4) {
        0 => {}
        1 => annotation["segmentation"] = json!({"counts": [1, 2, 3], "size": [2, 2]}),
        _ => {
            let rings =
                (0..entropy.below(4)).map(|_| (0..entropy.below(14)).map(|_| number(entropy)).collect::<Vec<_>>());
            annotation["segmentation"] = rings.collect();
        }
    }
    if entropy.one_in_256(128) {
        annotation["score"] = json!(entropy.of(&[0.5, 0.0, 1.0, -0.0, 1.5, -1e-300]));
    }
    if entropy.one_in_256(64) {
        annotation["object_id"] = (*entropy.of(&["1", "a", "", "1-2", "\0"])).into();
    }
    annotation
}
