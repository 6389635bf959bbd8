//! The schema's versions: forward, backward, together and ahead of the program.

mod answers;
mod data;

use std::time::Duration;

use photometa::db::migrate::{MigrateError, Migrator, VERSIONS, Version, newest};

use crate::cluster::{TestDatabase, connect};

async fn up(database: &TestDatabase) -> Result<Vec<String>, MigrateError> {
    Migrator::connect(&database.superuser()).await?.up().await
}

#[tokio::test]
async fn up_down_and_up_again_gives_the_same_schema() {
    let database = TestDatabase::empty().await;
    let first = up(&database).await.unwrap();
    let before = database.schema();

    let mut migrator = Migrator::connect(&database.superuser()).await.unwrap();
    let undone = migrator.down(0).await.unwrap();
    let empty = database.schema();
    migrator.up().await.unwrap();

    assert_eq!((first.len(), undone.len()), (VERSIONS.len(), VERSIONS.len()));
    let left: Vec<_> = empty.lines().filter(|line| line.starts_with("CREATE ") && !line.contains("refinery")).collect();
    assert_eq!(left, ["CREATE SCHEMA companycam_photos;"]);
    assert!(before.contains("CREATE TABLE companycam_photos.photos"));
    assert_eq!(database.schema(), before);
}

#[tokio::test]
async fn each_version_is_undone_alone() {
    let database = TestDatabase::empty().await;
    let mut dumps = Vec::new();
    let mut migrator = Migrator::connect(&database.superuser()).await.unwrap();
    migrator.up().await.unwrap();
    for target in (0..u32::try_from(VERSIONS.len()).unwrap()).rev() {
        dumps.push(database.schema());
        let undone = migrator.down(target).await.unwrap();
        assert_eq!(undone, [VERSIONS[target as usize].name]);
        assert_eq!(migrator.current().await.unwrap().unwrap_or(0), target);
    }

    dumps.dedup();
    assert_eq!(dumps.len(), VERSIONS.len());
}

#[tokio::test]
async fn up_applies_nothing_when_everything_is_applied() {
    let database = TestDatabase::clone_template().await;

    assert_eq!(up(&database).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn database_of_a_newer_program_is_refused_and_left_alone() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    admin
        .batch_execute("insert into companycam_photos.refinery_schema_history select 999, 'future', applied_on, '0' from companycam_photos.refinery_schema_history limit 1")
        .await
        .unwrap();
    let before = database.schema();

    let forward = up(&database).await.unwrap_err();
    let backward = Migrator::connect(&database.superuser()).await.unwrap().down(0).await.unwrap_err();

    assert!(matches!(forward, MigrateError::Ahead { database: 999, .. }), "{forward}");
    assert!(matches!(backward, MigrateError::Ahead { database: 999, .. }), "{backward}");
    assert_eq!(database.schema(), before);
}

#[tokio::test]
async fn edited_version_is_refused() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let edit = "update companycam_photos.refinery_schema_history set checksum = '1' where version = 2";
    admin.batch_execute(edit).await.unwrap();

    let error = up(&database).await.unwrap_err();

    assert!(matches!(error, MigrateError::Edited { name: "V0002__photos", .. }), "{error}");
    let told = error.to_string();
    assert!(told.contains("V0002__photos at 20") && told.contains("applied files never change"), "{told}");
    assert!(told.contains("put the change into a new version"), "{told}");
}

/// This program's versions and the one after them.
fn next(up: &'static str, down: &'static str) -> &'static [Version] {
    let name: &'static str = format!("V{:04}__next", newest() + 1).leak();
    VERSIONS.iter().copied().chain([Version { name, up, down }]).collect::<Vec<_>>().leak()
}

