//! Connections that the database has no room for: refused with the sum where the server is certain, told where it is not.

use tokio_postgres::Client;

use crate::cluster::{TestDatabase, connect};
use crate::replica::Replica;

async fn most(admin: &Client) -> i64 {
    admin.query_one_scalar("select current_setting('max_connections')::bigint", &[]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_refuses_a_pool_that_the_database_has_no_room_for() {
    let database = TestDatabase::clone_template().await;
    let most = most(&connect(&database.superuser()).await).await;
    let (app, owner) = (database.url("photometa_app"), database.url("postgres"));
    let urls = [("PHOTOMETA_DATABASE_URL", app.as_str()), ("PHOTOMETA_MIGRATION_URL", owner.as_str())];

    let refused = Replica::start("room", &urls, &["--pool-size", "40", "--replicas", "20"]).ended();

    let sum = "20 × (40 of the pool + 1 that migrates) = 820 of ";
    for words in [sum, &format!("max_connections {most}"), "lower PHOTOMETA_POOL_SIZE"] {
        assert!(refused.contains(words), "{words} in {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_refuses_a_pool_beyond_the_limit_of_its_login() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let login = format!("narrow_{}", std::process::id());
    admin
        .batch_execute(&format!(
            "create role {login} login noinherit connection limit 9;
             grant org_admin, org_user, org_service, photometa_operator to {login}"
        ))
        .await
        .unwrap();
    let (app, owner) = (database.url(&login), database.url("postgres"));
    let urls = [("PHOTOMETA_DATABASE_URL", app.as_str()), ("PHOTOMETA_MIGRATION_URL", owner.as_str())];

    let refused = Replica::start("narrow", &urls, &["--pool-size", "9"]).ended();

    admin.batch_execute(&format!("drop role {login}")).await.unwrap();
    assert!(refused.contains("1 × (9 of the pool + 1 that migrates) = 10 of 9 "), "{refused}");
    assert!(refused.contains("a limit of the database or the role"), "{refused}");
}
