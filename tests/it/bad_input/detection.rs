//! Detections: boxes, outlines, confidences, durations and JSON that cannot be.

use photometa::pb;
use prost_types::Duration;

use super::{assert_refused, bad_json, nested};
use crate::harness::{A, App, detection, object, paths, photo, reason};

pub type DetectionCase = (&'static str, fn(&mut pb::Detection), &'static [&'static str]);

const BOX: &str = "detection.results.objects[0].box";

pub fn first(detection: &mut pb::Detection) -> &mut pb::DetectedObject {
    &mut detection.results.as_mut().unwrap().objects[0]
}

pub fn place(detection: &mut pb::Detection, [x, y, width, height]: [f64; 4]) {
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

pub const DETECTIONS: &[DetectionCase] = &[
    ("bad id", |d| d.id = "x".repeat(36), &["detection.id"]),
    ("no photo", |d| d.photo_id.clear(), &["detection.photo_id"]),
    ("no type", |d| d.detection_type = 0, &["detection.detection_type"]),
    ("unknown type", |d| d.detection_type = 4, &["detection.detection_type"]),
    ("negative type", |d| d.detection_type = i32::MIN, &["detection.detection_type"]),
    ("no model", |d| d.model_version.clear(), &["detection.model_version"]),
    ("long model", |d| d.model_version = "x".repeat(101), &["detection.model_version"]),
    ("nul in model", |d| d.model_version = "a\0".into(), &["detection.model_version"]),
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
    ("nul in label", |d| first(d).label = "\0".into(), &["detection.results.objects[0].label"]),
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
    ("right of the image", |d| place(d, [1.0, 0.0, 1e-7, 1.0]), &["detection.results.objects[0].box.width"]),
    ("below the image", |d| place(d, [0.0, 1.000_000_5, 1.0, 1e-7]), &["detection.results.objects[0].box.height"]),
    ("both boxes", |d| first(d).pixel_box = Some(PIXELS), &["detection.results.objects[0].pixel_box"]),
    ("pixels from outside", |d| pixels(d, [-1.0, 0.0, 1.0, 1.0]), &["detection.results.objects[0].pixel_box.x"]),
    ("pixels past the edge", |d| pixels(d, [390.0, 0.0, 11.0, 1.0]), &["detection.results.objects[0].pixel_box.width"]),
    ("pixels below", |d| pixels(d, [0.0, 200.0, 1.0, 1.0]), &["detection.results.objects[0].pixel_box.height"]),
    ("pixels on the edge", |d| pixels(d, [400.0, 0.0, 1e-5, 1.0]), &["detection.results.objects[0].pixel_box.width"]),
    ("thin pixels", |d| pixels(d, [0.0, 0.0, 5e-324, 1.0]), &["detection.results.objects[0].pixel_box"]),
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
        "parts without a first outline",
        |d| first(d).parts = vec![pb::Polygon { points: vec![pb::Point::default(); 3] }],
        &["detection.results.objects[0].parts"],
    ),
    (
        "many parts",
        |d| {
            outline(d, &[(0.5, 0.5); 3]);
            first(d).parts = vec![pb::Polygon { points: vec![pb::Point::default(); 3] }; 101];
        },
        &["detection.results.objects[0].parts"],
    ),
    (
        "a part that is a line, and one outside",
        |d| {
            outline(d, &[(0.5, 0.5); 3]);
            let outside = pb::Point { x: 0.5, y: 1.1 };
            first(d).parts = vec![pb::Polygon::default(), pb::Polygon { points: vec![outside; 3] }];
        },
        &[
            "detection.results.objects[0].parts[0].points",
            "detection.results.objects[0].parts[1].points[0].y",
            "detection.results.objects[0].parts[1].points[1].y",
            "detection.results.objects[0].parts[1].points[2].y",
        ],
    ),
    ("1001 objects", |d| d.results.as_mut().unwrap().objects = vec![object(""); 1001], &["detection.results.objects"]),
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
        |d| d.results.as_mut().unwrap().objects = vec![object(""); 1000],
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
