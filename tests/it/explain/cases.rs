//! Calls that together run every statement, and in each shape that decides a list's plan; and by which index.

mod detection;
mod photo;
mod training;

/// One call, made by each role that may.
pub struct Case {
    /// `PhotoService/GetPhoto`.
    pub rpc: &'static str,
    /// A request as JSON; `$photo` and its like stand for ids.
    pub request: &'static str,
    /// The statements that it is here for, each with an index that must be in its plan, or one `or` another.
    pub plans: &'static [(&'static str, &'static str)],
}

impl Case {
    /// Whether it changes nothing.
    pub fn reads(&self) -> bool {
        ["/Get", "/BatchGet", "/List", "/Export"].iter().any(|verb| self.rpc.contains(verb))
    }
}

const fn case(rpc: &'static str, request: &'static str, plans: &'static [(&'static str, &'static str)]) -> Case {
    Case { rpc, request, plans }
}

/// Stands for an index where the statement reads no table.
pub const NONE: &str = "none";
/// Stands for an index where none is made for this shape, and any of an organization's rows will do.
pub const ANY: &str = "any";

/// All of them.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [TENANCY, photo::CASES, detection::CASES, TAGS, FEEDBACK, training::CASES].into_iter().flatten()
}

const TENANCY: &[Case] = &[
    case(
        "OrganizationService/CreateOrganization",
        r#"{"organization": {"name": "New $uuid"}}"#,
        &[("organization::query::INSERT", NONE)],
    ),
    case(
        "OrganizationService/CreateOrganization",
        r#"{"organization": {"id": "$uuid", "name": "Organization c0000002"}}"#,
        &[
            ("organization::query::TAKEN", "organizations_pkey"),
            ("organization::query::TAKEN", "organizations_name_key"),
        ],
    ),
    case(
        "OrganizationService/GetOrganization",
        r#"{"id": "$org"}"#,
        &[("organization::query::GET", "organizations_pkey")],
    ),
    case("OrganizationService/ListOrganizations", "{}", &[("organization::query::LIST", "organizations_name_key")]),
    case(
        "OrganizationService/DeleteOrganization",
        r#"{"id": "$empty_org"}"#,
        &[("organization::query::DELETE", "organizations_pkey")],
    ),
    case("UserService/CreateUser", r#"{"user": {"email": "$uuid@new.example"}}"#, &[("user::query::INSERT", NONE)]),
    case(
        "UserService/CreateUser",
        r#"{"user": {"email": "person3@a0000000.example", "first_name": "Other"}}"#,
        &[("user::query::TAKEN", "users_pkey")],
    ),
    case("UserService/GetUser", r#"{"id": "$member"}"#, &[("user::query::GET", "users_pkey")]),
    case(
        "UserService/ListUsers",
        r#"{"page_size": 5}"#,
        &[("user::query::LIST", "users_organization_id_email_idx or users_pkey")],
    ),
    case(
        "UserService/UpdateUser",
        r#"{"user": {"id": "$member", "first_name": "$uuid"}}"#,
        &[("user::query::UPDATE", "users_pkey")],
    ),
    case("UserService/DeleteUser", r#"{"id": "$idle_user"}"#, &[("user::query::DELETE", "users_pkey")]),
    case("ProjectService/CreateProject", r#"{"project": {"name": "New $uuid"}}"#, &[("project::query::INSERT", NONE)]),
    case(
        "ProjectService/CreateProject",
        r#"{"project": {"id": "$uuid", "name": "House"}}"#,
        &[("project::query::TAKEN", "projects_pkey"), ("project::query::TAKEN", "projects_organization_id_name_key")],
    ),
    case("ProjectService/GetProject", r#"{"id": "$house"}"#, &[("project::query::GET", "projects_pkey")]),
    case(
        "ProjectService/ListProjects",
        r#"{"page_size": 3}"#,
        &[("project::query::LIST", "projects_organization_id_name_key")],
    ),
    case(
        "ProjectService/ListProjects",
        r#"{"statuses": ["PROJECT_STATUS_ACTIVE"], "page_size": 1}"#,
        &[("project::query::LIST", "projects_organization_id_name_key")],
    ),
    case(
        "ProjectService/UpdateProject",
        r#"{"project": {"id": "$house", "description": "$uuid"}}"#,
        &[("project::query::UPDATE", "projects_pkey")],
    ),
    case("ProjectService/DeleteProject", r#"{"id": "$idle_project"}"#, &[("project::query::DELETE", "projects_pkey")]),
    case(
        "ProjectService/AddProjectMembers",
        r#"{"project_id": "$house", "user_ids": ["$admin", "$outsider"]}"#,
        &[("project::member::ADD", "projects_pkey"), ("project::member::ADD", "users_pkey")],
    ),
    case(
        "ProjectService/RemoveProjectMembers",
        r#"{"project_id": "$house", "user_ids": ["$outsider"]}"#,
        &[("project::member::REMOVE", "projects_pkey"), ("project::member::REMOVE", "project_members_project_id_idx")],
    ),
    case(
        "ProjectService/ListProjectMembers",
        r#"{"project_id": "$house"}"#,
        &[("project::member::LIST", "projects_pkey"), ("project::member::LIST", "project_members_project_id_idx")],
    ),
];

const BY_COUNT: &str = "tag::query::COUNTS_BY_COUNT";
const BY_TAG: &str = "tag::query::COUNTS_BY_TAG";

const TAGS: &[Case] = &[
    case(
        "TagService/AddTags",
        r#"{"photo_ids": ["$photo"], "tags": [{"tag": "new $uuid"}]}"#,
        &[
            ("tag::query::ADD", "photos_pkey"),
            ("tag::query::ADD", "tags_photo_id_tag_source_key"),
            ("tag::query::READ_BACK", "tags_photo_id_tag_source_key"),
        ],
    ),
    case(
        "TagService/RemoveTags",
        r#"{"photo_ids": ["$photo"], "tags": ["Word 1", "Word 2"]}"#,
        &[
            ("tag::query::REMOVE", "photos_pkey"),
            ("tag::query::REMOVE", "tags_photo_id_tag_source_key or tags_tag_photo_created_at_idx"),
        ],
    ),
    case(
        "TagService/ListTags",
        r#"{"photo_id": "$photo"}"#,
        &[("tag::query::LIST", "photos_pkey"), ("tag::query::LIST", "tags_photo_id_tag_source_key")],
    ),
    case("TagService/ListTagCounts", "{}", &[(BY_COUNT, ANY)]),
    case(
        "TagService/ListTagCounts",
        r#"{"project_id": "$house"}"#,
        &[(BY_COUNT, "tags_project_id_tag_photo_created_at_idx")],
    ),
    case("TagService/ListTagCounts", r#"{"prefix": "word 1"}"#, &[(BY_COUNT, "tags_tag_photo_created_at_idx")]),
    case(
        "TagService/ListTagCounts",
        r#"{"prefix": "none", "project_id": "$house"}"#,
        &[(BY_COUNT, "tags_project_id_tag_photo_created_at_idx"), ("tag::query::FIND_PROJECT", "projects_pkey")],
    ),
    case("TagService/ListTagCounts", r#"{"order_by": "tag"}"#, &[(BY_TAG, "tags_tag_photo_created_at_idx")]),
    case(
        "TagService/ListTagCounts",
        r#"{"order_by": "tag", "project_id": "$house"}"#,
        &[(BY_TAG, "tags_project_id_tag_photo_created_at_idx")],
    ),
    case(
        "TagService/ListTagCounts",
        r#"{"order_by": "tag", "prefix": "word 1"}"#,
        &[(BY_TAG, "tags_tag_photo_created_at_idx")],
    ),
];

const LIST: &str = "feedback::query::LIST";
const LIST_OF_PHOTO: &str = "feedback::query::LIST_OF_PHOTO";

const FEEDBACK: &[Case] = &[
    case(
        "FeedbackService/CreateFeedback",
        r#"{"feedback": {"id": "$uuid", "detection_id": "$detection", "verdict": "VERDICT_REJECT"}}"#,
        &[
            ("detection::query::LOCK_ALL", "detections_pkey"),
            ("feedback::query::KNOWN", "feedback_pkey"),
            ("feedback::query::INSERT", NONE),
            ("detection::write::REVIEW", "detections_pkey"),
            ("detection::write::REVIEW", "review_claims_pkey"),
        ],
    ),
    case(
        "FeedbackService/CreateFeedback",
        r#"{"feedback": {"detection_id": "$detection", "verdict": "VERDICT_RETRACT", "retracts_id": "$uuid"}}"#,
        &[("feedback::query::ANSWERS", "feedback_detection_id_created_at_idx")],
    ),
    case(
        "FeedbackService/BatchCreateFeedback",
        r#"{"feedback": [{"detection_id": "$detection", "verdict": "VERDICT_CONFIRM"}]}"#,
        &[("detection::query::LOCK_ALL", "detections_pkey"), ("feedback::query::INSERT", NONE)],
    ),
    case("FeedbackService/ListFeedback", "{}", &[(LIST, "feedback_created_at_idx")]),
    case(
        "FeedbackService/ListFeedback",
        r#"{"detection_id": "$detection"}"#,
        &[(LIST, "feedback_detection_id_created_at_idx")],
    ),
    case("FeedbackService/ListFeedback", r#"{"user_id": "$member"}"#, &[(LIST, "feedback_user_id_created_at_idx")]),
    case(
        "FeedbackService/ListFeedback",
        r#"{"photo_id": "$photo"}"#,
        &[
            (LIST_OF_PHOTO, "detections_photo_id_created_at_idx"),
            (LIST_OF_PHOTO, "feedback_detection_id_created_at_idx"),
        ],
    ),
];
