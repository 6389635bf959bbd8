//! Reads with bad ids, filters, orders and page sizes.

use photometa::pb;

use super::{NOBODY, assert_refused, time};
use crate::harness::{A, App};

#[expect(clippy::unnecessary_wraps, reason = "as messages have it")]
fn range(start: i64, end: i64) -> Option<pb::TimeRange> {
    Some(pb::TimeRange { start: Some(time(start, 0)), end: Some(time(end, 0)) })
}

#[tokio::test]
async fn reads_refuse_bad_ids() {
    let app = App::start().await;

    for id in
        ["", "1", &format!("{{{NOBODY}}}"), &NOBODY.replace('-', ""), "00000000-0000-0000-0000-000000000000", "\0"]
    {
        let id = id.to_owned();
        let answer = app.photos(A.as_member()).get_photo(pb::GetPhotoRequest { id: id.clone(), view: 0 }).await;
        assert_refused(&id, answer, &["id"]);
        let answer = app.detections(A.as_member()).get_detection(pb::GetDetectionRequest { id: id.clone() }).await;
        assert_refused(&id, answer, &["id"]);
        let answer = app.users(A.as_member()).get_user(pb::GetUserRequest { id: id.clone() }).await;
        assert_refused(&id, answer, &["id"]);
        let answer = app.projects(A.as_member()).get_project(pb::GetProjectRequest { id: id.clone() }).await;
        assert_refused(&id, answer, &["id"]);
        let answer = app.tags(A.as_member()).list_tags(pb::ListTagsRequest { photo_id: id.clone() }).await;
        assert_refused(&id, answer, &["photo_id"]);
        let request = pb::DeletePhotoRequest { id: id.clone(), etag: String::new() };
        assert_refused(&id, app.photos(A.as_service()).delete_photo(request).await, &["id"]);
        let request = pb::DeleteDetectionRequest { id: id.clone(), ..Default::default() };
        assert_refused(&id, app.detections(A.as_service()).delete_detection(request).await, &["id"]);
        let request = pb::BatchGetPhotosRequest { ids: vec![NOBODY.to_owned(), id.clone()], view: 0 };
        assert_refused(&id, app.photos(A.as_member()).batch_get_photos(request).await, &["ids[1]"]);
        let request = pb::ListFeedbackRequest { detection_id: Some(id.clone()), ..Default::default() };
        assert_refused(&id, app.feedback(A.as_member()).list_feedback(request).await, &["detection_id"]);
    }
}

#[tokio::test]
async fn list_photos_refuses_bad_filters() {
    let app = App::start().await;
    let all = pb::ListPhotosRequest::default;
    let with = |filter| pb::ListPhotosRequest { filter: Some(filter), ..all() };
    let any = pb::PhotoFilter::default;
    let cases = [
        (pb::ListPhotosRequest { page_size: -1, ..all() }, "page_size"),
        (pb::ListPhotosRequest { page_size: i32::MIN, ..all() }, "page_size"),
        (pb::ListPhotosRequest { view: 4, ..all() }, "view"),
        (pb::ListPhotosRequest { order_by: "s3_key".to_owned(), ..all() }, "order_by"),
        (pb::ListPhotosRequest { order_by: "create_time desc, id".to_owned(), ..all() }, "order_by"),
        (pb::ListPhotosRequest { order_by: "create_time; drop table photos".to_owned(), ..all() }, "order_by"),
        (pb::ListPhotosRequest { order_by: "CREATE_TIME".to_owned(), ..all() }, "order_by"),
        (with(pb::PhotoFilter { project_ids: vec!["x".to_owned()], ..any() }), "filter.project_ids[0]"),
        (with(pb::PhotoFilter { project_ids: vec![NOBODY.to_owned(); 1001], ..any() }), "filter.project_ids"),
        (with(pb::PhotoFilter { user_ids: vec![NOBODY.to_owned(), String::new()], ..any() }), "filter.user_ids[1]"),
        (with(pb::PhotoFilter { create_time: range(2, 1), ..any() }), "filter.create_time"),
        (with(pb::PhotoFilter { capture_time: range(1, 1), ..any() }), "filter.capture_time"),
        (with(pb::PhotoFilter { upload_time: range(0, 253_402_300_800), ..any() }), "filter.upload_time.end"),
        (with(pb::PhotoFilter { s3_key_prefix: "x".repeat(501), ..any() }), "filter.s3_key_prefix"),
        (with(pb::PhotoFilter { s3_key_prefix: "\0".to_owned(), ..any() }), "filter.s3_key_prefix"),
    ];

    for (request, expected) in cases {
        let what = format!("{request:?}").chars().take(200).collect::<String>();
        assert_refused(&what, app.photos(A.as_member()).list_photos(request).await, &[expected]);
    }
}

