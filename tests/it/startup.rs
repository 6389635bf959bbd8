//! How `serve` meets a database that somebody else runs: whom it refuses to log in as, what it waits for, and many of
//! it at once.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use photometa::db::migrate::{Migrator, VERSIONS, newest};
use photometa::pb::session_service_client::SessionServiceClient;
use tokio_postgres::Client;

use crate::cluster::{TestDatabase, connect};
use crate::harness::SECRET;
use crate::program::{Folder, photometa, said};
use crate::replica::Replica;
use crate::standby::Server;

/// A login of the test's own; gone afterwards, with what it was granted.
async fn login(admin: &Client, name: &str, attributes: &str, groups: &str) -> String {
    let name = format!("{name}_{}", std::process::id());
    admin.batch_execute(&format!("drop role if exists {name}; create role {name} login {attributes}")).await.unwrap();
    if !groups.is_empty() {
        admin.batch_execute(&format!("grant {groups} to {name}")).await.unwrap();
    }
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_refuses_a_role_that_row_security_does_not_bind() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let bypassing =
        login(&admin, "bypassing", "bypassrls noinherit", "org_admin, org_user, org_service, photometa_operator").await;
    let owning =
        login(&admin, "owning", "noinherit", "photometa_owner, org_admin, org_user, org_service, photometa_operator")
            .await;
    let backing =
        login(&admin, "backing", "inherit", "photometa_backup, org_admin, org_user, org_service, photometa_operator")
            .await;
    let owner = ("PHOTOMETA_MIGRATION_URL", database.url("postgres"));

    for (user, danger) in [
        ("postgres", "it is a superuser"),
        (bypassing.as_str(), "it has BYPASSRLS"),
        (owning.as_str(), "it may become photometa_owner"),
        (backing.as_str(), "it may become photometa_backup"),
    ] {
        let url = database.url(user);
        let urls = [("PHOTOMETA_DATABASE_URL", url.as_str()), (owner.0, owner.1.as_str())];

        let refused = Replica::start("refused", &urls, &[]).ended();
        let mut permitted = Replica::start("permitted", &urls, &["--allow-unsafe-role"]);
        permitted.wait("ready", Replica::is_ready);

        for word in [user, danger, "photometa_app", "roles.sql", "--allow-unsafe-role"] {
            assert!(refused.contains(word), "{word} in {refused}");
        }
        let warning = permitted.log();
        assert!(warning.contains(danger), "{warning}");
        assert_eq!(warning.matches("never in production").count(), 1, "once at every start: {warning}");
    }
    for role in [bypassing, owning, backing] {
        admin.batch_execute(&format!("drop role {role}")).await.unwrap();
    }
}