#[tokio::test]
async fn version_whose_table_is_in_use_is_tried_again_and_keeps_nobody_waiting_for_long() {
    let database = TestDatabase::clone_template().await;
    let holder = connect(&database.superuser()).await;
    let reader = connect(&database.superuser()).await;
    holder.batch_execute("begin; select from companycam_photos.photos").await.unwrap();
    let versions = next(
        "alter table companycam_photos.photos add column note text",
        "alter table companycam_photos.photos drop column note",
    );

    let mut migrator = Migrator::with_versions(&database.superuser(), versions).await.unwrap();
    let (applied, served) = tokio::join!(migrator.up(), async {
        // Behind the waiting migration readers wait too, but no longer than its lock_timeout: this one is served while
        // the holder still keeps the migration out.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let read = reader.batch_execute("select from companycam_photos.photos");
        let served = tokio::time::timeout(Duration::from_secs(30), read).await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        holder.batch_execute("commit").await.unwrap();
        served
    });
    holder.batch_execute("begin; select from companycam_photos.photos").await.unwrap();
    let (undone, ()) = tokio::join!(migrator.down(newest()), async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        holder.batch_execute("commit").await.unwrap();
    });

    assert_eq!(applied.unwrap(), [versions[newest() as usize].name]);
    assert_eq!(undone.unwrap(), [versions[newest() as usize].name]);
    served.expect("a reader is served while the migration waits").unwrap();
}

#[tokio::test]
async fn version_that_touches_rows_without_its_bracket_fails_loudly_and_leaves_nothing() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let first_names = "select string_agg(first_name, ',' order by id) from companycam_photos.users";
    let before: String = admin.query_one(first_names, &[]).await.unwrap().try_get(0).unwrap();

    for up in [
        "update companycam_photos.users set first_name = 'x'",
        "delete from companycam_photos.project_members",
        "alter table companycam_photos.users add column note text; update companycam_photos.users set note = 'x'",
    ] {
        let mut migrator = Migrator::with_versions(&database.superuser(), next(up, "")).await.unwrap();

        let error = migrator.up().await.unwrap_err();

        let told = error.to_string();
        assert!(told.contains("row-level security") && told.contains("nothing of it stays"), "{up}: {told}");
        assert_eq!(migrator.current().await.unwrap(), Some(newest()));
    }
    let after: String = admin.query_one(first_names, &[]).await.unwrap().try_get(0).unwrap();
    assert_eq!(after, before);
    let columns = "select from pg_attribute where attrelid = 'companycam_photos.users'::regclass and attname = 'note'";
    assert!(admin.query(columns, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn foreign_key_is_validated_against_every_row_inside_the_bracket_only() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let orphan = "set session_replication_role = replica;
                  insert into companycam_photos.feedback (organization_id, id, project_id, photo_id, detection_id, user_id, verdict, created_at, content_digest)
                  select id, gen_random_uuid(), id, id, id, id, 'confirm', now(), decode(repeat('00', 16), 'hex') from companycam_photos.organizations";
    admin.batch_execute(orphan).await.unwrap();
    let key = "alter table companycam_photos.feedback add constraint feedback_user_id_fkey
               foreign key (organization_id, user_id) references companycam_photos.users (organization_id, id);";
    let lift = "alter table companycam_photos.feedback no force row level security; alter table companycam_photos.users no force row level security;";
    let bracketed: &'static str = format!("{lift} {key} {}", lift.replace("no force", "force")).leak();

    let bare = Migrator::with_versions(&database.superuser(), next(key, "")).await.unwrap().up().await.unwrap_err();
    let inside =
        Migrator::with_versions(&database.superuser(), next(bracketed, "")).await.unwrap().up().await.unwrap_err();
    admin.batch_execute("delete from companycam_photos.feedback").await.unwrap();
    let sound = Migrator::with_versions(&database.superuser(), next(bracketed, "")).await.unwrap().up().await;

    assert!(bare.to_string().contains("row-level security"), "{bare}");
    assert!(inside.to_string().contains("violates foreign key constraint"), "{inside}");
    assert_eq!(sound.unwrap().len(), 1);
}

#[tokio::test]
async fn row_security_hides_orphans_from_a_validation_outside_of_our_sessions() {
    // What the bracket and row_security = off are for: by itself PostgreSQL validates the rows its owner sees, none.
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let orphan = "set session_replication_role = replica;
                  insert into companycam_photos.tags (organization_id, id, project_id, photo_id, photo_created_at, tag, tag_folded, source, created_at)
                  select id, gen_random_uuid(), id, id, now(), 'x', 'x', 'user', now() from companycam_photos.organizations";
    admin.batch_execute(orphan).await.unwrap();

    let key = "set role photometa_owner; alter table companycam_photos.tags add constraint tags_project_id_fkey
               foreign key (organization_id, project_id) references companycam_photos.projects (organization_id, id)";
    let added = admin.batch_execute(key).await;
    let updated = admin.execute("update companycam_photos.tags set tag = 'y'", &[]).await;

    assert!(added.is_ok(), "{added:?}");
    assert_eq!(updated.unwrap(), 0);
}

#[tokio::test]
async fn invalid_index_is_named() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let tagged = "insert into companycam_photos.users (organization_id, id, email, first_name, created_at, updated_at)
                  select organization_id, gen_random_uuid(), gen_random_uuid()::text, first_name, now(), now() from companycam_photos.users";
    admin.batch_execute(tagged).await.unwrap();
    let index = "create unique index concurrently users_first_name_key on companycam_photos.users (organization_id, first_name)";
    admin.batch_execute(index).await.unwrap_err();

    let migrator = Migrator::connect(&database.superuser()).await.unwrap();

    assert_eq!(migrator.invalid_indexes().await.unwrap(), ["users_first_name_key"]);
}

