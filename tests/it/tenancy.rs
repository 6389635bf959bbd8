//! The walls between organizations below the API: what the service's own login can do in the database, should a
//! handler ever forget to ask.

use tokio_postgres::{Client, Error};
use uuid::Uuid;

use crate::cluster::connect;
use crate::harness::{A, App, B, Organization, TABLES};
use crate::world::World;

/// Runs statements in one transaction of a role, and takes everything back; answers the last number, if there is one.
async fn attempt(client: &Client, role: &str, who: (Organization, Uuid), sql: &str) -> Result<Option<i64>, Error> {
    let (organization, user) = who;
    let context = format!(
        "begin; set local role {role}; set local app.org_id = '{}'; set local app.user_id = '{user}'",
        organization.id
    );
    client.batch_execute(&context).await.unwrap();
    let outcome = client.simple_query(sql).await;
    client.batch_execute("rollback").await.unwrap();
    let number = |message: &tokio_postgres::SimpleQueryMessage| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.try_get(0).unwrap().and_then(|text| text.parse().ok()),
        tokio_postgres::SimpleQueryMessage::CommandComplete(rows) => i64::try_from(*rows).ok(),
        _ => None,
    };
    outcome.map(|messages| messages.iter().find_map(number))
}

fn said(error: &Error) -> String {
    error.as_db_error().unwrap().message().to_owned()
}

fn denied(outcome: Result<Option<i64>, Error>, what: &str) {
    let message = outcome.map_err(|error| said(&error)).expect_err(what);
    assert!(message.contains("permission denied") || message.contains("row-level security"), "{what}: {message}");
}

/// Tables that are none of a service account's business.
const OF_PEOPLE: [&str; 2] = ["project_members", "review_claims"];

