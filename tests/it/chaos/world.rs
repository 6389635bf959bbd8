//! The parts: a durable PostgreSQL, the program, and the lines to both.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use photometa::db::embedded::Embedded;
use photometa::db::session;
use tokio_postgres::Client;

use super::proxy::Proxy;
use crate::harness::SECRET;
use crate::port;
use crate::program::{Folder, photometa};
use crate::standby::Server;

/// How long anything may take to come back, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub postgres: Server,
    pub program: Child,
    /// Between the program and PostgreSQL.
    pub to_database: Proxy,
    /// Between the callers and the program.
    pub to_program: Proxy,
    port: u16,
    entrance: u16,
    folder: Folder,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.0.join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("the program's last words:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

impl World {
    pub async fn start() -> Self {
        let postgres = Server::prepared("chaos").await;
        let admin = postgres.superuser().await;
        admin.batch_execute(include_str!("../fixture.sql")).await.unwrap();
        // Without these, a killed PostgreSQL loses what was acknowledged.
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let found = admin.query_one("select current_setting($1)", &[&setting]).await.unwrap();
            assert_eq!(found.try_get::<_, String>(0).unwrap(), "on", "{setting}");
        }
        // Before it replays its log, PostgreSQL syncs a thousand files, which takes seconds for one after the other.
        postgres.set("recovery_init_sync_method = 'syncfs'").await;
        let folder = Folder::made("world");
        let name = format!(".s.PGSQL.{}", postgres.running().port());
        let to_database = Proxy::unix(&folder.0.join(&name), postgres.running().socket_dir().join(&name));
        let port = port::free();
        let (to_program, entrance) = Proxy::tcp(port).await;
        let program = program(&folder, &postgres, port);
        let mut world = Self { postgres, program, to_database, to_program, port, entrance, folder };
        world.until_it_serves().await;
        world
    }

    /// Where callers find the program.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.entrance)
    }

    /// Starts the program again, which has ended.
    pub fn start_program(&mut self) {
        self.program = program(&self.folder, &self.postgres, self.port);
    }

    /// Starts PostgreSQL again, whose processes were killed.
    pub async fn start_postgres(&mut self) {
        self.postgres.bury();
        self.postgres.go().await;
    }

    /// A session past row security, as soon as PostgreSQL has replayed its log.
    pub async fn superuser(&self) -> Client {
        let started = Instant::now();
        loop {
            match session(&self.postgres.config("postgres"), "chaos").await {
                Ok(client) => return client,
                Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until_it_serves(&mut self) {
        let started = Instant::now();
        loop {
            let mut command = photometa(&self.folder.0);
            let address = format!("127.0.0.1:{}", self.port);
            if command.args(["healthcheck", "--address", &address]).output().unwrap().status.success() {
                return;
            }
            let log = || fs::read_to_string(self.folder.0.join("log")).unwrap();
            assert!(self.program.try_wait().unwrap().is_none(), "the program has ended: {}", log());
            assert!(started.elapsed() < PATIENCE, "the program does not serve: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn program(folder: &Folder, postgres: &Server, port: u16) -> Child {
    let url = format!(
        "host={} port={} user=photometa_app dbname=photometa",
        folder.0.display(),
        Embedded::port(postgres.running())
    );
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.0.join("log")).unwrap();
    photometa(&folder.0)
        .env("PHOTOMETA_DATABASE_URL", url)
        .env("PHOTOMETA_JWT_SECRET", String::from_utf8(SECRET.to_vec()).unwrap())
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--pool-size", "8"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Sends a signal to processes, of which some may have ended.
pub fn signal(name: &str, pids: &[u32]) {
    let _ = Command::new("kill").arg(name).args(pids.iter().map(ToString::to_string)).output().unwrap();
}
