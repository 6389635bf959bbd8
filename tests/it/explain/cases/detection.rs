//! Calls that run the statements of detections.

use super::{ANY, Case, NONE, case};

const DIRECT: &str = "detection::list::DIRECT";
const OF_EACH: &str = "detection::list::OF_EACH";
const STATS: &str = "detection::stats::query::CELLS";
const STATS_OF_PROJECTS: &str = "detection::stats::query::CELLS_OF_PROJECTS";
const BACKLOGS: &str = "detection::backlog::query::BACKLOGS";
const PENDING: &str = "detection::list::PENDING";
const PENDING_OF_EACH: &str = "detection::list::PENDING_OF_EACH";

const fn list(request: &'static str, plans: &'static [(&'static str, &'static str)]) -> Case {
    case("DetectionService/ListDetections", request, plans)
}

const fn queue(request: &'static str, plans: &'static [(&'static str, &'static str)]) -> Case {
    case("DetectionService/ListPendingDetections", request, plans)
}

const fn claim(request: &'static str, plans: &'static [(&'static str, &'static str)]) -> Case {
    case("DetectionService/ClaimPendingDetections", request, plans)
}

const HELD: &str = "detection::claim::query::HELD";
const CLAIM: &str = "detection::claim::query::CLAIM";

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
    list(r#"{"filter": {}}"#, &[(DIRECT, "detections_created_at_idx")]),
    list(r#"{"filter": {"photo_ids": ["$photo"]}}"#, &[(DIRECT, "detections_photo_id_created_at_idx")]),
    list(
        r#"{"filter": {"photo_ids": ["$photo", "$doomed_photo"]}}"#,
        &[(OF_EACH, "detections_photo_id_created_at_idx")],
    ),
    list(r#"{"filter": {"project_ids": ["$house"]}}"#, &[(DIRECT, "detections_project_id_created_at_idx")]),
    list(r#"{"filter": {"project_ids": ["$house", "$bridge"]}}"#, &[(OF_EACH, "detections_project_id_created_at_idx")]),
    list(
        r#"{"filter": {"types": ["DETECTION_TYPE_DAMAGE"]}}"#,
        &[(DIRECT, "detections_detection_type_created_at_idx")],
    ),
    list(
        r#"{"filter": {"types": ["DETECTION_TYPE_DAMAGE", "DETECTION_TYPE_VOLUME"]}}"#,
        &[(OF_EACH, "detections_detection_type_created_at_idx")],
    ),
    list(r#"{"filter": {"model_versions": ["model-2"]}}"#, &[(OF_EACH, "detections_model_version_created_at_idx")]),
    list(r#"{"filter": {}, "order_by": "create_time"}"#, &[(DIRECT, "detections_created_at_idx")]),
    list(
        r#"{"filter": {"photo_ids": ["$photo"]}, "order_by": "create_time"}"#,
        &[(DIRECT, "detections_photo_id_created_at_idx")],
    ),
    list(
        r#"{"filter": {"photo_ids": ["$photo", "$doomed_photo"]}, "order_by": "create_time"}"#,
        &[(OF_EACH, "detections_photo_id_created_at_idx")],
    ),
    list(
        r#"{"filter": {"project_ids": ["$house"]}, "order_by": "create_time"}"#,
        &[(DIRECT, "detections_project_id_created_at_idx")],
    ),
    list(
        r#"{"filter": {"project_ids": ["$house", "$bridge"]}, "order_by": "create_time"}"#,
        &[(OF_EACH, "detections_project_id_created_at_idx")],
    ),
    list(
        r#"{"filter": {"types": ["DETECTION_TYPE_DAMAGE"]}, "order_by": "create_time"}"#,
        &[(DIRECT, "detections_detection_type_created_at_idx")],
    ),
    list(
        r#"{"filter": {"types": ["DETECTION_TYPE_DAMAGE", "DETECTION_TYPE_VOLUME"]}, "order_by": "create_time"}"#,
        &[(OF_EACH, "detections_detection_type_created_at_idx")],
    ),
    list(
        r#"{"filter": {"model_versions": ["model-2"]}, "order_by": "create_time"}"#,
        &[(OF_EACH, "detections_model_version_created_at_idx")],
    ),
    list(
        r#"{"filter": {"project_ids": ["$house", "$bridge", "$idle_project", "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003", "00000000-0000-4000-8000-000000000004", "00000000-0000-4000-8000-000000000005", "00000000-0000-4000-8000-000000000006", "00000000-0000-4000-8000-000000000007", "00000000-0000-4000-8000-000000000008", "00000000-0000-4000-8000-000000000009", "00000000-0000-4000-8000-000000000010", "00000000-0000-4000-8000-000000000011", "00000000-0000-4000-8000-000000000012", "00000000-0000-4000-8000-000000000013", "00000000-0000-4000-8000-000000000014", "00000000-0000-4000-8000-000000000015", "00000000-0000-4000-8000-000000000016"]}}"#,
        &[(OF_EACH, "detections_project_id_created_at_idx")],
    ),
    list(r#"{"view": "DETECTION_VIEW_FULL"}"#, &[(DIRECT, "detections_created_at_idx")]),
    list(
        r#"{"filter": {"model_versions": ["model-2"], "project_ids": ["$house"]}}"#,
        &[(DIRECT, "detections_project_id_created_at_idx")],
    ),
    list(r#"{"filter": {"labels": ["label 1"]}}"#, &[(DIRECT, ANY)]),
    list(r#"{"filter": {"labels": ["label none"]}}"#, &[(DIRECT, "detection_labels_pkey")]),
    list(
        r#"{"filter": {"min_confidence": 0.25, "max_confidence": 0.75, "user_confirmed": false}}"#,
        &[(DIRECT, "detections_created_at_idx")],
    ),
    list(
        r#"{"filter": {"create_time": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}}}"#,
        &[(DIRECT, "detections_created_at_idx")],
    ),
    queue("{}", &[(PENDING_OF_EACH, "detections_pending_created_at_idx")]),
    queue(r#"{"project_ids": ["$house"]}"#, &[(PENDING, "detections_pending_created_at_idx")]),
    queue(
        r#"{"project_ids": ["$house", "$bridge"], "types": ["DETECTION_TYPE_DAMAGE"]}"#,
        &[(PENDING_OF_EACH, "detections_pending_created_at_idx")],
    ),
    queue(
        r#"{"strategy": "REVIEW_STRATEGY_LEAST_CONFIDENT_FIRST"}"#,
        &[(PENDING_OF_EACH, "detections_pending_confidence_idx")],
    ),
    queue(
        r#"{"project_ids": ["$house"], "strategy": "REVIEW_STRATEGY_LEAST_CONFIDENT_FIRST"}"#,
        &[(PENDING, "detections_pending_confidence_idx")],
    ),
    queue(
        r#"{"project_ids": ["$house", "$bridge"], "types": ["DETECTION_TYPE_DAMAGE"], "strategy": "REVIEW_STRATEGY_LEAST_CONFIDENT_FIRST"}"#,
        &[(PENDING_OF_EACH, "detections_pending_confidence_idx")],
    ),
    claim(
        r#"{"count": 100}"#,
        &[
            ("detection::claim::query::LOCK", NONE),
            (HELD, "review_claims_user_id_idx"),
            (PENDING_OF_EACH, "review_claims_pkey"),
            (CLAIM, "detections_pkey"),
            (CLAIM, "review_claims_pkey"),
        ],
    ),
    claim(
        r#"{"count": 110, "types": ["DETECTION_TYPE_DAMAGE"]}"#,
        &[(HELD, "detections_pkey"), (PENDING_OF_EACH, "detections_pending_created_at_idx")],
    ),
    claim(
        r#"{"count": 120, "project_ids": ["$house"], "strategy": "REVIEW_STRATEGY_LEAST_CONFIDENT_FIRST"}"#,
        &[(PENDING, "detections_pending_confidence_idx"), (PENDING, "review_claims_pkey")],
    ),
    case(
        "DetectionService/ReleaseClaimedDetections",
        r#"{"ids": ["$detection"]}"#,
        &[("detection::claim::query::RELEASE", "review_claims_user_id_idx or review_claims_pkey")],
    ),
    case(
        "DetectionService/ReleaseClaimedDetections",
        "{}",
        &[("detection::claim::query::RELEASE", "review_claims_user_id_idx")],
    ),
    case(
        "DetectionService/DeleteDetection",
        r#"{"id": "$doomed_detection", "include_reviewed": true}"#,
        &[
            ("detection::query::LOCK", "detections_pkey"),
            ("detection::write::DELETE", "detections_pkey"),
            ("detection::write::DELETE", "detection_labels_pkey"),
        ],
    ),
    case(
        "DetectionService/DeleteDetectionsByModel",
        r#"{"model_version": "model-1", "validate_only": true}"#,
        &[
            (
                "detection::query::COUNT_OF_MODEL",
                "detections_model_version_created_at_idx or detections_model_photo_created_at_idx",
            ),
            ("detection::query::COUNT_OF_MODEL", "feedback_detection_id_created_at_idx"),
        ],
    ),
    case(
        "DetectionService/DeleteDetectionsByModel",
        r#"{"model_version": "model-1", "types": ["DETECTION_TYPE_DAMAGE"], "validate_only": true}"#,
        &[(
            "detection::query::COUNT_OF_MODEL",
            "detections_model_photo_created_at_idx or detections_model_version_created_at_idx",
        )],
    ),
    case(
        "DetectionService/DeleteDetectionsByModel",
        r#"{"model_version": "$doomed_model", "include_reviewed": true}"#,
        &[
            ("detection::query::OF_MODEL", "detections_model_version_created_at_idx"),
            ("detection::write::DELETE", "detections_pkey"),
        ],
    ),
    case(
        "DetectionService/DeleteDetectionsByModel",
        r#"{"model_version": "$doomed_model", "types": ["DETECTION_TYPE_DAMAGE"]}"#,
        &[
            ("detection::query::OF_MODEL", "detections_model_version_created_at_idx"),
            ("detection::write::DELETE_UNREVIEWED", "detections_pkey"),
            ("detection::write::DELETE_UNREVIEWED", "feedback_detection_id_created_at_idx"),
        ],
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
    case(
        "DetectionService/GetModelBacklogs",
        r#"{"window": "7776000s"}"#,
        &[
            (BACKLOGS, "detections_model_version_created_at_idx"),
            (BACKLOGS, "detections_model_photo_created_at_idx"),
            (BACKLOGS, "photos_created_at_idx"),
        ],
    ),
];
