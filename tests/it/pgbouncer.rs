//! Two hundred organizations through PgBouncer in transaction mode with two server connections: a scope never outlives
//! its transaction. Where PgBouncer is not installed the test says so and is skipped, unless it was asked for.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use photometa::pb;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use uuid::Uuid;

use crate::cluster::{TestDatabase, connect, path};
use crate::harness::{App, Organization, skipped};
use crate::program::Folder;

const ORGANIZATIONS: usize = 200;
const PHOTOS: i64 = 3;
const ROUNDS: usize = 15;

/// A running PgBouncer; killed when dropped.
struct Pgbouncer {
    child: Child,
    config: Config,
    /// Since 1.21 it knows the prepared statements that the service uses.
    prepares: bool,
    _folder: Folder,
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let folders = path().unwrap_or_default();
    let found =
        std::env::split_paths(&folders).chain([PathBuf::from("/usr/sbin")]).map(|folder| folder.join("pgbouncer"));
    let found = found.into_iter().find(|program| program.is_file());
    if found.is_none() {
        #[expect(clippy::disallowed_methods, reason = "continuous integration asks for it this way")]
        let required = std::env::var_os("PHOTOMETA_TEST_REQUIRES_PGBOUNCER").is_some();
        assert!(!required, "PgBouncer is not installed, and this run requires it");
        skipped("PgBouncer is not installed");
    }
    found
}

/// Whether the version, such as "PgBouncer 1.18.0", knows prepared statements.
fn prepares(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version: Vec<u32> =
        text.split_whitespace().nth(1).unwrap_or_default().split('.').flat_map(str::parse).collect();
    version >= vec![1, 21]
}

async fn start(program: &Path, database: &TestDatabase) -> Pgbouncer {
    let server = database.app();
    let tokio_postgres::config::Host::Unix(socket) = &server.get_hosts()[0] else { panic!("a socket in {server:?}") };
    let folder = Folder::made("pgbouncer");
    let prepares = prepares(program);
    let statements = if prepares { "max_prepared_statements = 200" } else { "" };
    let text = format!(
        "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr =\nlisten_port = 6432\nunix_socket_dir = {}\nauth_type = trust\n\
         auth_file = users\npool_mode = transaction\ndefault_pool_size = 2\nmax_db_connections = 2\nmax_client_conn = 500\n\
         ignore_startup_parameters = options,extra_float_digits\n{statements}\n",
        socket.display(),
        server.get_ports()[0],
        folder.0.display(),
    );
    fs::write(folder.0.join("pgbouncer.ini"), text).unwrap();
    fs::write(folder.0.join("users"), "\"photometa_app\" \"\"\n").unwrap();
    let mut command = Command::new(program);
    // It refuses to be root, and has to reach the server's socket: as the user whose socket that is.
    let owner = fs::metadata(socket).unwrap();
    if fs::metadata(&folder.0).unwrap().uid() != owner.uid() {
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
        chown(&folder.0, Some(owner.uid()), Some(owner.gid())).unwrap();
        command.uid(owner.uid()).gid(owner.gid());
    }
    let log = fs::File::create(folder.0.join("log")).unwrap();
    let child = command.arg("pgbouncer.ini").current_dir(&folder.0).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let mut config = Config::new();
    config.host_path(&folder.0).port(6432).user("photometa_app").dbname(server.get_dbname().unwrap());
    let started = Instant::now();
    while config.connect(NoTls).await.is_err() {
        let log = fs::read_to_string(folder.0.join("log")).unwrap_or_default();
        assert!(started.elapsed() < Duration::from_secs(20), "PgBouncer does not answer: {log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Pgbouncer { child, config, prepares, _folder: folder }
}

/// Organizations with a project, a member and some photos each.
const FILL: &str = "
    insert into companycam_photos.organizations (id, name, created_at)
    select ('c' || lpad(to_hex(n), 7, '0') || '-0000-4000-8000-000000000001')::uuid, 'Organization ' || n, now() from generate_series(1, 200) n;
    insert into companycam_photos.users (organization_id, id, email, created_at, updated_at)
    select id, id, id || '@example.com', now(), now() from companycam_photos.organizations where name like 'Organization _%' and id::text like 'c%';
    insert into companycam_photos.projects (organization_id, id, name, created_at, updated_at)
    select id, id, 'House', now(), now() from companycam_photos.users u join companycam_photos.organizations using (id) where id::text like 'c%';
    insert into companycam_photos.project_members (organization_id, user_id, project_id, created_at)
    select id, id, id, now() from companycam_photos.organizations where id::text like 'c%';
    insert into companycam_photos.photos (organization_id, id, project_id, s3_url, s3_key, uploaded_at, created_at, updated_at, content_digest)
    select o.id, gen_random_uuid(), o.id, 'u', n::text, now(), now(), now(), decode(repeat('00', 16), 'hex')
    from companycam_photos.organizations o, generate_series(1, 3) n where o.id::text like 'c%'";

fn organization(number: usize) -> Uuid {
    format!("c{number:07x}-0000-4000-8000-000000000001").parse().unwrap()
}

async fn number(client: &Client, sql: &str) -> Vec<i64> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let numbers = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).unwrap(),
        _ => None,
    });
    numbers.map(|text| text.parse().unwrap_or(-1)).collect()
}

