//! The only door to a connection. Everything a handler asks of the database runs in a transaction that has
//! taken the caller's PostgreSQL role and organization, so that row security binds every statement, and that
//! commits only when the handler's closure succeeds.

pub mod catalog;
pub mod describe;
pub mod doctor;
mod draft;
pub mod embedded;
mod flight;
pub mod hypertable;
mod lease;
pub mod login;
pub mod migrate;
mod pool;
mod replica;
mod share;
mod sql;
mod target;
mod tx;

use std::future::Future;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::auth::Caller;
use crate::error::{Error, Result, lost};
use crate::id::OrganizationId;
use crate::lsn::Lsn;

pub use draft::{Draft, Page, Slot, Source};
use lease::Lease;
use pool::Connections;
pub use pool::PoolSettings;
use replica::Replica;
pub use replica::Standby;
pub use sql::{Sql, Text};
pub use target::{Target, TargetError};
use tx::Length;
pub use tx::{Params, Tx};

/// How often a transaction is run when PostgreSQL asks for it (deadlock, serialization failure), or when the
/// connection was lost and nothing can have been written.
const ATTEMPTS: u32 = 3;
/// How long to wait after a connection was lost, before the second attempt and, four times as long, the third one: a
/// server that was told to restart is back by then.
const LOST_PAUSE: Duration = Duration::from_millis(50);
/// How long a read waits for a connection to the standby before it asks the primary.
const SPILL: Duration = Duration::from_millis(100);
/// How often to look whether all connections are at rest.
const REST_STEP: Duration = Duration::from_millis(5);
/// How long a session may take to be opened, over all hosts of its URL.
const SESSION_TIMEOUT: Duration = Duration::from_secs(15);

/// What a transaction is for, and so where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `BEGIN READ ONLY`, for a call that only shows what is there: on the standby, where there is one.
    Read,
    /// `BEGIN READ ONLY` on the primary: a write depends on what it sees, or it tells what a write would do.
    Check,
    /// `BEGIN`, on the primary.
    Write,
}

/// What a server is: whether it takes writes and, if so, whether a commit waits for a standby.
const STATE: &str = "select case when current_setting('transaction_read_only') = 'on' then 'read only'
    when current_setting('synchronous_standby_names') <> '' and current_setting('synchronous_commit') not in ('off', 'local') then 'replicates'
    else '' end";

/// A pool of connections, and perhaps one of a standby's, reached only through scoped transactions.
#[derive(Debug, Clone)]
pub struct Db {
    primary: Connections,
    replica: Option<Arc<Replica>>,
}

impl Db {
    /// Makes a pool of connections.
    ///
    /// # Errors
    /// [`Error::Internal`] when the pool cannot be made; connecting happens later.
    pub fn new(target: impl Into<Target>, settings: PoolSettings) -> Result<Self> {
        Ok(Self { primary: Connections::new("primary", &target.into(), settings)?, replica: None })
    }

    /// The same, with reads from a standby, through a pool as large as the other one. It is watched on the current
    /// runtime from now on.
    ///
    /// # Errors
    /// As [`Db::new`].
    pub fn reading_from(self, standby: Standby) -> Result<Self> {
        // While its connections are all in use, the primary answers.
        let settings = self.primary.settings;
        let settings = PoolSettings { wait: settings.wait.min(SPILL), ..settings };
        let connections = Connections::new("standby", &standby.target, settings)?;
        let primary = Self { primary: self.primary.clone(), replica: None };
        Ok(Self { primary: self.primary, replica: Some(Arc::new(Replica::watch(connections, standby, primary))) })
    }

    /// Runs `work` in a transaction of the caller's, with as many statements as it likes. The transaction opens
    /// in the same flight as its first statement, and commits when `work` answers `Ok`. A deadlock or a
    /// serialization failure runs `work` again.
    ///
    /// # Errors
    /// What `work` answers, or why the database could not run or commit it: then nothing is written.
    pub async fn scoped<T, F>(&self, caller: &Caller, access: Access, work: impl Fn(Tx) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.attempt(caller, access, Length::Open, work).await
    }

