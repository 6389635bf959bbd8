//! What every RPC that refers to something owes its callers when that goes at the same moment. What is not theirs
//! is the matter of `isolation`.

use tonic::Code;
use uuid::Uuid;

use crate::cluster::connect;
use crate::harness::{A, App, reason};
use crate::health::until_blocked;
use crate::rpcs::Rpc;
use crate::world::World;

#[tokio::test]
async fn every_create_answers_not_found_when_what_it_refers_to_goes_meanwhile() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;
    let found = async |query: &str| {
        app.postgres.query_one(query, &[]).await.unwrap().try_get::<_, Uuid>(0).unwrap().to_string()
    };
    let yard = found("select id from companycam_photos.projects where name = 'Yard'").await;
    let extra = found("select id from companycam_photos.users where email like 'extra@%'").await;

    for (name, placeholder, id, table, expected) in [
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
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, expected), "{name}");
    }
}