#[test]
fn serve_refuses_a_database_without_a_key() {
    let folder = Folder::made("keyless");
    let mut command = photometa(&folder.0);
    let output = command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", "host=127.0.0.1 port=1"]).output();

    let said = said(&output.unwrap());
    for name in ["PHOTOMETA_JWT_SECRET", "PHOTOMETA_JWT_PUBLIC_KEY", "PHOTOMETA_JWKS"] {
        assert!(said.contains(name), "{name} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_refuses_a_role_that_owns_a_table() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let role = login(&admin, "tabled", "noinherit", "org_admin").await;
    admin.batch_execute(&format!("grant usage, create on schema companycam_photos to {role}; alter table companycam_photos.tags owner to {role}")).await.unwrap();
    let (url, owner) = (database.url(&role), database.url("postgres"));

    let refused =
        Replica::start("tabled", &[("PHOTOMETA_DATABASE_URL", &url), ("PHOTOMETA_MIGRATION_URL", &owner)], &[]).ended();

    assert!(refused.contains("it owns tags"), "{refused}");
    admin.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_without_the_right_to_migrate_waits_until_somebody_has() {
    let database = TestDatabase::clone_template().await;
    Migrator::connect(&database.superuser()).await.unwrap().down(6).await.unwrap();
    let app = database.url("photometa_app");

    let mut replica = Replica::start("waiting", &[("PHOTOMETA_DATABASE_URL", &app)], &[]);
    replica.wait("waiting", |replica| replica.log().contains("is at version 6, and this program needs"));
    let before = (replica.is_ready(), replica.folder.0.join("address").exists());
    Migrator::connect(&database.superuser()).await.unwrap().up().await.unwrap();
    replica.wait("ready", Replica::is_ready);

    assert_eq!(before, (false, false));
    replica.wait("known", |replica| replica.folder.0.join("address").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_says_that_the_schema_is_newer_and_is_not_ready() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let future = "insert into companycam_photos.refinery_schema_history values (999, 'future', now()::text, '0')";
    admin.batch_execute(future).await.unwrap();
    let (app, owner) = (database.url("photometa_app"), database.url("postgres"));
    let urls = [("PHOTOMETA_DATABASE_URL", app.as_str()), ("PHOTOMETA_MIGRATION_URL", owner.as_str())];

    let mut replica = Replica::start("old", &urls, &[]);
    replica.wait("explaining", |replica| replica.log().contains("the database is at version 999"));
    let mut sessions = SessionServiceClient::new(replica.channel().await);
    let refused = sessions.who_am_i(photometa::pb::WhoAmIRequest {}).await.unwrap_err();

    assert!(!replica.is_ready());
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    assert_eq!(crate::harness::reason(&refused), "DATABASE_UNAVAILABLE");
    admin.batch_execute("delete from companycam_photos.refinery_schema_history where version = 999").await.unwrap();
    replica.wait("ready", Replica::is_ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_stays_ready_when_a_newer_replica_migrates() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let app = database.url("photometa_app");
    let mut replica = Replica::start("rolled", &[("PHOTOMETA_DATABASE_URL", &app)], &[]);
    replica.wait("ready", Replica::is_ready);

    let future = "insert into companycam_photos.refinery_schema_history values (999, 'future', now()::text, '0')";
    admin.batch_execute(future).await.unwrap();
    replica.wait("complaining", |replica| replica.log().contains("the database is at version 999"));

    assert!(replica.is_ready());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_replicas_that_start_at_once_on_an_empty_database_all_become_ready() {
    let database = TestDatabase::empty().await;
    let (app, owner) = (database.url("photometa_app"), database.url("postgres"));
    let urls = [("PHOTOMETA_DATABASE_URL", app.as_str()), ("PHOTOMETA_MIGRATION_URL", owner.as_str())];

    let names = ["five-1", "five-2", "five-3", "five-4", "five-5"];
    let mut replicas = names.map(|name| Replica::start(name, &urls, &[]));
    for replica in &mut replicas {
        replica.wait("ready", Replica::is_ready);
    }

    let applied: usize = replicas.iter().map(|replica| replica.log().matches("applied migration").count()).sum();
    assert_eq!(applied, VERSIONS.len(), "each version once, by whichever came first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_killed_in_the_middle_leaves_whole_versions_and_goes_on() {
    let database = TestDatabase::empty().await;
    Migrator::connect(&database.superuser()).await.unwrap().up_to(1).await.unwrap();
    let holder = connect(&database.superuser()).await;
    let owner = database.url("postgres");
    let folder = Folder::new("middle");
    let migrate = || {
        let mut command = photometa(&folder.0);
        command.env("PHOTOMETA_MIGRATION_URL", &owner).args(["migrate", "up"]);
        command
    };

    // Version 2 stops in its middle: it has made photos, and waits for projects to add a foreign key.
    holder.batch_execute("begin; lock table companycam_photos.projects in access share mode").await.unwrap();
    let mut killed = migrate().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let watcher = connect(&database.superuser()).await;
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'photometa migrate' and wait_event_type = 'Lock'";
    while watcher.query_one(waiting, &[]).await.unwrap().try_get::<_, i64>(0).unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    holder.batch_execute("rollback").await.unwrap();
    let again = migrate().output().unwrap();

    assert!(again.status.success(), "{}", said(&again));
    let printed = String::from_utf8(again.stdout).unwrap();
    assert_eq!(printed.lines().count(), VERSIONS.len() - 1, "{printed}");
    assert!(printed.starts_with("applied V0002__photos\n"), "{printed}");
    let migrator = Migrator::connect(&database.superuser()).await.unwrap();
    assert_eq!(migrator.current().await.unwrap(), Some(newest()));
    let facts = migrator.facts().await.unwrap();
    assert!(photometa::db::catalog::differences(&photometa::db::catalog::declared(), &facts).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_is_not_ready_while_the_schema_is_older_than_it_was() {
    let database = TestDatabase::clone_template().await;
    let app = database.url("photometa_app");
    let mut replica = Replica::start("undone", &[("PHOTOMETA_DATABASE_URL", &app)], &[]);
    replica.wait("ready", Replica::is_ready);

    Migrator::connect(&database.superuser()).await.unwrap().down(2).await.unwrap();
    replica.wait("unready", |replica| !replica.is_ready());
    let mut sessions = SessionServiceClient::new(replica.channel().await);
    let refused = sessions.who_am_i(photometa::pb::WhoAmIRequest {}).await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let still = replica.is_ready();
    Migrator::connect(&database.superuser()).await.unwrap().up().await.unwrap();
    replica.wait("ready again", Replica::is_ready);

    assert!(!still, "ready without detections");
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_before_a_database_without_a_schema_waits_and_asks_for_no_right_it_must_not_have() {
    let database = TestDatabase::empty().await;
    let app = database.url("photometa_app");
    // The roles are there: they belong to the server.
    let mut replica = Replica::start("bare-schema", &[("PHOTOMETA_DATABASE_URL", &app)], &[]);
    replica.wait("waiting", |replica| replica.log().contains("the schema is left to `photometa migrate up`"));

    Migrator::connect(&database.superuser()).await.unwrap().up().await.unwrap();
    replica.wait("ready", Replica::is_ready);

    assert!(!replica.log().contains("grant photometa_owner"), "{}", replica.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_and_plan_answer_while_somebody_migrates_and_write_nothing() {
    let database = TestDatabase::empty().await;
    let busy = TestDatabase::clone_template().await;
    let migrating = Migrator::connect(&busy.superuser()).await.unwrap();
    let folder = Folder::new("observe");
    let ask = |database: &TestDatabase, step: &str| {
        let mut command = photometa(&folder.0);
        command.env("PHOTOMETA_MIGRATION_URL", database.url("postgres")).args(["migrate", step]).output().unwrap()
    };

    let (status, plan) = (ask(&busy, "status"), ask(&busy, "plan"));
    let empty = ask(&database, "plan");

    assert!(
        status.status.success() && String::from_utf8_lossy(&status.stdout).contains("applied  20"),
        "{}",
        said(&status)
    );
    assert!(String::from_utf8_lossy(&plan.stdout).starts_with("-- nothing to do"), "{}", said(&plan));
    assert!(
        String::from_utf8_lossy(&empty.stdout).contains("create table companycam_photos.photos"),
        "{}",
        said(&empty)
    );
    let admin = connect(&database.superuser()).await;
    let schema = "select from pg_namespace where nspname = 'companycam_photos'";
    assert!(admin.query_opt(schema, &[]).await.unwrap().is_none(), "a plan made the schema");
    drop(migrating);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_is_not_ready_where_writes_are_refused() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    let read_only = |setting: &str| {
        format!("do $$ begin execute format('alter database %I {setting}', current_database()); end $$")
    };
    admin.batch_execute(&read_only("set default_transaction_read_only = on")).await.unwrap();
    let app = database.url("photometa_app");

    let mut replica = Replica::start("read-only", &[("PHOTOMETA_DATABASE_URL", &app)], &[]);
    replica.wait("complaining", |replica| replica.log().contains("it takes no writes"));
    let ready = replica.is_ready();

    assert!(!ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_ends_on_sigterm_while_another_process_migrates() {
    let database = TestDatabase::clone_template().await;
    let _migrating = Migrator::connect(&database.superuser()).await.unwrap();
    let (app, owner) = (database.url("photometa_app"), database.url("postgres"));
    let urls = [("PHOTOMETA_DATABASE_URL", app.as_str()), ("PHOTOMETA_MIGRATION_URL", owner.as_str())];
    let mut replica = Replica::start("sigterm", &urls, &[]);
    replica.wait("waiting", |replica| replica.log().contains("another process migrates"));

    let pid = replica.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());

    assert!(replica.child.wait().unwrap().success(), "{}", replica.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_removes_the_address_that_another_run_left() {
    let database = TestDatabase::clone_template().await;
    Migrator::connect(&database.superuser()).await.unwrap().down(6).await.unwrap();
    let app = database.url("photometa_app");
    let folder = Folder::new("announced");
    fs::create_dir_all(&folder.0).unwrap();
    let file = folder.0.join("address");
    fs::write(&file, "127.0.0.1:1").unwrap();
    let arguments = ["--address-file", file.to_str().unwrap()];

    let mut replica = Replica::start_with("announcing", &[("PHOTOMETA_DATABASE_URL", &app)], &arguments);
    replica.wait("waiting", |replica| replica.log().contains("is at version 6"));
    let while_waiting = file.exists();
    Migrator::connect(&database.superuser()).await.unwrap().up().await.unwrap();
    replica.wait("announced", |_| file.exists());
    let pid = replica.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    replica.child.wait().unwrap();

    assert!(!while_waiting, "a stale address");
    assert!(!file.exists(), "an address where nobody is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_ends_before_a_database_that_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://photometa_app@{}/x", silent.local_addr().unwrap());
    let folder = Folder::new("silent");
    let commands =
        [vec!["doctor"], vec!["migrate", "status"], vec!["migrate", "up"], vec!["serve", "--listen", "127.0.0.1:0"]];

    let running = commands.map(|arguments| {
        let mut command = photometa(&folder.0);
        command.env("PHOTOMETA_DATABASE_URL", &url).env("PHOTOMETA_JWT_SECRET", OsStr::from_bytes(SECRET));
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });

    for child in running {
        let output = child.wait_with_output().unwrap();
        let told = said(&output) + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("no answer within 15 s"), "{told}");
    }
}

#[test]
fn looking_at_a_database_makes_none() {
    let folder = Folder::new("mistyped");

    let migrate = |step| vec!["migrate", step];
    for arguments in
        [vec!["doctor"], migrate("status"), migrate("plan"), migrate("describe"), vec!["migrate", "down", "--to", "0"]]
    {
        let output = photometa(&folder.0).args(arguments).output().unwrap();

        let told = said(&output) + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("there is no database in"), "{told}");
        assert!(!folder.0.exists(), "a folder was made");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_waits_for_a_database_that_starts_after_it() {
    let mut server = Server::prepared("late").await;
    let url = format!(
        "host={} port={} user=photometa_app dbname=photometa",
        server.running().socket_dir().display(),
        server.running().port()
    );
    server.stop().await;

    let mut early = Replica::start("early", &[("PHOTOMETA_DATABASE_URL", &url)], &[]);
    early.wait("told", |early| early.log().contains("it is tried again"));
    // It is tried twice a second, and told at times.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(early.log().matches("it is tried again").count(), 1, "{}", early.log());
    server.go().await;

    early.wait("ready", Replica::is_ready);
}

#[test]
fn serve_asks_for_the_database_url_beside_a_migration_url() {
    let folder = Folder::new("half-configured");
    let mut command = photometa(&folder.0);
    command.env("PHOTOMETA_MIGRATION_URL", "postgres://postgres@127.0.0.1:1/x");

    let output = command.args(["serve", "--listen", "127.0.0.1:0"]).output().unwrap();

    assert!(said(&output).contains("PHOTOMETA_DATABASE_URL is not"), "{}", said(&output));
}
