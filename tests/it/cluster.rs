//! The PostgreSQL of the tests: started once per process from the system's binaries, kept under `target/` between
//! runs (fsync off), with a template database per state of the migrations. A test's database is a clone.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

use photometa::db::embedded::{Embedded, EmbeddedError, Options, reachable};
use photometa::db::migrate::{Migrator, VERSIONS};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, NoTls};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// The template of [`TestDatabase::clone_big`], made when the first test asks for it.
static BIG: OnceCell<String> = OnceCell::const_new();

struct Cluster {
    postgres: Embedded,
    log: PathBuf,
    template: String,
    numbers: AtomicU32,
    janitor: mpsc::Sender<String>,
}

/// A database of one test; dropped after the last clone of this.
#[derive(Clone)]
pub struct TestDatabase(Arc<Place>);

struct Place {
    name: String,
    socket: PathBuf,
    port: u16,
    /// Whether it is on the server of all tests, and has to be dropped.
    shared: bool,
}

impl TestDatabase {
    /// Clones the template.
    pub async fn clone_template() -> Self {
        let cluster = cluster().await;
        Self::create(cluster, &format!("template {}", cluster.template)).await
    }

    /// Clones the template with a hundred thousand rows and more in every table that grows; see `big.sql`. The
    /// clone takes 400 MB of disk.
    pub async fn clone_big() -> Self {
        let cluster = cluster().await;
        let big = BIG.get_or_init(|| big_template(cluster)).await;
        // Copying through the log, the default, takes longer for a database of this size.
        Self::create(cluster, &format!("template {big} strategy file_copy")).await
    }

    /// An empty database without schema, for tests of migrations.
    pub async fn empty() -> Self {
        Self::create(cluster().await, "").await
    }

    async fn create(cluster: &Cluster, options: &str) -> Self {
        let number = cluster.numbers.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let admin = connect(&cluster.postgres.config("postgres", "postgres")).await;
        admin.batch_execute(&format!("create database {name} {options}")).await.expect("a database");
        Self::at(&cluster.postgres, &name, true)
    }

    /// A database of a server that goes with its test.
    pub fn of(postgres: &Embedded, name: &str) -> Self {
        Self::at(postgres, name, false)
    }

    /// A database at a socket.
    pub fn behind(socket: &Path, port: u16, name: &str) -> Self {
        Self(Arc::new(Place { name: name.to_owned(), socket: socket.to_owned(), port, shared: false }))
    }

    fn at(postgres: &Embedded, name: &str, shared: bool) -> Self {
        let (socket, port) = (postgres.socket_dir().to_owned(), postgres.port());
        Self(Arc::new(Place { name: name.to_owned(), socket, port, shared }))
    }

    fn config(&self, user: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.0.socket).port(self.0.port).user(user).dbname(&self.0.name);
        config
    }

    /// How the service connects.
    pub fn app(&self) -> Config {
        self.config("photometa_app")
    }

    /// The same as settings of the program take it.
    pub fn url(&self, user: &str) -> String {
        format!("host={} port={} user={user} dbname={}", self.0.socket.display(), self.0.port, self.0.name)
    }

    /// How an administrator connects: past row security, for arranging and asserting only.
    pub fn superuser(&self) -> Config {
        self.config("postgres")
    }

    /// A program that finds the database by libpq's variables.
    pub fn command(&self, program: impl AsRef<Path>, user: &str) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env("PGHOST", &self.0.socket).env("PGPORT", self.0.port.to_string());
        command.env("PGUSER", user).env("PGDATABASE", &self.0.name);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The schema as pg_dump tells it.
    pub fn schema(&self) -> String {
        let mut dump = self.command("pg_dump", "postgres");
        let output =
            dump.args(["--schema-only", "--schema=companycam_photos"]).output().expect("pg_dump is in the PATH");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        // Newer versions bracket the dump with a random word.
        text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.shared {
            let _ = CLUSTER.janitor.send(std::mem::take(&mut self.name));
        }
    }
}

/// The server's log, of every database.
pub fn log() -> &'static Path {
    &CLUSTER.log
}

async fn cluster() -> &'static Cluster {
    // Starting blocks: not on the test's own runtime thread.
    tokio::task::spawn_blocking(|| &*CLUSTER).await.expect("the cluster starts")
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
                let (postgres, log, template) = prepare().await;
                let config = postgres.config("postgres", "postgres");
                ready.send((postgres, log, template)).expect("somebody waits");
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
        let (postgres, log, template) = started.recv().expect("PostgreSQL starts; see the panic above");
        Self { postgres, log, template, numbers: AtomicU32::new(0), janitor }
    }
}

async fn prepare() -> (Embedded, PathBuf, String) {
    let (postgres, log) = start_free().await;
    let admin = connect(&postgres.config("postgres", "postgres")).await;
    for name in databases(&admin, "test_").await {
        admin.batch_execute(&format!("drop database {name} with (force)")).await.expect("a drop");
    }
    let template = format!("template_{:016x}", hash(""));
    let fill = async |config: &Config| {
        Migrator::connect(config).await.expect("roles").up().await.expect("migrations");
        connect(config).await.batch_execute(include_str!("fixture.sql")).await.expect("fixtures");
    };
    ensure(&postgres, &template, "", fill).await;
    (postgres, log, template)
}

