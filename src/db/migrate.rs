//! The versioned schema: roles and schema from one idempotent script, then refinery's migrations, under a lock
//! that is polled. (With a blocking lock, a waiting replica and CREATE INDEX CONCURRENTLY deadlock.)

use std::time::Duration;

use refinery::{Migration, Runner};
use tokio_postgres::{Client, Config, NoTls};

/// Roles and schema; see the file.
const ROLES: &str = include_str!("../../deploy/postgres/roles.sql");

/// One version of the schema.
#[derive(Debug)]
pub struct Version {
    /// `V0001__tenancy`.
    pub name: &'static str,
    /// What it does.
    pub up: &'static str,
    /// What undoes it.
    pub down: &'static str,
}

macro_rules! versions {
    ($($number:literal $title:literal),+ $(,)?) => {
        &[$(Version {
            name: concat!("V", $number, "__", $title),
            up: include_str!(concat!("../../migrations/V", $number, "__", $title, ".sql")),
            down: include_str!(concat!("../../migrations/undo/U", $number, "__", $title, ".sql")),
        }),+]
    };
}

/// Every version, oldest first.
pub const VERSIONS: &[Version] = versions![
    "0001" "tenancy",
    "0002" "photos",
    "0003" "detections",
    "0004" "tags",
    "0005" "feedback",
    "0006" "least_privilege",
    "0007" "json_checks",
];

/// How long to wait for another replica that migrates.
const LOCK_WAIT: Duration = Duration::from_secs(300);
const LOCK_POLL: Duration = Duration::from_millis(250);
/// How often a migration that could not get a table's lock is tried.
const LOCK_TIMEOUT_ATTEMPTS: u32 = 10;

/// Why the schema could not be brought to a version.
#[derive(Debug)]
pub enum MigrateError {
    /// The database cannot be reached, or refused a statement.
    Database(tokio_postgres::Error),
    /// A migration failed or was edited after it was applied.
    Migration(refinery::Error),
    /// Roles or schema are missing, and the migrating role may not make them.
    RolesMissing(String),
    /// Another migration has held the lock for five minutes.
    Locked,
    /// The database has a version that this program does not know.
    Ahead(u32),
    /// There is no such version.
    UnknownVersion(u32),
}

impl std::fmt::Display for MigrateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database(error) => match error.as_db_error() {
                Some(said) => write!(f, "the database refused a migration statement: {}", said.message()),
                None => write!(f, "the database cannot be reached: {}", causes(error)),
            },
            Self::Migration(error) => write!(f, "a migration failed: {}", causes(error)),
            Self::RolesMissing(role) => write!(
                f,
                "the role {role} may not create roles, and they are missing; have an administrator run deploy/postgres/roles.sql in this database, then grant photometa_owner to {role}"
            ),
            Self::Locked => write!(
                f,
                "another migration has held the lock for {} s; see pg_locks for advisory locks",
                LOCK_WAIT.as_secs()
            ),
            Self::Ahead(version) => write!(
                f,
                "the database is at version {version}, which this program does not know; run a newer photometa"
            ),
            Self::UnknownVersion(version) => {
                write!(f, "there is no version {version}; the newest is {}", VERSIONS.len())
            }
        }
    }
}

impl std::error::Error for MigrateError {}

fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

/// A session of the migrating role, holding the lock.
pub struct Migrator {
    client: Client,
}

impl std::fmt::Debug for Migrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Migrator")
    }
}

