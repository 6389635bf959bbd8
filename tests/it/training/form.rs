//! Where objects are, in pixels of the upright and of the stored image: compared with corners that are turned here, one by
//! one, as the EXIF standard tells where the first row and column of the stored image are seen.

use photometa::pb;
use photometa::pb::{ExportTrainingDataRequest, ImageFrame};
use serde_json::{Value, json};

use super::{answer, attributes, bounds, document, everything, labelled, moved, registered, seen};
use crate::harness::{A, App, photo};

/// The place in the upright image of a point of a stored one, both in pixels.
fn turned((x, y): (f64, f64), (width, height): (f64, f64), orientation: i32) -> (f64, f64) {
    // Which sides of the upright image the stored image's first row and first column are.
    let (row, column) = match orientation {
        1 => ("top", "left"),
        2 => ("top", "right"),
        3 => ("bottom", "right"),
        4 => ("bottom", "left"),
        5 => ("left", "top"),
        6 => ("right", "top"),
        7 => ("right", "bottom"),
        _ => ("left", "bottom"),
    };
    let mut found = (f64::NAN, f64::NAN);
    // Going down the stored image leads away from where its first row is; going right, from its first column.
    for (side, distance, length) in [(row, y, height), (column, x, width)] {
        match side {
            "top" => found.1 = distance,
            "bottom" => found.1 = length - distance,
            "left" => found.0 = distance,
            _ => found.0 = length - distance,
        }
    }
    found
}

/// The box around two corners.
fn around(a: (f64, f64), b: (f64, f64)) -> [f64; 4] {
    [a.0.min(b.0), a.1.min(b.1), (a.0 - b.0).abs(), (a.1 - b.1).abs()]
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    let close = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close, "{what}: {found:?}, not {expected:?}");
}

async fn in_frame(app: &App, frame: ImageFrame) -> Value {
    document(app, ExportTrainingDataRequest { frame: frame.into(), ..everything() }).await
}

const SIZES: [(i32, i32); 4] = [(400, 200), (4032, 3024), (333, 777), (1, 1)];

#[tokio::test]
async fn pixel_boxes_come_back_in_all_eight_orientations() {
    let app = App::start().await;
    let mut expected = Vec::new();
    for (width, height) in SIZES {
        let (wide, high) = (f64::from(width), f64::from(height));
        for orientation in 1..=8 {
            let key = format!("{width}-{height}-{orientation}.jpg");
            let on = pb::Photo {
                width: Some(width),
                height: Some(height),
                orientation: Some(orientation),
                ..photo(A.house, &key)
            };
            let on = registered(&app, on).await;
            let boxes = [
                (0.0, 0.0, wide, high),
                (0.0, 0.0, 1.0, 1.0),
                (wide - 1.0, high - 1.0, 1.0, 1.0),
                (wide - 1.0, 0.0, 1.0, high),
                (wide / 3.0, high / 7.0, wide / 9.0, high / 11.0),
            ];
            let objects = boxes.map(|(x, y, width, height)| pb::DetectedObject {
                r#box: None,
                pixel_box: Some(pb::PixelBox { x, y, width, height }),
                ..labelled("", "crack")
            });
            seen(&app, &on.id, objects.into()).await;
            expected.extend(boxes.map(|found| (key.clone(), (wide, high), orientation, found)));
        }
    }

    let (upright, stored) = (in_frame(&app, ImageFrame::Upright).await, in_frame(&app, ImageFrame::Stored).await);

    assert_eq!(upright["annotations"].as_array().unwrap().len(), expected.len());
    assert_eq!(stored["annotations"].as_array().unwrap().len(), expected.len());
    for (place, (key, size, orientation, (x, y, width, height))) in expected.iter().enumerate() {
        assert_close(key, &numbers(&stored["annotations"][place]["bbox"]), &[*x, *y, *width, *height]);
        let corner = turned((*x, *y), *size, *orientation);
        let opposite = turned((x + width, y + height), *size, *orientation);
        let found = numbers(&upright["annotations"][place]["bbox"]);
        assert_close(key, &found, &around(corner, opposite));
        let image = &upright["images"][place / 5];
        let (wide, high) = (image["width"].as_f64().unwrap(), image["height"].as_f64().unwrap());
        assert_close(key, &[wide, high], &if *orientation > 4 { [size.1, size.0] } else { [size.0, size.1] });
        assert!(found[0] >= 0.0 && found[1] >= 0.0 && found[0] + found[2] <= wide && found[1] + found[3] <= high);
        let image = &stored["images"][place / 5];
        assert_eq!((image["width"].as_f64(), image["height"].as_f64()), (Some(size.0), Some(size.1)), "{key}");
        assert_eq!(image["exif_orientation"], json!(orientation));
    }
}

