//! Constraints that one request meets: what a create refuses in its fields or finds taken.

use super::entry::By::{Admin, Operator};
use super::entry::{Entry, call, wire};

macro_rules! create {
    ($rpc:literal, $by:ident, $(($name:literal, $sql:literal, $request:literal, $expected:literal)),+ $(,)?) => {
        &[$(wire($name, $sql, &[call($by, $rpc, $request, $expected)])),+]
    };
}

/// Fields that `CreatePhoto` refuses, and what it finds taken.
pub const PHOTOS: &[Entry] = create![
    "PhotoService/CreatePhoto",
    Admin,
    (
        "photos_pkey",
        "update photos set id = '$nobody' where s3_key like 'house/%'",
        r#"{"photo": {"id": "$photo"}}"#,
        "AlreadyExists PHOTO_ALREADY_EXISTS"
    ),
    (
        "photos_organization_id_s3_key_key",
        "update photos set s3_key = 'x'",
        r#"{"photo": {"s3_key": "house/1.jpg"}}"#,
        "AlreadyExists PHOTO_ALREADY_EXISTS"
    ),
    (
        "photos_s3_url_check",
        "update photos set s3_url = ''",
        r#"{"photo": {"s3_url": "$x2001"}}"#,
        "InvalidArgument INVALID_FIELDS photo.s3_url"
    ),
    (
        "photos_s3_key_check",
        "update photos set s3_key = ''",
        r#"{"photo": {"s3_key": ""}}"#,
        "InvalidArgument INVALID_FIELDS photo.s3_key"
    ),
    (
        "photos_file_size_bytes_check",
        "update photos set file_size_bytes = -1",
        r#"{"photo": {"file_size_bytes": -1}}"#,
        "InvalidArgument INVALID_FIELDS photo.file_size_bytes"
    ),
    (
        "photos_mime_type_check",
        "update photos set mime_type = ''",
        r#"{"photo": {"mime_type": ""}}"#,
        "InvalidArgument INVALID_FIELDS photo.mime_type"
    ),
    (
        "photos_width_check",
        "update photos set width = 0",
        r#"{"photo": {"width": 0}}"#,
        "InvalidArgument INVALID_FIELDS photo.width"
    ),
    (
        "photos_height_check",
        "update photos set height = 1000001",
        r#"{"photo": {"height": 1000001}}"#,
        "InvalidArgument INVALID_FIELDS photo.height"
    ),
    (
        "photos_latitude_check",
        "update photos set latitude = 91, longitude = 0",
        r#"{"photo": {"latitude": 91, "longitude": 0}}"#,
        "InvalidArgument INVALID_FIELDS photo.latitude"
    ),
    (
        "photos_longitude_check",
        "update photos set latitude = 0, longitude = -181",
        r#"{"photo": {"latitude": 0, "longitude": -181}}"#,
        "InvalidArgument INVALID_FIELDS photo.longitude"
    ),
    (
        "photos_latitude_longitude_check",
        "update photos set latitude = 1",
        r#"{"photo": {"latitude": 1}}"#,
        "InvalidArgument INVALID_FIELDS photo.longitude"
    ),
    (
        "photos_orientation_check",
        "update photos set orientation = 9",
        r#"{"photo": {"orientation": 9}}"#,
        "InvalidArgument INVALID_FIELDS photo.orientation"
    ),
];

