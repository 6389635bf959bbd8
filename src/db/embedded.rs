//! How does photometa run without a database server at hand?
//! With a PostgreSQL of its own: the installed programs, started as a child process over a private folder. The server
//! ends when we stop it, when `Embedded` is dropped and, on Linux, when this process is killed.

mod account;
mod binaries;
mod cluster;
mod error;
mod folder;
mod process;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

pub use self::error::EmbeddedError;

use self::account::Account;
use self::binaries::Binaries;
use self::folder::{Folder, PORT};
use self::process::{Server, Signal};

/// Generous, because a start after a crash replays the log.
const READY_BOUND: Duration = Duration::from_secs(60);
const FAST_BOUND: Duration = Duration::from_secs(10);
/// PostgreSQL itself kills what is left of its children after five seconds.
const IMMEDIATE_BOUND: Duration = Duration::from_secs(7);
const DROP_BOUND: Duration = Duration::from_secs(3);
const SUPERUSER: &str = "postgres";

/// What a private PostgreSQL needs to know. Nothing is read from the environment here.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for data, socket and log; created if missing.
    pub data_dir: PathBuf,
    /// Whether commits survive a power failure. False is for tests.
    pub durable: bool,
    /// PostgreSQL's `max_connections`: shared memory is reserved for each; with too few, connecting fails.
    pub max_connections: u32,
    /// The folder of `initdb` and `postgres` (variable `PG_BIN`); searched for if absent.
    pub pg_bin: Option<PathBuf>,
    /// The variable `PATH`, searched first.
    pub path: Option<OsString>,
}

/// A running PostgreSQL of our own.
///
/// Dropping it asks the server to shut down and blocks for up to three seconds; prefer [`Embedded::stop`].
#[derive(Debug)]
pub struct Embedded {
    server: Server,
    folder: Folder,
    version: String,
}

impl Embedded {
    /// Starts the server and returns once it takes connections; the first start on a folder also makes the cluster.
    ///
    /// # Errors
    /// See the variants of [`EmbeddedError`]; nothing keeps running after an error, nor after dropping the future.
    pub async fn start(options: Options) -> Result<Self, EmbeddedError> {
        let data_dir = options.data_dir.clone();
        let started = tokio::task::spawn_blocking(move || launch(&options)).await;
        started.map_err(io::Error::from).map_err(EmbeddedError::at(&data_dir))?
    }

    /// The folder of the server's socket.
    pub fn socket_dir(&self) -> &Path {
        &self.folder.socket
    }

    /// The constant that names the socket file; no network port is opened.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// How to connect through the socket; no password is needed. The superuser is `postgres`.
    pub fn config(&self, user: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.socket_dir()).port(PORT).user(user).dbname(database);
        config
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Whether the server's process is still there.
    pub fn is_running(&self) -> bool {
        self.server.wait(Duration::ZERO).is_none()
    }

    /// The server's version, such as "15.18".
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Creates the database `name` if it is missing.
    ///
    /// # Errors
    /// [`EmbeddedError::Name`] unless `name` is made of `a-z`, `0-9` and `_`; [`EmbeddedError::Sql`] if the server
    /// refuses.
    pub async fn ensure_database(&self, name: &str) -> Result<(), EmbeddedError> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
            return Err(EmbeddedError::Name { name: name.to_owned() });
        }
        let (client, connection) =
            self.config(SUPERUSER, SUPERUSER).connect(NoTls).await.map_err(EmbeddedError::Sql)?;
        let connection = tokio::spawn(connection);
        let created = async {
            let exists = "select from pg_catalog.pg_database where datname = $1";
            if client.query_opt(exists, &[&name]).await?.is_some() {
                return Ok(());
            }
            // A name cannot be a parameter here; the check above leaves nothing to escape.
            match client.batch_execute(&format!("create database \"{name}\"")).await {
                Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
                created => created,
            }
        }
        .await;
        drop(client);
        drop(connection.await);
        created.map_err(EmbeddedError::Sql)
    }

    /// Shuts the server down: open transactions are rolled back, committed ones are on disk.
    ///
    /// After ten seconds it is made to exit at once, and the next start replays the log: still nothing is lost.
    ///
    /// # Errors
    /// [`EmbeddedError::Stop`] if even that does not help.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let server = self.server.clone();
        let stopped = tokio::task::spawn_blocking(move || shut_down(&server)).await;
        stopped.map_err(io::Error::from).map_err(EmbeddedError::at(self.folder.root()))?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.server.signal(Signal::Fast);
        if self.server.wait(DROP_BOUND).is_none() {
            self.server.signal(Signal::Immediate);
        }
    }
}

