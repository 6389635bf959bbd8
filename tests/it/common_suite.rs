//! What every RPC that takes an id owes its callers: what another organization owns, or what belongs to projects
//! the caller is no member of, is answered exactly as what does not exist, and nothing of it changes.

use photometa::auth::Role;
use serde_json::Value;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::cluster::connect;
use crate::harness::{A, App, B, Who, details};
use crate::health::until_blocked;
use crate::rpcs::{Ids, PLACEHOLDERS, RPCS, Rpc};
use crate::world::{World, fingerprint};

const READERS: &[Role] = &[Role::OrgAdmin, Role::OrgUser, Role::Service];

/// Lists by one id alone.
const FILTERS: &[Rpc] = &[
    Rpc { name: "PhotoService/ListPhotos", roles: READERS, request: r#"{"filter": {"project_ids": ["$project"]}}"# },
    Rpc { name: "PhotoService/ListPhotos", roles: READERS, request: r#"{"filter": {"user_ids": ["$user"]}}"# },
    Rpc {
        name: "DetectionService/ListDetections",
        roles: READERS,
        request: r#"{"filter": {"photo_ids": ["$photo"]}}"#,
    },
    Rpc {
        name: "DetectionService/ListDetections",
        roles: READERS,
        request: r#"{"filter": {"project_ids": ["$project"]}}"#,
    },
    Rpc { name: "FeedbackService/ListFeedback", roles: READERS, request: r#"{"detection_id": "$detection"}"# },
    Rpc { name: "FeedbackService/ListFeedback", roles: READERS, request: r#"{"photo_id": "$photo"}"# },
    Rpc { name: "FeedbackService/ListFeedback", roles: READERS, request: r#"{"user_id": "$user"}"# },
];

/// Everything a caller can see of an outcome, with the id it asked for taken out.
fn seen(outcome: Result<Value, Status>, id: &str) -> String {
    let text = match outcome {
        Ok(answer) => format!("OK {answer}"),
        Err(status) => {
            let mut metadata: Vec<_> = status.metadata().as_ref().keys().map(ToString::to_string).collect();
            metadata.sort();
            format!("{:?} {:?} {:?} {metadata:?}", status.code(), status.message(), details(&status))
        }
    };
    assert!(!text.contains("INTERNAL"), "{text}");
    text.replace(id, "<id>")
}

/// Calls every RPC that `who` may call with one id of `theirs` at a time, the others being `own`, and with an id
/// that nobody has; answers how many pairs were compared.
async fn compare(app: &App, who: Who, own: &Ids, theirs: &Ids) -> usize {
    let mut compared = 0;
    for rpc in RPCS.iter().chain(FILTERS).filter(|rpc| rpc.roles.contains(&who.role)) {
        for placeholder in rpc.placeholders() {
            compare_one(app, who, rpc, (own, theirs), placeholder).await;
            compared += 1;
        }
    }
    compared
}

async fn compare_one(app: &App, who: Who, rpc: &Rpc, (own, theirs): (&Ids, &Ids), placeholder: &str) {
    let before = fingerprint(app).await;
    let unknown = Uuid::now_v7().to_string();
    let foreign = theirs.of(placeholder);

    let with_unknown = rpc.call(app, who, own.with(placeholder, &unknown).fill(rpc.request)).await;
    let with_foreign = rpc.call(app, who, own.with(placeholder, foreign).fill(rpc.request)).await;

    let what = format!("{} with {placeholder} as {:?}", rpc.name, who.role);
    assert_eq!(seen(with_foreign, foreign), seen(with_unknown, &unknown), "{what}");
    assert_eq!(fingerprint(app).await, before, "{what} changed something");
}

#[tokio::test]
async fn every_rpc_answers_an_id_of_another_organization_as_an_unknown_one() {
    let app = App::start().await;
    let (a, b) = (World::grow(&app, A).await, World::grow(&app, B).await);

    let mut compared = 0;
    for role in [Role::OrgAdmin, Role::OrgUser, Role::Service] {
        compared += compare(&app, a.who(role), &a.ids(), &b.ids()).await;
    }

    assert!(compared > 60, "only {compared}");
}

#[tokio::test]
async fn every_rpc_answers_an_id_of_another_project_as_an_unknown_one_for_people() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;

    let compared = compare(&app, A.as_outsider(), &world.bridge_ids(), &world.ids()).await;

    assert!(compared > 15, "only {compared}");
}

#[tokio::test]
async fn every_batch_answers_foreign_ids_as_unknown_ones_beside_good_ones() {
    let app = App::start().await;
    let (a, b) = (World::grow(&app, A).await, World::grow(&app, B).await);

    for (name, request) in [
        ("PhotoService/BatchGetPhotos", r#"{"ids": ["$own_photo", "$photo"]}"#),
        ("PhotoService/ListPhotos", r#"{"filter": {"project_ids": ["$own_project", "$project"]}}"#),
        ("DetectionService/ListDetections", r#"{"filter": {"photo_ids": ["$own_photo", "$photo"]}}"#),
        ("DetectionService/ListDetections", r#"{"filter": {"project_ids": ["$own_project", "$project"]}}"#),
        ("DetectionService/ListPendingDetections", r#"{"project_ids": ["$own_project", "$project"]}"#),
        ("TagService/AddTags", r#"{"photo_ids": ["$own_photo", "$photo"], "tags": [{"tag": "new"}]}"#),
        ("TagService/RemoveTags", r#"{"photo_ids": ["$photo"], "tags": ["Tag 1"]}"#),
        ("ProjectService/AddProjectMembers", r#"{"project_id": "$own_project", "user_ids": ["$own_user", "$user"]}"#),
        (
            "FeedbackService/BatchCreateFeedback",
            r#"{"feedback": [{"detection_id": "$own_detection", "verdict": "VERDICT_REJECT"}, {"detection_id": "$detection", "verdict": "VERDICT_REJECT"}]}"#,
        ),
        (
            "DetectionService/BatchCreateDetections",
            r#"{"detections": [{"photo_id": "$own_photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "m", "processing_time": "1s"}, {"photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "m", "processing_time": "1s"}]}"#,
        ),
        (
            "PhotoService/BatchCreatePhotos",
            r#"{"photos": [{"project_id": "$own_project", "s3_url": "u", "s3_key": "k1"}, {"project_id": "$project", "s3_url": "u", "s3_key": "k2"}]}"#,
        ),
    ] {
        let mut request = request.to_owned();
        for placeholder in PLACEHOLDERS {
            request = request.replace(&placeholder.replace('$', "$own_"), a.ids().of(placeholder));
        }
        let rpc = Rpc { name, roles: &[], request: request.leak() };
        for placeholder in rpc.placeholders() {
            compare_one(&app, A.as_admin(), &rpc, (&a.ids(), &b.ids()), placeholder).await;
        }
    }
}

#[tokio::test]
async fn every_unfiltered_list_shows_the_own_organization_only() {
    let app = App::start().await;
    let (a, b) = (World::grow(&app, A).await, World::grow(&app, B).await);

    for role in [Role::OrgAdmin, Role::OrgUser, Role::Service] {
        for (own, other) in [(&a, &b), (&b, &a)] {
            let lists = RPCS.iter().filter(|rpc| {
                rpc.roles.contains(&role) && rpc.method().input().get_field_by_name("page_size").is_some()
            });
            for rpc in lists {
                let request = if rpc.name == "ProjectService/ListProjectMembers" { rpc.request } else { "{}" };

                let answer = rpc.call(&app, own.who(role), own.ids().fill(request)).await.unwrap().to_string();

                for placeholder in PLACEHOLDERS {
                    assert!(
                        !answer.contains(other.ids().of(placeholder)),
                        "{} as {role:?} shows {placeholder}: {answer}",
                        rpc.name
                    );
                }
                assert!(answer.len() > 50, "{} as {role:?}: {answer}", rpc.name);
            }
        }
    }
}

#[tokio::test]
async fn every_create_accepts_an_id_that_another_organization_has() {
    let app = App::start().await;
    let (a, b) = (World::grow(&app, A).await, World::grow(&app, B).await);
    let before = of_organization(&app, B.id).await;

    for (name, placeholder, request) in [
        (
            "PhotoService/CreatePhoto",
            "$photo",
            r#"{"photo": {"id": "$their", "project_id": "$project", "s3_url": "u", "s3_key": "house/9.jpg"}}"#,
        ),
        (
            "DetectionService/CreateDetection",
            "$detection",
            r#"{"detection": {"id": "$their", "photo_id": "$photo", "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "m", "processing_time": "1s"}}"#,
        ),
        ("ProjectService/CreateProject", "$project", r#"{"project": {"id": "$their", "name": "New"}}"#),
        ("UserService/CreateUser", "$user", r#"{"user": {"id": "$their", "email": "new@example.com"}}"#),
    ] {
        let request = request.replace("$their", b.ids().of(placeholder));

        let answer = Rpc::named(name).call(&app, A.as_admin(), a.ids().fill(&request)).await.unwrap();

        assert_eq!(answer["outcome"], "WRITE_OUTCOME_CREATED", "{name}");
    }
    assert_eq!(of_organization(&app, B.id).await, before);
}

/// A digest of everything an organization has.
async fn of_organization(app: &App, id: Uuid) -> Vec<String> {
    let mut digests = Vec::new();
    for table in
        ["users", "projects", "project_members", "photos", "detections", "detection_events", "tags", "feedback"]
    {
        let query = format!(
            "select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from companycam_photos.{table} t where organization_id = $1"
        );
        digests.push(app.postgres.query_one(&query, &[&id]).await.unwrap().try_get(0).unwrap());
    }
    digests
}

#[tokio::test]
async fn every_create_answers_not_found_when_what_it_refers_to_goes_meanwhile() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;
    let found = async |query: &str| {
        app.postgres.query_one(query, &[]).await.unwrap().try_get::<_, Uuid>(0).unwrap().to_string()
    };
    let yard = found("select id from companycam_photos.projects where name = 'Yard'").await;
    let extra = found("select id from companycam_photos.users where email like 'extra@%'").await;

    for (name, placeholder, id, table, reason) in [
        ("DetectionService/CreateDetection", "$photo", &world.photos[1].id, "photos", "PHOTO_NOT_FOUND"),
        ("TagService/AddTags", "$photo", &world.photos[2].id, "photos", "PHOTO_NOT_FOUND"),
        ("FeedbackService/CreateFeedback", "$detection", &world.detections[1].id, "detections", "DETECTION_NOT_FOUND"),
        ("PhotoService/CreatePhoto", "$project", &yard, "projects", "PROJECT_NOT_FOUND"),
        ("PhotoService/CreatePhoto", "$user", &extra, "users", "USER_NOT_FOUND"),
    ] {
        let rpc = Rpc::named(name);
        let deleter = connect(&app.database.superuser()).await;
        deleter
            .batch_execute(&format!("begin; delete from companycam_photos.{table} where id = '{id}'"))
            .await
            .unwrap();

        let request = world.ids().with(placeholder, id).fill(rpc.request);
        let (outcome, ()) = tokio::join!(rpc.call(&app, A.as_admin(), request), async {
            until_blocked(&app, 1).await;
            deleter.batch_execute("commit").await.unwrap();
        });

        let status = outcome.unwrap_err();
        assert_eq!((status.code(), crate::harness::reason(&status).as_str()), (Code::NotFound, reason), "{name}");
    }
}