    /// Runs `work`, which makes exactly one statement, in a transaction of the caller's: opening, statement and
    /// commit travel in one flight. A second statement is refused as our bug.
    ///
    /// # Errors
    /// As [`Db::scoped`].
    pub async fn once<T, F>(&self, caller: &Caller, access: Access, work: impl Fn(Tx) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.attempt(caller, access, Length::Known(1), work).await
    }

    /// As [`Db::once`], with exactly `count` statements. They travel in one flight when `work` makes them without
    /// waiting for one another, as [`join3`](futures_util::future::join3) does: none may need another one's rows.
    ///
    /// # Errors
    /// As [`Db::scoped`].
    pub async fn together<T, F>(
        &self,
        caller: &Caller,
        access: Access,
        count: usize,
        work: impl Fn(Tx) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.attempt(caller, access, Length::Known(count), work).await
    }

    async fn attempt<T, F>(&self, caller: &Caller, access: Access, length: Length, work: impl Fn(Tx) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        // Whatever the database does: nobody waits for it longer than the caller does.
        let attempts = self.attempts(caller, access, length, work);
        tokio::time::timeout_at(caller.deadline.into(), attempts).await.unwrap_or(Err(Error::Deadline))
    }

    async fn attempts<T, F>(&self, caller: &Caller, access: Access, length: Length, work: impl Fn(Tx) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let run = async |connections: &Connections| {
            let undone = |error| Failed { error, undone: true };
            let lease = connections.lease(caller.organization).await.map_err(undone)?;
            let tx = Tx::new(lease, caller, access, length, connections.replicates());
            let outcome = match work(tx.clone()).await {
                Ok(answer) => tx.commit().await.map(|()| answer),
                Err(error) => {
                    tx.rollback().await;
                    Err(error)
                }
            };
            outcome.map_err(|error| Failed { error, undone: tx.is_undone() })
        };
        if let (Access::Read, Some(replica)) = (access, &self.replica)
            && replica.has_seen(caller).await
            && let Some(outcome) =
                replica.answer(async { run(&replica.connections).await.map_err(Failed::error) }).await
        {
            return outcome;
        }
        let mut attempt = 1;
        loop {
            match run(&self.primary).await {
                Err(Failed { error, .. }) if attempt < ATTEMPTS && error.is_retryable() => {}
                Err(Failed { error, undone: true }) if attempt < ATTEMPTS && error.is_lost() => {
                    tracing::debug!(?error, attempt, "the connection was lost; the transaction is run again");
                    tokio::time::sleep(LOST_PAUSE * 4_u32.pow(attempt - 1)).await;
                }
                outcome => return outcome.map_err(Failed::error),
            }
            attempt += 1;
        }
    }

    /// Asks the database whether it answers in this time and takes writes.
    ///
    /// # Errors
    /// Why it does not: a standby and a database that was made read-only are of no use here.
    pub async fn ping(&self, patience: Duration) -> Result<()> {
        tokio::time::timeout(patience, self.ask()).await.unwrap_or_else(|_| {
            // Whoever holds the connections says nothing: another server may be the primary by now.
            self.primary.forget();
            Err(Error::DatabaseUnavailable(format!("no answer within {patience:?}")))
        })
    }

    async fn ask(&self) -> Result<()> {
        let lease = self.lease().await?;
        lease.busy();
        let answer = lease.client().simple_query(STATE).await;
        lease.idle();
        let state = first_of::<String>(&answer?).unwrap_or_default();
        self.primary.set_replicates(state == "replicates");
        if state == "read only" {
            // Another server may be the primary by now: nobody shall stay with this one.
            lease.spoil();
            self.primary.forget();
            return Err(Error::DatabaseUnavailable("it takes no writes".to_owned()));
        }
        Ok(())
    }

    /// Waits until no connection is in use, for so long at most: what a call that was cut off has left running is cancelled
    /// by then, and not when PostgreSQL next looks for its client.
    pub async fn rest(&self, patience: Duration) {
        let resting = async {
            let replica = self.replica.as_ref().map(|replica| &replica.connections);
            while [Some(&self.primary), replica].into_iter().flatten().any(|connections| !connections.at_rest()) {
                tokio::time::sleep(REST_STEP).await;
            }
        };
        let _ = tokio::time::timeout(patience, resting).await;
    }