/// Whether a server started by this process could use `dir`: always, unless this process is root, whose server runs
/// as another user. Missing folders are no hindrance.
pub fn reachable(dir: &Path) -> bool {
    Account::choose(&folder::cluster(dir)).and_then(|account| account.check_reach(dir)).is_ok()
}

/// How to connect to the server that another process runs over `data_dir`, as [`Embedded::config`]; `None` unless one
/// takes connections there.
pub fn attach(data_dir: &Path) -> Option<impl Fn(&str, &str) -> Config> {
    let account = Account::choose(&folder::cluster(data_dir)).ok()?;
    let socket = folder::running_socket(data_dir, &account)?;
    Some(move |user: &str, database: &str| {
        let mut config = Config::new();
        config.host_path(&socket).port(PORT).user(user).dbname(database);
        config
    })
}

fn launch(options: &Options) -> Result<Embedded, EmbeddedError> {
    let begin = Instant::now();
    let account = Account::choose(&folder::cluster(&options.data_dir))?;
    let mut folder = Folder::open(&options.data_dir, &account)?;
    let cluster = folder.cluster();
    let needed = folder.major();
    let binaries = Binaries::find(
        options.pg_bin.as_deref(),
        options.path.as_deref(),
        needed.map(|major| (major, cluster.as_path())),
        &account,
    )?;
    tracing::debug!(bin = %binaries.folder.display(), version = binaries.version, "PostgreSQL found");
    if needed.is_none() {
        cluster::init(&folder, &binaries, &account, options.durable)?;
    }
    let log = folder.open_log()?;
    let server = cluster::server(&folder, &binaries, &account, options, log)
        .and_then(Server::spawn)
        .map_err(EmbeddedError::at(&binaries.folder))?;
    // From here on dropping it stops the server.
    let embedded = Embedded { server, folder, version: binaries.version };
    embedded.until_ready()?;
    tracing::info!(
        data_dir = %embedded.folder.root().display(),
        pid = embedded.pid(),
        version = embedded.version,
        elapsed = ?begin.elapsed(),
        "PostgreSQL started"
    );
    Ok(embedded)
}

impl Embedded {
    fn until_ready(&self) -> Result<(), EmbeddedError> {
        let begin = Instant::now();
        while self.folder.postmaster() != Some((self.pid(), true)) {
            let ended = self.server.wait(Duration::from_millis(10));
            let reason = match ended {
                Some(status) => status.to_string(),
                None if begin.elapsed() > READY_BOUND => format!("not ready within {READY_BOUND:?}"),
                None => continue,
            };
            let (log, tail) = (self.folder.log_path(), self.folder.log_tail());
            return Err(EmbeddedError::Start { reason, log, tail });
        }
        Ok(())
    }
}

fn shut_down(server: &Server) -> Result<(), EmbeddedError> {
    for (signal, bound) in [(Signal::Fast, FAST_BOUND), (Signal::Immediate, IMMEDIATE_BOUND)] {
        server.signal(signal);
        if let Some(status) = server.wait(bound) {
            tracing::debug!(%status, "PostgreSQL stopped");
            return Ok(());
        }
    }
    Err(EmbeddedError::Stop { pid: server.pid() })
}

/// Tells whether this process runs as root.
pub fn is_root() -> bool {
    process::effective_user() == 0
}
