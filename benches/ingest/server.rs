//! A service of our own: the release program with a private, durable PostgreSQL in a folder that goes with it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Config, NoTls};

use super::Failure;
use super::cpu::{self, Watch};
use super::process::{self, Running};

/// The demo's first organization and project, which `serve` makes.
pub const ORGANIZATION: &str = "de300101-0000-8000-8000-000000000001";
/// See [`ORGANIZATION`].
pub const PROJECT: &str = "de300301-0000-8000-8000-000000000001";
/// Every client has a database connection on both sides.
const POOL_SIZE: &str = "64";
const START: Duration = Duration::from_secs(60);

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A running service.
#[derive(Debug)]
pub struct Server {
    // In this order: the service ends before its folder goes.
    service: Running,
    folder: Folder,
    /// Where it serves.
    pub address: SocketAddr,
    /// A credential of the role service.
    pub token: String,
    /// Version of its PostgreSQL.
    pub postgresql: String,
}

#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Server {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// When it does not, or its PostgreSQL does not write its commits to disk.
    pub async fn start(program: &Path) -> Result<Self, Failure> {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        // Not in /tmp, which may be memory: commits must reach a disk.
        let folder = Folder(PathBuf::from(format!("/var/tmp/photometa-ingest-{}-{number}", std::process::id())));
        fs::create_dir(&folder.0)?;
        // As root, PostgreSQL's own user passes through it.
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o711))?;
        let (address_file, log) = (folder.0.join("address"), folder.0.join("serve.log"));
        let output = File::create(&log)?;
        let mut serve = photometa(program, &folder.0);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--pool-size", POOL_SIZE]).arg("--address-file");
        serve.arg(&address_file).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut service = Running::start(&mut serve)?;
        let until = Instant::now() + START;
        let address = loop {
            // It appears by rename, so it is whole.
            if let Ok(address) = fs::read_to_string(&address_file) {
                break address.trim().parse()?;
            }
            if service.ended()? || Instant::now() > until {
                return Err(format!("the service does not start: {}", fs::read_to_string(&log)?).into());
            }
            sleep(Duration::from_millis(50)).await;
        };
        let mut token = photometa(program, &folder.0);
        token.args(["token", "--role", "service", "--org", ORGANIZATION, "--ttl", "12h"]);
        let token = process::output(&mut token).await?.trim().to_owned();
        let mut server = Self { service, folder, address, token, postgresql: String::new() };
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let found = server.setting(setting).await?;
            if found != "on" {
                return Err(format!("{setting} is {found}: commits would cost less than they do").into());
            }
        }
        server.postgresql = server.setting("server_version").await?;
        Ok(server)
    }

    async fn setting(&self, name: &str) -> Result<String, Failure> {
        let found = self.superuser().await?.query_one("select current_setting($1)", &[&name]).await?;
        Ok(found.try_get(0)?)
    }

    /// Folder for what goes with this service.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Process number of the service.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// Whose processor time counts.
    ///
    /// # Errors
    /// When its PostgreSQL does not run.
    pub fn watch(&self) -> Result<Watch, Failure> {
        let postmaster = Some(cpu::postmaster(&self.folder.0.join("data"))?);
        Ok(Watch { service: Some(self.pid()), postmaster })
    }

    /// The folder of PostgreSQL's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.0.join("data/run")
    }

    /// A connection as the service's own login, which row security binds.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn login(&self) -> Result<Client, Failure> {
        self.connect("photometa_app").await
    }

    /// A connection that may do anything.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn superuser(&self) -> Result<Client, Failure> {
        self.connect("postgres").await
    }

    async fn connect(&self, user: &str) -> Result<Client, Failure> {
        let (client, connection) =
            Config::new().host_path(self.socket()).user(user).dbname("photometa").connect(NoTls).await?;
        // It ends with its client, or with its server.
        tokio::spawn(connection);
        Ok(client)
    }
}

/// The program, with nothing of the environment's settings.
fn photometa(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PHOTOMETA_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.arg("--data-dir").arg(folder.join("data"));
    command
}
