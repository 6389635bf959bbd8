//! How does the schema come to a version, and back? Roles and schema from one idempotent script, then refinery's
//! migrations, under a lock that is polled. (With a blocking lock, a waiting replica and CREATE INDEX CONCURRENTLY
//! deadlock.)

mod error;
mod history;
mod locks;
mod observer;
mod plan;
mod statement;
mod version;

use std::ops::Deref;
use std::time::{Duration, Instant};

use refinery::{Migration, Runner, Target};
use tokio_postgres::{Client, GenericClient};

pub use self::error::MigrateError;
pub use self::history::Applied;
pub use self::locks::{Lock, Work};
pub use self::observer::Observer;
pub use self::plan::{Planned, PlannedStatement, Touched};
pub use self::statement::split;
pub use self::version::{VERSIONS, Version, newest};

use self::error::{is_lock_timeout, is_passing, partly};
use super::hypertable::{self, Layout};

/// Roles and schema; see the file.
const ROLES: &str = include_str!("../../deploy/postgres/roles.sql");

/// How long to wait for another replica that migrates.
const LOCK_WAIT: Duration = Duration::from_secs(300);
const LOCK_POLL: Duration = Duration::from_millis(250);
/// The version that makes detections, and the one without which a hypertable's chunks are open.
const DETECTIONS: u32 = 3;
const EVENT_COLUMNS: u32 = 7;
/// How often a migration that could not get a table's lock is tried.
const LOCK_TIMEOUT_ATTEMPTS: u32 = 10;

/// A session of the migrating role, holding the lock; what an [`Observer`] sees, it sees too. Its end releases the
/// lock.
#[derive(Debug)]
pub struct Migrator {
    observer: Observer,
}

impl Migrator {
    /// Connects, waits for the lock, and makes roles and schema where the role may.
    ///
    /// # Errors
    /// [`MigrateError`]; [`MigrateError::NotOwner`] when everything is there but the role may not migrate.
    pub async fn connect(target: impl Into<super::Target>) -> Result<Self, MigrateError> {
        Self::with_versions(target, VERSIONS).await
    }

    /// As [`Migrator::connect`], for other versions than this program's own: what tests of migrations need.
    ///
    /// # Errors
    /// [`MigrateError`].
    pub async fn with_versions(
        target: impl Into<super::Target>,
        versions: &'static [Version],
    ) -> Result<Self, MigrateError> {
        let client = super::session(target, "photometa migrate").await?;
        client.batch_execute("set lock_timeout = '1s'").await?;
        lock(&client).await?;
        for attempt in 1.. {
            match prepare_roles(&client).await {
                Err(MigrateError::Database(error)) if attempt < LOCK_TIMEOUT_ATTEMPTS && is_passing(&error) => {
                    tracing::info!("the roles are in use; they are looked after again");
                    tokio::time::sleep(LOCK_POLL).await;
                }
                outcome => {
                    outcome?;
                    break;
                }
            }
        }
        // row_security off: a statement that row security would silently narrow fails loudly instead.
        client
            .batch_execute("set role photometa_owner; set search_path = companycam_photos; set row_security = off")
            .await?;
        Ok(Self { observer: Observer::over(client, versions) })
    }

    /// Applies every missing version, and answers their names.
    ///
    /// # Errors
    /// [`MigrateError`]; versions before the one that failed stay applied.
    pub async fn up(&mut self) -> Result<Vec<String>, MigrateError> {
        self.up_to(self.known()).await
    }

    /// Applies the missing versions up to `target`, and answers their names.
    ///
    /// # Errors
    /// As [`Migrator::up`].
    pub async fn up_to(&mut self, target: u32) -> Result<Vec<String>, MigrateError> {
        if target > self.known() {
            return Err(MigrateError::UnknownVersion { asked: target, newest: self.known() });
        }
        let current = self.checked().await?;
        if target <= current {
            return Ok(Vec::new());
        }
        let migrations = migrations(self.observer.versions)?;
        let runner = Runner::new(&migrations).set_target(Target::Version(i32::try_from(target).unwrap_or(i32::MAX)));
        let mut applied = Vec::new();
        for attempt in 1.. {
            let error = match runner.run_async(&mut self.observer.client).await {
                Ok(report) => {
                    applied.extend(self.names(report.applied_migrations()));
                    break;
                }
                Err(error) => error,
            };
            applied.extend(error.report().into_iter().flat_map(|report| self.names(report.applied_migrations())));
            if !is_lock_timeout(&error) {
                return Err(partly("applied", applied, MigrateError::Migration(error)));
            }
            let name = self.observer.versions[self.current().await?.unwrap_or(0) as usize].name;
            if attempt == LOCK_TIMEOUT_ATTEMPTS {
                let cause = MigrateError::InUse { name: name.to_owned(), attempts: attempt };
                return Err(partly("applied", applied, cause));
            }
            tracing::info!(name, attempt, "a table is in use; the migration is tried again");
            tokio::time::sleep(LOCK_POLL).await;
        }
        Ok(applied)
    }

