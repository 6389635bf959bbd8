//! Which database does a command work on? The configured one, or the private PostgreSQL: started for the command, or,
//! when a server runs over it already, the running one.

use super::{Failure, Misuse};
use crate::config::{self, Database, Secret};
use crate::db::embedded::{Embedded, EmbeddedError, Options, attach};
use crate::db::{Standby, Target, TargetError};

/// The private PostgreSQL's database.
pub(super) const DATABASE: &str = "photometa";
/// The login role.
const LOGIN: &str = "photometa_app";
/// Who migrates the private PostgreSQL.
const OWNER: &str = "postgres";

/// A database that a command may use until it calls [`Reached::leave`].
pub(super) struct Reached {
    /// How the service logs in.
    pub(super) app: Target,
    /// How migrations log in.
    pub(super) owner: Target,
    /// The private PostgreSQL, if it was started for this.
    pub(super) running: Option<Embedded>,
}

impl Reached {
    /// Finds the database, and starts the private one where none is configured and none runs.
    pub(super) async fn find(database: &Database) -> Result<Self, Failure> {
        if let Some(reached) = Self::configured(database)? {
            return Ok(reached);
        }
        match embedded(database).await {
            Ok(running) => Ok(Self::private(running)),
            Err(EmbeddedError::AlreadyRunning { data_dir, pid }) => match attach(&database.data_dir()) {
                Some(config) => Ok(Self {
                    app: config(LOGIN, DATABASE).into(),
                    owner: config(OWNER, DATABASE).into(),
                    running: None,
                }),
                None => Err(EmbeddedError::AlreadyRunning { data_dir, pid }.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that there is a database to look at: looking should not make one.
    pub(super) fn expect(database: &Database) -> Result<(), Failure> {
        let folder = database.data_dir();
        let configured = database.database_url.is_some() || database.migration_url.is_some();
        if configured || folder.join("postgres").is_dir() {
            return Ok(());
        }
        Err(format!(
            "there is no database in {} yet: `photometa serve` makes one, or set PHOTOMETA_DATABASE_URL or PHOTOMETA_DATA_DIR",
            folder.display()
        )
        .into())
    }

    /// The database that URLs name, if any does.
    pub(super) fn configured(database: &Database) -> Result<Option<Self>, Failure> {
        let app = database.database_url.as_ref().map(|url| parse("PHOTOMETA_DATABASE_URL", url)).transpose()?;
        let owner = database.migration_url.as_ref().map(|url| parse("PHOTOMETA_MIGRATION_URL", url)).transpose()?;
        let Some(first) = app.clone().or_else(|| owner.clone()) else { return Ok(None) };
        Ok(Some(Self { app: app.unwrap_or_else(|| first.clone()), owner: owner.unwrap_or(first), running: None }))
    }

    /// The private PostgreSQL.
    pub(super) fn private(running: Embedded) -> Self {
        let (app, owner) = (running.config(LOGIN, DATABASE).into(), running.config(OWNER, DATABASE).into());
        Self { app, owner, running: Some(running) }
    }

    /// Stops what was started.
    pub(super) async fn leave(self) -> Result<(), Failure> {
        if let Some(running) = self.running {
            running.stop().await?;
        }
        Ok(())
    }
}

fn parse(name: &str, url: &Secret) -> Result<Target, Failure> {
    config::target(name, url).map_err(unusable)
}

fn unusable(error: TargetError) -> Failure {
    match error {
        TargetError::Unreadable(problem) => Misuse(problem).into(),
        TargetError::Tls(error) => error.into(),
    }
}

/// The standby that answers reads, if there is one.
pub(super) fn standby(database: &Database) -> Result<Option<Standby>, Failure> {
    let Some(url) = &database.read_database_url else { return Ok(None) };
    let target = config::standby(url).map_err(unusable)?;
    if database.database_url.is_none() {
        return Err("PHOTOMETA_READ_DATABASE_URL is set, and PHOTOMETA_DATABASE_URL is not: set that to the primary's connection, \
                    or unset both for a private PostgreSQL"
            .into());
    }
    Ok(Some(Standby { target, max_lag: database.read_max_lag, allow_unsafe_role: database.allow_unsafe_role }))
}

/// Starts the private PostgreSQL with its database.
pub(super) async fn embedded(database: &Database) -> Result<Embedded, EmbeddedError> {
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
