//! The worst requests: every field rule is told with code, reason and path, all at once, and nothing is written.

use std::fmt::Debug;

use photometa::pb;
use prost_types::value::Kind;
use prost_types::{Duration, FieldMask, Struct, Timestamp, Value};
use tonic::{Code, Response, Status};

use crate::harness::{A, App, detection, paths, photo, reason};

mod batch;
mod lists;
mod wire;

/// A UUID of nothing.
const NOBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// Asserts that a call was refused for exactly these fields.
pub fn assert_refused<T: Debug>(what: &str, answer: Result<Response<T>, Status>, expected: &[&str]) {
    let status = answer.expect_err(what);
    assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
    assert_eq!(reason(&status), "INVALID_FIELDS", "{what}");
    assert_eq!(paths(&status), expected, "{what}: {}", status.message());
}

/// JSON in which `levels` objects or arrays stand inside one another.
pub fn nested(levels: usize, list: bool) -> Struct {
    let mut value = Value { kind: Some(Kind::BoolValue(true)) };
    for _ in 1..levels {
        let kind = if list {
            Kind::ListValue(prost_types::ListValue { values: vec![value] })
        } else {
            Kind::StructValue(Struct { fields: [("a".to_owned(), value)].into() })
        };
        value = Value { kind: Some(kind) };
    }
    Struct { fields: [("a".to_owned(), value)].into() }
}

fn json(name: &str, kind: Kind) -> Struct {
    Struct { fields: [(name.to_owned(), Value { kind: Some(kind) })].into() }
}

/// JSON that no database keeps, and JSON that is too much.
fn bad_json() -> Vec<Struct> {
    let list = prost_types::ListValue { values: vec![Value { kind: Some(Kind::NumberValue(f64::NAN)) }] };
    vec![
        json("a\0b", Kind::BoolValue(true)),
        json("a", Kind::StringValue("\0".to_owned())),
        json("a", Kind::NumberValue(f64::NAN)),
        json("a", Kind::NumberValue(f64::INFINITY)),
        json("a", Kind::NumberValue(f64::NEG_INFINITY)),
        json("a", Kind::ListValue(list)),
        json("a", Kind::StructValue(json("\0", Kind::NullValue(0)))),
        nested(33, false),
        nested(33, true),
        nested(200, false),
        nested(200, true),
        json("a", Kind::StringValue("x".repeat(256 * 1024))),
    ]
}

