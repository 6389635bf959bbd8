//! A PostgreSQL of a test's own, and a standby that streams from it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use photometa::db::Standby;
use photometa::db::embedded::{Embedded, Options};
use photometa::db::migrate::Migrator;
use tokio_postgres::{Client, Config};

use crate::cluster::{connect, path};
use crate::program::Folder;

const DATABASE: &str = "photometa";

/// Both, and sessions past row security.
pub struct Pair {
    /// The one that takes writes.
    pub primary: Server,
    /// The one that follows.
    pub standby: Server,
}

/// One of them.
pub struct Server {
    postgres: Option<Embedded>,
    folder: Folder,
}

impl Server {
    async fn start(folder: Folder) -> Self {
        let mut server = Self { postgres: None, folder };
        server.go().await;
        server
    }

    /// Starts one with the schema.
    pub async fn prepared(name: &str) -> Self {
        Self::prepared_in(Folder::new(name)).await
    }

    /// The same, in a folder.
    pub async fn prepared_in(folder: Folder) -> Self {
        let server = Self::start(folder).await;
        server.running().ensure_database(DATABASE).await.unwrap();
        Migrator::connect(&server.config("postgres")).await.unwrap().up().await.unwrap();
        server
    }

    /// Starts it, again.
    pub async fn go(&mut self) {
        let data_dir = self.folder.0.clone();
        let options = Options { data_dir, durable: true, max_connections: 40, pg_bin: None, path: path() };
        self.postgres = Some(Embedded::start(options).await.unwrap());
    }

    /// Sees to it that one that was killed has ended.
    pub fn bury(&mut self) {
        drop(self.postgres.take());
    }

    /// Stops it.
    pub async fn stop(&mut self) {
        self.postgres.take().unwrap().stop().await.unwrap();
    }

    /// Its process.
    pub fn running(&self) -> &Embedded {
        self.postgres.as_ref().unwrap()
    }

    /// All its processes, the first one first.
    pub fn processes(&self) -> Vec<u32> {
        let first = self.running().pid();
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
        std::iter::once(first).chain(children.split_whitespace().map(|pid| pid.parse().unwrap())).collect()
    }

    /// Its data.
    pub fn cluster(&self) -> PathBuf {
        self.folder.0.join("postgres")
    }

    /// How somebody logs in.
    pub fn config(&self, user: &str) -> Config {
        self.running().config(user, DATABASE)
    }

    /// A session past row security.
    pub async fn superuser(&self) -> Client {
        connect(&self.config("postgres")).await
    }

    /// Changes a setting, as `name = value`.
    pub async fn set(&self, setting: &str) {
        let admin = self.superuser().await;
        for change in [&format!("alter system set {setting}"), "select pg_reload_conf()"] {
            admin.batch_execute(change).await.unwrap();
        }
    }

    /// Where it logs.
    pub fn log(&self) -> PathBuf {
        self.folder.0.join("postgres.log")
    }
}

impl Pair {
    /// Starts a server with the schema and the two organizations, and copies it. Both log every statement.
    pub async fn start() -> Self {
        let primary = Server::prepared("primary").await;
        let admin = primary.superuser().await;
        admin.batch_execute(include_str!("fixture.sql")).await.unwrap();
        crate::statements::log::everything(&admin).await;

        let folder = Folder::made("standby");
        let cluster = folder.0.join("postgres");
        fs::DirBuilder::new().mode(0o700).create(&cluster).unwrap();
        let socket = primary.running().socket_dir();
        let mut copy = Command::new("pg_basebackup");
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--username=postgres", "--pgdata"]).arg(&cluster);
        copy.arg("--host").arg(socket).arg(format!("--port={}", primary.running().port())).current_dir("/");
        // As the user who runs the primary, and will run the standby.
        let owner = fs::metadata(socket).unwrap();
        if fs::metadata(&cluster).unwrap().uid() != owner.uid() {
            chown(&cluster, Some(owner.uid()), Some(owner.gid())).unwrap();
            copy.uid(owner.uid()).gid(owner.gid());
        }
        let copied = copy.output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        Self { primary, standby: Server::start(folder).await }
    }

    /// The standby as the service uses it.
    pub fn read_from(&self, max_lag: Duration) -> Standby {
        Standby { target: self.standby.config("photometa_app").into(), max_lag, allow_unsafe_role: false }
    }

    /// Waits until the standby has replayed what the primary has written.
    pub async fn catch_up(&self) {
        let (primary, standby) = tokio::join!(self.primary.superuser(), self.standby.superuser());
        let position = "select pg_current_wal_flush_lsn()::text";
        let position: String = primary.query_one(position, &[]).await.unwrap().try_get(0).unwrap();
        let there = format!("select pg_last_wal_replay_lsn() >= '{position}'");
        while !standby.query_one(&there, &[]).await.unwrap().try_get::<_, bool>(0).unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
