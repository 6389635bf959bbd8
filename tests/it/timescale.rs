//! detection_events as TimescaleDB's hypertable: converted, used, attacked through its chunks and functions, and run
//! without its library. Where TimescaleDB is not installed these tests say so and are skipped.

use std::process::{Command, Output};

use photometa::db::embedded::{Embedded, Options};
use photometa::db::migrate::Migrator;
use photometa::pb;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};
use tonic::service::interceptor::InterceptedService;

use crate::cluster::{TestDatabase, connect, path};
use crate::harness::{A, App, B, Bearer, detection, photo, skipped, token};
use crate::program::{Folder, photometa, said};
use crate::random::Random;
use crate::replica::Replica;
use crate::stats::rows::{self, Row};

/// Whether the server of the tests has TimescaleDB; says so past the capture of tests' output when it has not.
async fn installed() -> bool {
    let database = TestDatabase::empty().await;
    let postgres = connect(&database.superuser()).await;
    let query = "select from pg_available_extensions where name = 'timescaledb'";
    let found = postgres.query_opt(query, &[]).await.unwrap().is_some();
    if !found {
        skipped("TimescaleDB is not installed");
    }
    found
}

/// A server of the test's own that loads TimescaleDB, with the schema and the two organizations.
struct Server {
    postgres: Option<Embedded>,
    folder: Folder,
}

impl Server {
    async fn start(name: &str) -> Self {
        let mut server = Self { postgres: None, folder: Folder::new(name) };
        server.restart("alter system set timescaledb.telemetry_level = off").await;
        server.postgres().ensure_database("photometa").await.unwrap();
        Migrator::connect(&server.config("postgres")).await.unwrap().up().await.unwrap();
        connect(&server.config("postgres")).await.batch_execute(include_str!("fixture.sql")).await.unwrap();
        server
    }

    /// Starts it again after a setting was made.
    async fn restart(&mut self, setting: &str) {
        if let Some(running) = self.postgres.take() {
            running.stop().await.unwrap();
        }
        self.run().await;
        let admin = connect(&self.postgres().config("postgres", "postgres")).await;
        // Settings of an extension may be made before it is loaded.
        admin.batch_execute("alter system set shared_preload_libraries = 'timescaledb'").await.unwrap();
        let _ = admin.batch_execute(setting).await;
        self.postgres.take().unwrap().stop().await.unwrap();
        self.run().await;
    }

    async fn run(&mut self) {
        let data_dir = self.folder.0.clone();
        let options = Options { data_dir, durable: false, max_connections: 60, pg_bin: None, path: path() };
        self.postgres = Some(Embedded::start(options).await.unwrap());
    }

    fn postgres(&self) -> &Embedded {
        self.postgres.as_ref().unwrap()
    }

    fn config(&self, user: &str) -> Config {
        self.postgres().config(user, "photometa")
    }

    fn url(&self, user: &str) -> String {
        format!("host={} port=5432 user={user} dbname=photometa", self.postgres().socket_dir().display())
    }

    fn photometa(&self, user: &str, arguments: &[&str]) -> Output {
        let mut command = photometa(&self.folder.0);
        command.env("PHOTOMETA_DATABASE_URL", self.url("photometa_app"));
        command.env("PHOTOMETA_MIGRATION_URL", self.url(user)).args(arguments).output().unwrap()
    }
}

/// Events of both organizations on thirty days, five a day.
const EVENTS: &str = "
    insert into companycam_photos.detection_events
      (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version)
    select p.organization_id, now() - n * interval '1 day', gen_random_uuid(), p.id, gen_random_uuid(), gen_random_uuid(), 'created', 'secret of ' || p.organization_id
    from companycam_photos.projects p, generate_series(1, 30) n, generate_series(1, 5)";

async fn chunks(admin: &Client) -> Vec<String> {
    let query = "select inhrelid::regclass::text from pg_inherits where inhparent = 'companycam_photos.detection_events'::regclass";
    admin.query(query, &[]).await.unwrap().iter().map(|row| row.try_get(0).unwrap()).collect()
}

fn scope(role: &str) -> String {
    format!("begin; set local role {role}; set local app.org_id = '{}'; set local app.user_id = '{}'", B.id, B.member)
}