type PhotoCase = (&'static str, fn(&mut pb::Photo), &'static [&'static str]);

const PHOTOS: &[PhotoCase] = &[
    ("short id", |p| p.id = "1234".to_owned(), &["photo.id"]),
    ("braced id", |p| p.id = format!("{{{NOBODY}}}"), &["photo.id"]),
    ("urn id", |p| p.id = format!("urn:uuid:{NOBODY}"), &["photo.id"]),
    ("id without dashes", |p| p.id = NOBODY.replace('-', ""), &["photo.id"]),
    ("nil id", |p| p.id = uuid::Uuid::nil().to_string(), &["photo.id"]),
    ("id with a line end", |p| p.id = format!("{NOBODY}\n"), &["photo.id"]),
    ("sql as id", |p| p.id = "'; drop table photos; -- ".to_owned(), &["photo.id"]),
    ("no project", |p| p.project_id.clear(), &["photo.project_id"]),
    ("nil project", |p| p.project_id = uuid::Uuid::nil().to_string(), &["photo.project_id"]),
    ("bad user", |p| p.user_id = "me".to_owned(), &["photo.user_id"]),
    ("no url", |p| p.s3_url.clear(), &["photo.s3_url"]),
    ("long url", |p| p.s3_url = "x".repeat(2001), &["photo.s3_url"]),
    ("no key", |p| p.s3_key.clear(), &["photo.s3_key"]),
    ("long key", |p| p.s3_key = "\u{1f600}".repeat(501), &["photo.s3_key"]),
    ("nul in key", |p| p.s3_key = "a\0b".to_owned(), &["photo.s3_key"]),
    ("nul in url", |p| p.s3_url = "\0".to_owned(), &["photo.s3_url"]),
    ("empty media type", |p| p.mime_type = Some(String::new()), &["photo.mime_type"]),
    ("long media type", |p| p.mime_type = Some("x".repeat(101)), &["photo.mime_type"]),
    ("nul in media type", |p| p.mime_type = Some("a\0".to_owned()), &["photo.mime_type"]),
    ("negative size", |p| p.file_size_bytes = Some(-1), &["photo.file_size_bytes"]),
    ("least size", |p| p.file_size_bytes = Some(i64::MIN), &["photo.file_size_bytes"]),
    ("no width", |p| p.width = Some(0), &["photo.width"]),
    ("wide", |p| p.width = Some(1_000_001), &["photo.width"]),
    ("negative height", |p| p.height = Some(i32::MIN), &["photo.height"]),
    ("lone latitude", |p| p.latitude = Some(1.0), &["photo.longitude"]),
    ("lone longitude", |p| p.longitude = Some(1.0), &["photo.latitude"]),
    ("latitude nan", |p| (p.latitude, p.longitude) = (Some(f64::NAN), Some(0.0)), &["photo.latitude"]),
    (
        "off the globe",
        |p| (p.latitude, p.longitude) = (Some(90.1), Some(-180.1)),
        &["photo.latitude", "photo.longitude"],
    ),
    ("longitude inf", |p| (p.latitude, p.longitude) = (Some(0.0), Some(f64::INFINITY)), &["photo.longitude"]),
    ("orientation 0", |p| p.orientation = Some(0), &["photo.orientation"]),
    ("orientation 9", |p| p.orientation = Some(9), &["photo.orientation"]),
    ("orientation over 16 bits", |p| p.orientation = Some(65_537), &["photo.orientation"]),
    ("year 10000", |p| p.capture_time = Some(time(253_402_300_800, 0)), &["photo.capture_time"]),
    ("year 0", |p| p.capture_time = Some(time(-62_135_596_801, 0)), &["photo.capture_time"]),
    ("end of time", |p| p.upload_time = Some(time(i64::MAX, i32::MAX)), &["photo.upload_time"]),
    ("beginning of time", |p| p.upload_time = Some(time(i64::MIN, i32::MIN)), &["photo.upload_time"]),
    ("negative nanos", |p| p.upload_time = Some(time(0, -1)), &["photo.upload_time"]),
    ("a second of nanos", |p| p.upload_time = Some(time(0, 1_000_000_000)), &["photo.upload_time"]),
];

fn time(seconds: i64, nanos: i32) -> Timestamp {
    Timestamp { seconds, nanos }
}

#[tokio::test]
async fn create_photo_refuses_bad_fields() {
    let app = App::start().await;
    let mut photos = app.photos(A.as_service());
    let before = app.rows().await;

    for (what, spoil, expected) in PHOTOS {
        let mut bad = photo(A.house, "bad.jpg");
        spoil(&mut bad);
        assert_refused(what, photos.create_photo(pb::CreatePhotoRequest { photo: Some(bad) }).await, expected);
    }
    for exif_data in bad_json().into_iter().chain([json("a", Kind::StringValue("x".repeat(64 * 1024 - 7)))]) {
        let bad = pb::Photo { exif_data: Some(exif_data), ..photo(A.house, "bad.jpg") };
        let request = pb::CreatePhotoRequest { photo: Some(bad) };
        assert_refused("exif", photos.create_photo(request).await, &["photo.exif_data"]);
    }
    assert_refused(
        "nothing",
        photos.create_photo(pb::CreatePhotoRequest { photo: None }).await,
        &["photo", "photo.project_id", "photo.s3_key", "photo.s3_url"],
    );

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_photo_accepts_the_extremes() {
    let app = App::start().await;
    let mut photos = app.photos(A.as_service());
    let extremes: &[fn(&mut pb::Photo)] = &[
        |p| p.s3_key = "\u{1f600}".repeat(500),
        |p| p.s3_url = "\u{1f600}".repeat(2000),
        |p| p.id = NOBODY.to_uppercase(),
        |p| p.file_size_bytes = Some(i64::MAX),
        |p| (p.width, p.height) = (Some(1), Some(1_000_000)),
        |p| (p.latitude, p.longitude) = (Some(-90.0), Some(180.0)),
        |p| p.capture_time = Some(time(-62_135_596_800, 0)),
        |p| p.upload_time = Some(time(253_402_207_199, 999_999_999)),
        |p| p.exif_data = Some(nested(32, false)),
        |p| p.exif_data = Some(nested(32, true)),
        |p| p.exif_data = Some(json("a", Kind::StringValue("x".repeat(64 * 1024 - 8)))),
        |p| p.exif_data = Some(json("", Kind::StringValue("\u{1}\u{202e}\u{feff}".to_owned()))),
    ];

    for (number, extreme) in extremes.iter().enumerate() {
        let mut given = photo(A.house, &format!("{number}.jpg"));
        extreme(&mut given);
        let stored = photos.create_photo(pb::CreatePhotoRequest { photo: Some(given.clone()) }).await;
        let stored = stored.unwrap_or_else(|status| panic!("extreme {number}: {status:?}")).into_inner().photo.unwrap();
        assert_eq!(stored.s3_key, given.s3_key);
        assert_eq!(stored.exif_data, given.exif_data);
    }
}

#[tokio::test]
async fn update_photo_refuses_bad_masks_and_values() {
    let app = App::start().await;
    let mut photos = app.photos(A.as_service());
    let stored = app.photo(A, "site/1.jpg").await;
    let cases: &[(&[&str], fn(&mut pb::Photo), &[&str])] = &[
        (&["nonsense"], |_| (), &["update_mask.paths[0]"]),
        (&["mime_type", "S3_URL", ""], |_| (), &["update_mask.paths[1]", "update_mask.paths[2]"]),
        (&["*", "mime_type"], |_| (), &["update_mask.paths[0]"]),
        (&["exif_data.Make"], |_| (), &["update_mask.paths[0]"]),
        (&["mime_type\0"], |_| (), &["update_mask.paths[0]"]),
        (
            &["id", "organization_id", "project_id", "user_id", "s3_key", "etag", "create_time"],
            |_| (),
            &[
                "update_mask.paths[0]",
                "update_mask.paths[1]",
                "update_mask.paths[2]",
                "update_mask.paths[3]",
                "update_mask.paths[4]",
                "update_mask.paths[5]",
                "update_mask.paths[6]",
            ],
        ),
        (&["s3_url"], |p| p.s3_url.clear(), &["photo.s3_url"]),
        (&["upload_time"], |p| p.upload_time = None, &["photo.upload_time"]),
        (&["latitude"], |p| (p.latitude, p.longitude) = (Some(1.0), Some(1.0)), &["update_mask"]),
        (&["width", "height"], |p| (p.width, p.height) = (Some(0), Some(-1)), &["photo.width", "photo.height"]),
        (&[], |p| p.orientation = Some(99), &["photo.orientation"]),
        (&["*"], |p| p.exif_data = Some(nested(33, true)), &["photo.exif_data"]),
        (&[], |p| p.id.clear(), &["photo.id"]),
    ];

    for (mask, spoil, expected) in cases {
        let mut bad = stored.clone();
        spoil(&mut bad);
        let mask = FieldMask { paths: mask.iter().map(ToString::to_string).collect() };
        let request = pb::UpdatePhotoRequest { photo: Some(bad), update_mask: Some(mask.clone()) };
        assert_refused(&format!("{mask:?}"), photos.update_photo(request).await, expected);
    }

    let request = pb::GetPhotoRequest { id: stored.id.clone(), view: pb::PhotoView::WithExif.into() };
    assert_eq!(photos.get_photo(request).await.unwrap().into_inner().photo, Some(stored));
}

type DetectionCase = (&'static str, fn(&mut pb::Detection), &'static [&'static str]);

const BOX: &str = "detection.results.objects[0].box";

fn first(detection: &mut pb::Detection) -> &mut pb::DetectedObject {
    &mut detection.results.as_mut().unwrap().objects[0]
}

fn place(detection: &mut pb::Detection, [x, y, width, height]: [f64; 4]) {
    first(detection).r#box = Some(pb::BoundingBox { x, y, width, height });
}

fn pixels(detection: &mut pb::Detection, [x, y, width, height]: [f64; 4]) {
    first(detection).r#box = None;
    first(detection).pixel_box = Some(pb::PixelBox { x, y, width, height });
}

fn outline(detection: &mut pb::Detection, points: &[(f64, f64)]) {
    let points = points.iter().map(|&(x, y)| pb::Point { x, y }).collect();
    first(detection).polygon = Some(pb::Polygon { points });
}

const DETECTIONS: &[DetectionCase] = &[
    ("bad id", |d| d.id = "x".repeat(36), &["detection.id"]),
    ("no photo", |d| d.photo_id.clear(), &["detection.photo_id"]),
    ("no type", |d| d.detection_type = 0, &["detection.detection_type"]),
    ("unknown type", |d| d.detection_type = 4, &["detection.detection_type"]),
    ("negative type", |d| d.detection_type = i32::MIN, &["detection.detection_type"]),
    ("no model", |d| d.model_version.clear(), &["detection.model_version"]),
    ("long model", |d| d.model_version = "x".repeat(101), &["detection.model_version"]),
    ("nul in model", |d| d.model_version = "a\0".to_owned(), &["detection.model_version"]),
    ("empty run", |d| d.run_id = Some(String::new()), &["detection.run_id"]),
    ("long run", |d| d.run_id = Some("x".repeat(201)), &["detection.run_id"]),
    ("confidence nan", |d| d.confidence = Some(f64::NAN), &["detection.confidence"]),
    ("confidence inf", |d| d.confidence = Some(f64::INFINITY), &["detection.confidence"]),
    ("confidence -inf", |d| d.confidence = Some(f64::NEG_INFINITY), &["detection.confidence"]),
    ("confidence in percent", |d| d.confidence = Some(75.0), &["detection.confidence"]),
    ("confidence below 0", |d| d.confidence = Some(-1e-300), &["detection.confidence"]),
    ("confidence over 1", |d| d.confidence = Some(1.0 + f64::EPSILON), &["detection.confidence"]),
    ("no time", |d| d.processing_time = Some(Duration::default()), &["detection.processing_time"]),
    ("negative time", |d| d.processing_time = Some(span(-1, 0)), &["detection.processing_time"]),
    ("mixed signs", |d| d.processing_time = Some(span(1, -1)), &["detection.processing_time"]),
    ("24.9 days", |d| d.processing_time = Some(span(2_147_484, 0)), &["detection.processing_time"]),
    ("for ever", |d| d.processing_time = Some(span(i64::MAX, 999_999_999)), &["detection.processing_time"]),
    ("object confidence", |d| first(d).confidence = Some(f64::NAN), &["detection.results.objects[0].confidence"]),
    ("no label", |d| first(d).label.clear(), &["detection.results.objects[0].label"]),
    ("long label", |d| first(d).label = "x".repeat(201), &["detection.results.objects[0].label"]),
    ("nul in label", |d| first(d).label = "\0".to_owned(), &["detection.results.objects[0].label"]),
    ("long object id", |d| first(d).object_id = "x".repeat(101), &["detection.results.objects[0].object_id"]),
    (
        "object id twice",
        |d| {
            let again = first(d).clone();
            d.results.as_mut().unwrap().objects.push(again);
        },
        &["detection.results.objects[1].object_id"],
    ),
    ("wide box", |d| place(d, [0.5, 0.0, 0.6, 1.0]), &["detection.results.objects[0].box.width"]),
    ("high box", |d| place(d, [0.0, 0.5, 1.0, 0.6]), &["detection.results.objects[0].box.height"]),
    ("no width", |d| place(d, [0.5, 0.5, 0.0, 0.1]), &["detection.results.objects[0].box.width"]),
    ("negative height", |d| place(d, [0.5, 0.5, 0.1, -0.1]), &["detection.results.objects[0].box.height"]),
    ("left of the image", |d| place(d, [-0.1, 0.5, 0.1, 0.1]), &["detection.results.objects[0].box.x"]),
    ("both boxes", |d| first(d).pixel_box = Some(PIXELS), &["detection.results.objects[0].pixel_box"]),
    ("pixels from outside", |d| pixels(d, [-1.0, 0.0, 1.0, 1.0]), &["detection.results.objects[0].pixel_box.x"]),
    ("pixels past the edge", |d| pixels(d, [390.0, 0.0, 11.0, 1.0]), &["detection.results.objects[0].pixel_box.width"]),
    ("pixels below", |d| pixels(d, [0.0, 200.0, 1.0, 1.0]), &["detection.results.objects[0].pixel_box.height"]),
    ("pixels nan", |d| pixels(d, [0.0, 0.0, f64::NAN, 1.0]), &["detection.results.objects[0].pixel_box.width"]),
    ("a line", |d| outline(d, &[(0.0, 0.0), (1.0, 1.0)]), &["detection.results.objects[0].polygon.points"]),
    ("no points", |d| outline(d, &[]), &["detection.results.objects[0].polygon.points"]),
    ("many points", |d| outline(d, &[(0.5, 0.5); 2001]), &["detection.results.objects[0].polygon.points"]),
    (
        "points outside",
        |d| outline(d, &[(0.0, 0.0), (1.1, f64::NAN), (0.0, -0.1)]),
        &[
            "detection.results.objects[0].polygon.points[1].x",
            "detection.results.objects[0].polygon.points[1].y",
            "detection.results.objects[0].polygon.points[2].y",
        ],
    ),
    (
        "1001 objects",
        |d| d.results.as_mut().unwrap().objects = vec![crate::harness::object(""); 1001],
        &["detection.results.objects"],
    ),
];

const PIXELS: pb::PixelBox = pb::PixelBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };

fn span(seconds: i64, nanos: i32) -> Duration {
    Duration { seconds, nanos }
}

#[tokio::test]
async fn create_detection_refuses_bad_fields() {
    let app = App::start().await;
    let mut detections = app.detections(A.as_service());
    let stored = app.photo(A, "site/1.jpg").await;
    let before = app.rows().await;

    for (what, spoil, expected) in DETECTIONS {
        let mut bad = detection(&stored.id);
        spoil(&mut bad);
        let request = pb::CreateDetectionRequest { detection: Some(bad) };
        assert_refused(what, detections.create_detection(request).await, expected);
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for (side, name) in ["x", "y", "width", "height"].into_iter().enumerate() {
            let mut bad = detection(&stored.id);
            let mut sides = [0.1; 4];
            sides[side] = number;
            place(&mut bad, sides);
            let status =
                detections.create_detection(pb::CreateDetectionRequest { detection: Some(bad) }).await.unwrap_err();
            assert_eq!(reason(&status), "INVALID_FIELDS");
            assert!(paths(&status).contains(&format!("{BOX}.{name}")), "{number} {name}: {status:?}");
        }
    }

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_detection_refuses_bad_json() {
    let app = App::start().await;
    let mut detections = app.detections(A.as_service());
    let stored = app.photo(A, "site/1.jpg").await;
    let before = app.rows().await;

    for bad in bad_json() {
        // Size is a matter of the results as a whole.
        let whole = prost::Message::encoded_len(&bad) > 256 * 1024;
        let mut extra = detection(&stored.id);
        extra.results.as_mut().unwrap().extra = Some(bad.clone());
        let mut attributes = detection(&stored.id);
        first(&mut attributes).attributes = Some(bad);
        for (given, path) in [(extra, "detection.results.extra"), (attributes, "detection.results.objects.attributes")]
        {
            let request = pb::CreateDetectionRequest { detection: Some(given) };
            let status = detections.create_detection(request).await.unwrap_err();
            // What is too deep for the decoder is named without indexes.
            let found: Vec<_> = paths(&status).into_iter().map(|path| path.replace("[0]", "")).collect();
            assert_eq!(found, [if whole { "detection.results" } else { path }], "{status:?}");
            assert_eq!(reason(&status), "INVALID_FIELDS");
        }
    }

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_detection_refuses_pixels_without_dimensions() {
    let app = App::start().await;
    let bare = pb::Photo { width: None, ..photo(A.house, "bare.jpg") };
    let request = pb::CreatePhotoRequest { photo: Some(bare) };
    let bare = app.photos(A.as_service()).create_photo(request).await.unwrap().into_inner().photo.unwrap();
    let before = app.rows().await;
    let mut bad = detection(&bare.id);
    pixels(&mut bad, [0.0, 0.0, 1.0, 1.0]);

    let request = pb::CreateDetectionRequest { detection: Some(bad) };
    let answer = app.detections(A.as_service()).create_detection(request).await;

    assert_refused("no width", answer, &["detection.results.objects[0].pixel_box"]);
    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_detection_accepts_the_extremes() {
    let app = App::start().await;
    let mut detections = app.detections(A.as_service());
    let stored = app.photo(A, "site/1.jpg").await;
    let extremes: &[fn(&mut pb::Detection)] = &[
        |d| d.processing_time = Some(span(0, 1)),
        |d| d.processing_time = Some(span(2_147_483, 647_000_000)),
        |d| d.confidence = Some(0.0),
        |d| d.confidence = Some(-0.0),
        |d| place(d, [0.0, 0.0, 1.0, 1.0]),
        |d| place(d, [0.1, 0.2, 0.9, 0.8]),
        |d| place(d, [0.5, 0.5, f64::MIN_POSITIVE, 0.5]),
        |d| pixels(d, [0.0, 0.0, 400.0, 200.0]),
        |d| outline(d, &[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]),
        |d| d.results.as_mut().unwrap().extra = Some(nested(32, false)),
        |d| d.results.as_mut().unwrap().extra = Some(nested(32, true)),
        |d| first(d).attributes = Some(nested(32, false)),
        |d| first(d).attributes = Some(nested(32, true)),
        |d| d.results.as_mut().unwrap().objects = vec![crate::harness::object(""); 1000],
    ];

    for (number, extreme) in extremes.iter().enumerate() {
        let mut given = detection(&stored.id);
        extreme(&mut given);
        let batch = pb::BatchCreateDetectionsRequest { detections: vec![given.clone()], partial: false };
        let answer = detections.create_detection(pb::CreateDetectionRequest { detection: Some(given) }).await;
        let kept =
            answer.unwrap_or_else(|status| panic!("extreme {number}: {status:?}")).into_inner().detection.unwrap();
        if number == 0 {
            assert_eq!(kept.processing_time, Some(span(0, 1_000_000)));
        }
        detections.batch_create_detections(batch).await.unwrap_or_else(|status| panic!("batch {number}: {status:?}"));
    }
}
