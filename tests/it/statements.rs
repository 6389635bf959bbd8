//! How many statements each RPC makes, by the server's log: as many for twenty rows, photos or items as for two, so
//! that no call goes to the database once for each of them.

use serde_json::{Value, json};

use self::log::Log;
use crate::cluster::{TestDatabase, connect};
use crate::harness::{A, App, OPERATOR, Who};
use crate::rpcs::{RPCS, Rpc};

pub mod log;

/// The two sizes that are compared.
const SIZES: [usize; 2] = [2, 20];

/// What grows with the size: each photo has as many tags and detections as there are photos, each detection as much
/// feedback. There are as many members of House as well, and as many users, projects and organizations besides.
const GROW: &str = "
    create function pg_temp.id(kind int, n bigint) returns uuid language sql as
        $$ select (lpad(kind::text, 8, '0') || '-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
    create temp table house as select organization_id, id as project_id from companycam_photos.projects where name = 'House' and id::text like 'a%';
    insert into companycam_photos.photos (organization_id, id, project_id, s3_url, s3_key, width, height, uploaded_at, created_at, updated_at, content_digest)
    select organization_id, pg_temp.id(1, p), project_id, 'u', 'old/' || p, 400, 200, now(), now(), now(), decode(repeat('00', 16), 'hex')
    from house, generate_series(1, $1) p;
    insert into companycam_photos.detections (organization_id, id, project_id, photo_id, photo_created_at, detection_type, model_version, results, object_count, processing_time_ms, created_at, updated_at, content_digest)
    select organization_id, pg_temp.id(2, p * 1000 + d), project_id, pg_temp.id(1, p), now(), 'damage', 'model-' || p, '{\"objects\": []}', 0, 250, now(), now(), decode(repeat('00', 16), 'hex')
    from house, generate_series(1, $1) p, generate_series(1, $1) d;
    insert into companycam_photos.feedback (organization_id, id, project_id, photo_id, detection_id, user_id, verdict, created_at, content_digest)
    select organization_id, gen_random_uuid(), project_id, photo_id, d.id, u.id, 'confirm', now(), decode(repeat('00', 16), 'hex')
    from companycam_photos.detections d join companycam_photos.users u using (organization_id), generate_series(1, $1)
    where u.email ^@ 'member';
    insert into companycam_photos.tags (organization_id, id, project_id, photo_id, photo_created_at, tag, tag_folded, source, created_at)
    select organization_id, gen_random_uuid(), project_id, pg_temp.id(1, p), now(), 'Old ' || t, 'old ' || t, 'user', now()
    from house, generate_series(1, $1) p, generate_series(1, $1) t;
    insert into companycam_photos.users (organization_id, id, email, created_at, updated_at)
    select organization_id, pg_temp.id(3, u), 'user' || u, now(), now() from house, generate_series(1, 2 * $1) u;
    insert into companycam_photos.project_members (organization_id, user_id, project_id, created_at)
    select organization_id, pg_temp.id(3, u), project_id, now() from house, generate_series(1, $1) u;
    insert into companycam_photos.projects (organization_id, id, name, created_at, updated_at)
    select organization_id, pg_temp.id(4, p), 'Project ' || p, now(), now() from house, generate_series(1, $1) p;
    insert into companycam_photos.organizations (id, name, created_at)
    select pg_temp.id(5, o), 'New ' || o, now() from generate_series(1, $1) o";

/// An RPC, its request for a size, and how many statements that makes.
type Call = (&'static str, fn(usize) -> Value, usize);

fn id(kind: usize, number: usize) -> String {
    format!("{kind:08}-0000-4000-8000-{number:012}")
}

/// The ids of as many things.
fn ids(kind: usize, size: usize) -> Vec<String> {
    (1..=size).map(|number| id(kind, number)).collect()
}

fn photos(size: usize) -> Vec<Value> {
    let photo = |number| json!({"project_id": A.house, "s3_url": "u", "s3_key": format!("new/{number}")});
    (1..=size).map(photo).collect()
}

/// New detections whose boxes are in pixels.
fn detections(size: usize, model: &str) -> Vec<Value> {
    let pixels = json!({"x": 1, "y": 1, "width": 2, "height": 2});
    let detection = |number| {
        json!({"photo_id": id(1, number), "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": model,
               "processing_time": "1s", "results": {"objects": [{"label": "crack", "pixel_box": pixels}]}})
    };
    (1..=size).map(detection).collect()
}

/// Feedback on as many detections of the first photo.
fn feedback(size: usize) -> Vec<Value> {
    (1..=size).map(|number| json!({"detection_id": id(2, 1000 + number), "verdict": "VERDICT_REJECT"})).collect()
}

fn tags(size: usize) -> Vec<Value> {
    (1..=size).map(|number| json!({"tag": format!("new {number}")})).collect()
}

/// Every RPC, what deletes last; those with several ways, with the ones that differ.
const CALLS: &[Call] = &[
    ("SessionService/WhoAmI", |_| json!({}), 0),
    ("OrganizationService/GetOrganization", |_| json!({"id": id(5, 1)}), 1),
    ("OrganizationService/ListOrganizations", |size| json!({"page_size": size}), 1),
    ("UserService/GetUser", |_| json!({"id": id(3, 1)}), 1),
    ("UserService/ListUsers", |size| json!({"page_size": size}), 1),
    ("ProjectService/GetProject", |_| json!({"id": A.house}), 1),
    ("ProjectService/ListProjects", |size| json!({"page_size": size}), 1),
    ("ProjectService/ListProjectMembers", |size| json!({"project_id": A.house, "page_size": size}), 1),
    ("PhotoService/GetPhoto", |_| json!({"id": id(1, 1)}), 1),
    ("PhotoService/GetPhoto", |_| json!({"id": id(1, 1), "view": "PHOTO_VIEW_FULL"}), 3),
    ("PhotoService/BatchGetPhotos", |size| json!({"ids": ids(1, size)}), 1),
    ("PhotoService/BatchGetPhotos", |size| json!({"ids": ids(1, size), "view": "PHOTO_VIEW_FULL"}), 3),
    ("PhotoService/ListPhotos", |size| json!({"page_size": size}), 1),
    ("PhotoService/ListPhotos", |size| json!({"page_size": size, "view": "PHOTO_VIEW_FULL"}), 3),
    // What has no index in the order of the list: the nearest first, or the carriers counted first.
    (
        "PhotoService/ListPhotos",
        |size| json!({"page_size": size, "filter": {"upload_time": {"end": "1970-01-01T00:00:00Z"}}}),
        2,
    ),
    (
        "PhotoService/ListPhotos",
        |size| json!({"page_size": size, "filter": {"tags_any": ["x"]}, "order_by": "capture_time"}),
        2,
    ),
    ("DetectionService/GetDetection", |_| json!({"id": id(2, 1001)}), 1),
    (
        "DetectionService/ListDetections",
        |size| json!({"page_size": size, "filter": {"photo_ids": ids(1, size)}, "view": "DETECTION_VIEW_FULL"}),
        1,
    ),
    ("DetectionService/ListPendingDetections", |size| json!({"page_size": size}), 1),
    (
        "DetectionService/GetDetectionStats",
        |_| {
            json!({"time": {"start": "2020-01-01T00:00:00Z", "end": "2020-02-01T00:00:00Z"}, "bucket": "STATS_BUCKET_DAY",
                   "group_by": ["STATS_GROUP_TYPE"]})
        },
        1,
    ),
    ("DetectionService/GetModelBacklogs", |_| json!({}), 1),
    ("TagService/ListTags", |_| json!({"photo_id": id(1, 1)}), 1),
    ("TagService/ListTagCounts", |size| json!({"page_size": size, "project_id": A.house}), 1),
    ("FeedbackService/ListFeedback", |size| json!({"page_size": size, "photo_id": id(1, 1)}), 1),
    ("FeedbackService/ListCategories", |size| json!({"page_size": size}), 1),
    // Of each pass one for photos, one for their detections; before them one for the moment and one for the labels.
    ("FeedbackService/ExportTrainingData", |_| json!({"include_unreviewed": true}), 6),
    (
        "FeedbackService/ExportTrainingData",
        |_| json!({"include_unreviewed": true, "format": "TRAINING_DATA_FORMAT_JSON_LINES"}),
        4,
    ),
    (
        "FeedbackService/RegisterCategories",
        |size| {
            let names = (1..=size).map(|number| json!({"name": format!("label {number}")}));
            json!({"categories": names.collect::<Vec<_>>()})
        },
        4,
    ),
    ("OrganizationService/CreateOrganization", |_| json!({"organization": {"name": "One"}}), 1),
    ("UserService/CreateUser", |_| json!({"user": {"email": "one@example.com"}}), 1),
    ("UserService/UpdateUser", |_| json!({"user": {"id": id(3, 1), "first_name": "One"}}), 1),
    ("ProjectService/CreateProject", |_| json!({"project": {"name": "One"}}), 1),
    ("ProjectService/UpdateProject", |_| json!({"project": {"id": id(4, 1), "description": "One"}}), 1),
    ("ProjectService/AddProjectMembers", |size| json!({"project_id": id(4, 1), "user_ids": ids(3, size)}), 1),
    ("ProjectService/RemoveProjectMembers", |size| json!({"project_id": id(4, 1), "user_ids": ids(3, size)}), 1),
    ("PhotoService/CreatePhoto", |_| json!({"photo": photos(1)[0]}), 1),
    ("PhotoService/BatchCreatePhotos", |size| json!({"photos": photos(size + 1)[1..]}), 1),
    ("PhotoService/BatchCreatePhotos", |size| json!({"photos": photos(size + 1), "partial": true}), 2),
    ("PhotoService/UpdatePhoto", |_| json!({"photo": {"id": id(1, 1), "mime_type": "image/png"}}), 2),
    ("DetectionService/CreateDetection", |_| json!({"detection": detections(1, "new-1")[0]}), 2),
    ("DetectionService/BatchCreateDetections", |size| json!({"detections": detections(size, "new-2")}), 2),
    (
        "DetectionService/BatchCreateDetections",
        |size| json!({"detections": detections(size, "new-3"), "partial": true}),
        2,
    ),
    (
        "DetectionService/IngestDetections",
        |size| {
            let items = detections(size, "new-4").into_iter().enumerate();
            let item = |(sequence, detection)| json!({"sequence": sequence, "detection": detection});
            json!({"items": items.map(item).collect::<Vec<_>>()})
        },
        2,
    ),
    ("TagService/AddTags", |size| json!({"photo_ids": ids(1, size), "tags": tags(size)}), 2),
    ("TagService/RemoveTags", |size| json!({"photo_ids": ids(1, size), "tags": ["new 1", "new 2"]}), 1),
    ("FeedbackService/CreateFeedback", |_| json!({"feedback": feedback(1)[0]}), 3),
    ("FeedbackService/BatchCreateFeedback", |size| json!({"feedback": feedback(size), "partial": true}), 3),
    ("FeedbackService/BatchCreateFeedback", |size| json!({"feedback": feedback(size)}), 3),
    // Whoever holds some already is given those and some more.
    ("DetectionService/ClaimPendingDetections", |size| json!({"project_ids": [A.house], "count": size / 2}), 4),
    ("DetectionService/ClaimPendingDetections", |size| json!({"count": size}), 4),
    ("DetectionService/ReleaseClaimedDetections", |size| json!({"ids": ids(2, size)}), 1),
    ("DetectionService/ReleaseClaimedDetections", |_| json!({}), 1),
    ("DetectionService/DeleteDetection", |_| json!({"id": id(2, 1001)}), 2),
    ("DetectionService/DeleteDetectionsByModel", |_| json!({"model_version": "model-2", "validate_only": true}), 1),
    ("DetectionService/DeleteDetectionsByModel", |_| json!({"model_version": "model-2"}), 3),
    ("PhotoService/DeletePhoto", |_| json!({"id": id(1, 1)}), 3),
    ("ProjectService/DeleteProject", |_| json!({"id": id(4, 2)}), 1),
    ("UserService/DeleteUser", |_| json!({"id": id(3, 2)}), 1),
    ("OrganizationService/DeleteOrganization", |_| json!({"id": id(5, 2)}), 1),
];

/// Somebody who may call it, an administrator rather than others.
fn who(rpc: &Rpc) -> Who {
    if rpc.roles.contains(&photometa::auth::Role::OrgAdmin) { A.as_admin() } else { OPERATOR }
}

#[tokio::test]
async fn no_rpc_makes_more_statements_for_more_rows_or_items() {
    for rpc in RPCS {
        assert!(CALLS.iter().any(|(name, ..)| *name == rpc.name), "{} is not counted", rpc.name);
    }
    let mut problems = Vec::new();
    for size in SIZES {
        let database = TestDatabase::clone_template().await;
        let admin = connect(&database.superuser()).await;
        admin.batch_execute(&GROW.replace("$1", &size.to_string())).await.unwrap();
        log::everything(&admin).await;
        let app = App::start_on(database).await;
        let mut log = Log::open(crate::cluster::log());
        for (name, request, count) in CALLS {
            let (rpc, request) = (Rpc::named(name), request(size));
            log.statements(&app.postgres).await;

            let answer = rpc.call(&app, who(rpc), request.clone()).await;

            let made = log.statements(&app.postgres).await;
            if answer.is_err() || made.len() != *count {
                problems
                    .push(format!("{name} of {size}: {} statements, not {count}: {made:?}, {answer:?}", made.len()));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