#[tokio::test]
async fn list_detections_refuses_bad_filters() {
    let app = App::start().await;
    let all = pb::ListDetectionsRequest::default;
    let with = |filter| pb::ListDetectionsRequest { filter: Some(filter), ..all() };
    let any = pb::DetectionFilter::default;
    let cases = [
        (pb::ListDetectionsRequest { page_size: -5, ..all() }, "page_size"),
        (pb::ListDetectionsRequest { view: 3, ..all() }, "view"),
        (pb::ListDetectionsRequest { order_by: "confidence".to_owned(), ..all() }, "order_by"),
        (with(pb::DetectionFilter { photo_ids: vec!["x".to_owned()], ..any() }), "filter.photo_ids[0]"),
        (with(pb::DetectionFilter { types: vec![1, 0], ..any() }), "filter.types[1]"),
        (with(pb::DetectionFilter { types: vec![99], ..any() }), "filter.types[0]"),
        (with(pb::DetectionFilter { model_versions: vec![String::new()], ..any() }), "filter.model_versions[0]"),
        (with(pb::DetectionFilter { model_versions: vec!["m".to_owned(); 101], ..any() }), "filter.model_versions"),
        (with(pb::DetectionFilter { min_confidence: Some(f64::NAN), ..any() }), "filter.min_confidence"),
        (with(pb::DetectionFilter { max_confidence: Some(1.1), ..any() }), "filter.max_confidence"),
        (
            with(pb::DetectionFilter { min_confidence: Some(0.9), max_confidence: Some(0.1), ..any() }),
            "filter.max_confidence",
        ),
        (with(pb::DetectionFilter { create_time: range(2, 1), ..any() }), "filter.create_time"),
    ];

    for (request, expected) in cases {
        let what = format!("{request:?}").chars().take(200).collect::<String>();
        assert_refused(&what, app.detections(A.as_member()).list_detections(request).await, &[expected]);
    }
    let request = pb::ListPendingDetectionsRequest {
        project_ids: vec!["x".to_owned()],
        types: vec![7],
        strategy: 9,
        page_size: -1,
        page_token: String::new(),
    };
    let expected = ["strategy", "project_ids[0]", "types[0]", "page_size"];
    assert_refused("queue", app.detections(A.as_member()).list_pending_detections(request).await, &expected);
    let cases = [(-1, 0, 0), (201, 0, 999_999_999), (i32::MAX, 86_400, 1), (i32::MIN, -5, -1), (-1, 5, -1)];
    for (count, seconds, nanos) in cases {
        let request = pb::ClaimPendingDetectionsRequest {
            project_ids: vec!["x".to_owned()],
            types: vec![7],
            strategy: 9,
            count,
            duration: Some(prost_types::Duration { seconds, nanos }),
        };
        let expected = ["strategy", "project_ids[0]", "types[0]", "count", "duration"];
        assert_refused("claim", app.detections(A.as_member()).claim_pending_detections(request).await, &expected);
    }
    let request = pb::ReleaseClaimedDetectionsRequest { ids: vec![String::new(), "x".to_owned()] };
    let answer = app.detections(A.as_member()).release_claimed_detections(request).await;
    assert_refused("release", answer, &["ids[0]", "ids[1]"]);
    let request = pb::ReleaseClaimedDetectionsRequest { ids: vec![NOBODY.to_owned(); 1001] };
    assert_refused("release", app.detections(A.as_member()).release_claimed_detections(request).await, &["ids"]);
    let request = pb::DeleteDetectionsByModelRequest { types: vec![0, 5], ..Default::default() };
    let expected = ["model_version", "types[0]", "types[1]"];
    assert_refused("model", app.detections(A.as_service()).delete_detections_by_model(request).await, &expected);
}

