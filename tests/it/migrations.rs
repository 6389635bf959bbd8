//! The schema's versions: forward, backward, together and ahead of the program.

use std::process::Command;

use photometa::db::migrate::{MigrateError, Migrator, VERSIONS};

use crate::cluster::{TestDatabase, connect};

async fn up(database: &TestDatabase) -> Result<Vec<String>, MigrateError> {
    Migrator::connect(&database.superuser()).await?.up().await
}

/// The schema as pg_dump tells it.
fn dump(database: &TestDatabase) -> String {
    let config = database.superuser();
    let tokio_postgres::config::Host::Unix(folder) = &config.get_hosts()[0] else { panic!("a socket in {config:?}") };
    let mut command = Command::new("pg_dump");
    command.args(["--schema-only", "--schema=companycam_photos", "--host"]).arg(folder);
    command.args(["--username", config.get_user().unwrap(), "--dbname", config.get_dbname().unwrap()]);
    if let Some(port) = config.get_ports().first() {
        command.args(["--port", &port.to_string()]);
    }
    let output = command.output().expect("pg_dump is in the PATH");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Newer versions bracket the dump with a random word.
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn up_down_and_up_again_gives_the_same_schema() {
    let database = TestDatabase::empty().await;
    let first = up(&database).await.unwrap();
    let before = dump(&database);

    let mut migrator = Migrator::connect(&database.superuser()).await.unwrap();
    let undone = migrator.down(0).await.unwrap();
    let empty = dump(&database);
    migrator.up().await.unwrap();

    assert_eq!((first.len(), undone.len()), (VERSIONS.len(), VERSIONS.len()));
    let left: Vec<_> = empty.lines().filter(|line| line.starts_with("CREATE ") && !line.contains("refinery")).collect();
    assert_eq!(left, ["CREATE SCHEMA companycam_photos;"]);
    assert!(before.contains("CREATE TABLE companycam_photos.photos"));
    assert_eq!(dump(&database), before);
}

#[tokio::test]
async fn each_version_is_undone_alone() {
    let database = TestDatabase::empty().await;
    let mut dumps = Vec::new();
    let mut migrator = Migrator::connect(&database.superuser()).await.unwrap();
    migrator.up().await.unwrap();
    for target in (0..u32::try_from(VERSIONS.len()).unwrap()).rev() {
        dumps.push(dump(&database));
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
async fn three_replicas_that_migrate_at_once_all_succeed() {
    let database = TestDatabase::empty().await;

    let (first, second, third) = tokio::join!(up(&database), up(&database), up(&database));

    let applied: usize = [first, second, third].into_iter().map(|outcome| outcome.unwrap().len()).sum();
    assert_eq!(applied, VERSIONS.len());
}

#[tokio::test]
async fn database_of_a_newer_program_is_refused_and_left_alone() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    admin
        .batch_execute("insert into companycam_photos.refinery_schema_history select 999, 'future', applied_on, '0' from companycam_photos.refinery_schema_history limit 1")
        .await
        .unwrap();
    let before = dump(&database);

    let forward = up(&database).await.unwrap_err();
    let backward = Migrator::connect(&database.superuser()).await.unwrap().down(0).await.unwrap_err();

    assert!(matches!(forward, MigrateError::Ahead { database: 999, .. }), "{forward}");
    assert!(matches!(backward, MigrateError::Ahead { database: 999, .. }), "{backward}");
    assert_eq!(dump(&database), before);
}

#[tokio::test]
async fn edited_version_is_refused() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let edit = "update companycam_photos.refinery_schema_history set checksum = '1' where version = 2";
    admin.batch_execute(edit).await.unwrap();

    let error = up(&database).await.unwrap_err();

    assert!(matches!(error, MigrateError::Edited { name: "V0002__photos", .. }), "{error}");
}
