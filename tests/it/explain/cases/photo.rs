//! Calls that run the statements of photos.

use super::{ANY, Case, case};

const DIRECT: &str = "photo::list::DIRECT";
const SEARCHED: &str = "photo::list::SEARCHED";
const REMAINING: &str = "photo::list::REMAINING";
const OF_EACH: &str = "photo::list::OF_EACH";
const CARRIED: &str = "photo::list::CARRIED";
const GATHERED: &str = "photo::list::GATHERED";
const COUNT: &str = "photo::list::COUNT";

const fn list(request: &'static str, plans: &'static [(&'static str, &'static str)]) -> Case {
    case("PhotoService/ListPhotos", request, plans)
}

/// All of them.
pub const CASES: &[Case] = &[
    case(
        "PhotoService/CreatePhoto",
        r#"{"photo": {"project_id": "$house", "user_id": "$member", "s3_url": "https://example.com/new", "s3_key": "new/$uuid"}}"#,
        &[("photo::write::INSERT", "projects_pkey"), ("photo::write::INSERT", "users_pkey")],
    ),
    case(
        "PhotoService/BatchCreatePhotos",
        r#"{"photos": [{"project_id": "$house", "user_id": "$member", "s3_url": "https://example.com/new", "s3_key": "new/$uuid"},
            {"project_id": "$house", "user_id": "$member", "s3_url": "https://example.com/new", "s3_key": "newer/$uuid"}]}"#,
        &[("photo::write::INSERT", "projects_pkey"), ("photo::write::INSERT", "users_pkey")],
    ),
    case(
        "PhotoService/CreatePhoto",
        r#"{"photo": {"id": "$photo", "project_id": "$house", "user_id": "$member", "s3_url": "https://example.com/new", "s3_key": "new/$uuid"}}"#,
        &[
            ("photo::write::EXPLAIN", "projects_pkey"),
            ("photo::write::EXPLAIN", "users_pkey"),
            ("photo::write::EXPLAIN", "photos_pkey"),
            ("photo::write::EXPLAIN", "photos_organization_id_s3_key_key"),
        ],
    ),
    case("PhotoService/GetPhoto", r#"{"id": "$photo"}"#, &[("photo::query::GET_BASIC", "photos_pkey")]),
    case(
        "PhotoService/GetPhoto",
        r#"{"id": "$photo", "view": "PHOTO_VIEW_FULL"}"#,
        &[
            ("photo::query::GET_WITH_EXIF", "photos_pkey"),
            ("tag::query::OF_PHOTOS", "tags_photo_id_tag_source_key"),
            ("detection::query::OF_PHOTOS", "detections_photo_id_created_at_idx"),
        ],
    ),
    case(
        "PhotoService/BatchGetPhotos",
        r#"{"ids": ["$photo", "$uuid"]}"#,
        &[("photo::query::GET_BASIC", "photos_pkey")],
    ),
    list("{}", &[(DIRECT, "photos_created_at_idx")]),
    list(
        r#"{"view": "PHOTO_VIEW_FULL"}"#,
        &[
            (DIRECT, "photos_created_at_idx"),
            ("tag::query::OF_PHOTOS", "tags_photo_id_tag_source_key"),
            ("detection::query::OF_PHOTOS", "detections_photo_id_created_at_idx"),
        ],
    ),
    list(r#"{"order_by": "create_time"}"#, &[(DIRECT, "photos_created_at_idx")]),
    list(r#"{"order_by": "capture_time desc"}"#, &[(DIRECT, "photos_captured_at_idx")]),
    list(r#"{"order_by": "capture_time"}"#, &[(DIRECT, "photos_captured_at_idx")]),
    list(r#"{"filter": {"project_ids": ["$house"]}}"#, &[(DIRECT, "photos_project_id_created_at_idx")]),
    list(r#"{"filter": {"project_ids": ["$house", "$bridge"]}}"#, &[(OF_EACH, "photos_project_id_created_at_idx")]),
    list(
        r#"{"filter": {"project_ids": ["$house"]}, "order_by": "create_time"}"#,
        &[(DIRECT, "photos_project_id_created_at_idx")],
    ),
    list(
        r#"{"filter": {"project_ids": ["$house", "$bridge"]}, "order_by": "create_time"}"#,
        &[(OF_EACH, "photos_project_id_created_at_idx")],
    ),
    list(
        r#"{"filter": {"project_ids": ["$house"]}, "order_by": "capture_time desc"}"#,
        &[(DIRECT, "photos_project_id_captured_at_idx")],
    ),
    list(
        r#"{"filter": {"project_ids": ["$house", "$bridge"]}, "order_by": "capture_time desc"}"#,
        &[(OF_EACH, "photos_project_id_captured_at_idx")],
    ),
    list(
        r#"{"filter": {"project_ids": ["$house"]}, "order_by": "capture_time"}"#,
        &[(DIRECT, "photos_project_id_captured_at_idx")],
    ),
    list(
        r#"{"filter": {"project_ids": ["$house", "$bridge"]}, "order_by": "capture_time"}"#,
        &[(OF_EACH, "photos_project_id_captured_at_idx")],
    ),
    list(
        r#"{"filter": {"project_ids": ["$house", "$bridge", "$idle_project", "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003", "00000000-0000-4000-8000-000000000004", "00000000-0000-4000-8000-000000000005", "00000000-0000-4000-8000-000000000006", "00000000-0000-4000-8000-000000000007", "00000000-0000-4000-8000-000000000008", "00000000-0000-4000-8000-000000000009", "00000000-0000-4000-8000-000000000010", "00000000-0000-4000-8000-000000000011", "00000000-0000-4000-8000-000000000012", "00000000-0000-4000-8000-000000000013", "00000000-0000-4000-8000-000000000014", "00000000-0000-4000-8000-000000000015", "00000000-0000-4000-8000-000000000016"]}}"#,
        &[(OF_EACH, "photos_project_id_created_at_idx")],
    ),
    list(r#"{"filter": {"user_ids": ["$member"]}}"#, &[(DIRECT, "photos_user_id_created_at_idx")]),
    list(
        r#"{"filter": {"user_ids": ["$member"]}, "order_by": "create_time"}"#,
        &[(DIRECT, "photos_user_id_created_at_idx")],
    ),
    list(r#"{"filter": {"user_ids": ["$member", "$admin"]}}"#, &[(OF_EACH, "photos_user_id_created_at_idx")]),
    list(
        r#"{"filter": {"create_time": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}}}"#,
        &[(DIRECT, "photos_created_at_idx")],
    ),
    list(
        r#"{"filter": {"capture_time": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}}, "order_by": "capture_time desc"}"#,
        &[(DIRECT, "photos_captured_at_idx")],
    ),
    list(
        r#"{"filter": {"capture_time": {"start": "2024-03-01T00:00:00Z", "end": "2024-03-01T12:00:00Z"}}}"#,
        &[(SEARCHED, "photos_captured_at_idx")],
    ),
    list(
        r#"{"filter": {"upload_time": {"start": "2024-03-01T00:00:00Z", "end": "2024-03-01T12:00:00Z"}}}"#,
        &[(SEARCHED, "photos_uploaded_at_idx")],
    ),
    list(
        r#"{"filter": {"s3_key_prefix": "2024/03/0"}, "page_size": 1000}"#,
        &[(SEARCHED, "photos_organization_id_s3_key_key")],
    ),
    list(
        r#"{"filter": {"geo_box": {"south": 52.4999, "west": 13.39, "north": 52.50001, "east": 13.41}}}"#,
        &[(DIRECT, ANY)],
    ),
    list(r#"{"filter": {"tags_any": ["Word 1"]}}"#, &[(CARRIED, "tags_tag_photo_created_at_idx")]),
    list(
        r#"{"filter": {"tags_any": ["word 1"]}, "order_by": "create_time"}"#,
        &[(CARRIED, "tags_tag_photo_created_at_idx")],
    ),
    list(
        r#"{"filter": {"tags_any": ["word 1", "word 2"], "project_ids": ["$house"]}}"#,
        &[(CARRIED, "tags_project_id_tag_photo_created_at_idx")],
    ),
    list(
        r#"{"filter": {"tags_all": ["word 1", "word 2"], "project_ids": ["$house", "$bridge"]}}"#,
        &[(CARRIED, "tags_tag_photo_created_at_idx")],
    ),
    list(
        r#"{"filter": {"tags_any": ["word 1"]}, "order_by": "capture_time desc"}"#,
        &[(COUNT, "tags_tag_photo_created_at_idx"), (GATHERED, "tags_tag_photo_created_at_idx")],
    ),
    list(
        r#"{"filter": {"tags_any": ["word 1"], "tags_none": ["word 2"], "user_ids": ["$member"]}}"#,
        &[(GATHERED, "tags_tag_photo_created_at_idx")],
    ),
    list(r#"{"filter": {"tags_none": ["word 1"]}}"#, &[(DIRECT, "tags_photo_id_tag_source_key")]),
    list(r#"{"filter": {"detection": {"labels": ["label 1"]}}}"#, &[(CARRIED, "detection_labels_pkey")]),
    list(
        r#"{"filter": {"detection": {"labels": ["label 1"], "types": ["DETECTION_TYPE_DAMAGE"], "min_confidence": 0.2}}}"#,
        &[(CARRIED, "detection_labels_pkey")],
    ),
    list(
        r#"{"filter": {"detection": {"labels": ["label 1", "label 2"]}, "project_ids": ["$house"]}}"#,
        &[(COUNT, "detection_labels_pkey"), (GATHERED, "detection_labels_pkey")],
    ),
    list(
        r#"{"filter": {"detection": {"model_versions": ["model-1"]}}}"#,
        &[(CARRIED, "detections_model_photo_created_at_idx")],
    ),
    list(
        r#"{"filter": {"detection": {"model_versions": ["model-1", "model-2"], "types": ["DETECTION_TYPE_VOLUME"], "user_confirmed": true}}, "order_by": "create_time"}"#,
        &[(CARRIED, "detections_model_photo_created_at_idx")],
    ),
    list(
        r#"{"filter": {"detection": {"model_versions": ["model-1"]}, "project_ids": ["$house"]}, "order_by": "capture_time"}"#,
        &[(COUNT, ANY), (GATHERED, ANY)],
    ),
    list(
        r#"{"filter": {"detection": {"types": ["DETECTION_TYPE_VOLUME"], "min_confidence": 0.5}}}"#,
        &[(DIRECT, "detections_photo_id_created_at_idx")],
    ),
    list(
        r#"{"filter": {"without_detection": {"type": "DETECTION_TYPE_VOLUME", "model_version": "model-1"}}}"#,
        &[(DIRECT, "detections_model_photo_created_at_idx")],
    ),
    list(
        r#"{"filter": {"without_detection": {"type": "DETECTION_TYPE_VOLUME", "model_version": "model-1"}, "tags_none": ["word 1"],
            "create_time": {"start": "2024-02-01T00:00:00Z"}}, "page_size": 1000}"#,
        &[(REMAINING, "detections_model_photo_created_at_idx")],
    ),
    case(
        "PhotoService/UpdatePhoto",
        r#"{"photo": {"id": "$photo", "mime_type": "image/png"}}"#,
        &[("photo::query::LOCK", "photos_pkey"), ("photo::write::UPDATE", "photos_pkey")],
    ),
    case(
        "PhotoService/DeletePhoto",
        r#"{"id": "$doomed_photo"}"#,
        &[
            ("photo::write::LEAVE", "detections_photo_id_created_at_idx"),
            ("photo::write::DELETE", "photos_pkey"),
            ("photo::write::DELETE", "detections_photo_id_created_at_idx"),
            ("photo::write::DELETE", "tags_photo_id_tag_source_key"),
            ("photo::write::DELETE", "feedback_detection_id_created_at_idx"),
        ],
    ),
];
