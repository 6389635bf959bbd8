//! Lists: filters, orders, and pages that end before they are too large.

use photometa::pb;
use serde_json::json;

use super::{create, exif};
use crate::harness::{A, App, B, Who, photo};

async fn keys(app: &App, who: Who, request: pb::ListPhotosRequest) -> Vec<String> {
    let answer = app.photos(who).list_photos(request).await.unwrap().into_inner();
    answer.photos.into_iter().map(|photo| photo.s3_key).collect()
}

fn filtered(filter: pb::PhotoFilter) -> pb::ListPhotosRequest {
    pb::ListPhotosRequest { filter: Some(filter), order_by: "create_time".to_owned(), ..Default::default() }
}

#[expect(clippy::unnecessary_wraps, reason = "as messages have it")]
fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

#[expect(clippy::unnecessary_wraps, reason = "as messages have it")]
fn range(start: Option<i64>, end: Option<i64>) -> Option<pb::TimeRange> {
    Some(pb::TimeRange { start: start.and_then(at), end: end.and_then(at) })
}

#[tokio::test]
async fn list_photos_follows_its_filter() {
    let app = App::start().await;
    for (number, key) in (1..).zip(["a/1", "a/2", "a_1", "a%1", "A/1", "b\\1"]) {
        let project = if number == 6 { A.bridge } else { A.house };
        let given = pb::Photo {
            capture_time: (number != 3).then(|| at(number * 10)).flatten(),
            upload_time: at(number * 100),
            user_id: if number % 2 == 0 { A.member.to_string() } else { String::new() },
            ..photo(project, key)
        };
        create(&app, A.as_service(), given).await.unwrap();
        let set = format!(
            "update companycam_photos.photos set created_at = to_timestamp({}) where s3_key = '{key}'",
            number * 1000
        );
        app.postgres.batch_execute(&set).await.unwrap();
    }
    create(&app, B.as_service(), photo(B.house, "a/1")).await.unwrap();
    let any = pb::PhotoFilter::default;
    let prefix = |prefix: &str| pb::PhotoFilter { s3_key_prefix: prefix.to_owned(), ..any() };
    let all = ["a/1", "a/2", "a_1", "a%1", "A/1", "b\\1"];
    let cases: Vec<(pb::PhotoFilter, &[&str])> = vec![
        (any(), &all),
        (pb::PhotoFilter { project_ids: vec![A.bridge.to_string()], ..any() }, &["b\\1"]),
        (pb::PhotoFilter { project_ids: vec![A.bridge.to_string(), A.house.to_string()], ..any() }, &all),
        (pb::PhotoFilter { project_ids: vec![B.house.to_string()], ..any() }, &[]),
        (pb::PhotoFilter { user_ids: vec![A.member.to_string()], ..any() }, &["a/2", "a%1", "b\\1"]),
        (pb::PhotoFilter { user_ids: vec![A.admin.to_string()], ..any() }, &[]),
        (pb::PhotoFilter { create_time: range(Some(2000), Some(4000)), ..any() }, &["a/2", "a_1"]),
        (pb::PhotoFilter { create_time: range(Some(5000), None), ..any() }, &["A/1", "b\\1"]),
        (pb::PhotoFilter { capture_time: range(Some(20), Some(50)), ..any() }, &["a/2", "a%1"]),
        (
            pb::PhotoFilter { capture_time: range(None, Some(1_000_000)), ..any() },
            &["a/1", "a/2", "a%1", "A/1", "b\\1"],
        ),
        (pb::PhotoFilter { upload_time: range(None, Some(300)), ..any() }, &["a/1", "a/2"]),
        (pb::PhotoFilter { upload_time: range(Some(600), Some(601)), ..any() }, &["b\\1"]),
        (prefix("a"), &["a/1", "a/2", "a_1", "a%1"]),
        (prefix("a_"), &["a_1"]),
        (prefix("a%"), &["a%1"]),
        (prefix("%"), &[]),
        (prefix("b\\"), &["b\\1"]),
        (prefix("a/1/"), &[]),
        (
            pb::PhotoFilter {
                user_ids: vec![A.member.to_string()],
                project_ids: vec![A.house.to_string()],
                ..prefix("a/")
            },
            &["a/2"],
        ),
    ];

    for (filter, expected) in cases {
        assert_eq!(keys(&app, A.as_service(), filtered(filter.clone())).await, expected, "{filter:?}");
    }
    assert_eq!(keys(&app, A.as_outsider(), filtered(any())).await, ["b\\1"]);
    assert_eq!(keys(&app, B.as_service(), filtered(any())).await, ["a/1"]);
}

#[tokio::test]
async fn list_photos_follows_its_order() {
    let app = App::start().await;
    for (key, captured) in [("1", Some(30)), ("2", None), ("3", Some(10)), ("4", None), ("5", Some(-20))] {
        let given = pb::Photo { capture_time: captured.and_then(at), ..photo(A.house, key) };
        create(&app, A.as_service(), given).await.unwrap();
    }

    for (order_by, expected) in [
        ("", ["5", "4", "3", "2", "1"]),
        ("create_time desc", ["5", "4", "3", "2", "1"]),
        ("create_time", ["1", "2", "3", "4", "5"]),
        ("  create_time   asc ", ["1", "2", "3", "4", "5"]),
        ("capture_time desc", ["1", "3", "5", "4", "2"]),
        ("capture_time", ["2", "4", "5", "3", "1"]),
    ] {
        let request = pb::ListPhotosRequest { order_by: order_by.to_owned(), ..Default::default() };
        assert_eq!(keys(&app, A.as_service(), request.clone()).await, expected, "{order_by}");
        let mut paged = Vec::new();
        let mut next = pb::ListPhotosRequest { page_size: 1, ..request };
        loop {
            let page = app.photos(A.as_service()).list_photos(next.clone()).await.unwrap().into_inner();
            paged.extend(page.photos.into_iter().map(|photo| photo.s3_key));
            next.page_token = page.next_page_token;
            if next.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(paged, expected, "{order_by} in pages");
    }
}

#[tokio::test]
async fn list_photos_ends_a_page_before_it_is_too_large() {
    let app = App::start().await;
    let large = exif(json!({"x": "y".repeat(60 * 1024)}));
    let photos: Vec<_> =
        (0..40).map(|n| pb::Photo { exif_data: large.clone(), ..photo(A.house, &n.to_string()) }).collect();
    for half in
        [&photos[..], &(40..80).map(|n| pb::Photo { s3_key: n.to_string(), ..photos[0].clone() }).collect::<Vec<_>>()]
    {
        let request = pb::BatchCreatePhotosRequest { photos: half.to_vec(), partial: false };
        app.photos(A.as_service()).batch_create_photos(request).await.unwrap();
    }

    let mut request =
        pb::ListPhotosRequest { page_size: 1000, view: pb::PhotoView::WithExif.into(), ..Default::default() };
    let mut pages = Vec::new();
    let mut found = std::collections::HashSet::new();
    loop {
        let page = app.photos(A.as_service()).list_photos(request.clone()).await.unwrap().into_inner();
        assert!(prost::Message::encoded_len(&page) <= 3_670_016 + 200);
        pages.push(page.photos.len());
        found.extend(page.photos.into_iter().map(|photo| photo.s3_key));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }

    assert_eq!((pages.len(), pages.iter().sum::<usize>(), found.len()), (2, 80, 80));
    assert!(pages[0] >= 55, "{pages:?}");
}