#[tokio::test]
async fn login_has_no_right_on_any_table_until_it_takes_a_role() {
    let app = App::start().await;
    let login = connect(&app.database.app()).await;

    for table in TABLES {
        for sql in [
            format!("select count(*) from companycam_photos.{table}"),
            format!("delete from companycam_photos.{table}"),
            format!("truncate companycam_photos.{table}"),
            format!("insert into companycam_photos.{table} default values"),
        ] {
            let error = login.batch_execute(&sql).await.expect_err(&sql);
            assert!(said(&error).contains("permission denied"), "{sql}: {}", said(&error));
        }
    }
    for sql in ["set role photometa_owner", "set role postgres", "create table companycam_photos.x ()", "create role x"]
    {
        assert!(login.batch_execute(sql).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn every_role_sees_its_own_organization_only() {
    let app = App::start().await;
    World::grow(&app, A).await;
    World::grow(&app, B).await;
    let login = connect(&app.database.app()).await;

    for role in ["org_admin", "org_user", "org_service"] {
        for table in TABLES.iter().filter(|table| **table != "organizations") {
            if role == "org_service" && OF_PEOPLE.contains(table) {
                continue;
            }
            for (own, user) in [(A, A.member), (B, B.member)] {
                let all = format!("select count(*) from companycam_photos.{table}");
                let others = format!("{all} where organization_id <> '{}'", own.id);
                let seen = attempt(&login, role, (own, user), &all).await.unwrap().unwrap();
                assert!(seen > 0, "{role} sees nothing in {table}");
                assert_eq!(attempt(&login, role, (own, user), &others).await.unwrap(), Some(0), "{role} in {table}");
            }
        }
        let seen = attempt(&login, role, (A, A.member), "select count(*) from companycam_photos.organizations").await;
        assert_eq!(seen.unwrap(), Some(1), "{role}");
    }
}

#[tokio::test]
async fn no_role_sees_anything_without_an_organization() {
    let app = App::start().await;
    World::grow(&app, A).await;
    let login = connect(&app.database.app()).await;

    for role in ["org_admin", "org_user", "org_service"] {
        for table in TABLES {
            if role == "org_service" && OF_PEOPLE.contains(&table) {
                continue;
            }
            login.batch_execute(&format!("begin; set local role {role}")).await.unwrap();
            let seen = login.query_one(&format!("select count(*) from companycam_photos.{table}"), &[]).await.unwrap();
            login.batch_execute("rollback").await.unwrap();
            assert_eq!(seen.try_get::<_, i64>(0).unwrap(), 0, "{role} in {table}");
        }
    }
}

#[tokio::test]
async fn operator_sees_no_tenant_data() {
    let app = App::start().await;
    World::grow(&app, A).await;
    let login = connect(&app.database.app()).await;

    for table in TABLES.iter().filter(|table| **table != "organizations") {
        let sql = format!("select count(*) from companycam_photos.{table}");
        denied(attempt(&login, "photometa_operator", (A, A.admin), &sql).await, table);
    }
}

#[tokio::test]
async fn no_role_writes_rows_of_another_organization() {
    let app = App::start().await;
    let (a, b) = (World::grow(&app, A).await, World::grow(&app, B).await);
    let login = connect(&app.database.app()).await;
    let photo = &b.photos[0].id;
    let project = B.house;

    for role in ["org_admin", "org_user", "org_service"] {
        let who = (A, A.member);
        for sql in [
            format!(
                "insert into companycam_photos.photos (organization_id, id, project_id, s3_url, s3_key, uploaded_at, created_at, updated_at, content_digest) values ('{}', gen_random_uuid(), '{project}', 'u', 'k', now(), now(), now(), decode(repeat('00', 16), 'hex'))",
                B.id
            ),
            format!(
                "insert into companycam_photos.tags (organization_id, id, project_id, photo_id, photo_created_at, tag, tag_folded, source, created_at) values ('{}', gen_random_uuid(), '{project}', '{photo}', now(), 't', 't', '{}', now())",
                B.id,
                if role == "org_service" { "ai" } else { "user" }
            ),
            format!(
                "insert into companycam_photos.detection_events (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version) values ('{}', now(), gen_random_uuid(), '{project}', '{photo}', gen_random_uuid(), 'created', 'm')",
                B.id
            ),
        ] {
            denied(attempt(&login, role, who, &sql).await, &sql);
        }
    }
    // Moving an own row over to them is refused as well, and their rows are not there to be touched.
    let mv =
        format!("update companycam_photos.photos set organization_id = '{}' where id = '{}'", B.id, a.photos[1].id);
    denied(attempt(&login, "org_admin", (A, A.admin), &mv).await, &mv);
    for sql in [
        format!("update companycam_photos.photos set mime_type = 'x' where id = '{photo}'"),
        format!("delete from companycam_photos.photos where id = '{photo}'"),
        format!("delete from companycam_photos.users where organization_id = '{}'", B.id),
    ] {
        assert_eq!(attempt(&login, "org_admin", (A, A.admin), &sql).await.unwrap(), Some(0), "{sql}");
    }
}

#[tokio::test]
async fn foreign_key_tells_a_foreign_photo_not_from_an_invented_one() {
    let app = App::start().await;
    World::grow(&app, A).await;
    let b = World::grow(&app, B).await;
    let login = connect(&app.database.app()).await;
    let insert = |project: &str, photo: &str| {
        format!(
            r#"insert into companycam_photos.detections (organization_id, id, project_id, photo_id, photo_created_at, detection_type, model_version, results, object_count, created_at, updated_at, content_digest)
             values ('{}', gen_random_uuid(), '{project}', '{photo}', now(), 'damage', 'm', '{{"objects": []}}', 0, now(), now(), decode(repeat('00', 16), 'hex'))"#,
            A.id
        )
    };
    let foreign = (B.house.to_string(), b.photos[0].id.clone());
    let invented = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());

    for role in ["org_admin", "org_service"] {
        let mut seen = Vec::new();
        for (project, photo) in [&foreign, &invented] {
            let error = attempt(&login, role, (A, A.admin), &insert(project, photo)).await.unwrap_err();
            let error = error.as_db_error().unwrap();
            let text = format!("{:?} {} {:?} {:?}", error.code(), error.message(), error.detail(), error.constraint());
            seen.push(text.replace(project, "<project>").replace(photo, "<photo>"));
        }
        assert_eq!(seen[0], seen[1], "{role}");
        assert!(seen[0].contains("detections_photo_id_fkey"), "{}", seen[0]);
    }
}

#[tokio::test]
async fn history_cannot_be_rewritten_by_any_role() {
    let app = App::start().await;
    World::grow(&app, A).await;
    let login = connect(&app.database.app()).await;

    for role in ["org_admin", "org_user", "org_service", "photometa_operator"] {
        for sql in [
            "update companycam_photos.feedback set comment = 'x'",
            "delete from companycam_photos.feedback",
            "truncate companycam_photos.feedback",
            "update companycam_photos.detection_events set model_version = 'x'",
            "delete from companycam_photos.detection_events",
            "truncate companycam_photos.detection_events",
            "update companycam_photos.organizations set name = 'x'",
        ] {
            denied(attempt(&login, role, (A, A.member), sql).await, &format!("{role}: {sql}"));
        }
    }
    let sql = "insert into companycam_photos.feedback select * from companycam_photos.feedback";
    denied(attempt(&login, "org_service", (A, A.member), sql).await, sql);
}

#[tokio::test]
async fn tags_are_written_by_their_own_kind_only() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;
    let login = connect(&app.database.app()).await;
    let insert = |source: &str| {
        format!(
            "insert into companycam_photos.tags (organization_id, id, project_id, photo_id, photo_created_at, tag, tag_folded, source, created_at)
             values ('{}', gen_random_uuid(), '{}', '{}', now(), 'new', 'new', '{source}', now())",
            A.id, A.house, world.photos[0].id
        )
    };

    for (role, source, allowed) in [
        ("org_service", "ai", true),
        ("org_service", "user", false),
        ("org_user", "user", true),
        ("org_user", "ai", false),
        ("org_admin", "ai", true),
        ("org_admin", "user", true),
    ] {
        let outcome = attempt(&login, role, (A, A.member), &insert(source)).await;
        if allowed {
            assert_eq!(outcome.unwrap(), Some(1), "{role} {source}");
        } else {
            denied(outcome, &format!("{role} {source}"));
        }
    }
    // The world's tags are people's.
    let delete = "delete from companycam_photos.tags";
    assert_eq!(attempt(&login, "org_service", (A, A.member), delete).await.unwrap(), Some(0));
    assert_eq!(attempt(&login, "org_user", (A, A.member), delete).await.unwrap(), Some(3));
}

#[tokio::test]
async fn org_user_sees_and_writes_what_belongs_to_its_projects_only() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;
    let login = connect(&app.database.app()).await;

    for (user, project) in [(A.member, A.house), (A.outsider, A.bridge)] {
        for table in ["photos", "detections", "detection_events", "projects"] {
            let column = if table == "projects" { "id" } else { "project_id" };
            let others = format!("select count(*) from companycam_photos.{table} where {column} <> '{project}'");
            assert_eq!(attempt(&login, "org_user", (A, user), &others).await.unwrap(), Some(0), "{table}");
        }
        let members = "select count(*) from companycam_photos.project_members";
        assert_eq!(attempt(&login, "org_user", (A, user), members).await.unwrap(), Some(1));
    }
    for sql in [
        format!("delete from companycam_photos.photos where id = '{}'", world.photos[0].id),
        "update companycam_photos.detections set results = '{}'".to_owned(),
        "insert into companycam_photos.project_members select * from companycam_photos.project_members".to_owned(),
    ] {
        denied(attempt(&login, "org_user", (A, A.member), &sql).await, &sql);
    }
}

