//! `photometa serve`: the database (its own, unless one is configured), the schema, the server, and what a
//! newcomer can paste.

use std::io::Write as _;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::Config;

use super::{Failure, migrate, secret, seed, token};
use crate::auth::Role;
use crate::auth::token::{MIN_SECRET_BYTES, Verifier};
use crate::config::{Credentials, Database, Listen, Secret};
use crate::db::Db;
use crate::db::embedded::{Embedded, Options};
use crate::db::migrate::Migrator;
use crate::page::Pages;
use crate::server::{self, Parts};

/// The private PostgreSQL's database.
pub(super) const DATABASE: &str = "photometa";
/// The login role.
const LOGIN: &str = "photometa_app";
/// How often to see whether the private PostgreSQL is there.
const WATCH: std::time::Duration = std::time::Duration::from_millis(200);
/// How long the development credential that is printed is valid.
const DEVELOPMENT_TTL: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

pub(super) async fn run(database: Database, credentials: Credentials, listen: Listen) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    // First of all: a taken port is told before a database is started.
    let listener = TcpListener::bind(listen.listen).await.map_err(|error| {
        format!("cannot listen on {}: {error}; choose another with PHOTOMETA_LISTEN", listen.listen)
    })?;
    let address = listener.local_addr()?;

    let (running, app, owner, (jwt_secret, development)) = if let Some(url) = &database.database_url {
        let app: Config = url.reveal().parse().map_err(|error| format!("the database URL cannot be read: {error}"))?;
        let owner = migrate::migration_config(&database)?.unwrap_or_else(|| app.clone());
        let jwt_secret = credentials.jwt_secret.clone().ok_or(
            "there is a database but no key to verify credentials with; set PHOTOMETA_JWT_SECRET (openssl rand -hex 32)",
        )?;
        (None, app, owner, (jwt_secret, false))
    } else {
        let running = embedded(&database).await?;
        let (app, owner) = (running.config(LOGIN, DATABASE), running.config("postgres", DATABASE));
        let secret = secret::find_or_make(&database, &credentials)?;
        (Some(running), app, owner, secret)
    };
    let mut migrator = Migrator::connect(&owner).await?;
    for name in migrator.up().await? {
        tracing::info!(name, "applied migration");
    }
    drop(migrator);

    let key = jwt_secret.reveal().as_bytes();
    if key.len() < MIN_SECRET_BYTES {
        tracing::warn!(
            bytes = key.len(),
            "PHOTOMETA_JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes: whoever guesses it may be anybody; make one with openssl rand -hex 32"
        );
    }
    let parts = Parts {
        db: Db::new(app, usize::from(database.pool_size), database.pool_wait).map_err(|_| "the pool cannot be made")?,
        pages: Pages::new(key),
        verifier: Verifier::hs256(key, &credentials.expectations()),
        request_timeout: listen.request_timeout,
        drain_timeout: listen.drain_timeout,
    };
    let served = tokio::spawn(server::serve(parts, listener, stop));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    if running.is_some() {
        welcome(address, &jwt_secret, &credentials, &database, development).await?;
    }
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

/// Starts the private PostgreSQL with its database.
pub(super) async fn embedded(database: &Database) -> Result<Embedded, Failure> {
    let options = Options {
        data_dir: database.data_dir(),
        durable: true,
        // The pool, the migrating session, and room for people.
        max_connections: u32::from(database.pool_size) + 20,
        pg_bin: database.pg_bin.clone(),
        path: database.path(),
    };
    let running = Embedded::start(options).await?;
    running.ensure_database(DATABASE).await?;
    Ok(running)
}

/// Makes sure that there is something to try, and prints how.
async fn welcome(
    address: SocketAddr,
    jwt_secret: &Secret,
    credentials: &Credentials,
    database: &Database,
    development: bool,
) -> Result<(), Failure> {
    let tenant = seed::tenant(&address.to_string(), jwt_secret, credentials).await?;
    let who = (Role::OrgAdmin, Some(tenant.organization), tenant.user);
    let token = token::sign(jwt_secret, credentials, who, DEVELOPMENT_TTL)?;
    let photo = format!(
        r#"{{"photo":{{"projectId":"{}","s3Key":"site/roof-1.jpg","s3Url":"https://example.com/site/roof-1.jpg","width":4032,"height":3024}}}}"#,
        tenant.project
    );
    let version = env!("CARGO_PKG_VERSION");
    let folder = database.data_dir();
    let signed = if development { "a development secret signs its credentials; this one" } else { "this credential" };
    let with_token = "-H \"authorization: Bearer $PHOTOMETA_TOKEN\"";
    let grpcurl = "grpcurl -plaintext";
    let buf = "buf curl --protocol grpc --http2-prior-knowledge";
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
  {buf} --list-methods http://{address}
  {buf} {with_token} -d '{photo}' http://{address}/photometa.v1.PhotoService/CreatePhoto
  {buf} {with_token} -d '{{}}' http://{address}/photometa.v1.PhotoService/ListPhotos
",
        folder = folder.display()
    );
    // Whoever does not listen need not be told.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