/// Fields that `CreateDetection` refuses, and what it finds taken.
pub const DETECTIONS: &[Entry] = create![
    "DetectionService/CreateDetection",
    Admin,
    (
        "detections_pkey",
        "update detections set id = '$nobody' where user_feedback is null",
        r#"{"detection": {"id": "$detection"}}"#,
        "AlreadyExists DETECTION_ALREADY_EXISTS"
    ),
    (
        "detections_run_key",
        "update detections set run_id = 'x'",
        r#"{"detection": {"model_version": "cracks-1", "run_id": "run-1"}}"#,
        "AlreadyExists DETECTION_ALREADY_EXISTS"
    ),
    (
        "detections_detection_type_check",
        "update detections set detection_type = 'x'",
        r#"{"detection": {"detection_type": 9}}"#,
        "InvalidArgument INVALID_FIELDS detection.detection_type"
    ),
    (
        "detections_model_version_check",
        "update detections set model_version = ''",
        r#"{"detection": {"model_version": "$x101"}}"#,
        "InvalidArgument INVALID_FIELDS detection.model_version"
    ),
    (
        "detections_run_id_check",
        "update detections set run_id = ''",
        r#"{"detection": {"run_id": ""}}"#,
        "InvalidArgument INVALID_FIELDS detection.run_id"
    ),
    (
        "detections_confidence_check",
        "update detections set confidence = 1.5",
        r#"{"detection": {"confidence": 1.5}}"#,
        "InvalidArgument INVALID_FIELDS detection.confidence"
    ),
    (
        "detections_processing_time_ms_check",
        "update detections set processing_time_ms = 0",
        r#"{"detection": {"processing_time": "0s"}}"#,
        "InvalidArgument INVALID_FIELDS detection.processing_time"
    ),
];

/// Fields that `CreateUser` refuses, and what it finds taken.
pub const USERS: &[Entry] = create![
    "UserService/CreateUser",
    Admin,
    (
        "users_pkey",
        "update users set id = '$nobody' where email like 'extra@%' or email like 'admin@%'",
        r#"{"user": {"id": "$user"}}"#,
        "AlreadyExists USER_ALREADY_EXISTS"
    ),
    (
        "users_email_check",
        "update users set email = 'x'",
        r#"{"user": {"email": "x"}}"#,
        "InvalidArgument INVALID_FIELDS user.email"
    ),
    (
        "users_first_name_check",
        "update users set first_name = repeat('x', 101)",
        r#"{"user": {"first_name": "$x101"}}"#,
        "InvalidArgument INVALID_FIELDS user.first_name"
    ),
    (
        "users_last_name_check",
        "update users set last_name = repeat('x', 101)",
        r#"{"user": {"last_name": "$x101"}}"#,
        "InvalidArgument INVALID_FIELDS user.last_name"
    ),
    (
        "users_role_check",
        "update users set role = 'x'",
        r#"{"user": {"role": 9}}"#,
        "InvalidArgument INVALID_FIELDS user.role"
    ),
];

/// Fields that `CreateProject` refuses, and what it finds taken.
pub const PROJECTS: &[Entry] = create![
    "ProjectService/CreateProject",
    Admin,
    (
        "projects_pkey",
        "update projects set id = '$nobody' where name in ('Yard', 'Bridge')",
        r#"{"project": {"id": "$project"}}"#,
        "AlreadyExists PROJECT_ALREADY_EXISTS"
    ),
    (
        "projects_name_check",
        "update projects set name = ''",
        r#"{"project": {"name": ""}}"#,
        "InvalidArgument INVALID_FIELDS project.name"
    ),
    (
        "projects_description_check",
        "update projects set description = repeat('x', 10001)",
        r#"{"project": {"description": "$x10001"}}"#,
        "InvalidArgument INVALID_FIELDS project.description"
    ),
    (
        "projects_status_check",
        "update projects set status = 'x'",
        r#"{"project": {"status": 9}}"#,
        "InvalidArgument INVALID_FIELDS project.status"
    ),
];

/// Fields that `CreateOrganization` refuses, and what it finds taken.
pub const ORGANIZATIONS: &[Entry] = create![
    "OrganizationService/CreateOrganization",
    Operator,
    (
        "organizations_pkey",
        "update organizations set id = '$nobody' where name like 'Only%'",
        r#"{"organization": {"id": "$org"}}"#,
        "AlreadyExists ORGANIZATION_ALREADY_EXISTS"
    ),
    (
        "organizations_name_key",
        "update organizations set name = 'x'",
        r#"{"organization": {"id": "$nobody", "name": "Organization A"}}"#,
        "AlreadyExists ORGANIZATION_ALREADY_EXISTS"
    ),
    (
        "organizations_name_check",
        "update organizations set name = ''",
        r#"{"organization": {"name": "$x256"}}"#,
        "InvalidArgument INVALID_FIELDS organization.name"
    ),
];

