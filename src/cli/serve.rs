//! `photometa serve`: the database (its own, unless one is configured), the schema, the server, and what a
//! newcomer can paste.

mod address;
mod welcome;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use self::address::AddressFile;
use super::client::inside;
use super::database::{Reached, embedded, standby};
use super::{Failure, Misuse, secret, seed};
use crate::config::{self, Admin, Credentials, Database, Listen};
use crate::db::doctor::{self, Finding, State};
use crate::db::embedded::Embedded;
use crate::db::hypertable::{self, Layout};
use crate::db::login;
use crate::db::migrate::{self, MigrateError, Migrator};
use crate::db::{Db, SEE_TO_IT, SessionError, Standby, Target, causes, session};
use crate::detection::Backlogs;
use crate::server::{self, Condition, ConnectionLimits, Connections, Parts, Tls, admin};
use crate::telemetry::Scrape;

/// How often to see whether the private PostgreSQL is there.
const WATCH: Duration = Duration::from_millis(200);
/// How long a database that does not answer yet is waited for, and how often it is tried.
const START_PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(500);
/// How often that is told meanwhile.
const SAY_AGAIN: Duration = Duration::from_secs(10);
/// A second signal that comes sooner is the first one's: `timeout` and shells signal a process and its whole group.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

pub(super) async fn run(
    database: Database,
    credentials: Credentials,
    listen: Listen,
    scrape: Scrape,
) -> Result<(), Failure> {
    let contradictions = config::contradictions(&database, &credentials, &listen);
    if !contradictions.is_empty() {
        return Err(Misuse(contradictions.join("\n")).into());
    }
    let mut signals =
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    let (asked, stop) = oneshot::channel();
    let (insisted, at_once) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        let (_, first) = (asked.send(()), Instant::now());
        signals.next().await;
        while first.elapsed() < SAME_SIGNAL {
            signals.next().await;
        }
        let _ = insisted.send(());
    });
    tokio::select! {
        biased;
        // Whatever runs is dropped: calls are cut off, and a private PostgreSQL is stopped.
        Ok(()) = at_once => Err("ended at once by a second signal, without the calls that were running".into()),
        ended = until(stop, database, credentials, listen, scrape) => ended.inspect(|()| tracing::info!("ended")),
    }
}

