//! Calls that run the statements of photos.

use super::{ANY, Case, case};

const NEWEST: &str = "photo::query::LIST_CREATED_DESCENDING";
const OLDEST: &str = "photo::query::LIST_CREATED_ASCENDING";
const TAKEN_LAST: &str = "photo::query::LIST_CAPTURED_DESCENDING";
const TAKEN_FIRST: &str = "photo::query::LIST_CAPTURED_ASCENDING";

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
    case("PhotoService/ListPhotos", "{}", &[(NEWEST, "photos_created_at_idx")]),
    case(
        "PhotoService/ListPhotos",
        r#"{"view": "PHOTO_VIEW_FULL"}"#,
        &[
            (NEWEST, "photos_created_at_idx"),
            ("tag::query::OF_PHOTOS", "tags_photo_id_tag_source_key"),
            ("detection::query::OF_PHOTOS", "detections_photo_id_created_at_idx"),
        ],
    ),
    case("PhotoService/ListPhotos", r#"{"order_by": "create_time"}"#, &[(OLDEST, "photos_created_at_idx")]),
    case("PhotoService/ListPhotos", r#"{"order_by": "capture_time desc"}"#, &[(TAKEN_LAST, ANY)]),
    case("PhotoService/ListPhotos", r#"{"order_by": "capture_time"}"#, &[(TAKEN_FIRST, ANY)]),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"project_ids": ["$house"]}}"#,
        &[(NEWEST, "photos_project_id_created_at_idx or photos_organization_id_project_id_id_key")],
    ),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"project_ids": ["$house"]}, "order_by": "create_time"}"#,
        &[(OLDEST, "photos_project_id_created_at_idx")],
    ),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"project_ids": ["$house", "$bridge"]}}"#,
        &[(NEWEST, "photos_project_id_created_at_idx")],
    ),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"project_ids": ["$house"]}, "order_by": "capture_time desc"}"#,
        &[(TAKEN_LAST, ANY)],
    ),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"project_ids": ["$house"]}, "order_by": "capture_time"}"#,
        &[(TAKEN_FIRST, ANY)],
    ),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"user_ids": ["$member"]}}"#,
        &[(NEWEST, "photos_user_id_created_at_idx")],
    ),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"user_ids": ["$member"]}, "order_by": "create_time"}"#,
        &[(OLDEST, "photos_user_id_created_at_idx")],
    ),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"create_time": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}}}"#,
        &[(NEWEST, "photos_created_at_idx")],
    ),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"capture_time": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}}}"#,
        &[(NEWEST, ANY)],
    ),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"upload_time": {"start": "2024-03-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}}}"#,
        &[(NEWEST, ANY)],
    ),
    case(
        "PhotoService/ListPhotos",
        r#"{"filter": {"s3_key_prefix": "2024/03/0"}}"#,
        &[(NEWEST, "photos_organization_id_s3_key_key")],
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
