//! A service of our own: the release program with a private, durable PostgreSQL, in a folder that goes with it unless it
//! is to be kept.

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
    program: PathBuf,
    /// Where it serves.
    pub address: SocketAddr,
    /// Version of its PostgreSQL.
    pub postgresql: String,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    /// One that is kept, or else one that goes when it is dropped. Not in /tmp, which may be memory: commits must reach a
    /// disk.
    fn make(kept: Option<&Path>) -> Result<Self, Failure> {
        let folder = if let Some(path) = kept {
            Self { path: std::path::absolute(path)?, kept: true }
        } else {
            let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
            let path = format!("/var/tmp/photometa-bench-{}-{number}", std::process::id());
            Self { path: PathBuf::from(path), kept: false }
        };
        if folder.kept {
            fs::create_dir_all(&folder.path)?;
        } else {
            fs::create_dir(&folder.path)?;
        }
        // As root, PostgreSQL's own user passes through it.
        fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o711))?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Server {
    /// Starts one and waits until it serves. What `kept` holds already is used again.
    ///
    /// # Errors
    /// When it does not, or its PostgreSQL does not write its commits to disk.
    pub async fn start(program: &Path, kept: Option<&Path>) -> Result<Self, Failure> {
        Self::start_with(program, kept, &["--pool-size", POOL_SIZE], &[]).await
    }

    /// The same with settings and environment variables of the caller's.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(
        program: &Path,
        kept: Option<&Path>,
        settings: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        let folder = Folder::make(kept)?;
        let (address_file, log) = (folder.path.join("address"), folder.path.join("serve.log"));
        // One that a killed run left there would be taken for this one's.
        if address_file.exists() {
            fs::remove_file(&address_file)?;
        }
        let output = File::create(&log)?;
        let mut serve = photometa(program, &folder.path);
        serve.args(["serve", "--listen", "127.0.0.1:0"]).args(settings).arg("--address-file");
        serve
            .arg(&address_file)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
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
        let mut server = Self { service, folder, program: program.to_owned(), address, postgresql: String::new() };
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

    /// A credential; the subject is any when it is not given.
    ///
    /// # Errors
    /// When the program makes none.
    pub async fn token(&self, role: &str, organization: &str, subject: Option<&str>) -> Result<String, Failure> {
        let mut token = photometa(&self.program, &self.folder.path);
        token.args(["token", "--role", role, "--org", organization, "--ttl", "12h"]);
        if let Some(subject) = subject {
            token.args(["--sub", subject]);
        }
        Ok(process::output(&mut token).await?.trim().to_owned())
    }

    /// Folder for what goes with this service.
    pub fn folder(&self) -> &Path {
        &self.folder.path
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
        let postmaster = Some(cpu::postmaster(&self.folder.path.join("data"))?);
        Ok(Watch { service: Some(self.pid()), postmaster })
    }

    /// The folder of PostgreSQL's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path.join("data/run")
    }

    /// A connection that may do anything.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn superuser(&self) -> Result<Client, Failure> {
        self.connect("postgres").await
    }

    /// A connection as a user; photometa_app is the service's own login, which row security binds.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn connect(&self, user: &str) -> Result<Client, Failure> {
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
        let text = name.to_string_lossy();
        if text.starts_with("PHOTOMETA_") || text.starts_with("OTEL_") || text == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.arg("--data-dir").arg(folder.join("data"));
    command
}
