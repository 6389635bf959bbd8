//! Calls that run the statements of detections.

use super::{ANY, Case, case};

const LATEST: &str = "detection::query::LIST_NEWEST_FIRST";
const EARLIEST: &str = "detection::query::LIST_OLDEST_FIRST";
const QUEUE: &str = "detection::query::QUEUE_OLDEST";
const DOUBTFUL: &str = "detection::query::QUEUE_LEAST_CONFIDENT";
const STATS: &str = "detection::stats::query::CELLS";
const STATS_OF_PROJECTS: &str = "detection::stats::query::CELLS_OF_PROJECTS";

/// All of them.
pub const CASES: &[Case] = &[
    case(
        "DetectionService/CreateDetection",
        r#"{"detection": {"photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new", "processing_time": "0.1s"}}"#,
        &[("detection::write::INSERT", "photos_pkey")],
    ),
    case(
        "DetectionService/CreateDetection",
        r#"{"detection": {"id": "$detection", "photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new", "run_id": "$uuid", "processing_time": "0.1s"}}"#,
        &[
            ("detection::write::EXPLAIN", "photos_pkey"),
            ("detection::write::EXPLAIN", "detections_pkey"),
            ("detection::write::EXPLAIN", "detections_run_key"),
        ],
    ),
    case(
        "DetectionService/BatchCreateDetections",
        r#"{"detections": [{"photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new", "processing_time": "0.1s",
            "results": {"objects": [{"object_id": "o1", "label": "crack", "confidence": 0.5, "pixel_box": {"x": 1, "y": 1, "width": 10, "height": 10}}]}},
            {"photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new"}]}"#,
        &[("detection::query::FRAMES", "photos_pkey"), ("detection::write::INSERT", "photos_pkey")],
    ),
    case(
        "DetectionService/IngestDetections",
        r#"{"items": [{"sequence": 1, "detection": {"photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new", "processing_time": "0.1s",
                       "results": {"objects": [{"label": "crack", "pixel_box": {"x": 1, "y": 1, "width": 10, "height": 10}}]}}},
                      {"sequence": 2, "detection": {"id": "$detection", "photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "new", "run_id": "$uuid"}}]}"#,
        &[
            ("detection::query::FRAMES", "photos_pkey"),
            ("detection::write::INSERT", "photos_pkey"),
            ("detection::write::EXPLAIN", "detections_pkey"),
            ("detection::write::EXPLAIN", "detections_run_key"),
        ],
    ),
    case("DetectionService/GetDetection", r#"{"id": "$detection"}"#, &[("detection::query::GET", "detections_pkey")]),
    case("DetectionService/ListDetections", "{}", &[(LATEST, "detections_created_at_idx")]),
    case(
        "DetectionService/ListDetections",
        r#"{"view": "DETECTION_VIEW_FULL"}"#,
        &[(LATEST, "detections_created_at_idx")],
    ),
    case(
        "DetectionService/ListDetections",
        r#"{"order_by": "create_time"}"#,
        &[(EARLIEST, "detections_created_at_idx")],
    ),
    case(
        "DetectionService/ListDetections",
        r#"{"filter": {"photo_ids": ["$photo"]}}"#,
        &[(LATEST, "detections_photo_id_created_at_idx")],
    ),
    case(
        "DetectionService/ListDetections",
        r#"{"filter": {"photo_ids": ["$photo"]}, "order_by": "create_time"}"#,
        &[(EARLIEST, "detections_photo_id_created_at_idx")],
    ),
    case("DetectionService/ListDetections", r#"{"filter": {"project_ids": ["$house"]}}"#, &[(LATEST, ANY)]),
    case(
        "DetectionService/ListDetections",
        r#"{"filter": {"project_ids": ["$house"]}, "order_by": "create_time"}"#,
        &[(EARLIEST, ANY)],
    ),
    case(
        "DetectionService/ListDetections",
        r#"{"filter": {"types": ["DETECTION_TYPE_DAMAGE"]}}"#,
        &[(LATEST, "detections_detection_type_created_at_idx")],
    ),
    case(
        "DetectionService/ListDetections",
        r#"{"filter": {"types": ["DETECTION_TYPE_DAMAGE"]}, "order_by": "create_time"}"#,
        &[(EARLIEST, "detections_detection_type_created_at_idx")],
    ),
    case("DetectionService/ListDetections", r#"{"filter": {"model_versions": ["model-2"]}}"#, &[(LATEST, ANY)]),
    case("DetectionService/ListDetections", r#"{"filter": {"min_confidence": 0.25}}"#, &[(LATEST, ANY)]),
    case("DetectionService/ListDetections", r#"{"filter": {"max_confidence": 0.25}}"#, &[(LATEST, ANY)]),
    case("DetectionService/ListDetections", r#"{"filter": {"user_confirmed": true}}"#, &[(LATEST, ANY)]),
    case("DetectionService/ListDetections", r#"{"filter": {"user_confirmed": false}}"#, &[(LATEST, ANY)]),
    case(
        "DetectionService/ListDetections",
        r#"{"filter": {"create_time": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}}}"#,
        &[(LATEST, "detections_created_at_idx")],
    ),
    case("DetectionService/ListPendingDetections", "{}", &[(QUEUE, "detections_pending_idx")]),
    case(
        "DetectionService/ListPendingDetections",
        r#"{"project_ids": ["$house"]}"#,
        &[(QUEUE, "detections_pending_idx")],
    ),
    case(
        "DetectionService/ListPendingDetections",
        r#"{"types": ["DETECTION_TYPE_DAMAGE"]}"#,
        &[(QUEUE, "detections_detection_type_created_at_idx")],
    ),
    case(
        "DetectionService/ListPendingDetections",
        r#"{"strategy": "REVIEW_STRATEGY_LEAST_CONFIDENT_FIRST"}"#,
        &[(DOUBTFUL, "detections_pending_idx")],
    ),
    case(
        "DetectionService/ListPendingDetections",
        r#"{"strategy": "REVIEW_STRATEGY_LEAST_CONFIDENT_FIRST", "project_ids": ["$house"]}"#,
        &[(DOUBTFUL, "detections_pending_idx")],
    ),
    case(
        "DetectionService/ListPendingDetections",
        r#"{"strategy": "REVIEW_STRATEGY_LEAST_CONFIDENT_FIRST", "types": ["DETECTION_TYPE_DAMAGE"]}"#,
        &[(DOUBTFUL, "detections_detection_type_created_at_idx")],
    ),
    case(
        "DetectionService/DeleteDetection",
        r#"{"id": "$doomed_detection"}"#,
        &[("detection::query::LOCK", "detections_pkey"), ("detection::write::DELETE", "detections_pkey")],
    ),
    case(
        "DetectionService/DeleteDetectionsByModel",
        r#"{"model_version": "model-1", "validate_only": true}"#,
        &[("detection::query::COUNT_OF_MODEL", "detections_pkey")],
    ),
    case(
        "DetectionService/DeleteDetectionsByModel",
        r#"{"model_version": "model-1", "types": ["DETECTION_TYPE_DAMAGE"], "validate_only": true}"#,
        &[("detection::query::COUNT_OF_MODEL", "detections_detection_type_created_at_idx")],
    ),
    case(
        "DetectionService/DeleteDetectionsByModel",
        r#"{"model_version": "$doomed_model", "include_reviewed": true}"#,
        &[("detection::query::OF_MODEL", "detections_pkey"), ("detection::write::DELETE", "detections_pkey")],
    ),
    case(
        "DetectionService/DeleteDetectionsByModel",
        r#"{"model_version": "$doomed_model", "types": ["DETECTION_TYPE_DAMAGE"]}"#,
        &[("detection::query::OF_MODEL", "detections_detection_type_created_at_idx")],
    ),
    case(
        "DetectionService/GetDetectionStats",
        r#"{"time": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}, "bucket": "STATS_BUCKET_DAY"}"#,
        &[(STATS, "detections_created_at_idx")],
    ),
    case(
        "DetectionService/GetDetectionStats",
        r#"{"time": {"start": "2024-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "bucket": "STATS_BUCKET_MONTH",
            "group_by": ["STATS_GROUP_TYPE", "STATS_GROUP_MODEL_VERSION", "STATS_GROUP_PROJECT"]}"#,
        &[(STATS, ANY)],
    ),
    case(
        "DetectionService/GetDetectionStats",
        r#"{"time": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}, "bucket": "STATS_BUCKET_DAY", "project_ids": ["$house"]}"#,
        &[(STATS_OF_PROJECTS, "detections_project_id_created_at_idx")],
    ),
    case(
        "DetectionService/GetDetectionStats",
        r#"{"time": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}, "bucket": "STATS_BUCKET_DAY", "project_ids": ["$house", "$bridge"],
            "group_by": ["STATS_GROUP_PROJECT"]}"#,
        &[(STATS_OF_PROJECTS, "detections_project_id_created_at_idx")],
    ),
];
