//! A pool of connections to one target, and whose turn it is at them.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, TimeoutType};

use super::lease::Lease;
use super::share::{Turn, Turns};
use super::target::Target;
use crate::error::{Error, Result};
use crate::id::OrganizationId;

/// How long a connection may take to be made, from all servers of a target.
const CREATE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a pool is used.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// Most connections.
    pub size: usize,
    /// Most of them that one organization holds at a time.
    pub share: usize,
    /// How long a call waits for its turn.
    pub wait: Duration,
}

impl PoolSettings {
    /// Of so many connections, one organization holds three quarters at most.
    pub fn new(size: usize, wait: Duration) -> Self {
        Self { size, share: (size - size.div_ceil(4)).max(1), wait }
    }
}

/// Connections to one target.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pool: Pool,
    turns: Turns,
    target: Target,
    pub(super) settings: PoolSettings,
}

impl Connections {
    /// Makes a pool, which connects later.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be made.
    pub(super) fn new(target: &Target, settings: PoolSettings) -> Result<Self> {
        let target = target.named("photometa");
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_connect(tokio_postgres::Config::new(), target.clone(), config))
            .max_size(settings.size)
            // The one that was used last has what it needs at hand.
            .queue_mode(QueueMode::Lifo)
            // Turns are as many as connections: whoever has one finds one, or makes it.
            .wait_timeout(Some(CREATE_TIMEOUT))
            .create_timeout(Some(CREATE_TIMEOUT))
            .recycle_timeout(Some(CREATE_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { pool, turns: Turns::new(settings.size, settings.share), target, settings })
    }

    /// A connection, when it is the organization's turn.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when that takes too long, [`Error::DatabaseUnavailable`] when none can be made.
    pub(super) async fn lease(&self, organization: OrganizationId) -> Result<Lease> {
        let turn = tokio::time::timeout(self.settings.wait, self.turns.next(organization)).await;
        self.connected(turn.map_err(|_| Error::Overloaded)?).await
    }

    /// A connection for the service itself, if one is free now.
    ///
    /// # Errors
    /// As [`Connections::lease`].
    pub(super) async fn lease_now(&self) -> Result<Lease> {
        self.connected(self.turns.now(OrganizationId::default()).ok_or(Error::Overloaded)?).await
    }

    async fn connected(&self, turn: Turn) -> Result<Lease> {
        let (client, turn) = if self.pool.status().available > 0 {
            (self.pool.get().await, turn)
        } else {
            // Made to its end even when the caller leaves before: the next one finds it.
            let pool = self.pool.clone();
            let made = tokio::spawn(async move { (pool.get().await, turn) }).await;
            made.map_err(|error| Error::Internal(error.to_string()))?
        };
        match client {
            Ok(client) => Ok(Lease::new(client, turn, self.target.tls())),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(Error::Overloaded),
            Err(PoolError::Backend(error)) => Err(Error::DatabaseUnavailable(super::causes(&error))),
            Err(error) => Err(Error::DatabaseUnavailable(super::causes(&error))),
        }
    }

    /// Whether no connection is in use, or comes to rest.
    pub(super) fn at_rest(&self) -> bool {
        self.turns.at_rest()
    }

    /// Closes the connections that nobody uses: they are of no use any more.
    pub(super) fn forget(&self) {
        self.pool.retain(|_, _| false);
    }
}
