//! Backup and recovery as an administrator does them, with the scripts of `deploy/postgres`: dump, drop, restore,
//! compare.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use photometa::db::migrate::{Migrator, VERSIONS};
use photometa::pb;
use tonic::Code;

use crate::cluster::{TestDatabase, connect};
use crate::harness::{A, App, B, Organization, TABLES};
use crate::program::{Folder, said};
use crate::world::{World, fingerprint};

mod scripts;

static NUMBERS: AtomicU32 = AtomicU32::new(0);

/// A login of the cluster, to be dropped before the test ends.
struct Login {
    name: String,
    admin: tokio_postgres::Client,
}

impl Login {
    async fn with(database: &TestDatabase, granted: &str) -> Self {
        // What no other test and no other run has.
        let name = format!("test_login_{}_{}", std::process::id(), NUMBERS.fetch_add(1, Ordering::Relaxed));
        let admin = connect(database.superuser().dbname("postgres")).await;
        admin
            .batch_execute(&format!("drop role if exists {name}; create role {name} login; grant {granted} to {name}"))
            .await
            .unwrap();
        Self { name, admin }
    }

    async fn drop(self) {
        self.admin.batch_execute(&format!("drop role {}", self.name)).await.unwrap();
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/postgres").join(name)
}

fn backup(database: &TestDatabase, user: &str, file: &Path) -> Command {
    let mut command = database.command(script("backup.sh"), user);
    command.arg(file);
    command
}

fn restore(database: &TestDatabase, user: &str, file: &Path) -> Command {
    let mut command = database.command(script("restore.sh"), user);
    command.arg(file);
    command
}

/// Runs a command to its end, and answers what it printed.
fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must refuse, and answers what it said.
fn refuse(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

/// What guards the tables: owners, force, policies and every grant, in an order of its own.
const GUARDS: &str = "
    select concat_ws(' ', 'table', relname, relowner::regrole, relkind, relrowsecurity, relforcerowsecurity) as guard
    from pg_class where relnamespace = 'companycam_photos'::regnamespace and relkind in ('r', 'S')
    union all
    select concat_ws(' ', 'policy', tablename, policyname, permissive, roles, cmd, qual, with_check)
    from pg_policies where schemaname = 'companycam_photos'
    union all
    select concat_ws(' ', 'grant', relname, grantee::regrole, privilege_type, is_grantable)
    from pg_class, aclexplode(relacl) where relnamespace = 'companycam_photos'::regnamespace
    union all
    select concat_ws(' ', 'column', attrelid::regclass, attname, grantee::regrole, privilege_type)
    from pg_attribute join pg_class on pg_class.oid = attrelid, aclexplode(attacl)
    where relnamespace = 'companycam_photos'::regnamespace
    union all
    select concat_ws(' ', 'function', proname, grantee::regrole, privilege_type)
    from pg_proc, aclexplode(proacl) where pronamespace = 'companycam_photos'::regnamespace
    union all
    select concat_ws(' ', 'schema', nspowner::regrole, grantee::regrole, privilege_type)
    from pg_namespace, aclexplode(nspacl) where nspname = 'companycam_photos'
    union all
    select concat_ws(' ', 'default', defaclrole::regrole, defaclobjtype, grantee::regrole, privilege_type)
    from pg_default_acl, aclexplode(defaclacl) where defaclnamespace = 'companycam_photos'::regnamespace
    order by guard";

async fn guards(app: &App) -> Vec<String> {
    app.postgres.query(GUARDS, &[]).await.unwrap().iter().map(|row| row.try_get("guard").unwrap()).collect()
}

async fn listed(app: &App, organization: Organization) -> Vec<pb::Photo> {
    let request = pb::ListPhotosRequest { view: pb::PhotoView::Full.into(), ..Default::default() };
    app.photos(organization.as_admin()).list_photos(request).await.unwrap().into_inner().photos
}

/// Everything that a restored database must have in common with the lost one.
async fn facts(app: &App) -> (Vec<(String, String)>, Vec<String>, String, [Vec<pb::Photo>; 2]) {
    let photos = [listed(app, A).await, listed(app, B).await];
    (fingerprint(app).await, guards(app).await, app.database.schema(), photos)
}

/// Takes the database away under a service that runs.
async fn lose(app: App) {
    let config = app.database.superuser();
    let admin = connect(config.clone().dbname("postgres")).await;
    admin.batch_execute(&format!("drop database {} with (force)", config.get_dbname().unwrap())).await.unwrap();
    app.stop().await;
}

#[tokio::test]
async fn restore_brings_everything_back_when_the_database_is_lost() {
    let app = App::start().await;
    World::grow(&app, A).await;
    World::grow(&app, B).await;
    let (before, folder) = (facts(&app).await, Folder::made("restored"));
    let file = folder.0.join("photometa.dump");
    let login = Login::with(&app.database, "photometa_backup").await;

    let dumped = succeed(backup(&app.database, &login.name, &file));
    login.drop().await;
    lose(app).await;
    let database = TestDatabase::empty().await;
    let restored = succeed(restore(&database, "postgres", &file));

    assert_eq!(folder.files(), ["photometa.dump"]);
    assert!(dumped.contains(&format!(": {} tables, ", TABLES.len() + 1)), "{dumped}");
    let versions = format!("{} rows in refinery_schema_history", VERSIONS.len());
    for line in ["8 rows in photos", "10 rows in detections", "6 rows in feedback", &versions] {
        assert!(restored.contains(line), "{line} in {restored}");
    }
    let mut migrator = Migrator::connect(&database.superuser()).await.unwrap();
    assert_eq!(migrator.current().await.unwrap(), u32::try_from(VERSIONS.len()).ok());
    assert_eq!(migrator.up().await.unwrap(), [""; 0]);
    drop(migrator);
    let app = App::start_on(database).await;
    assert_eq!(facts(&app).await, before);
    assert_eq!(before.3.each_ref().map(Vec::len), [4, 4]);
    assert_isolated(&app, &before.3).await;
    let analyzed = "select count(*) from pg_stats where schemaname = 'companycam_photos' and tablename = 'photos'";
    assert!(app.count(analyzed).await > 0);
}

/// Each organization finds its photos and none of the other's, and may still write.
async fn assert_isolated(app: &App, photos: &[Vec<pb::Photo>; 2]) {
    for (reader, own, foreign) in [(A, &photos[0], &photos[1]), (B, &photos[1], &photos[0])] {
        for (photo, expected) in
            own.iter().map(|photo| (photo, None)).chain(foreign.iter().map(|p| (p, Some(Code::NotFound))))
        {
            let request = pb::GetPhotoRequest { id: photo.id.clone(), ..Default::default() };
            let answer = app.photos(reader.as_service()).get_photo(request).await;
            assert_eq!(answer.err().map(|status| status.code()), expected, "{}", photo.id);
        }
        app.photo(reader, "after/the/fire.jpg").await;
    }
}

#[tokio::test]
async fn restore_refuses_what_it_cannot_restore_and_changes_nothing() {
    let (database, folder) = (TestDatabase::clone_template().await, Folder::made("torn"));
    let (file, half) = (folder.0.join("photometa.dump"), folder.0.join("half.dump"));
    succeed(backup(&database, "postgres", &file));
    let whole = fs::read(&file).unwrap();
    fs::write(&half, &whole[..whole.len() - 200]).unwrap();
    let app = App::start_on(database).await;
    let before = facts(&app).await;
    let (login, empty) = (Login::with(&app.database, "photometa_owner").await, TestDatabase::empty().await);

    let full = refuse(restore(&app.database, "postgres", &file));
    let weak = refuse(restore(&empty, &login.name, &file));
    let torn = refuse(restore(&empty, "postgres", &half));
    let wrong = refuse(restore(&empty, "postgres", &script("roles.sql")));

    login.drop().await;
    assert!(full.contains("has photometa's schema already; restore into an empty one"), "{full}");
    assert!(weak.contains("is no superuser"), "{weak}");
    assert!(torn.contains("half.dump cannot be read to its end"), "{torn}");
    assert!(wrong.contains("is no dump of the schema companycam_photos"), "{wrong}");
    assert_eq!(facts(&app).await, before);
    let postgres = connect(&empty.superuser()).await;
    let schemas = "select count(*) from pg_namespace where nspname = 'companycam_photos'";
    assert_eq!(postgres.query_one(schemas, &[]).await.unwrap().try_get::<_, i64>(0).unwrap(), 0);
    // An empty schema, which roles.sql leaves, is no hindrance.
    postgres.batch_execute(include_str!("../../deploy/postgres/roles.sql")).await.unwrap();
    succeed(restore(&empty, "postgres", &file));
}

#[tokio::test]
async fn backup_may_read_what_later_versions_make() {
    let (database, folder) = (TestDatabase::clone_template().await, Folder::made("later"));
    let admin = connect(&database.superuser()).await;
    admin
        .batch_execute(
            "set role photometa_owner;
             create table companycam_photos.later (id bigint generated always as identity, price numeric);
             create sequence companycam_photos.numbers;
             create view companycam_photos.seen with (security_invoker) as select id from companycam_photos.later",
        )
        .await
        .unwrap();
    let login = Login::with(&database, "photometa_backup").await;

    let dumped = succeed(backup(&database, &login.name, &folder.0.join("photometa.dump")));

    login.drop().await;
    assert!(dumped.contains(&format!(": {} tables, ", TABLES.len() + 2)), "{dumped}");
}
