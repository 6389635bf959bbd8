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
mod sql;
mod tx;

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, TimeoutType};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::auth::Caller;
use crate::error::{Error, Result};

pub use draft::{Draft, MANY, Page, Slot, Source};
use lease::Lease;
pub use sql::{Sql, Text};
pub use tx::{Params, Tx};

/// How often a transaction is run when PostgreSQL asks for it (deadlock, serialization failure).
const ATTEMPTS: u32 = 3;
/// How long a connection may take to be made, unless its URL says so.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a session may take to be opened, over all hosts of its URL.
const SESSION_TIMEOUT: Duration = Duration::from_secs(15);

/// Whether a transaction may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `BEGIN READ ONLY`.
    Read,
    /// `BEGIN`.
    Write,
}

/// A pool of connections, reached only through scoped transactions.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool,
}

impl Db {
    /// Makes a pool of at most `size` connections, which wait at most `wait` for a free one.
    ///
    /// # Errors
    /// [`Error::Internal`] when the pool cannot be made; connecting happens later.
    pub fn new(mut config: Config, size: usize, wait: Duration) -> Result<Self> {
        config.application_name("photometa");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(size)
            // The one that was used last has what it needs at hand.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(wait))
            .create_timeout(Some(Duration::from_secs(5)))
            .recycle_timeout(Some(Duration::from_secs(5)))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { pool })
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
        self.attempt(caller, access, false, work).await
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
        self.attempt(caller, access, true, work).await
    }

    async fn attempt<T, F>(&self, caller: &Caller, access: Access, single: bool, work: impl Fn(Tx) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut attempt = 1;
        loop {
            let tx = Tx::new(self.lease().await?, caller, access, single);
            let outcome = match work(tx.clone()).await {
                Ok(answer) => tx.commit().await.map(|()| answer),
                Err(error) => {
                    tx.rollback().await;
                    Err(error)
                }
            };
            match outcome {
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
        let read_only = answer?.iter().any(|message| match message {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten() == Some("on"),
            _ => false,
        });
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
        let version = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten()?.parse().ok(),
            _ => None,
        });
        Ok(version)
    }

    async fn lease(&self) -> Result<Lease> {
        match self.pool.get().await {
            Ok(client) => Ok(Lease::new(client)),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(Error::Overloaded),
            Err(PoolError::Backend(error)) => Err(Error::DatabaseUnavailable(error.to_string())),
            Err(error) => Err(Error::DatabaseUnavailable(error.to_string())),
        }
    }
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