#[tokio::test]
async fn outlines_come_in_pixels_of_the_frame_in_all_eight_orientations() {
    let app = App::start().await;
    let triangle = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.25)];
    let part = [(0.75, 0.75), (1.0, 0.75), (1.0, 1.0), (0.75, 1.0)];
    let outline =
        |points: &[(f64, f64)]| pb::Polygon { points: points.iter().map(|&(x, y)| pb::Point { x, y }).collect() };
    for orientation in 1..=8 {
        let key = format!("{orientation}.jpg");
        let on = registered(&app, pb::Photo { orientation: Some(orientation), ..photo(A.house, &key) }).await;
        let object = pb::DetectedObject {
            r#box: None,
            polygon: Some(outline(&triangle)),
            parts: vec![outline(&part)],
            ..labelled("o", "crack")
        };
        seen(&app, &on.id, vec![object]).await;
    }

    let (upright, stored) = (in_frame(&app, ImageFrame::Upright).await, in_frame(&app, ImageFrame::Stored).await);

    for orientation in 1..=8_u8 {
        let place = usize::from(orientation) - 1;
        let size = if orientation > 4 { (200.0, 400.0) } else { (400.0, 200.0) };
        let shown = &upright["annotations"][place];
        let pixels = |points: &[(f64, f64)]| -> Vec<f64> {
            points.iter().flat_map(|&(x, y)| [x * size.0, y * size.1]).collect()
        };
        assert_close("outline", &numbers(&shown["segmentation"][0]), &pixels(&triangle));
        assert_close("part", &numbers(&shown["segmentation"][1]), &pixels(&part));
        assert_close("box around", &numbers(&shown["bbox"]), &[0.0, 0.0, size.0, size.1]);
        // Half of 0.5 × 0.25, and 0.25 × 0.25, of 80,000 pixels.
        assert_close("area", &[shown["area"].as_f64().unwrap()], &[10_000.0]);

        let shown = &stored["annotations"][place];
        for (ring, points) in [(0, triangle.as_slice()), (1, part.as_slice())] {
            let back: Vec<f64> = numbers(&shown["segmentation"][ring])
                .chunks_exact(2)
                .map(|point| turned((point[0], point[1]), (400.0, 200.0), orientation.into()))
                .flat_map(|(x, y)| [x, y])
                .collect();
            assert_close("stored outline", &back, &pixels(points));
        }
    }
}

#[tokio::test]
async fn what_a_data_set_says_of_its_objects_holds_until_they_are_moved() {
    let app = App::start().await;
    let on = app.photo(A, "a.jpg").await;
    let mask = json!({"size": [200, 400], "counts": "04"});
    let brought = |object_id: &str, more: Value| {
        let mut kept = json!({"area": 123.5, "iscrowd": 1, "segmentation": mask.clone(), "supercategory": "damage"});
        kept.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        pb::DetectedObject { attributes: Some(attributes(&kept)), ..labelled(object_id, "crack") }
    };
    let other_size = json!({"segmentation": {"size": [400, 200], "counts": "04"}});
    let detection = seen(
        &app,
        &on.id,
        vec![brought("stays", json!({})), brought("moves", json!({})), brought("other", other_size)],
    )
    .await;
    answer(&app, &detection, pb::Verdict::Correct, vec![moved("moves", bounds(0.0, 0.0, 0.5, 0.5))]).await;

    let found = document(&app, everything()).await;

    let annotations = &found["annotations"];
    assert_eq!([&annotations[0]["area"], &annotations[1]["area"]], [&json!(123.5), &json!(20_000.0)]);
    assert_eq!(annotations[0]["segmentation"], mask.clone());
    assert_eq!([&annotations[1]["segmentation"], &annotations[2]["segmentation"]], [&json!([]); 2]);
    assert_eq!(super::column(annotations, "iscrowd"), [1, 1, 1]);
    assert_eq!(found["categories"], json!([{"id": 1, "name": "crack", "supercategory": "damage"}]));
}

#[tokio::test]
async fn mask_is_shown_only_in_the_picture_that_it_is_of() {
    let app = App::start().await;
    let cases = [
        // Orientation, rows and columns of the mask, and whether it is shown upright and stored.
        (1, [200, 400], (true, true)),
        (3, [200, 400], (false, true)),
        (6, [200, 400], (false, true)),
        (6, [400, 200], (true, false)),
    ];
    for (number, (orientation, size, _)) in cases.into_iter().enumerate() {
        let on = pb::Photo { orientation: Some(orientation), ..photo(A.house, &format!("{number}.jpg")) };
        let on = registered(&app, on).await;
        let kept = attributes(&json!({"segmentation": {"size": size, "counts": "04"}}));
        seen(&app, &on.id, vec![pb::DetectedObject { attributes: Some(kept), ..labelled("o", "crack") }]).await;
    }

    let (upright, stored) = (in_frame(&app, ImageFrame::Upright).await, in_frame(&app, ImageFrame::Stored).await);

    for (place, (orientation, size, expected)) in cases.into_iter().enumerate() {
        let shown = |document: &Value| document["annotations"][place]["segmentation"].is_object();
        assert_eq!((shown(&upright), shown(&stored)), expected, "orientation {orientation}, {size:?}");
    }
}