async fn big_template(cluster: &Cluster) -> String {
    let admin = connect(&cluster.postgres.config("postgres", "postgres")).await;
    let template = format!("big_{:016x}", hash(include_str!("big.sql")));
    // Too large to be kept after a change.
    for name in databases(&admin, "big_").await.into_iter().filter(|name| *name != template) {
        admin.batch_execute(&format!("drop database {name} with (force)")).await.expect("a drop");
    }
    let fill = async |config: &Config| {
        let big = connect(config).await;
        // Autovacuum would leave other statistics on a slow machine than on a quick one.
        big.batch_execute(&each_table("set (autovacuum_enabled = false)")).await.expect("a setting");
        // Of rows whose commit is not in the log's file yet, a vacuum cannot say that all see them.
        big.batch_execute("set synchronous_commit = on").await.expect("a setting");
        big.batch_execute(include_str!("big.sql")).await.expect("rows");
        // From every row, so that plans do not hang on which ones a sample happens to have.
        big.batch_execute("set default_statistics_target = 1000").await.expect("a setting");
        big.batch_execute("vacuum analyze").await.expect("statistics");
        show_to_all(&big).await;
        big.batch_execute(&each_table("reset (autovacuum_enabled)")).await.expect("a setting");
    };
    ensure(&cluster.postgres, &template, &format!("template {}", cluster.template), fill).await;
    template
}

/// Vacuums until every page is known to be visible to all, as on a database at rest: reading an index alone costs less
/// then. A vacuum leaves pages out while somebody's snapshot is older than their rows, and that of a session which is
/// connecting counts whatever its database.
async fn show_to_all(client: &Client) {
    let hidden = "select count(*) from pg_class
                  where relnamespace = 'companycam_photos'::regnamespace and relkind = 'r' and relallvisible < relpages";
    for _ in 0..100 {
        let tables: i64 = client.query_one(hidden, &[]).await.and_then(|row| row.try_get(0)).expect("a count");
        if tables == 0 {
            return;
        }
        client.batch_execute("vacuum").await.expect("a vacuum");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("tables have pages that a vacuum does not show to all: does a session keep a snapshot?");
}

/// Alters every table.
pub fn each_table(change: &str) -> String {
    format!(
        "do $$
         declare
             name text;
         begin
             for name in select tablename from pg_tables where schemaname = 'companycam_photos' loop
                 execute format('alter table companycam_photos.%I {change}', name);
             end loop;
         end $$"
    )
}

/// The databases whose names begin so.
async fn databases(admin: &Client, prefix: &str) -> Vec<String> {
    let rows = admin.query("select datname from pg_database where datname ^@ $1", &[&prefix]).await.expect("a list");
    rows.iter().map(|row| row.try_get(0).expect("a name")).collect()
}

/// Makes a template unless it is there; it takes its name when it is complete.
async fn ensure(postgres: &Embedded, template: &str, options: &str, fill: impl AsyncFnOnce(&Config)) {
    let admin = connect(&postgres.config("postgres", "postgres")).await;
    if databases(&admin, template).await.iter().any(|name| name == template) {
        return;
    }
    let partial = format!("{template}_partial");
    admin.batch_execute(&format!("drop database if exists {partial} with (force)")).await.expect("a drop");
    admin.batch_execute(&format!("create database {partial} {options}")).await.expect("a database");
    fill(&postgres.config("postgres", &partial)).await;
    let unused = format!("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{partial}'");
    admin.batch_execute(&unused).await.expect("nobody in the template");
    admin.batch_execute(&format!("alter database {partial} rename to {template}")).await.expect("a rename");
}

/// A folder for tests that a database server can reach, whoever runs it.
pub fn scratch() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // As root, the server's user must get there; and a socket's path is short.
    if folder.as_os_str().len() <= 70 && reachable(&folder) { folder } else { std::env::temp_dir() }
}

/// Starts PostgreSQL in the first folder that no other test process has; answers where it logs, too.
async fn start_free() -> (Embedded, PathBuf) {
    let root = scratch();
    for number in 0..8 {
        let data_dir = root.join(format!("photometa-test-{number}"));
        let log = data_dir.join("postgres.log");
        let options = Options { data_dir, durable: false, max_connections: 300, pg_bin: None, path: path() };
        match Embedded::start(options).await {
            Ok(postgres) => return (postgres, log),
            // Another run's, or another user's.
            Err(
                EmbeddedError::AlreadyRunning { .. }
                | EmbeddedError::Folder { .. }
                | EmbeddedError::Io { .. }
                | EmbeddedError::Foreign { .. },
            ) => {}
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

/// Of everything that goes into a template.
fn hash(rows: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for version in VERSIONS {
        (version.name, version.up).hash(&mut hasher);
    }
    include_str!("../../deploy/postgres/roles.sql").hash(&mut hasher);
    include_str!("fixture.sql").hash(&mut hasher);
    rows.hash(&mut hasher);
    hasher.finish()
}
