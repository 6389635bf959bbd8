//! Filters that no photo can fulfil, or that are out of bounds, are refused with their paths; and a token continues the
//! request it came from, and no other.

use photometa::pb;
use tonic::Code;

use crate::bad_input::assert_refused;
use crate::harness::{A, App, reason};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn any() -> pb::PhotoFilter {
    pb::PhotoFilter::default()
}

fn geo_box(south: f64, west: f64, north: f64, east: f64) -> pb::GeoBox {
    pb::GeoBox { south: Some(south), west: Some(west), north: Some(north), east: Some(east) }
}

fn with_box(geo_box: pb::GeoBox) -> pb::PhotoFilter {
    pb::PhotoFilter { geo_box: Some(geo_box), ..any() }
}

fn with_seen(detection: pb::PhotoDetectionFilter) -> pb::PhotoFilter {
    pb::PhotoFilter { detection: Some(detection), ..any() }
}

fn without(r#type: i32, model_version: &str) -> pb::PhotoFilter {
    let model_version = model_version.to_owned();
    pb::PhotoFilter { without_detection: Some(pb::PhotoWithoutDetectionFilter { r#type, model_version }), ..any() }
}

/// Asks with each filter, and expects these refusals of it.
async fn refused(cases: Vec<(pb::PhotoFilter, &[&str])>) {
    let app = App::start().await;
    for (filter, expected) in cases {
        let what = format!("{filter:?}").chars().take(200).collect::<String>();
        let request = pb::ListPhotosRequest { filter: Some(filter), ..Default::default() };
        assert_refused(&what, app.photos(A.as_member()).list_photos(request).await, expected);
    }
}

#[tokio::test]
async fn list_photos_refuses_tags_out_of_bounds() {
    let long = "x".repeat(101);
    refused(vec![
        (pb::PhotoFilter { tags_all: words(&["a", " "]), ..any() }, &["filter.tags_all[1]"]),
        (pb::PhotoFilter { tags_all: words(&["a"; 21]), ..any() }, &["filter.tags_all"]),
        (
            pb::PhotoFilter { tags_any: words(&["", "a", &long]), ..any() },
            &["filter.tags_any[0]", "filter.tags_any[2]"],
        ),
        (pb::PhotoFilter { tags_any: words(&["a"; 101]), ..any() }, &["filter.tags_any"]),
        (
            pb::PhotoFilter { tags_none: words(&["a\0", "a\u{7}"]), ..any() },
            &["filter.tags_none[0]", "filter.tags_none[1]"],
        ),
        (pb::PhotoFilter { tags_none: words(&["a"; 101]), ..any() }, &["filter.tags_none"]),
    ])
    .await;
}

#[tokio::test]
async fn list_photos_refuses_detections_out_of_bounds() {
    let seen = pb::PhotoDetectionFilter::default;
    let all_wrong = pb::PhotoDetectionFilter {
        types: vec![0, 1, 4],
        model_versions: words(&["m", ""]),
        min_confidence: Some(-0.1),
        labels: words(&["", "l"]),
        user_confirmed: None,
    };
    refused(vec![
        (
            with_seen(pb::PhotoDetectionFilter { min_confidence: Some(f64::NAN), ..seen() }),
            &["filter.detection.min_confidence"],
        ),
        (
            with_seen(pb::PhotoDetectionFilter { min_confidence: Some(1.01), ..seen() }),
            &["filter.detection.min_confidence"],
        ),
        (
            with_seen(pb::PhotoDetectionFilter { model_versions: words(&["m"; 101]), ..seen() }),
            &["filter.detection.model_versions"],
        ),
        (with_seen(pb::PhotoDetectionFilter { labels: words(&["l"; 101]), ..seen() }), &["filter.detection.labels"]),
        (
            with_seen(pb::PhotoDetectionFilter { labels: vec!["l".repeat(201)], ..seen() }),
            &["filter.detection.labels[0]"],
        ),
        (
            with_seen(all_wrong),
            &[
                "filter.detection.types[0]",
                "filter.detection.types[2]",
                "filter.detection.model_versions[1]",
                "filter.detection.min_confidence",
                "filter.detection.labels[0]",
            ],
        ),
        (without(0, "m"), &["filter.without_detection.type"]),
        (without(9, "m"), &["filter.without_detection.type"]),
        (without(1, ""), &["filter.without_detection.model_version"]),
        (without(0, &"m".repeat(101)), &["filter.without_detection.type", "filter.without_detection.model_version"]),
    ])
    .await;
}

#[tokio::test]
async fn list_photos_refuses_boxes_that_are_none() {
    refused(vec![
        (
            with_box(pb::GeoBox::default()),
            &["filter.geo_box.south", "filter.geo_box.west", "filter.geo_box.north", "filter.geo_box.east"],
        ),
        (with_box(pb::GeoBox { east: None, ..geo_box(0.0, 0.0, 1.0, 1.0) }), &["filter.geo_box.east"]),
        (with_box(geo_box(-90.1, 0.0, 1.0, 180.1)), &["filter.geo_box.south", "filter.geo_box.east"]),
        (with_box(geo_box(0.0, f64::NAN, f64::INFINITY, 0.0)), &["filter.geo_box.west", "filter.geo_box.north"]),
        (with_box(geo_box(1.0, 0.0, 0.0, 1.0)), &["filter.geo_box.north"]),
    ])
    .await;
}

#[tokio::test]
async fn list_photos_refuses_what_no_photo_can_fulfil_together() {
    let only = pb::PhotoDetectionFilter { types: vec![1, 1], model_versions: words(&["m"]), ..Default::default() };
    refused(vec![
        (
            pb::PhotoFilter { tags_all: words(&["Roof"]), tags_none: words(&["x", " roof"]), ..any() },
            &["filter.tags_none"],
        ),
        (
            pb::PhotoFilter { tags_any: words(&["a", "b"]), tags_none: words(&["B", "A"]), ..any() },
            &["filter.tags_none"],
        ),
        (pb::PhotoFilter { detection: Some(only), ..without(1, "m") }, &["filter.without_detection"]),
    ])
    .await;
}

#[tokio::test]
async fn list_photos_accepts_what_a_photo_can_just_fulfil() {
    let app = App::start().await;
    let types = pb::PhotoDetectionFilter { types: vec![1, 2], model_versions: words(&["m"]), ..Default::default() };
    let model = pb::PhotoDetectionFilter { model_versions: words(&["m"]), ..Default::default() };
    let at_bounds =
        pb::PhotoDetectionFilter { min_confidence: Some(1.0), labels: words(&["l"; 100]), ..Default::default() };
    let filters = [
        pb::PhotoFilter { tags_any: words(&["a", "b"]), tags_none: words(&["A"]), ..any() },
        pb::PhotoFilter { tags_all: words(&["a"; 20]), tags_none: words(&["b"; 100]), ..any() },
        pb::PhotoFilter { detection: Some(types), ..without(1, "m") },
        pb::PhotoFilter { detection: Some(model), ..without(1, "m") },
        with_seen(at_bounds),
        with_box(geo_box(-90.0, 180.0, 90.0, -180.0)),
        with_box(geo_box(5.0, 5.0, 5.0, 5.0)),
    ];

    for filter in filters {
        let request = pb::ListPhotosRequest { filter: Some(filter.clone()), ..Default::default() };
        let answer = app.photos(A.as_member()).list_photos(request).await;
        assert_eq!(answer.unwrap().into_inner().photos, [], "{filter:?}");
    }
}

#[tokio::test]
async fn list_photos_refuses_a_token_of_another_filter() {
    let app = App::start().await;
    for number in 0..2 {
        app.photo(A, &format!("{number}.jpg")).await;
    }
    let first = pb::ListPhotosRequest { page_size: 1, ..Default::default() };
    let page = app.photos(A.as_service()).list_photos(first.clone()).await.unwrap().into_inner();
    let range = pb::TimeRange { start: Some(prost_types::Timestamp::default()), end: None };
    let filters = [
        pb::PhotoFilter { project_ids: vec![A.house.to_string()], ..any() },
        pb::PhotoFilter { user_ids: vec![A.admin.to_string()], ..any() },
        pb::PhotoFilter { create_time: Some(range), ..any() },
        pb::PhotoFilter { capture_time: Some(range), ..any() },
        pb::PhotoFilter { upload_time: Some(range), ..any() },
        pb::PhotoFilter { tags_all: words(&["a"]), ..any() },
        pb::PhotoFilter { tags_any: words(&["a"]), ..any() },
        pb::PhotoFilter { tags_none: words(&["a"]), ..any() },
        with_seen(pb::PhotoDetectionFilter::default()),
        without(1, "m"),
        with_box(geo_box(0.0, 0.0, 1.0, 1.0)),
        pb::PhotoFilter { s3_key_prefix: "0".to_owned(), ..any() },
    ];

    for filter in filters {
        let page_token = page.next_page_token.clone();
        let request = pb::ListPhotosRequest { filter: Some(filter.clone()), page_token, ..first.clone() };
        let status = app.photos(A.as_service()).list_photos(request).await.unwrap_err();
        let found = (status.code(), reason(&status));
        assert_eq!(found, (Code::InvalidArgument, "INVALID_PAGE_TOKEN".to_owned()), "{filter:?}");
        assert!(status.message().contains("another filter or order"), "{status:?}");
    }
    let request = pb::ListPhotosRequest { page_token: page.next_page_token, page_size: 9, view: 3, ..first };
    assert_eq!(app.photos(A.as_service()).list_photos(request).await.unwrap().into_inner().photos.len(), 1);
}