    /// Undoes every version above `target`, newest first, and answers their names.
    ///
    /// # Errors
    /// [`MigrateError`]; versions undone before the one that failed stay undone.
    pub async fn down(&mut self, target: u32) -> Result<Vec<String>, MigrateError> {
        if target > self.known() {
            return Err(MigrateError::UnknownVersion { asked: target, newest: self.known() });
        }
        let current = self.checked().await?;
        // Detections are gone with version 3, and the hypertable with them.
        if (DETECTIONS..EVENT_COLUMNS).contains(&target) && hypertable::layout(self.client()).await? != Layout::Plain {
            return Err(MigrateError::HypertableNeeds { asked: target });
        }
        if target > current {
            return Err(MigrateError::NotReached { asked: target, database: current });
        }
        let mut undone = Vec::new();
        for number in (target + 1..=current).rev() {
            let version = self.observer.versions[number as usize - 1];
            if let Err(cause) = self.undo(number, version).await {
                return Err(partly("undone", undone, cause));
            }
            undone.push(version.name.to_owned());
        }
        Ok(undone)
    }

    async fn undo(&mut self, number: u32, version: Version) -> Result<(), MigrateError> {
        for attempt in 1.. {
            let Err(cause) = self.try_undo(number, version).await else { break };
            if !is_lock_timeout(&cause) {
                return Err(MigrateError::Undo { name: version.name, cause });
            }
            if attempt == LOCK_TIMEOUT_ATTEMPTS {
                return Err(MigrateError::InUse { name: version.name.to_owned(), attempts: attempt });
            }
            tracing::info!(version.name, attempt, "a table is in use; undoing is tried again");
            tokio::time::sleep(LOCK_POLL).await;
        }
        Ok(())
    }

    async fn try_undo(&mut self, number: u32, version: Version) -> Result<(), tokio_postgres::Error> {
        let transaction = self.observer.client.transaction().await?;
        transaction.batch_execute(version.down).await?;
        history::remove(&transaction, number).await?;
        transaction.commit().await
    }

    fn names(&self, applied: &[Migration]) -> Vec<String> {
        let name = |migration: &Migration| {
            let position = usize::try_from(migration.version()).ok()?.checked_sub(1)?;
            self.observer.versions.get(position).map(|version| version.name.to_owned())
        };
        applied.iter().filter_map(name).collect()
    }
}

impl Deref for Migrator {
    type Target = Observer;

    fn deref(&self) -> &Observer {
        &self.observer
    }
}

/// Answers the version a database is at, once its history agrees with the files of this program. Needs nothing but
/// reading refinery's table.
///
/// # Errors
/// [`MigrateError::Ahead`], [`MigrateError::Edited`], [`MigrateError::Database`].
pub async fn standing(client: &impl GenericClient) -> Result<u32, MigrateError> {
    checked(client, VERSIONS).await
}

async fn checked(client: &impl GenericClient, versions: &'static [Version]) -> Result<u32, MigrateError> {
    let applied = history::read(client).await?;
    history::check(&applied, versions, &migrations(versions)?)?;
    Ok(applied.last().map_or(0, |applied| applied.number))
}

fn migrations(versions: &[Version]) -> Result<Vec<Migration>, MigrateError> {
    let migration = |version: &Version| Migration::unapplied(version.name, version.up).map_err(MigrateError::Migration);
    versions.iter().map(migration).collect()
}

/// Polls the advisory lock that migrations of one database share. The session's end releases it.
async fn lock(client: &Client) -> Result<(), MigrateError> {
    let started = Instant::now();
    let mut told = false;
    loop {
        let taken: bool =
            client.query_one_scalar("select pg_try_advisory_lock(hashtext('photometa migrate'))", &[]).await?;
        if taken {
            return Ok(());
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!("another process migrates this database; waiting for it");
        }
        if started.elapsed() > LOCK_WAIT {
            return Err(MigrateError::Locked { seconds: LOCK_WAIT.as_secs() });
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

async fn prepare_roles(client: &Client) -> Result<(), MigrateError> {
    let may: bool = client
        .query_one_scalar("select rolsuper or rolcreaterole from pg_roles where rolname = current_user", &[])
        .await?;
    if may {
        client.batch_execute(ROLES).await?;
        return Ok(());
    }
    let row = client
        .query_one(
            "select current_user::text as role, to_regnamespace('companycam_photos') is not null as prepared,
                    coalesce((select pg_has_role(current_user, oid, 'member') from pg_roles where rolname = 'photometa_owner'), false) as member",
            &[],
        )
        .await?;
    match (row.try_get("prepared")?, row.try_get("member")?) {
        (false, _) => Err(MigrateError::RolesMissing(row.try_get("role")?)),
        (true, false) => Err(MigrateError::NotOwner(row.try_get("role")?)),
        (true, true) => Ok(()),
    }
}
