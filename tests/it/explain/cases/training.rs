//! Calls that run the statements of training data.

use super::{Case, NONE, case};

const PHOTOS: &str = "training::query::PHOTOS";
const OF_EACH: &str = "training::query::PHOTOS_OF_EACH";
const NAMED: &str = "training::query::PHOTOS_NAMED";
const DETECTIONS: &str = "training::query::DETECTIONS";

const fn export(request: &'static str, plans: &'static [(&'static str, &'static str)]) -> Case {
    case("FeedbackService/ExportTrainingData", request, plans)
}

/// All of them.
pub const CASES: &[Case] = &[
    export(
        r#"{"include_unreviewed": true, "format": "TRAINING_DATA_FORMAT_JSON_LINES"}"#,
        &[
            ("training::query::AWAIT_LABELS", NONE),
            ("training::query::LABELS", "categories_category_id_key"),
            (PHOTOS, "photos_created_at_idx"),
            (DETECTIONS, "detections_photo_id_created_at_idx"),
        ],
    ),
    export(
        r#"{"filter": {"project_ids": ["$house"], "types": ["DETECTION_TYPE_DAMAGE"], "min_confidence": 0.5}}"#,
        &[(PHOTOS, "photos_project_id_created_at_idx"), (DETECTIONS, "detections_photo_id_created_at_idx")],
    ),
    export(
        r#"{"filter": {"project_ids": ["$house", "$bridge"], "model_versions": ["model-1"]}, "verdicts": ["VERDICT_REJECT"]}"#,
        &[(OF_EACH, "photos_project_id_created_at_idx"), (DETECTIONS, "detections_photo_id_created_at_idx")],
    ),
    export(
        r#"{"filter": {"project_ids": ["$house"], "labels": ["label 1", "label 8"]}, "include_unreviewed": true}"#,
        &[(DETECTIONS, "detections_photo_id_created_at_idx"), (DETECTIONS, "detection_labels_pkey")],
    ),
    // Its detections have changed since.
    export(
        r#"{"filter": {"photo_ids": ["$photo", "$doomed_photo"]}, "include_unreviewed": true}"#,
        &[
            (NAMED, "photos_pkey"),
            (DETECTIONS, "detections_photo_id_created_at_idx"),
            ("feedback::query::ANSWERS", "feedback_detection_id_created_at_idx"),
        ],
    ),
    case(
        "FeedbackService/ListCategories",
        r#"{"page_size": 5}"#,
        &[("training::query::LABELS", "categories_category_id_key")],
    ),
    case(
        "FeedbackService/RegisterCategories",
        r#"{"categories": [{"name": "label 1"}, {"name": "new $uuid", "id": 7}]}"#,
        &[
            ("training::query::LOCK_LABELS", NONE),
            ("training::query::NAMED", "categories_pkey"),
            ("training::query::TAKEN", "categories_category_id_key"),
            ("training::query::ADD_LABELS", NONE),
        ],
    ),
];