#[tokio::test]
async fn get_detection_stats_refuses_bad_requests() {
    let app = App::start().await;
    let right = || pb::GetDetectionStatsRequest { time: range(0, 3600), bucket: 1, ..Default::default() };
    let half = |start: Option<i64>, end: Option<i64>| {
        Some(pb::TimeRange { start: start.map(|start| time(start, 0)), end: end.map(|end| time(end, 0)) })
    };
    let with = |time| pb::GetDetectionStatsRequest { time, ..right() };
    let named = |name: &str| pb::GetDetectionStatsRequest { time_zone: name.to_owned(), ..right() };
    let grouped = |group_by: &[i32]| pb::GetDetectionStatsRequest { group_by: group_by.to_vec(), ..right() };
    let cases: Vec<(_, &[&str])> = vec![
        (with(None), &["time.start", "time.end"]),
        (with(half(Some(0), None)), &["time.end"]),
        (with(half(None, Some(0))), &["time.start"]),
        (with(range(2, 1)), &["time"]),
        (with(range(1, 1)), &["time"]),
        (with(range(0, 253_402_300_800)), &["time.end"]),
        (with(range(0, 2000 * 3600 + 1)), &["bucket"]),
        (pb::GetDetectionStatsRequest { bucket: 0, ..right() }, &["bucket"]),
        (pb::GetDetectionStatsRequest { bucket: 5, ..right() }, &["bucket"]),
        (named("Berlin"), &["time_zone"]),
        (named("+02:00"), &["time_zone"]),
        (named("Etc/Unknown"), &["time_zone"]),
        (named("\0"), &["time_zone"]),
        (named(&"x".repeat(100_000)), &["time_zone"]),
        (grouped(&[0]), &["group_by[0]"]),
        (grouped(&[1, 4]), &["group_by[1]"]),
        (grouped(&[2, 1, 2]), &["group_by[2]"]),
        (grouped(&[1; 4]), &["group_by"]),
        (pb::GetDetectionStatsRequest { project_ids: vec!["x".to_owned()], ..right() }, &["project_ids[0]"]),
        (pb::GetDetectionStatsRequest { project_ids: vec![NOBODY.to_owned(); 1001], ..right() }, &["project_ids"]),
        (
            pb::GetDetectionStatsRequest {
                time: None,
                bucket: 9,
                time_zone: "Nowhere".to_owned(),
                group_by: vec![7],
                project_ids: vec![String::new()],
            },
            &["time.start", "time.end", "bucket", "time_zone", "group_by[0]", "project_ids[0]"],
        ),
    ];

    for (request, expected) in cases {
        let what = format!("{request:?}").chars().take(200).collect::<String>();
        assert_refused(&what, app.detections(A.as_member()).get_detection_stats(request).await, expected);
    }
}

#[tokio::test]
async fn other_lists_refuse_bad_pages() {
    let app = App::start().await;
    let member = A.as_member();

    let request = pb::ListTagCountsRequest {
        project_id: Some(String::new()),
        prefix: "x".repeat(101),
        order_by: "count".to_owned(),
        page_size: -1,
        ..Default::default()
    };
    let expected = ["project_id", "prefix", "order_by", "page_size"];
    assert_refused("counts", app.tags(member).list_tag_counts(request).await, &expected);
    let request = pb::ListFeedbackRequest { page_size: -1, ..Default::default() };
    assert_refused("feedback", app.feedback(member).list_feedback(request).await, &["page_size"]);
    let request = pb::ListUsersRequest { page_size: -1, ..Default::default() };
    assert_refused("users", app.users(member).list_users(request).await, &["page_size"]);
    let request = pb::ListProjectsRequest { statuses: vec![0, 4], page_size: -1, ..Default::default() };
    let expected = ["statuses[0]", "statuses[1]", "page_size"];
    assert_refused("projects", app.projects(member).list_projects(request).await, &expected);
}