    /// Asks which version the schema is at; none where the database answers and will not say: no version was applied,
    /// one before 6, or the login may not become photometa_operator.
    ///
    /// # Errors
    /// Why the database does not answer.
    pub async fn schema_version(&self) -> Result<Option<u32>> {
        let lease = self.lease().await?;
        lease.busy();
        // One simple-protocol flight. Operators may read refinery's table; the login role may read nothing.
        let answer = lease
            .client()
            .simple_query(
                "begin read only; set local role photometa_operator;
                 select max(version) from companycam_photos.refinery_schema_history; commit",
            )
            .await;
        let Ok(messages) = answer else {
            lease.client().batch_execute("rollback").await?;
            lease.idle();
            return Ok(None);
        };
        lease.idle();
        Ok(first_of(&messages))
    }

    /// Asks how much of the log is on the primary's disk, and on its way to standbys. Not asked while every connection
    /// is in use.
    ///
    /// # Errors
    /// Why it is not known.
    async fn flushed(&self) -> Result<Lsn> {
        let lease = self.primary.lease_now().await?;
        lease.busy();
        let answer = lease.client().simple_query("select pg_catalog.pg_current_wal_flush_lsn()").await;
        lease.idle();
        first_of(&answer?).ok_or_else(|| Error::DatabaseUnavailable("it has no position".to_owned()))
    }

    /// Where the log is, for those who will read what is there now, in several transactions: none without a standby.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn in_time(&self) -> Result<Option<Lsn>> {
        if self.replica.is_some() { self.flushed().await.map(Some) } else { Ok(None) }
    }

    async fn lease(&self) -> Result<Lease> {
        self.primary.lease(OrganizationId::default()).await
    }
}

/// Why a transaction has failed, and whether it is certain that it has written nothing.
struct Failed {
    error: Error,
    undone: bool,
}

impl Failed {
    fn error(self) -> Error {
        self.error
    }
}

/// The first value of an answer, read from its text.
fn first_of<T: FromStr>(answer: &[SimpleQueryMessage]) -> Option<T> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten()?.parse().ok(),
        _ => None,
    })
}

/// What can be done where a session cannot be opened.
pub const SEE_TO_IT: &str =
    "see that PostgreSQL runs, and that PHOTOMETA_DATABASE_URL names its host, database, login and password";

/// Why a session could not be opened.
#[derive(Debug)]
pub enum SessionError {
    /// Somebody listens there, and says nothing.
    Silent,
    /// The driver's.
    Refused(tokio_postgres::Error),
}

impl std::fmt::Display for SessionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent => write!(f, "no answer within {} s", SESSION_TIMEOUT.as_secs()),
            Self::Refused(error) => f.write_str(&causes(error)),
        }
    }
}

impl std::error::Error for SessionError {}

impl SessionError {
    /// Tells whether it may pass by itself: nobody is there, or who is there is not ready yet. A login that is refused, or a
    /// server that does not prove its name, stays so; and one that is silent was waited for.
    pub fn passes(&self) -> bool {
        let Self::Refused(error) = self else { return false };
        let cause = std::error::Error::source(error).and_then(<dyn std::error::Error>::downcast_ref::<io::Error>);
        lost(error).is_some() && cause.is_none_or(|cause| cause.kind() != io::ErrorKind::InvalidData)
    }
}

/// Opens a session of its own, outside of the pool and of any caller's scope: for migrations and examinations.
///
/// # Errors
/// [`SessionError`].
pub async fn session(target: impl Into<Target>, application_name: &str) -> Result<Client, SessionError> {
    let target = target.into().named(application_name);
    // The driver's own timeout ends when the connection is there; a server that accepts may still say nothing.
    let connected = tokio::time::timeout(SESSION_TIMEOUT, target.log_in()).await;
    let (client, _) = connected.map_err(|_| SessionError::Silent)?.map_err(SessionError::Refused)?;
    Ok(client)
}

/// An error with everything that led to it.
pub fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
