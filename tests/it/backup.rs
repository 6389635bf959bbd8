//! Backup and recovery as an administrator does them, with the scripts of `deploy/postgres`: dump, drop, restore,
//! compare.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use photometa::db::migrate::{Migrator, VERSIONS};
use photometa::pb;
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tonic::Code;

use crate::cluster::{TestDatabase, connect, scratch};
use crate::harness::{A, App, B, Organization, TABLES};
use crate::world::{World, fingerprint};

static NUMBERS: AtomicU32 = AtomicU32::new(0);

/// What no other test and no other run has.
fn unique(name: &str) -> String {
    format!("test_{name}_{}_{}", std::process::id(), NUMBERS.fetch_add(1, Ordering::Relaxed))
}

/// A folder of this test's own; gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = scratch().join(unique("backup"));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A login of the cluster, to be dropped before the test ends.
struct Login {
    name: String,
    admin: tokio_postgres::Client,
}

impl Login {
    async fn with(database: &TestDatabase, granted: &str) -> Self {
        let (name, admin) = (unique("login"), connect(database.superuser().dbname("postgres")).await);
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

/// A program that finds the database by libpq's variables.
fn program(program: impl AsRef<Path>, config: &Config, user: &str) -> Command {
    let Host::Unix(folder) = &config.get_hosts()[0] else { panic!("a socket in {config:?}") };
    let mut command = Command::new(program.as_ref());
    command.env("PGHOST", folder).env("PGUSER", user).env("PGDATABASE", config.get_dbname().unwrap());
    command.env("PGPORT", config.get_ports().first().unwrap_or(&5432).to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/postgres").join(name)
}

fn backup(database: &TestDatabase, user: &str, file: &Path) -> Command {
    let mut command = program(script("backup.sh"), &database.superuser(), user);
    command.arg(file);
    command
}

fn restore(database: &TestDatabase, user: &str, file: &Path) -> Command {
    let mut command = program(script("restore.sh"), &database.superuser(), user);
    command.arg(file);
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command to its end, and answers what it printed.
fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

/// Runs a command that must refuse, and answers what it said.
fn refuse(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

fn schema(database: &TestDatabase) -> String {
    let mut command = program("pg_dump", &database.superuser(), "postgres");
    command.args(["--schema-only", "--schema=companycam_photos"]);
    // Newer versions bracket the dump with a random word.
    succeed(command).lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
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
    (fingerprint(app).await, guards(app).await, schema(&app.database), photos)
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
    let (before, folder) = (facts(&app).await, Folder::new());
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
async fn backup_explains_itself_when_the_role_cannot_see_everything() {
    let (database, folder) = (TestDatabase::clone_template().await, Folder::new());
    let file = folder.0.join("photometa.dump");
    let (narrow, stranger) = (Login::with(&database, "org_admin").await, Login::with(&database, "org_user").await);
    let reader = Login::with(&database, "photometa_backup").await;

    let mut by_narrow = backup(&database, &narrow.name, &file);
    by_narrow.args(["--role", "org_admin"]);
    // Options come first, as everywhere.
    let misplaced = refuse(by_narrow);
    let mut by_narrow = program(script("backup.sh"), &database.superuser(), &narrow.name);
    by_narrow.args(["--role", "org_admin"]).arg(&file);
    let bound = refuse(by_narrow);
    let foreign = refuse(backup(&database, &stranger.name, &file));
    let admin = connect(&database.superuser()).await;
    admin.batch_execute("revoke select on companycam_photos.tags from photometa_backup").await.unwrap();
    let blind = refuse(backup(&database, &reader.name, &file));
    let elsewhere = refuse(backup(&TestDatabase::empty().await, &reader.name, &file));

    assert!(misplaced.contains("--help"), "{misplaced}");
    assert!(bound.contains("org_admin does not bypass row security"), "{bound}");
    assert!(foreign.contains(&format!("grant photometa_backup to {}", stranger.name)), "{foreign}");
    assert!(blind.contains("photometa_backup may not read tags; run deploy/postgres/roles.sql"), "{blind}");
    assert!(elsewhere.contains("has no schema companycam_photos"), "{elsewhere}");
    assert_eq!(folder.files(), [""; 0]);
    // What the message advises helps.
    admin.batch_execute(include_str!("../../deploy/postgres/roles.sql")).await.unwrap();
    succeed(backup(&database, &reader.name, &file));
    for login in [narrow, stranger, reader] {
        login.drop().await;
    }
}

/// Starts a dump that waits for a table, which somebody has locked.
async fn stuck(admin: &tokio_postgres::Client, mut command: Command) -> Child {
    let child = command.spawn().unwrap();
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and application_name = 'pg_dump' and wait_event_type = 'Lock'";
    let started = Instant::now();
    while admin.query_one(waiting, &[]).await.unwrap().try_get::<_, i64>(0).unwrap() == 0 {
        assert!(started.elapsed() < Duration::from_secs(30), "pg_dump does not get to the locked table");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child
}

#[tokio::test]
async fn backup_leaves_no_dump_when_it_is_interrupted() {
    let (database, folder) = (TestDatabase::clone_template().await, Folder::new());
    let file = folder.0.join("photometa.dump");
    let (admin, lock) = (connect(&database.superuser()).await, connect(&database.superuser()).await);

    for signal in ["TERM", "HUP", "KILL"] {
        lock.batch_execute("begin; lock table companycam_photos.photos in access exclusive mode").await.unwrap();
        let mut child = stuck(&admin, backup(&database, "postgres", &file)).await;
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
        assert!(!child.wait().unwrap().success());
        let left = folder.files();
        lock.batch_execute("commit").await.unwrap();

        // Nobody can tidy up after SIGKILL; the name tells that it is no dump.
        let whole = left.iter().filter(|name| signal != "KILL" || !name.starts_with("photometa.dump.partial.")).count();
        assert_eq!(whole, 0, "{signal}: {left:?}");
    }
    let busy =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'pg_dump'";
    while admin.query_one(busy, &[]).await.unwrap().try_get::<_, i64>(0).unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!file.exists());
}

#[tokio::test]
async fn backup_refuses_to_overwrite_an_older_dump() {
    let (database, folder) = (TestDatabase::clone_template().await, Folder::new());
    let file = folder.0.join("photometa.dump");
    fs::write(&file, "yesterday's").unwrap();

    let message = refuse(backup(&database, "postgres", &file));

    assert!(message.contains("exists; choose another name"), "{message}");
    assert_eq!(fs::read(&file).unwrap(), b"yesterday's");
}

#[tokio::test]
async fn restore_refuses_what_it_cannot_restore_and_changes_nothing() {
    let (database, folder) = (TestDatabase::clone_template().await, Folder::new());
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
    let (database, folder) = (TestDatabase::clone_template().await, Folder::new());
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

#[test]
fn scripts_explain_themselves_without_a_database() {
    for name in ["backup.sh", "restore.sh"] {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(script(name));
            command.args(arguments).env("PGHOST", "/nonexistent").stdin(Stdio::null());
            let output = command.output().unwrap();
            (output.status.code(), said(&output))
        };

        let (status, help) = run(&["--help"]);
        assert_eq!(status, Some(0));
        for word in ["Usage: ", "FILE", "CONNECTION", "PGHOST", "PG_BIN"] {
            assert!(help.contains(word), "{word} in {help}");
        }
        for arguments in [&[][..], &["--surprise"], &["a", "b", "c"], &["/nonexistent/x.dump"]] {
            let (status, message) = run(arguments);
            assert_eq!(status, Some(1), "{arguments:?}");
            assert!(message.starts_with(&format!("{name}: ")) || message.contains("/nonexistent"), "{message}");
        }
    }
}

/// The words of a document that are connection strings, with a password where it has an ellipsis.
fn urls(document: &str) -> Vec<String> {
    let words = document.split(|c: char| c.is_whitespace() || "`'\"()|,".contains(c));
    words.filter(|word| word.starts_with("postgres://")).map(|word| word.replace('…', "secret")).collect()
}

#[test]
fn connection_strings_in_the_documents_can_be_read() {
    let documents = [
        include_str!("../../README.md"),
        include_str!("../../deploy/README.md"),
        include_str!("../../migrations/README.md"),
    ];
    let logins = ["photometa_app", "photometa_migrate", "photometa_dump", "postgres"];

    let found: Vec<_> = documents.into_iter().flat_map(urls).collect();

    for url in &found {
        let config: Config = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(logins.contains(&config.get_user().unwrap()), "{url}");
        assert!(config.get_dbname().is_some_and(|name| name.starts_with("photometa")), "{url}");
    }
    assert!(logins.iter().all(|login| found.iter().any(|url| url.contains(&format!("//{login}")))), "{found:?}");
}
