//! Why could the schema not be brought to a version, and what can its operator do about it?

use std::fmt;

use tokio_postgres::error::SqlState;

use super::super::{SEE_TO_IT, SessionError, causes};

/// The schema could not be brought to a version. Each message says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database cannot be reached, or refused a statement.
    Database(tokio_postgres::Error),
    /// There is no session.
    Unreachable(SessionError),
    /// Some steps were done before one failed.
    Partly {
        /// `applied` or `undone`.
        what: &'static str,
        /// The names of what was done.
        done: Vec<String>,
        /// Why it ended.
        cause: Box<MigrateError>,
    },
    /// The history lacks a version before its newest.
    Gap(u32),
    /// The chunks of a hypertable would be open without a version.
    HypertableNeeds {
        /// The version asked for.
        asked: u32,
    },
    /// A migration failed.
    Migration(refinery::Error),
    /// A statement of a version failed while it was undone.
    Undo {
        /// The version.
        name: &'static str,
        /// Why.
        cause: tokio_postgres::Error,
    },
    /// Roles or schema are missing, and the migrating role may not make them.
    RolesMissing(String),
    /// Roles and schema are there, but the role is no member of photometa_owner.
    NotOwner(String),
    /// Another migration has held the lock all the while.
    Locked {
        /// For how long, in seconds.
        seconds: u64,
    },
    /// A table was in use at every attempt.
    InUse {
        /// The version that needs the table.
        name: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The database has a version that this program does not know.
    Ahead {
        /// The database's version.
        database: u32,
        /// The newest this program knows.
        program: u32,
    },
    /// An applied version differs from the file of that number.
    Edited {
        /// The file, as this program has it.
        name: &'static str,
        /// The name it was applied under.
        applied: String,
    },
    /// The database lacks versions, and what was asked for needs them.
    Behind {
        /// The database's version.
        database: u32,
        /// The newest this program knows.
        program: u32,
    },
    /// The server has no TimescaleDB.
    TimescaleMissing,
    /// The server has TimescaleDB and does not load it.
    TimescaleNotLoaded,
    /// There is no such version.
    UnknownVersion {
        /// The number asked for.
        asked: u32,
        /// The newest there is.
        newest: u32,
    },
    /// The database is older than what was asked for: `down` only goes back.
    NotReached {
        /// The number asked for.
        asked: u32,
        /// Where the database is.
        database: u32,
    },
}

impl fmt::Display for MigrateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => match error.as_db_error() {
                Some(said) => {
                    write!(f, "the database refused a migration statement: {}", said.message())?;
                    said.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
                }
                None => write!(f, "the database cannot be reached: {}", causes(error)),
            },
            Self::Unreachable(error) => write!(f, "the database cannot be reached: {error}; {SEE_TO_IT}"),
            Self::Partly { what, done, cause } => write!(f, "{cause}; before that, {} {what}", told(done)),
            Self::Gap(number) => write!(
                f,
                "the history of this database lacks version {number}, which lies before its newest: refinery_schema_history was changed by hand; restore its row"
            ),
            Self::HypertableNeeds { asked } => write!(
                f,
                "detection_events is a hypertable, whose chunks everybody could read without version 7: go back to {asked} only by way of 2, which undoes detections altogether, or not below 7"
            ),
            Self::Migration(error) => write!(f, "a migration failed, and nothing of it stays: {}", causes(error)),
            Self::Undo { name, cause } => {
                write!(f, "{name} cannot be undone, and nothing of it changed: {}", causes(cause))
            }
            Self::RolesMissing(role) => write!(
                f,
                "the role {role} may not create roles, and they or the schema are missing in this database; have an administrator run deploy/postgres/roles.sql in it, or set PHOTOMETA_MIGRATION_URL to a login that may (never the service's own: it must not own what it serves)"
            ),
            Self::NotOwner(role) => write!(
                f,
                "the role {role} may not act as photometa_owner; set PHOTOMETA_MIGRATION_URL to a login that was granted photometa_owner"
            ),
            Self::Locked { seconds } => write!(
                f,
                "another migration has held the lock for {seconds} s; find it with: select * from pg_stat_activity where application_name = 'photometa migrate'"
            ),
            Self::InUse { name, attempts } => write!(
                f,
                "{name} needs a table that others kept in use at {attempts} attempts of one second; try again when fewer transactions run, or end the long ones (pg_stat_activity, xact_start)"
            ),
            Self::Ahead { database, program } => write!(
                f,
                "the database is at version {database}, and this program knows {program}; run a newer photometa, or go back with the newer one's `photometa migrate down --to {program}`"
            ),
            Self::Edited { name, applied } => write!(
                f,
                "{name} is not what was applied to this database (as {applied}): applied files never change; restore the file, and put the change into a new version"
            ),
            Self::Behind { database, program } => {
                write!(f, "the database is at version {database} of {program}; run `photometa migrate up` first")
            }
            Self::TimescaleMissing => f.write_str(
                "TimescaleDB is not installed on this server; photometa works without it. To have it: install its package for \
                 this PostgreSQL, add timescaledb to shared_preload_libraries, and restart PostgreSQL",
            ),
            Self::TimescaleNotLoaded => f.write_str(
                "TimescaleDB is installed and not loaded: add timescaledb to shared_preload_libraries, and restart PostgreSQL",
            ),
            Self::UnknownVersion { asked, newest } => {
                write!(f, "there is no version {asked}; the newest is {newest}")
            }
            Self::NotReached { asked, database } => {
                write!(f, "the database is at version {database}, which is before {asked}; use `photometa migrate up`")
            }
        }
    }
}

impl std::error::Error for MigrateError {}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<SessionError> for MigrateError {
    fn from(error: SessionError) -> Self {
        Self::Unreachable(error)
    }
}

/// `V0001__tenancy was`, `V0001__tenancy, V0002__photos were`.
fn told(names: &[String]) -> String {
    match names {
        [only] => format!("{only} was"),
        many => format!("{} were", many.join(", ")),
    }
}

/// Tells whether a table's lock was not to be had in time.
pub(super) fn is_lock_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |cause| cause.source()).any(|cause| {
        let code = cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
        code == Some(&SqlState::LOCK_NOT_AVAILABLE)
    })
}

/// Tells whether roles and schema were in use by somebody else, who may be done soon.
pub(super) fn is_passing(error: &tokio_postgres::Error) -> bool {
    is_lock_timeout(error)
        || error.as_db_error().is_some_and(|said| {
            // Two sessions that grant at once: PostgreSQL has no better word for it.
            *said.code() == SqlState::INTERNAL_ERROR && said.message().contains("concurrently updated")
        })
}

/// An error that says what was done before it.
pub(super) fn partly(what: &'static str, done: Vec<String>, cause: MigrateError) -> MigrateError {
    if done.is_empty() { cause } else { MigrateError::Partly { what, done, cause: Box::new(cause) } }
}