#[tokio::test]
async fn history_with_a_gap_is_refused() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    admin.batch_execute("delete from companycam_photos.refinery_schema_history where version = 3").await.unwrap();

    let error = up(&database).await.unwrap_err();

    assert!(matches!(error, MigrateError::Gap(3)), "{error}");
}

#[tokio::test]
async fn what_was_done_before_a_failure_is_told() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    admin.batch_execute("create view public.pinned as select id from companycam_photos.tags").await.unwrap();

    let error = Migrator::connect(&database.superuser()).await.unwrap().down(0).await.unwrap_err();

    let told = error.to_string();
    assert!(told.contains("V0004__tags cannot be undone") && told.contains("V0005__feedback were undone"), "{told}");
}

#[tokio::test]
async fn migrating_waits_for_roles_that_are_in_use() {
    let database = TestDatabase::clone_template().await;
    let holder = connect(&database.superuser()).await;
    holder.batch_execute("begin; grant usage on schema companycam_photos to pg_monitor").await.unwrap();

    let (outcome, ()) = tokio::join!(up(&database), async {
        tokio::time::sleep(Duration::from_millis(1600)).await;
        holder.batch_execute("rollback").await.unwrap();
    });

    assert_eq!(outcome.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn version_that_is_not_there_is_refused() {
    let database = TestDatabase::clone_template().await;

    let done = Migrator::connect(&database.superuser()).await.unwrap().up_to(1).await;
    let unknown = Migrator::connect(&database.superuser()).await.unwrap().up_to(newest() + 1).await.unwrap_err();
    let nowhere = Migrator::connect(&database.superuser()).await.unwrap().down(newest() + 1).await.unwrap_err();
    Migrator::connect(&database.superuser()).await.unwrap().down(5).await.unwrap();
    let beyond = Migrator::connect(&database.superuser()).await.unwrap().down(6).await.unwrap_err();

    assert_eq!(done.unwrap(), Vec::<String>::new());
    assert!(matches!(unknown, MigrateError::UnknownVersion { .. }), "{unknown}");
    assert!(matches!(nowhere, MigrateError::UnknownVersion { .. }), "{nowhere}");
    assert!(matches!(beyond, MigrateError::NotReached { .. }), "{beyond}");
}