/// The signals that ask for an end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until it is asked to stop.
async fn until(
    stop: oneshot::Receiver<()>,
    database: Database,
    credentials: Credentials,
    listen: Listen,
    scrape: Scrape,
) -> Result<(), Failure> {
    let stop = async move {
        let _ = stop.await;
    };
    let address_file = AddressFile::of(listen.address_file.as_deref(), "PHOTOMETA_ADDRESS_FILE")?;
    let admin_file = AddressFile::of(listen.admin.admin_address_file.as_deref(), "PHOTOMETA_ADMIN_ADDRESS_FILE")?;
    // First of all: a taken port is told before a database is started.
    let listener = TcpListener::bind(listen.listen).await.map_err(|error| {
        format!("cannot listen on {}: {error}; choose another with PHOTOMETA_LISTEN", listen.listen)
    })?;
    let address = listener.local_addr()?;
    let (condition, mut admin) = (Condition::default(), JoinSet::new());
    let backlogs = Some(listen.admin.backlog_interval).filter(|pause| scrape.are_taken() && !pause.is_zero());
    let admin_address = open_admin(&listen.admin, &condition, scrape, &mut admin).await?;
    let tls = Tls::of(&listen.tls)?;
    let (door, own) = mpsc::channel(1);
    let connections = Connections { limits: ConnectionLimits::from(&listen.connections), tls, own: Some(own) };

    let standby = standby(&database)?;
    let (reached, jwt_secret, development) = if let Some(reached) = Reached::configured(&database)? {
        (reached, credentials.jwt_secret.clone(), false)
    } else {
        let reached = Reached::private(embedded(&database).await?);
        let (secret, development) = secret::find_or_make(&database, &credentials)?;
        (reached, Some(secret), development)
    };
    // Not before the data folder is ours: another server may run over it, and be found there.
    address_file.iter().for_each(AddressFile::clear);
    let admin_announced = admin_file.zip(admin_address).map(|(file, address)| file.announce(address));
    let _admin_announced = admin_announced.transpose()?;
    let mut stop = Box::pin(stop);
    let verifier = tokio::select! {
        prepared = async {
            let verifier = secret::verifier(&credentials, jwt_secret.as_ref()).await?;
            look_at(standby.as_ref(), &database).await?;
            prepare(&reached, &database).await?;
            Ok::<_, Failure>(verifier)
        } => prepared?,
        // Another replica may migrate for minutes; nothing was begun here that an end would leave half-done.
        () = &mut stop => return reached.leave().await,
    };
    let Reached { app, running, .. } = reached;

    let db = Db::new(app, database.pool()).and_then(|db| match standby {
        Some(standby) => db.reading_from(standby),
        None => Ok(db),
    });
    let db = db.map_err(|_| "the pool cannot be made")?;
    if let Some(pause) = backlogs {
        admin.spawn(Backlogs::observed().watch(db.clone(), pause));
    }
    let parts = Parts {
        db,
        pages: secret::pages(&credentials, jwt_secret.as_ref())?,
        verifier,
        request_timeout: listen.request_timeout,
        drain_timeout: listen.drain_timeout,
        limits: listen.limits,
        connections,
        web: listen.web,
        schema_version: migrate::newest(),
        condition,
        ready: watch::Sender::new(false),
    };
    let mut ready = parts.ready.subscribe();
    let mut served = tokio::spawn(server::serve(parts, listener, stop));
    tokio::select! {
        ended = &mut served => return Ok(ended??),
        _ = ready.wait_for(|ready| *ready) => {}
    }
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    if let (Some(_), Some(jwt_secret)) = (&running, &jwt_secret) {
        let tenant = seed::tenant(inside(door).await?, jwt_secret, &credentials).await?;
        welcome::print((address, &listen.tls), tenant, jwt_secret, &credentials, &database, development)?;
    }
    let _announced = address_file.map(|file| file.announce(address)).transpose()?;
    match running {
        Some(running) => supervise(running, &database, served).await,
        None => Ok(served.await??),
    }
}

/// Opens the admin port, if there is to be one, and answers where: it answers from now on, until `tasks` are dropped.
async fn open_admin(
    settings: &Admin,
    condition: &Condition,
    scrape: Scrape,
    tasks: &mut JoinSet<()>,
) -> Result<Option<SocketAddr>, Failure> {
    let Some(asked) = settings.admin_listen else { return Ok(None) };
    let listener = TcpListener::bind(asked)
        .await
        .map_err(|error| format!("cannot listen on {asked}: {error}; choose another with PHOTOMETA_ADMIN_LISTEN"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "the admin port is open");
    tasks.spawn(admin::serve(listener, condition.clone(), scrape));
    Ok(Some(address))
}

/// Brings the schema up, where this process may, and looks whether row security is going to bind the service.
async fn prepare(reached: &Reached, database: &Database) -> Result<(), Failure> {
    if let Some(host) = reached.app.unverified() {
        tracing::warn!(
            host,
            "the connection to PostgreSQL does not verify who answers there: whoever is in between could read and change everything; \
             add sslmode=verify-full, and sslrootcert=FILE for an authority of your own"
        );
    }
    // Before anything is made: later, the login may be there for the first time.
    let early = answering(&reached.app).await.ok();
    if let Some(client) = &early {
        guard(client, database).await?;
        fit(client, &reached.app, database).await?;
    }
    match Migrator::connect(&reached.owner).await {
        Ok(mut migrator) => match migrator.up().await {
            Ok(applied) => {
                for name in applied {
                    tracing::info!(name, "applied migration");
                }
                for name in migrator.invalid_indexes().await? {
                    tracing::warn!(name, "the index is invalid: it costs writes and serves no query; reindex it");
                }
            }
            // Not the end: the server waits, not ready, for a schema it knows.
            Err(error @ MigrateError::Ahead { .. }) => tracing::error!("{error}"),
            Err(error) => return Err(error.into()),
        },
        Err(MigrateError::NotOwner(login) | MigrateError::RolesMissing(login)) if database.migration_url.is_none() => {
            tracing::info!(login, "this login may not migrate: the schema is left to `photometa migrate up`");
        }
        Err(error) => return Err(error.into()),
    }
    let client = if let Some(client) = early {
        client
    } else {
        let client = session(&reached.app, "photometa start")
            .await
            .map_err(|error| format!("the database cannot be reached: {error}; {SEE_TO_IT}"))?;
        guard(&client, database).await?;
        fit(&client, &reached.app, database).await?;
        client
    };
    match hypertable::layout(&client).await.map_err(|error| explained(&error))? {
        layout @ Layout::Unloaded => return Err(layout.to_string().into()),
        layout => tracing::info!("{layout}"),
    }
    match hypertable::openings(&client).await.map_err(|error| explained(&error))?.first() {
        Some(opening) => {
            Err(format!("{opening}; run `photometa migrate hypertable` as a superuser, which closes it").into())
        }
        None => Ok(()),
    }
}

/// A session, as soon as there is a database: it may be about to start, as one does that is started together with the
/// service.
async fn answering(target: &Target) -> Result<Client, SessionError> {
    let started = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        match session(target, "photometa start").await {
            Err(error) if error.passes() && started.elapsed() < START_PATIENCE => {
                if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                    tracing::warn!(%error, "the database cannot be reached; it is tried again");
                    said = Some(Instant::now());
                }
                tokio::time::sleep(AGAIN).await;
            }
            outcome => return outcome,
        }
    }
}