/// Runs a statement as a role of organization B and takes it back; answers the first number.
async fn attempt(login: &Client, role: &str, sql: &str) -> Result<Option<i64>, SqlState> {
    login.batch_execute(&scope(role)).await.unwrap();
    let outcome = login.simple_query(sql).await;
    login.batch_execute("rollback").await.unwrap();
    let number = |message: &tokio_postgres::SimpleQueryMessage| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.try_get(0).unwrap().and_then(|text| text.parse().ok()),
        _ => None,
    };
    outcome.map(|messages| messages.iter().find_map(number)).map_err(|error| error.code().unwrap().clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hypertable_keeps_rows_and_lets_nobody_reach_a_chunk() {
    if !installed().await {
        return;
    }
    let server = Server::start("chunks").await;
    let admin = connect(&server.config("postgres")).await;
    admin.batch_execute(EVENTS).await.unwrap();

    let converted = server.photometa("postgres", &["migrate", "hypertable"]);
    let again = server.photometa("postgres", &["migrate", "hypertable"]);

    assert!(converted.status.success() && again.status.success(), "{} {}", said(&converted), said(&again));
    let all = "select count(*) from companycam_photos.detection_events";
    assert_eq!(admin.query_one(all, &[]).await.unwrap().try_get::<_, i64>(0).unwrap(), 600);
    // A chunk that comes later has to be as closed as those that came with the conversion.
    let login = connect(&server.config("photometa_app")).await;
    let own = format!("insert into companycam_photos.detection_events (organization_id, occurred_at, id, project_id, photo_id, detection_id, event_type, model_version)
        values ('{0}', now() - interval '200 days', gen_random_uuid(), '{1}', gen_random_uuid(), gen_random_uuid(), 'created', 'm')", B.id, B.house);
    for _ in 0..2 {
        login.batch_execute(&format!("{}; {own}; commit", scope("org_service"))).await.unwrap();
    }
    let chunks = chunks(&admin).await;
    assert!(chunks.len() > 5, "{chunks:?}");

    for role in ["org_admin", "org_user", "org_service", "photometa_operator", "photometa_app"] {
        for chunk in &chunks {
            for sql in [
                format!("select count(*) from {chunk}"),
                format!("insert into {chunk} select * from {chunk}"),
                format!("delete from {chunk}"),
                format!("truncate {chunk}"),
                format!("select _timescaledb_functions.drop_chunk('{chunk}'::regclass)"),
                format!("select _timescaledb_functions.freeze_chunk('{chunk}'::regclass)"),
            ] {
                let refused = attempt(&login, role, &sql).await;
                assert_eq!(refused, Err(SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {sql}");
            }
        }
        for sql in [
            "select timescaledb.drop_chunks('companycam_photos.detection_events', now())",
            "select timescaledb.add_job('pg_catalog.version', '1 day')",
            "select timescaledb.show_chunks('companycam_photos.detection_events')",
        ] {
            let refused = attempt(&login, role, sql).await;
            assert_eq!(refused, Err(SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {sql}");
        }
    }
    for (role, seen) in [("org_admin", 302), ("org_service", 302), ("org_user", 152)] {
        assert_eq!(attempt(&login, role, all).await, Ok(Some(seen)), "{role}");
        let foreign = format!("{all} where organization_id = '{}'", A.id);
        assert_eq!(attempt(&login, role, &foreign).await, Ok(Some(0)), "{role}");
    }
    let doctor = server.photometa("postgres", &["doctor"]);
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));

    // Whoever opens a chunk is told of it, and the command closes it again.
    admin
        .batch_execute(&format!(
            "grant select on {} to org_user; grant execute on all functions in schema _timescaledb_functions to public",
            chunks[0]
        ))
        .await
        .unwrap();
    let doctor = server.photometa("postgres", &["doctor"]);
    let told = String::from_utf8_lossy(&doctor.stdout);
    assert!(
        !doctor.status.success() && told.contains(&format!("org_user may reach the chunk {}", chunks[0])),
        "{told}"
    );
    assert!(told.contains("functions of TimescaleDB, such as"), "{told}");
    let (app, owner) = (server.url("photometa_app"), server.url("postgres"));
    let urls = [("PHOTOMETA_DATABASE_URL", app.as_str()), ("PHOTOMETA_MIGRATION_URL", owner.as_str())];
    let refused = Replica::start("opened", &urls, &[]).ended();
    assert!(refused.contains("functions of TimescaleDB") && refused.contains("migrate hypertable"), "{refused}");
    assert!(server.photometa("postgres", &["migrate", "hypertable"]).status.success());
    assert!(server.photometa("postgres", &["doctor"]).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hypertable_serves_the_api_and_goes_back_with_its_version() {
    if !installed().await {
        return;
    }
    let server = Server::start("api").await;
    assert!(server.photometa("postgres", &["migrate", "hypertable"]).status.success());
    let (app, owner) = (server.url("photometa_app"), server.url("postgres"));
    let urls = [("PHOTOMETA_DATABASE_URL", app.as_str()), ("PHOTOMETA_MIGRATION_URL", owner.as_str())];
    let mut replica = Replica::start("hypertable", &urls, &[]);
    replica.wait("ready", Replica::is_ready);
    let channel = replica.channel().await;
    let bearer = Bearer::new(&format!("Bearer {}", token(A.as_service())));
    let service = InterceptedService::new(channel, bearer);
    let mut photos = pb::photo_service_client::PhotoServiceClient::new(service.clone());
    let mut detections = pb::detection_service_client::DetectionServiceClient::new(service);

    let request = pb::CreatePhotoRequest { photo: Some(photo(A.house, "a.jpg")) };
    let id = photos.create_photo(request).await.unwrap().into_inner().photo.unwrap().id;
    for _ in 0..3 {
        let request = pb::CreateDetectionRequest { detection: Some(detection(&id)) };
        detections.create_detection(request).await.unwrap();
    }
    photos.delete_photo(pb::DeletePhotoRequest { id, ..Default::default() }).await.unwrap();

    assert!(replica.log().contains("detection_events is a hypertable of 0 chunks"), "{}", replica.log());
    let admin = connect(&server.config("postgres")).await;
    let all = "select count(*) from companycam_photos.detection_events";
    let before: i64 = admin.query_one(all, &[]).await.unwrap().try_get(0).unwrap();
    assert!(before >= 3, "history outlives its photo: {before}");
    drop(replica);
    let half = server.photometa("postgres", &["migrate", "down", "--to", "6"]);
    assert!(said(&half).contains("detection_events is a hypertable"), "{}", said(&half));
    let undone = server.photometa("postgres", &["migrate", "down", "--to", "2"]);
    let redone = server.photometa("postgres", &["migrate", "up"]);
    let status = server.photometa("postgres", &["migrate", "status"]);
    assert!(undone.status.success() && redone.status.success(), "{} {}", said(&undone), said(&redone));
    assert!(String::from_utf8_lossy(&status.stdout).contains("detection_events is a plain table"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hypertable_leaves_the_statistics_as_they_are() {
    if !installed().await {
        return;
    }
    let server = Server::start("stats").await;
    assert!(server.photometa("postgres", &["migrate", "hypertable"]).status.success());
    let (app, owner) = (server.url("photometa_app"), server.url("postgres"));
    let urls = [("PHOTOMETA_DATABASE_URL", app.as_str()), ("PHOTOMETA_MIGRATION_URL", owner.as_str())];
    let mut replica = Replica::start("stats", &urls, &[]);
    replica.wait("ready", Replica::is_ready);
    let (channel, admin) = (replica.channel().await, connect(&server.config("postgres")).await);
    let plain = App::start().await;
    let mut random = Random::seeded();
    let all = Row::several(&mut random, A, 300);

    rows::store(&channel, &admin, A, &all).await;
    rows::store(&plain.channel, &plain.postgres, A, &all).await;

    assert!(!chunks(&admin).await.is_empty());
    for _ in 0..20 {
        let request = rows::request(&mut random, A);
        for channel in [&channel, &plain.channel] {
            let service = rows::authenticated(channel, A.as_service());
            let mut detections = pb::detection_service_client::DetectionServiceClient::new(service);
            let answer = detections.get_detection_stats(request.clone()).await.unwrap().into_inner();
            rows::check(&answer, all.iter(), &request);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hypertable_is_refused_to_who_cannot_make_it_safe_and_without_its_library() {
    if !installed().await {
        return;
    }
    let mut server = Server::start("refused").await;
    let admin = connect(&server.config("postgres")).await;
    let create = "create role migrating login; grant photometa_owner to migrating; grant create on database photometa to migrating, photometa_owner";
    admin.batch_execute(create).await.unwrap();

    let unsafe_login = server.photometa("migrating", &["migrate", "hypertable"]);
    let by_hand = |arguments: &[&str]| {
        let mut command = Command::new("psql");
        command.env("PGHOST", server.postgres().socket_dir()).env("PGUSER", "postgres").env("PGDATABASE", "photometa");
        command.args(["--set=ON_ERROR_STOP=1"]).args(arguments).output().unwrap()
    };
    let script = concat!("--file=", env!("CARGO_MANIFEST_DIR"), "/deploy/postgres/hypertable.sql");
    let piecemeal = by_hand(&[script]);
    assert!(said(&piecemeal).contains("run it in one transaction"), "{}", said(&piecemeal));
    let theirs = "create schema theirs; create extension timescaledb with schema theirs; create table theirs.t (at timestamptz not null);
                  select theirs.create_hypertable('theirs.t', 'at')";
    admin.batch_execute(theirs).await.unwrap();
    let shared = by_hand(&["--single-transaction", script]);
    assert!(said(&shared).contains("also has the hypertable theirs.t"), "{}", said(&shared));
    admin.batch_execute("drop table theirs.t; drop extension timescaledb cascade; drop schema theirs").await.unwrap();
    let still = server.photometa("postgres", &["migrate", "status"]);
    assert!(server.photometa("postgres", &["migrate", "hypertable"]).status.success());
    admin.batch_execute(EVENTS).await.unwrap();
    admin.batch_execute("alter system reset shared_preload_libraries").await.unwrap();
    drop(admin);
    server.postgres.take().unwrap().stop().await.unwrap();
    server.run().await;
    let without = server.photometa("postgres", &["migrate", "hypertable"]);
    let (app, owner) = (server.url("photometa_app"), server.url("postgres"));
    let urls = [("PHOTOMETA_DATABASE_URL", app.as_str()), ("PHOTOMETA_MIGRATION_URL", owner.as_str())];
    let serve = Replica::start("unloaded", &urls, &[]).ended();

    assert!(said(&unsafe_login).contains("run it as a superuser"), "{}", said(&unsafe_login));
    assert!(String::from_utf8_lossy(&still.stdout).contains("detection_events is a plain table"));
    assert!(said(&without).contains("shared_preload_libraries"), "{}", said(&without));
    assert!(serve.contains("the server does not load TimescaleDB"), "{serve}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hypertable_is_dumped_whole_or_not_at_all_and_comes_back() {
    if !installed().await {
        return;
    }
    let server = Server::start("dumped").await;
    let admin = connect(&server.config("postgres")).await;
    admin.batch_execute(EVENTS).await.unwrap();
    assert!(server.photometa("postgres", &["migrate", "hypertable"]).status.success());
    let socket = server.postgres().socket_dir();
    let file = server.folder.0.join("whole.dump");
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.env("PGHOST", socket).env("PGUSER", "postgres").env("PGDATABASE", "photometa");
        command.args(arguments).output().unwrap()
    };
    let backup = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/postgres/backup.sh");

    let refused = run(backup, &[server.folder.0.join("refused.dump").to_str().unwrap()]);
    // How a table's name is shown depends on the path, and so must not decide.
    admin.batch_execute("alter database photometa set search_path = companycam_photos").await.unwrap();
    let unqualified = run(backup, &[server.folder.0.join("unqualified.dump").to_str().unwrap()]);
    admin.batch_execute("alter database photometa reset search_path").await.unwrap();
    let dumped = run("pg_dump", &["--format=custom", "--file", file.to_str().unwrap()]);
    let setting = |sql: &str| run("psql", &["--dbname=restored", "--command", sql]);
    let steps = [
        run("createdb", &["restored"]),
        setting("alter database restored set timescaledb.restoring = on"),
        run("pg_restore", &["--dbname=restored", "--exit-on-error", file.to_str().unwrap()]),
        setting("alter database restored reset timescaledb.restoring"),
    ];

    for refused in [&refused, &unqualified] {
        assert!(said(refused).contains("is a hypertable") && !refused.status.success(), "{}", said(refused));
    }
    for step in std::iter::once(&dumped).chain(&steps) {
        assert!(step.status.success(), "{}", said(step));
    }
    let restored = connect(&server.postgres().config("postgres", "restored")).await;
    let all = "select count(*) from companycam_photos.detection_events";
    assert_eq!(restored.query_one(all, &[]).await.unwrap().try_get::<_, i64>(0).unwrap(), 600);
    let url = server.url("photometa_app").replace("dbname=photometa", "dbname=restored");
    let mut command = photometa(&server.folder.0);
    let doctor = command.env("PHOTOMETA_DATABASE_URL", url).arg("doctor").output().unwrap();
    let told = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.status.success() && told.contains("is a hypertable of"), "{told}");
}

#[tokio::test]
async fn hypertable_says_what_to_install_where_there_is_no_timescaledb() {
    let database = TestDatabase::clone_template().await;
    let folder = Folder::new("untimed");
    let mut command = photometa(&folder.0);

    // The tests' own server never loads it, installed or not.
    let output =
        command.env("PHOTOMETA_MIGRATION_URL", database.url("postgres")).args(["migrate", "hypertable"]).output();

    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("shared_preload_libraries"), "{}", said(&output));
}
