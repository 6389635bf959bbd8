//! The PostgreSQL of the tests: started once per process from the system's binaries, kept under `target/` between
//! runs (fsync off), with a template database per state of the migrations. A test's database is a clone.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, mpsc};

use photometa::db::embedded::{Embedded, EmbeddedError, Options, reachable};
use photometa::db::migrate::{Migrator, VERSIONS};
use tokio_postgres::{Client, Config, NoTls};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

struct Cluster {
    postgres: Embedded,
    template: String,
    numbers: AtomicU32,
    janitor: mpsc::Sender<String>,
}

/// A database of one test; dropped after it.
pub struct TestDatabase {
    name: String,
}

impl TestDatabase {
    /// Clones the template.
    pub async fn clone_template() -> Self {
        // Starting blocks: not on the test's own runtime thread.
        let cluster = tokio::task::spawn_blocking(|| &*CLUSTER).await.expect("the cluster starts");
        let number = cluster.numbers.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let admin = connect(&cluster.postgres.config("postgres", "postgres")).await;
        admin.batch_execute(&format!("create database {name} template {}", cluster.template)).await.expect("a clone");
        Self { name }
    }

    /// An empty database without schema, for tests of migrations.
    pub async fn empty() -> Self {
        let cluster = tokio::task::spawn_blocking(|| &*CLUSTER).await.expect("the cluster starts");
        let number = cluster.numbers.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let admin = connect(&cluster.postgres.config("postgres", "postgres")).await;
        admin.batch_execute(&format!("create database {name}")).await.expect("a database");
        Self { name }
    }

    /// How the service connects.
    pub fn app(&self) -> Config {
        CLUSTER.postgres.config("photometa_app", &self.name)
    }

    /// The same as settings of the program take it.
    pub fn url(&self, user: &str) -> String {
        let folder = CLUSTER.postgres.socket_dir().display();
        format!("host={folder} port={} user={user} dbname={}", CLUSTER.postgres.port(), self.name)
    }

    /// How an administrator connects: past row security, for arranging and asserting only.
    pub fn superuser(&self) -> Config {
        CLUSTER.postgres.config("postgres", &self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let _ = CLUSTER.janitor.send(std::mem::take(&mut self.name));
    }
}

/// Connects, and drives the connection in the background.
pub async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

impl Cluster {
    fn start() -> Self {
        let (ready, started) = mpsc::channel();
        let (janitor, doomed) = mpsc::channel::<String>();
        // A thread of its own: tests come and go with their runtimes.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let config = runtime.block_on(async {
                let (postgres, template) = prepare().await;
                let config = postgres.config("postgres", "postgres");
                ready.send((postgres, template)).expect("somebody waits");
                config
            });
            for name in doomed {
                runtime.block_on(async {
                    let admin = connect(&config).await;
                    // What stays, the next run drops.
                    let _ = admin.batch_execute(&format!("drop database if exists {name} with (force)")).await;
                });
            }
        });
        let (postgres, template) = started.recv().expect("PostgreSQL starts; see the panic above");
        Self { postgres, template, numbers: AtomicU32::new(0), janitor }
    }
}

async fn prepare() -> (Embedded, String) {
    let postgres = start_free().await;
    let admin = connect(&postgres.config("postgres", "postgres")).await;
    let leftovers =
        admin.query("select datname from pg_database where datname like 'test\\_%'", &[]).await.expect("a list");
    for row in leftovers {
        let name: String = row.try_get(0).expect("a name");
        admin.batch_execute(&format!("drop database {name} with (force)")).await.expect("a drop");
    }
    let template = format!("template_{:016x}", schema_hash());
    let exists = admin.query_opt("select from pg_database where datname = $1", &[&template]).await.expect("an answer");
    if exists.is_none() {
        let partial = format!("{template}_partial");
        admin.batch_execute(&format!("drop database if exists {partial} with (force)")).await.expect("a drop");
        admin.batch_execute(&format!("create database {partial}")).await.expect("a database");
        let mut migrator = Migrator::connect(&postgres.config("postgres", &partial)).await.expect("roles");
        migrator.up().await.expect("migrations");
        drop(migrator);
        let fixture = connect(&postgres.config("postgres", &partial)).await;
        fixture.batch_execute(include_str!("fixture.sql")).await.expect("fixtures");
        drop(fixture);
        let unused = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{partial}'");
        admin.batch_execute(&unused).await.expect("nobody in the template");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        admin.batch_execute(&format!("alter database {partial} rename to {template}")).await.expect("a rename");
    }
    (postgres, template)
}

/// A folder for tests that a database server can reach, whoever runs it.
pub fn scratch() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // As root, the server's user must get there; and a socket's path is short.
    if folder.as_os_str().len() <= 70 && reachable(&folder) { folder } else { std::env::temp_dir() }
}

/// Starts PostgreSQL in the first folder that no other test process has.
async fn start_free() -> Embedded {
    let root = scratch();
    for number in 0..8 {
        let options = Options {
            data_dir: root.join(format!("photometa-test-{number}")),
            durable: false,
            max_connections: 300,
            pg_bin: None,
            path: path(),
        };
        match Embedded::start(options).await {
            Ok(postgres) => return postgres,
            // Another run's, or another user's.
            Err(EmbeddedError::AlreadyRunning { .. } | EmbeddedError::Io { .. } | EmbeddedError::Foreign { .. }) => {}
            Err(error) => panic!("PostgreSQL for the tests: {error}"),
        }
    }
    panic!("no folder under {} is free for the tests' PostgreSQL", root.display());
}

/// Where programs are looked for.
#[expect(clippy::disallowed_methods, reason = "the program's config reads it for itself; tests have none")]
pub fn path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}

fn schema_hash() -> u64 {
    let mut hasher = DefaultHasher::new();
    for version in VERSIONS {
        (version.name, version.up).hash(&mut hasher);
    }
    include_str!("../../deploy/postgres/roles.sql").hash(&mut hasher);
    include_str!("fixture.sql").hash(&mut hasher);
    hasher.finish()
}