impl Migrator {
    /// Connects, waits for the lock, and makes roles and schema where the role may.
    ///
    /// # Errors
    /// [`MigrateError`].
    pub async fn connect(config: &Config) -> Result<Self, MigrateError> {
        let mut config = config.clone();
        config.application_name("photometa migrate").connect_timeout(Duration::from_secs(5));
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the migrating connection ended");
            }
        });
        lock(&client).await?;
        prepare_roles(&client).await?;
        // row_security off: a statement that row security would silently narrow fails loudly instead.
        client
            .batch_execute("set role photometa_owner; set search_path = companycam_photos; set row_security = off; set lock_timeout = '1s'")
            .await?;
        Ok(Self { client })
    }

    /// Applies every missing version, and answers their names.
    ///
    /// # Errors
    /// [`MigrateError`]; versions before the one that failed stay applied.
    pub async fn up(&mut self) -> Result<Vec<String>, MigrateError> {
        if let Some(version) =
            self.current().await?.filter(|version| usize::try_from(*version).unwrap_or(usize::MAX) > VERSIONS.len())
        {
            return Err(MigrateError::Ahead(version));
        }
        let migrations: Vec<Migration> = VERSIONS
            .iter()
            .map(|version| Migration::unapplied(version.name, version.up))
            .collect::<Result<_, _>>()
            .map_err(MigrateError::Migration)?;
        let mut attempt = 1;
        loop {
            match Runner::new(&migrations).run_async(&mut self.client).await {
                Ok(report) => return Ok(report.applied_migrations().iter().map(ToString::to_string).collect()),
                Err(error) if attempt < LOCK_TIMEOUT_ATTEMPTS && causes(&error).contains("lock timeout") => {
                    attempt += 1;
                    tracing::info!(attempt, "a table is in use; the migration is tried again");
                    tokio::time::sleep(LOCK_POLL).await;
                }
                Err(error) => return Err(MigrateError::Migration(error)),
            }
        }
    }

    /// Undoes every version above `target`, newest first, and answers their names.
    ///
    /// # Errors
    /// [`MigrateError`]; versions undone before the one that failed stay undone.
    pub async fn down(&mut self, target: u32) -> Result<Vec<String>, MigrateError> {
        let current = self.current().await?.unwrap_or(0);
        if usize::try_from(current).unwrap_or(usize::MAX) > VERSIONS.len() {
            return Err(MigrateError::Ahead(current));
        }
        if target > current {
            return Err(MigrateError::UnknownVersion(target));
        }
        let mut undone = Vec::new();
        for number in (target + 1..=current).rev() {
            let version = &VERSIONS[number as usize - 1];
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            let transaction = self.client.transaction().await?;
            transaction.batch_execute(version.down).await?;
            transaction
                .execute("delete from companycam_photos.refinery_schema_history where version = $1", &[&number])
                .await?;
            transaction.commit().await?;
            undone.push(version.name.to_owned());
        }
        Ok(undone)
    }

    /// Answers the newest applied version; `None` on an empty database.
    ///
    /// # Errors
    /// [`MigrateError::Database`].
    pub async fn current(&self) -> Result<Option<u32>, MigrateError> {
        let exists: bool = self
            .client
            .query_one_scalar("select to_regclass('companycam_photos.refinery_schema_history') is not null", &[])
            .await?;
        if !exists {
            return Ok(None);
        }
        let version: Option<i32> = self
            .client
            .query_one_scalar("select max(version)::int from companycam_photos.refinery_schema_history", &[])
            .await?;
        Ok(version.and_then(|version| u32::try_from(version).ok()))
    }
}

/// Polls the advisory lock that migrations of one database share. The session's end releases it.
async fn lock(client: &Client) -> Result<(), MigrateError> {
    let started = std::time::Instant::now();
    loop {
        let taken: bool =
            client.query_one_scalar("select pg_try_advisory_lock(hashtext('photometa migrate'))", &[]).await?;
        if taken {
            return Ok(());
        }
        if started.elapsed() > LOCK_WAIT {
            return Err(MigrateError::Locked);
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
            "select current_user::text as role,
                    exists (select from pg_namespace where nspname = 'companycam_photos')
                and coalesce(pg_has_role(current_user, (select oid from pg_roles where rolname = 'photometa_owner'), 'member'), false) as ready",
            &[],
        )
        .await?;
    if row.try_get("ready")? { Ok(()) } else { Err(MigrateError::RolesMissing(row.try_get("role")?)) }
}