/// One organization's transactions, statement by statement, so that others come in between wherever they may.
async fn rounds(client: Client, number_of: usize) {
    let own = organization(number_of);
    let roles = ["org_admin", "org_user", "org_service"];
    let photos = "select count(*) from companycam_photos.photos";
    for round in 0..ROUNDS {
        let role = roles[(number_of + round) % roles.len()];
        client.batch_execute("begin").await.unwrap();
        // Nothing is left of whoever had this server connection before.
        let left = "select (current_user <> 'photometa_app' or coalesce(current_setting('app.org_id', true), '') <> ''
                            or coalesce(current_setting('app.user_id', true), '') <> '')::int";
        assert_eq!(number(&client, left).await, [0], "a scope was left over");
        let scope = format!(
            "set local role {role}; set local app.org_id = '{own}'; set local app.user_id = '{own}'; set local statement_timeout = 30000"
        );
        client.batch_execute(&scope).await.unwrap();
        assert_eq!(number(&client, photos).await, [PHOTOS], "{role}");
        assert_eq!(number(&client, &format!("{photos} where organization_id <> '{own}'")).await, [0], "{role}");
        match round % 3 {
            0 => client.batch_execute("commit").await.unwrap(),
            1 => client.batch_execute("rollback").await.unwrap(),
            // A transaction that fails gives its server connection back as clean.
            _ => {
                client.batch_execute("select 1 / 0").await.unwrap_err();
                client.batch_execute("rollback").await.unwrap();
            }
        }
        // Outside of a transaction there is no scope, and so no right.
        let refused = client.batch_execute(photos).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_organizations_through_two_connections_never_see_a_foreign_row() {
    let Some(program) = program() else { return };
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    admin.batch_execute(FILL).await.unwrap();
    let pgbouncer = start(&program, &database).await;

    let mut clients = Vec::new();
    for _ in 0..ORGANIZATIONS {
        // One after the other: a socket keeps only so many waiting.
        clients.push(connect(&pgbouncer.config).await);
    }
    let all = clients.into_iter().zip(1..).map(|(client, number)| tokio::spawn(rounds(client, number)));
    for outcome in futures_util::future::join_all(all).await {
        outcome.unwrap();
    }

    let query =
        "select count(*) from pg_stat_activity where datname = current_database() and usename = 'photometa_app'";
    let connections: i64 = admin.query_one(query, &[]).await.unwrap().try_get(0).unwrap();
    assert!((1..=2).contains(&connections), "{connections} server connections");
    if pgbouncer.prepares {
        service(database, &pgbouncer).await;
    } else {
        skipped("this PgBouncer is older than 1.21, so the service itself does not run behind it");
    }
}

/// The service itself behind PgBouncer: two hundred organizations list and write at once.
async fn service(database: TestDatabase, pgbouncer: &Pgbouncer) {
    let app = App::start_through(database, pgbouncer.config.clone()).await;
    let calls = (1..=ORGANIZATIONS).map(|number| {
        let id = organization(number);
        let own = Organization { id, admin: id, member: id, outsider: id, house: id, bridge: id };
        let (mut members, mut services) = (app.photos(own.as_member()), app.photos(own.as_service()));
        async move {
            for round in 0..5 {
                let photo = crate::harness::photo(own.house, &format!("round/{round}"));
                services.create_photo(pb::CreatePhotoRequest { photo: Some(photo) }).await.unwrap();
                let found = members.list_photos(pb::ListPhotosRequest::default()).await.unwrap().into_inner().photos;
                assert_eq!(found.len(), 4 + round);
                assert!(found.iter().all(|photo| photo.organization_id == own.id.to_string()));
            }
        }
    });
    futures_util::future::join_all(calls).await;
}