#[tokio::test]
async fn connection_carries_nothing_over_to_its_next_transaction() {
    let app = App::start().await;
    World::grow(&app, A).await;
    let login = connect(&app.database.app()).await;

    attempt(&login, "org_admin", (A, A.admin), "select 1").await.unwrap();

    let row = login
        .query_one(
            "select current_user::text, current_setting('app.org_id', true), current_setting('app.user_id', true)",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.try_get::<_, &str>(0).unwrap(), "photometa_app");
    assert!(row.try_get::<_, Option<&str>>(1).unwrap().unwrap_or_default().is_empty());
    assert!(row.try_get::<_, Option<&str>>(2).unwrap().unwrap_or_default().is_empty());
    assert!(login.batch_execute("select from companycam_photos.photos").await.is_err());
}

#[tokio::test]
async fn pooled_connections_serve_organizations_in_turn_without_mixing_them() {
    let app = App::start().await;
    World::grow(&app, A).await;
    World::grow(&app, B).await;

    let calls = (0..60).map(|number| {
        let own = if number % 2 == 0 { A } else { B };
        let mut photos = app.photos(own.as_admin());
        async move {
            let found = photos.list_photos(photometa::pb::ListPhotosRequest::default()).await.unwrap().into_inner();
            assert_eq!(found.photos.len(), 4);
            assert!(found.photos.iter().all(|photo| photo.organization_id == own.id.to_string()));
        }
    });
    futures_util::future::join_all(calls).await;
}
