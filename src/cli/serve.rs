//! `photometa serve`: the database (its own, unless one is configured), the schema, the server, and what a
//! newcomer can paste.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_postgres::Client;

use super::client::inside;
use super::database::{Reached, embedded, standby};
use super::seed::Tenant;
use super::{Failure, secret, seed, token};
use crate::auth::Role;
use crate::auth::token::SigningKey;
use crate::config::{ClientAuth, Credentials, Database, Listen, Secret, ServerTls};
use crate::db::embedded::Embedded;
use crate::db::hypertable::{self, Layout};
use crate::db::login;
use crate::db::migrate::{self, MigrateError, Migrator};
use crate::db::{Db, SessionError, Standby, Target, causes, session};
use crate::server::{self, ConnectionLimits, Connections, Parts, Tls};

/// How often to see whether the private PostgreSQL is there.
const WATCH: Duration = Duration::from_millis(200);
/// How long a database that does not answer yet is waited for, and how often it is tried.
const START_PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(500);
/// How long the development credential that is printed is valid.
const DEVELOPMENT_TTL: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn run(database: Database, credentials: Credentials, listen: Listen) -> Result<(), Failure> {
    let mut signals =
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    let (asked, stop) = oneshot::channel();
    let (insisted, at_once) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        let _ = asked.send(());
        signals.next().await;
        let _ = insisted.send(());
    });
    tokio::select! {
        biased;
        // Whatever runs is dropped: calls are cut off, and a private PostgreSQL is stopped.
        Ok(()) = at_once => Err("ended at once by a second signal, without the calls that were running".into()),
        ended = until(stop, database, credentials, listen) => ended,
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
) -> Result<(), Failure> {
    let stop = async move {
        let _ = stop.await;
    };
    // First of all: a taken port is told before a database is started.
    let listener = TcpListener::bind(listen.listen).await.map_err(|error| {
        format!("cannot listen on {}: {error}; choose another with PHOTOMETA_LISTEN", listen.listen)
    })?;
    let address = listener.local_addr()?;
    let tls = Tls::of(&listen.tls)?;
    let (door, own) = mpsc::channel(1);
    let connections = Connections { limits: ConnectionLimits::from(&listen.connections), tls, own: Some(own) };
    // What another run left there would send people to it before this one is ready.
    drop(listen.address_file.as_deref().map(Announced));

    let standby = standby(&database)?;
    let (reached, (jwt_secret, development)) = match Reached::configured(&database)? {
        Some(reached) if database.database_url.is_some() => {
            secret::require_a_key(&credentials)?;
            (reached, (credentials.jwt_secret.clone(), false))
        }
        Some(_) => {
            return Err("PHOTOMETA_MIGRATION_URL is set, and PHOTOMETA_DATABASE_URL is not: set it to the login role's connection, \
                        or unset both for a private PostgreSQL"
                .into());
        }
        None => {
            let reached = Reached::private(embedded(&database).await?);
            let (secret, development) = secret::find_or_make(&database, &credentials)?;
            (reached, (Some(secret), development))
        }
    };
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
    let parts = Parts {
        db: db.map_err(|_| "the pool cannot be made")?,
        pages: secret::pages(&credentials, jwt_secret.as_ref())?,
        verifier,
        request_timeout: listen.request_timeout,
        drain_timeout: listen.drain_timeout,
        limits: listen.limits,
        connections,
        schema_version: migrate::newest(),
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
        welcome((address, &listen.tls), tenant, jwt_secret, &credentials, &database, development)?;
    }
    let _announced = listen.address_file.as_deref().map(Announced);
    if let Some(file) = &listen.address_file {
        // By rename, so that nobody reads half an address.
        let partial = file.with_extension("partial");
        std::fs::write(&partial, address.to_string())
            .and_then(|()| std::fs::rename(&partial, file))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    match running {
        Some(running) => supervise(running, &database, served).await,
        None => Ok(served.await??),
    }
}

/// A file with our address, which goes when we do.
struct Announced<'a>(&'a Path);

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
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
            .map_err(|error| format!("the database cannot be reached: {error}"))?;
        guard(&client, database).await?;
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
    loop {
        match session(target, "photometa start").await {
            Err(error) if error.passes() && started.elapsed() < START_PATIENCE => {
                tracing::warn!(%error, "the database cannot be reached; it is tried again");
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

/// Prints how to try what there is.
fn welcome(
    (address, tls): (SocketAddr, &ServerTls),
    tenant: Tenant,
    jwt_secret: &Secret,
    credentials: &Credentials,
    database: &Database,
    development: bool,
) -> Result<(), Failure> {
    let who = (Role::OrgAdmin, Some(tenant.organization), tenant.user);
    let key = SigningKey::hs256(jwt_secret.reveal().as_bytes());
    let token = token::sign(&key, credentials, who, DEVELOPMENT_TTL)?;
    let photo = format!(
        r#"{{"photo":{{"projectId":"{}","s3Key":"site/roof-1.jpg","s3Url":"https://example.com/site/roof-1.jpg","width":4032,"height":3024}}}}"#,
        tenant.project
    );
    let version = env!("CARGO_PKG_VERSION");
    let folder = database.data_dir();
    let signed = if development { "a development secret signs its credentials; this one" } else { "this credential" };
    let with_token = "-H \"authorization: Bearer $PHOTOMETA_TOKEN\"";
    let (scheme, grpcurl, buf) = match &tls.tls_cert {
        None => {
            ("http", "grpcurl -plaintext".to_owned(), "buf curl --protocol grpc --http2-prior-knowledge".to_owned())
        }
        // Which authority's it is, only the operator knows.
        Some(_) if tls.tls_client_ca.is_some() && tls.tls_client_auth != Some(ClientAuth::Optional) => (
            "https",
            "grpcurl -cacert ca.pem -cert client.pem -key client.key".to_owned(),
            "buf curl --protocol grpc --cacert ca.pem --cert client.pem --key client.key".to_owned(),
        ),
        Some(_) => {
            ("https", "grpcurl -cacert ca.pem".to_owned(), "buf curl --protocol grpc --cacert ca.pem".to_owned())
        }
    };
    let text = format!(
        "photometa {version} serves on {address}
its own PostgreSQL, for development, keeps its data in {folder}
{signed} is an administrator's, for 24 hours:

  export PHOTOMETA_TOKEN={token}

with grpcurl:
  {grpcurl} {address} list
  {grpcurl} {with_token} -d '{photo}' {address} photometa.v1.PhotoService/CreatePhoto
  {grpcurl} {with_token} {address} photometa.v1.PhotoService/ListPhotos
with buf:
  {buf} --list-methods {scheme}://{address}
  {buf} {with_token} -d '{photo}' {scheme}://{address}/photometa.v1.PhotoService/CreatePhoto
  {buf} {with_token} -d '{{}}' {scheme}://{address}/photometa.v1.PhotoService/ListPhotos
",
        folder = folder.display()
    );
    // Whoever does not listen need not be told.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
