//! EXIF comes back as it went in, and tells time, place and orientation.

use photometa::json::MAX_DEPTH;
use photometa::pb;
use serde_json::json;

use super::{create, exif, get};
use crate::bad_input::nested;
use crate::harness::{A, App, photo};

#[tokio::test]
async fn create_photo_keeps_exif_as_it_is() {
    let app = App::start().await;
    let oddities = [
        json!({}),
        json!({"": null, " ": "", "a.b": {"c[0]": [[], [[1, [2.5, "x"]], {}], null, true]}}),
        json!({"Make": "\u{1f4f7} \u{645}\u{631}\u{62d}\u{628}\u{627} \u{202e}e\u{301}\u{fffd}", "UserComment": "\u{1}\u{7f}\"\\/\n"}),
        json!({"MakerNote": "<script>'; drop table photos; --", "XP\u{0130}": "\u{ffff}\u{10ffff}"}),
        json!({"numbers": [0, -1, 1e-7, -0.1, 0.300_000_000_000_000_04, 9_007_199_254_740_991_i64, 9_007_199_254_740_992_i64, 1e21, -1e300]}),
        json!({"edges": [f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::EPSILON, 123_456_789.123_456_79, 1.0 / 3.0, 2.225_073_858_507_201e-308]}),
        json!({"GPS GPSLatitude": "[43, 28, 1407/500]", "EXIF ExposureTime": "1/250", "Thumbnail": [255, 216, 255]}),
    ];

    for (number, oddity) in oddities.into_iter().enumerate() {
        let given = pb::Photo { exif_data: exif(oddity), ..photo(A.house, &format!("{number}.jpg")) };
        let (stored, _) = create(&app, A.as_service(), given.clone()).await.unwrap();
        let read = get(&app, &stored.id, pb::PhotoView::WithExif).await;
        assert_eq!(stored.exif_data, given.exif_data);
        assert_eq!(read.exif_data, given.exif_data);
    }
}

#[tokio::test]
async fn create_photo_keeps_random_numbers_to_the_last_bit() {
    let app = App::start().await;
    // A fixed sequence of bit patterns: xorshift.
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    let numbers = std::iter::repeat_with(|| {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        f64::from_bits(bits)
    });
    let numbers: Vec<f64> = numbers.filter(|number| number.is_finite()).take(100).collect();
    let given = pb::Photo { exif_data: exif(json!({"n": numbers})), ..photo(A.house, "1.jpg") };

    let (stored, _) = create(&app, A.as_service(), given.clone()).await.unwrap();

    assert_eq!(stored.exif_data, given.exif_data);
}

#[tokio::test]
async fn create_photo_reads_time_place_and_orientation_from_exif() {
    let app = App::start().await;
    let written = json!({
        "EXIF DateTimeOriginal": "2024:02:29 12:00:00", "EXIF OffsetTimeOriginal": "+02:00",
        "GPS GPSLatitude": "[43, 30, 0]", "GPS GPSLatitudeRef": "S", "GPS GPSLongitude": "[11, 15, 0]", "GPS GPSLongitudeRef": "E",
        "Image Orientation": "Rotated 90 CW",
    });
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let read = pb::Photo { exif_data: exif(written.clone()), ..photo(A.house, "read.jpg") };
    let told = pb::Photo {
        capture_time: time(1),
        latitude: Some(0.0),
        longitude: Some(0.0),
        orientation: Some(1),
        s3_key: "told.jpg".to_owned(),
        ..read.clone()
    };
    let broken = json!({"EXIF DateTimeOriginal": "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}:00", "GPSLatitude": "\u{b0}", "GPSLongitude": {}, "Orientation": -1});
    let broken = pb::Photo { exif_data: exif(broken), ..photo(A.house, "broken.jpg") };

    for (given, expected) in [
        (read, (time(1_709_200_800), Some(-43.5), Some(11.25), Some(6))),
        (told, (time(1), Some(0.0), Some(0.0), Some(1))),
        (broken, (None, None, None, None)),
    ] {
        let (stored, _) = create(&app, A.as_service(), given).await.unwrap();
        assert_eq!((stored.capture_time, stored.latitude, stored.longitude, stored.orientation), expected);
    }
}

#[tokio::test]
async fn list_photos_shows_what_it_can_of_exif_that_others_wrote() {
    let app = App::start().await;
    let deep = |levels: usize, inner: &str| format!("{}{inner}{}", r#"{"a": "#.repeat(levels), "}".repeat(levels));
    let rows = [
        (deep(MAX_DEPTH, "true"), Some(nested(MAX_DEPTH, false))),
        (deep(1000, "true"), exif(serde_json::from_str(&deep(MAX_DEPTH, "null")).unwrap())),
        (r#"{"Make": "X", "n": 1e400}"#.to_owned(), exif(json!({}))),
        (r#"{"Make": "X"}"#.to_owned(), exif(json!({"Make": "X"}))),
    ];
    let mut expected = Vec::new();
    for (number, (written, shown)) in rows.into_iter().enumerate() {
        let photo = app.photo(A, &format!("{number}.jpg")).await;
        let set = "update companycam_photos.photos set exif_data = $1::text::jsonb where s3_key = $2";
        app.postgres.execute(set, &[&written, &photo.s3_key]).await.unwrap();
        expected.push((photo.s3_key, shown));
    }
    let list = pb::ListPhotosRequest {
        order_by: "create_time".to_owned(),
        view: pb::PhotoView::WithExif.into(),
        ..Default::default()
    };

    let page = app.photos(A.as_service()).list_photos(list).await.unwrap().into_inner();

    let found: Vec<_> = page.photos.into_iter().map(|photo| (photo.s3_key, photo.exif_data)).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn update_photo_leaves_exif_that_others_wrote_as_it_is() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let written = r#"{"a": 0.10000000000000000001, "b": 1e400}"#;
    let set = "update companycam_photos.photos set exif_data = $1::text::jsonb";
    app.postgres.execute(set, &[&written]).await.unwrap();
    let photo = pb::Photo { id: stored.id, width: Some(2), ..Default::default() };

    app.photos(A.as_service())
        .update_photo(pb::UpdatePhotoRequest { photo: Some(photo), update_mask: None })
        .await
        .unwrap();

    let same = "select count(*) from companycam_photos.photos
                where width = 2 and exif_data = '{\"a\": 0.10000000000000000001, \"b\": 1e400}'";
    assert_eq!(app.count(same).await, 1);
}
