//! The only door to a connection. Everything a handler asks of the database runs in a transaction that has
//! taken the caller's PostgreSQL role and organization, so that row security binds every statement, and that
//! commits only when the handler's closure succeeds.

pub mod catalog;
pub mod describe;
pub mod doctor;
mod draft;
pub mod embedded;
pub mod hypertable;
mod lease;
pub mod login;
pub mod migrate;
mod replica;
mod sql;
mod tx;

use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::lsn::Lsn;

pub use draft::{Draft, Page, Slot, Source};
use lease::Lease;
use replica::Replica;
pub use replica::Standby;
pub use sql::{Sql, Text};
use tx::Length;
pub use tx::{Params, Tx};

/// How often a transaction is run when PostgreSQL asks for it (deadlock, serialization failure).
const ATTEMPTS: u32 = 3;
/// How long a connection may take to be made, unless its URL says so.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
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

/// A pool of connections, and perhaps one of a standby's, reached only through scoped transactions.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool,
    replica: Option<Arc<Replica>>,
}

impl Db {
    /// Makes a pool of at most `size` connections, which wait at most `wait` for a free one.
    ///
    /// # Errors
    /// [`Error::Internal`] when the pool cannot be made; connecting happens later.
    pub fn new(config: Config, size: usize, wait: Duration) -> Result<Self> {
        Ok(Self { pool: pool(config, size, wait)?, replica: None })
    }

    /// The same, with reads from a standby, through a pool as large as the other one. It is watched on the current
    /// runtime from now on.
    ///
    /// # Errors
    /// As [`Db::new`].
    pub fn reading_from(self, standby: Standby) -> Result<Self> {
        let wait = self.pool.timeouts().wait.unwrap_or_default();
        let pool = pool(standby.config.clone(), self.pool.status().max_size, wait)?;
        let primary = Self { pool: self.pool.clone(), replica: None };
        Ok(Self { pool: self.pool, replica: Some(Arc::new(Replica::watch(pool, standby, primary))) })
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
        let run = async |pool: &Pool| {
            let tx = Tx::new(lease(pool, pool.timeouts()).await?, caller, access, length);
            match work(tx.clone()).await {
                Ok(answer) => tx.commit().await.map(|()| answer),
                Err(error) => {
                    tx.rollback().await;
                    Err(error)
                }
            }
        };
        if let (Access::Read, Some(replica)) = (access, &self.replica)
            && replica.has_seen(caller).await
            && let Some(outcome) = replica.answer(run(&replica.pool)).await
        {
            return outcome;
        }
        let mut attempt = 1;
        loop {
            match run(&self.pool).await {
                Err(error) if error.is_retryable() && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    /// Asks the database whether it answers and takes writes.
    ///
    /// # Errors
    /// Why it does not: a standby and a database that was made read-only are of no use here.
    pub async fn ping(&self) -> Result<()> {
        let lease = self.lease().await?;
        lease.busy();
        let answer = lease.client().simple_query("show transaction_read_only").await;
        lease.idle();
        let read_only = first_of::<String>(&answer?).is_some_and(|answer| answer == "on");
        if read_only { Err(Error::DatabaseUnavailable("it takes no writes".to_owned())) } else { Ok(()) }
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
        let lease = lease(&self.pool, Timeouts { wait: Some(Duration::ZERO), ..self.pool.timeouts() }).await?;
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
        lease(&self.pool, self.pool.timeouts()).await
    }
}

fn pool(mut config: Config, size: usize, wait: Duration) -> Result<Pool> {
    config.application_name("photometa");
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(size)
        // The one that was used last has what it needs at hand.
        .queue_mode(QueueMode::Lifo)
        .wait_timeout(Some(wait))
        .create_timeout(Some(Duration::from_secs(5)))
        .recycle_timeout(Some(Duration::from_secs(5)))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Error::Internal(error.to_string()))
}

async fn lease(pool: &Pool, timeouts: Timeouts) -> Result<Lease> {
    match pool.timeout_get(&timeouts).await {
        Ok(client) => Ok(Lease::new(client)),
        Err(PoolError::Timeout(TimeoutType::Wait)) => Err(Error::Overloaded),
        Err(PoolError::Backend(error)) => Err(Error::DatabaseUnavailable(error.to_string())),
        Err(error) => Err(Error::DatabaseUnavailable(error.to_string())),
    }
}

/// The first value of an answer, read from its text.
fn first_of<T: FromStr>(answer: &[SimpleQueryMessage]) -> Option<T> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten()?.parse().ok(),
        _ => None,
    })
}

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

/// Opens a session of its own, outside of the pool and of any caller's scope: for migrations and examinations.
///
/// # Errors
/// [`SessionError`].
pub async fn session(config: &Config, application_name: &str) -> Result<Client, SessionError> {
    let mut config = config.clone();
    config.application_name(application_name);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    // The driver's own timeout ends when the connection is there; a server that accepts may still say nothing.
    let connected = tokio::time::timeout(SESSION_TIMEOUT, config.connect(NoTls)).await;
    let (client, connection) = connected.map_err(|_| SessionError::Silent)?.map_err(SessionError::Refused)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a session ended");
        }
    });
    Ok(client)
}

/// An error with everything that led to it.
pub fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