/// Looks whether row security is going to bind the service on the standby. One that is away is looked at when it comes.
async fn look_at(standby: Option<&Standby>, database: &Database) -> Result<(), Failure> {
    let Some(standby) = standby else { return Ok(()) };
    match session(&standby.target, "photometa start").await {
        Ok(client) => guard(&client, database).await,
        Err(error) => {
            tracing::warn!(%error, "the replica cannot be reached");
            Ok(())
        }
    }
}

fn explained(error: &tokio_postgres::Error) -> String {
    format!("the database cannot be used: {}", causes(error))
}

/// Refuses a pool for which the database has no room, alone or together with the other replicas'.
async fn fit(client: &Client, login: &Target, database: &Database) -> Result<(), Failure> {
    for Finding { state, message, fix, .. } in
        doctor::room(client, login, database.deployment()).await.map_err(|error| explained(&error))?
    {
        let fix = fix.unwrap_or_default();
        match state {
            State::Failed => {
                return Err(format!("the database has no room for the connections: {message}; {fix}").into());
            }
            State::Warning => tracing::warn!(fix, "the database may have no room for the connections: {message}"),
            State::Ok | State::Skipped => tracing::debug!("{message}"),
        }
    }
    Ok(())
}

/// Refuses a login that row security does not bind.
async fn guard(client: &Client, database: &Database) -> Result<(), Failure> {
    let login = login::inspect(client).await.map_err(|error| explained(&error))?;
    if !login.dangers.is_empty() {
        let dangers = login.dangers.join("; ");
        if !database.allow_unsafe_role {
            return Err(format!(
                "row security does not bind the database role {}: {dangers}. {}. For development only, --allow-unsafe-role permits it",
                login.name,
                login.fix()
            )
            .into());
        }
        tracing::warn!(
            role = login.name,
            dangers,
            "row security does not bind this role, so that a mistake in a query shows one organization another's rows; never in production"
        );
    }
    Ok(())
}

/// Keeps the private PostgreSQL running until the server has ended: one that was killed is started again, and
/// replays its log. Calls meanwhile are UNAVAILABLE.
async fn supervise(
    running: Embedded,
    database: &Database,
    mut served: tokio::task::JoinHandle<std::io::Result<()>>,
) -> Result<(), Failure> {
    let mut running = Some(running);
    loop {
        tokio::select! {
            ended = &mut served => {
                ended??;
                break;
            }
            () = tokio::time::sleep(WATCH) => {}
        }
        if running.as_ref().is_some_and(Embedded::is_running) {
            continue;
        }
        // Dropped first: it holds the folder's lock.
        drop(running.take());
        tracing::warn!("the private PostgreSQL has ended; starting it again");
        match embedded(database).await {
            Ok(again) => running = Some(again),
            Err(error) => tracing::error!(%error, "the private PostgreSQL does not start"),
        }
    }
    if let Some(running) = running {
        running.stop().await?;
    }
    Ok(())
}