/// Fields that `AddTags` refuses, and what it finds taken.
pub const TAGS: &[Entry] = create![
    "TagService/AddTags",
    Admin,
    // The same word again is no error.
    (
        "tags_photo_id_tag_source_key",
        "update tags set tag_folded = 'x'",
        r#"{"tags": [{"tag": "TAG 1"}]}"#,
        r#"OK {"unchanged":1}"#
    ),
    (
        "tags_tag_check",
        "update tags set tag = ''",
        r#"{"tags": [{"tag": "$x101"}]}"#,
        "InvalidArgument INVALID_FIELDS tags[0].tag"
    ),
    (
        "tags_source_check",
        "update tags set source = 'x'",
        r#"{"tags": [{"tag": "new", "source": 9}]}"#,
        "InvalidArgument INVALID_FIELDS tags[0].source"
    ),
    (
        "tags_confidence_check",
        "update tags set source = 'ai', confidence = 1.5",
        r#"{"tags": [{"tag": "new", "source": "TAG_SOURCE_AI", "confidence": 1.5}]}"#,
        "InvalidArgument INVALID_FIELDS tags[0].confidence"
    ),
    (
        "tags_source_confidence_check",
        "update tags set confidence = 0.5",
        r#"{"tags": [{"tag": "new", "source": "TAG_SOURCE_USER", "confidence": 0.5}]}"#,
        "InvalidArgument INVALID_FIELDS tags[0].confidence"
    ),
];

/// Fields that `CreateFeedback` refuses, and what it finds taken.
pub const FEEDBACK: &[Entry] = create![
    "FeedbackService/CreateFeedback",
    Admin,
    (
        "feedback_pkey",
        "update feedback set id = '$nobody'",
        r#"{"feedback": {"id": "$feedback"}}"#,
        "AlreadyExists FEEDBACK_ALREADY_EXISTS"
    ),
    (
        "feedback_verdict_check",
        "update feedback set verdict = 'x'",
        r#"{"feedback": {"verdict": 9}}"#,
        "InvalidArgument INVALID_FIELDS feedback.verdict"
    ),
    (
        "feedback_retracts_id_check",
        "update feedback set retracts_id = id",
        r#"{"feedback": {"retracts_id": "$feedback"}}"#,
        "InvalidArgument INVALID_FIELDS feedback.retracts_id"
    ),
    (
        "feedback_comment_check",
        "update feedback set comment = repeat('x', 2001)",
        r#"{"feedback": {"comment": "$x2001"}}"#,
        "InvalidArgument INVALID_FIELDS feedback.comment"
    ),
];

/// Fields that `RegisterCategories` refuses, and what it finds taken, which is no error.
pub const CATEGORIES: &[Entry] = create![
    "FeedbackService/RegisterCategories",
    Admin,
    ("categories_pkey", "update categories set name = 'x'", r#"{"categories": [{"name": "Category 1"}]}"#, "OK {}"),
    (
        "categories_category_id_key",
        "update categories set category_id = 1",
        r#"{"categories": [{"name": "x", "id": 1}]}"#,
        "OK {}"
    ),
    (
        "categories_name_check",
        "update categories set name = '' where name = 'Category 1'",
        r#"{"categories": [{"name": ""}]}"#,
        "InvalidArgument INVALID_FIELDS categories[0].name"
    ),
    (
        "categories_category_id_check",
        "update categories set category_id = -1 where name = 'Category 1'",
        r#"{"categories": [{"name": "x", "id": -1}]}"#,
        "InvalidArgument INVALID_FIELDS categories[0].id"
    ),
    (
        "categories_supercategory_check",
        "update categories set supercategory = repeat('x', 201)",
        r#"{"categories": [{"name": "x", "supercategory": "$x256"}]}"#,
        "InvalidArgument INVALID_FIELDS categories[0].supercategory"
    ),
];
