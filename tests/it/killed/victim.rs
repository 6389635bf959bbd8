//! A program with its private PostgreSQL: how its parts are killed, and when all of it serves again.

use std::fs;
use std::time::{Duration, Instant};

use photometa::db::embedded::attach;
use photometa::pb;
use photometa::pb::{detection_service_client::DetectionServiceClient, photo_service_client::PhotoServiceClient};
use tokio_postgres::{Client, NoTls, Row};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::ledger::assert_to_be_retried;
use super::load::Clients;
use crate::harness::Bearer;
use crate::program::{Folder, ORGANIZATION, Program, run, serve, signal};
use crate::random::Random;

/// How long anything may take to come back, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who dies, by SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// The program. Its PostgreSQL then shuts down.
    Program,
    /// PostgreSQL's postmaster. Its sessions finish what they are at, and the program starts another one.
    Postmaster,
    /// One of the program's sessions. PostgreSQL then ends all others, and replays its log.
    Session,
    /// All processes of PostgreSQL.
    Database,
    /// All of those, and the program.
    Everybody,
    /// Nobody: the program is told to end, by SIGTERM.
    Nobody,
}

impl Kill {
    /// One after the other. Seven, so that each meets all six kinds of load.
    pub const TURNS: [Self; 7] =
        [Self::Program, Self::Postmaster, Self::Session, Self::Nobody, Self::Database, Self::Program, Self::Everybody];

    /// Tells whether the program lives on.
    pub fn spares_the_program(self) -> bool {
        matches!(self, Self::Postmaster | Self::Session | Self::Database)
    }
}

/// The program, its folder, and what is asked of it.
pub struct Victim {
    folder: Folder,
    program: Program,
    bearer: Bearer,
    pub clients: Clients,
    /// Past row security: for asserting.
    pub postgres: Client,
}

async fn connect(folder: &Folder) -> Option<Client> {
    let config = attach(&folder.0)?("postgres", "photometa");
    let (client, connection) = config.connect(NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

async fn clients(program: &Program, bearer: &Bearer) -> Clients {
    let channel = Channel::from_shared(format!("http://{}", program.address)).unwrap().connect().await.unwrap();
    let channel = InterceptedService::new(channel, bearer.clone());
    let detections = DetectionServiceClient::new(channel.clone());
    Clients { detections, photos: PhotoServiceClient::new(channel) }
}

impl Victim {
    /// Starts it over a folder of its own.
    pub async fn start() -> Self {
        let folder = Folder::new("victim");
        let program = serve(&folder.0);
        let output = run(&folder.0, &["token", "--role", "service", "--org", ORGANIZATION, "--ttl", "24h"]);
        let bearer = Bearer::new(&format!("Bearer {}", String::from_utf8(output.stdout).unwrap().trim()));
        let clients = clients(&program, &bearer).await;
        let postgres = connect(&folder).await.unwrap();
        // Before it replays its log, PostgreSQL syncs a thousand files, which takes seconds for one after the other.
        for change in ["alter system set recovery_init_sync_method = 'syncfs'", "select pg_reload_conf()"] {
            postgres.batch_execute(change).await.unwrap();
        }
        Self { folder, program, bearer, clients, postgres }
    }

    /// Kills, and answers when the program serves again, or has ended.
    pub async fn kill(&mut self, kill: Kill, random: &mut Random) {
        let all = self.processes(kill == Kill::Session).await;
        match kill {
            Kill::Program => self.program.child.kill().unwrap(),
            Kill::Postmaster => signal("-KILL", &[self.postmaster()]),
            Kill::Session => signal("-KILL", &[random.pick(&all)]),
            Kill::Database => signal("-KILL", &all),
            Kill::Everybody => {
                signal("-KILL", &all);
                self.program.child.kill().unwrap();
            }
            Kill::Nobody => signal("-TERM", &[self.program.child.id()]),
        }
        if kill.spares_the_program() {
            self.serves_again().await;
        }
    }

    /// Starts again a program that has ended.
    pub async fn restart(&mut self, kill: Kill) {
        let ended = self.program.child.wait().unwrap();
        assert_eq!(ended.success(), kill == Kill::Nobody, "{kill:?}: {ended}");
        self.program = serve(&self.folder.0);
        self.clients = clients(&self.program, &self.bearer).await;
        self.postgres = connect(&self.folder).await.unwrap();
    }

    fn postmaster(&self) -> u32 {
        let file = fs::read_to_string(self.folder.0.join("postgres/postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    /// The processes of PostgreSQL, the first one first. Or those of the program's sessions, and of these the ones at
    /// work if there are any.
    async fn processes(&self, sessions: bool) -> Vec<u32> {
        let query = "select pid, coalesce(application_name = 'photometa', false), coalesce(state = 'active', false)
                     from pg_stat_activity where pid <> pg_backend_pid()";
        let rows = self.postgres.query(query, &[]).await.unwrap();
        let pid = |row: &Row| row.try_get::<_, i32>(0).unwrap().unsigned_abs();
        let all = rows.iter().map(|row| (pid(row), row.try_get(1).unwrap(), row.try_get(2).unwrap()));
        let all: Vec<(u32, bool, bool)> = all.collect();
        if !sessions {
            return std::iter::once(self.postmaster()).chain(all.into_iter().map(|(pid, ..)| pid)).collect();
        }
        let working = all.iter().any(|(_, ours, active)| *ours && *active);
        all.into_iter().filter(|(_, ours, active)| *ours && (*active || !working)).map(|(pid, ..)| pid).collect()
    }

    async fn serves_again(&mut self) {
        let started = Instant::now();
        let wait = async |what: &str| {
            assert!(started.elapsed() < PATIENCE, "{what} after a minute");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        while !self.postgres.is_closed() {
            wait("the session of the test lives").await;
        }
        self.postgres = loop {
            match connect(&self.folder).await {
                Some(postgres) => break postgres,
                None => wait("PostgreSQL is away").await,
            }
        };
        while let Err(status) = self.clients.photos.list_photos(pb::ListPhotosRequest::default()).await {
            assert_to_be_retried(&status);
            wait("the program does not serve").await;
        }
    }

    /// What PostgreSQL says of a setting to a session of the service's login.
    pub async fn setting(&self, name: &str) -> String {
        let config = attach(&self.folder.0).unwrap()("photometa_app", "photometa");
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query_one("select current_setting($1)", &[&name]).await.unwrap().try_get(0).unwrap()
    }
}
