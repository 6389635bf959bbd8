//! Constraints that more than one request meets, above all the foreign keys in both directions, and those that no
//! request reaches.

use super::entry::By::{Admin, Nobody, Operator};
use super::entry::{Entry, beyond, call, wire};

/// A second request changes what the first one does, or what it refers to goes.
pub const REFERENCES: &[Entry] = &[
    wire(
        "users_email_key",
        "update users set email = 'x@example.com'",
        &[
            call(
                Admin,
                "UserService/CreateUser",
                r#"{"user": {"email": "ADMIN@a.example"}}"#,
                "AlreadyExists USER_ALREADY_EXISTS",
            ),
            call(
                Admin,
                "UserService/CreateUser",
                r#"{"user": {"email": "admin@b.example"}}"#,
                "AlreadyExists USER_ALREADY_EXISTS",
            ),
        ],
    ),
    wire(
        "users_organization_id_fkey",
        "update users set organization_id = '$nobody' where email = 'admin@b.example'",
        &[
            call(Nobody, "UserService/CreateUser", "{}", "NotFound ORGANIZATION_NOT_FOUND"),
            call(
                Operator,
                "OrganizationService/DeleteOrganization",
                r#"{"id": "$only_users"}"#,
                "FailedPrecondition ORGANIZATION_NOT_EMPTY",
            ),
        ],
    ),
    wire(
        "projects_organization_id_name_key",
        "update projects set name = 'x'",
        &[
            call(
                Admin,
                "ProjectService/CreateProject",
                r#"{"project": {"name": "House", "description": "other"}}"#,
                "AlreadyExists PROJECT_ALREADY_EXISTS",
            ),
            call(
                Admin,
                "ProjectService/UpdateProject",
                r#"{"project": {"name": "Bridge"}}"#,
                "AlreadyExists PROJECT_ALREADY_EXISTS",
            ),
        ],
    ),
    wire(
        "projects_organization_id_fkey",
        "update projects set organization_id = '$nobody' where name = 'Only'",
        &[
            call(Nobody, "ProjectService/CreateProject", "{}", "NotFound ORGANIZATION_NOT_FOUND"),
            call(
                Operator,
                "OrganizationService/DeleteOrganization",
                r#"{"id": "$only_projects"}"#,
                "FailedPrecondition ORGANIZATION_NOT_EMPTY",
            ),
        ],
    ),
    wire(
        "categories_organization_id_fkey",
        "update categories set organization_id = '$nobody' where name = 'only'",
        &[
            call(Nobody, "FeedbackService/RegisterCategories", "{}", "NotFound ORGANIZATION_NOT_FOUND"),
            call(Operator, "OrganizationService/DeleteOrganization", r#"{"id": "$only_labels"}"#, "OK {}"),
        ],
    ),
    wire(
        "project_members_pkey",
        "update project_members set user_id = '$member', project_id = '$house'",
        &[call(Admin, "ProjectService/AddProjectMembers", "{}", "OK {}")],
    ),
    wire(
        "project_members_user_id_fkey",
        "update project_members set user_id = '$nobody' where user_id = '$extra'",
        &[
            call(Admin, "ProjectService/AddProjectMembers", r#"{"user_ids": ["$nobody"]}"#, "NotFound USER_NOT_FOUND"),
            call(Admin, "UserService/DeleteUser", r#"{"id": "$extra"}"#, "OK {}"),
        ],
    ),
    wire(
        "project_members_project_id_fkey",
        "update project_members set project_id = '$nobody' where user_id = '$extra'",
        &[
            call(
                Admin,
                "ProjectService/AddProjectMembers",
                r#"{"project_id": "$nobody"}"#,
                "NotFound PROJECT_NOT_FOUND",
            ),
            call(Admin, "ProjectService/DeleteProject", r#"{"id": "$yard"}"#, "OK {}"),
        ],
    ),
    wire(
        "photos_project_id_fkey",
        "update photos set project_id = '$nobody' where s3_key = 'house/3.jpg'",
        &[
            call(
                Admin,
                "PhotoService/CreatePhoto",
                r#"{"photo": {"project_id": "$nobody"}}"#,
                "NotFound PROJECT_NOT_FOUND",
            ),
            call(Admin, "ProjectService/DeleteProject", "{}", "FailedPrecondition PROJECT_NOT_EMPTY"),
        ],
    ),
    wire(
        "photos_user_id_fkey",
        "update photos set user_id = '$nobody'",
        &[
            call(Admin, "PhotoService/CreatePhoto", r#"{"photo": {"user_id": "$nobody"}}"#, "NotFound USER_NOT_FOUND"),
            call(Admin, "UserService/DeleteUser", "{}", "FailedPrecondition USER_IN_USE"),
        ],
    ),
    wire(
        "detections_photo_id_fkey",
        "update detections set photo_id = '$nobody'",
        &[
            call(
                Admin,
                "DetectionService/CreateDetection",
                r#"{"detection": {"photo_id": "$nobody"}}"#,
                "NotFound PHOTO_NOT_FOUND",
            ),
            call(
                Admin,
                "PhotoService/DeletePhoto",
                r#"{"id": "$photo"}"#,
                r#"OK {"detectionsDeleted":"4","feedbackDeleted":"3","s3Key":"house/1.jpg","tagsDeleted":"3"}"#,
            ),
        ],
    ),
    wire(
        "tags_photo_id_fkey",
        "update tags set photo_id = '$nobody' where photo_id = '$tagged'",
        &[
            call(Admin, "TagService/AddTags", r#"{"photo_ids": ["$nobody"]}"#, "NotFound PHOTO_NOT_FOUND"),
            call(
                Admin,
                "PhotoService/DeletePhoto",
                r#"{"id": "$tagged"}"#,
                r#"OK {"s3Key":"house/2.jpg","tagsDeleted":"1"}"#,
            ),
        ],
    ),
    wire(
        "review_claims_detection_id_fkey",
        "insert into review_claims (organization_id, detection_id, project_id, user_id, expires_at)
         select organization_id, '$nobody', id, '$member', now() from projects where id = '$house'",
        &[call(Admin, "DetectionService/ReleaseClaimedDetections", r#"{"ids": ["$nobody"]}"#, "OK {}")],
    ),
    wire(
        "feedback_detection_id_fkey",
        "update feedback set detection_id = '$nobody'",
        &[
            call(
                Admin,
                "FeedbackService/CreateFeedback",
                r#"{"feedback": {"detection_id": "$nobody"}}"#,
                "NotFound DETECTION_NOT_FOUND",
            ),
            call(Admin, "DetectionService/DeleteDetection", r#"{"id": "$reviewed"}"#, "OK {}"),
        ],
    ),
];

/// What validation, or the service itself, keeps from the database.
pub const BEYOND: &[Entry] = &[
    beyond("photos_organization_id_project_id_id_key", "", "the primary key is part of it and refuses first"),
    beyond("photos_exif_data_check", "update photos set exif_data = '[]'", "a Struct is always an object"),
    beyond("photos_content_digest_check", "update photos set content_digest = ''", "the server makes it"),
    beyond(
        "detections_results_check",
        "update detections set results = '[]'",
        "the server makes the object around what is given",
    ),
    beyond("detections_user_feedback_check", "update detections set user_feedback = '[]'", "the server makes it"),
    beyond("detections_content_digest_check", "update detections set content_digest = ''", "the server makes it"),
    beyond(
        "review_claims_pkey",
        "insert into review_claims (organization_id, detection_id, project_id, user_id, expires_at)
         select organization_id, id, project_id, '$member', now() from detections, generate_series(1, 2)",
        "a claim on what somebody held before takes its place",
    ),
    beyond(
        "detection_labels_pkey",
        "insert into detection_labels select l.* from detection_labels l limit 1",
        "the server writes each label of a new detection once",
    ),
    beyond(
        "detection_events_pkey",
        "update detection_events set id = '$nobody', occurred_at = 'epoch'",
        "the server makes the ids, or they are those of new detections",
    ),
    beyond(
        "detection_events_event_type_check",
        "update detection_events set event_type = 'x'",
        "the server chooses the word",
    ),
    beyond("detection_events_payload_check", "update detection_events set payload = '[]'", "the server makes it"),
    beyond("tags_pkey", "update tags set id = '$nobody'", "the server makes the ids of tags"),
    beyond(
        "feedback_edits_check",
        "update feedback set edits = '{}'",
        "the server makes the array around what is given",
    ),
    beyond(
        "feedback_retracts_id_key",
        "insert into feedback (organization_id, id, project_id, photo_id, detection_id, user_id, verdict, retracts_id, created_at, content_digest)
         select organization_id, gen_random_uuid(), project_id, photo_id, detection_id, user_id, 'retract', id, created_at, content_digest
         from feedback, generate_series(1, 2)",
        "the detection is locked, and a second retraction finds the first one",
    ),
    beyond("detections_corrections_check", "update detections set corrections = '[]'", "the server makes them"),
    beyond("detections_moved_objects_check", "update detections set moved_objects = 0, moved_iou = 0", "the server counts"),
    beyond("detections_moved_iou_check", "update detections set moved_objects = 1, moved_iou = 2", "the server computes it"),
    beyond("feedback_content_digest_check", "update feedback set content_digest = ''", "the server makes it"),
];
