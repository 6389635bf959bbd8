//! A pool of connections to one target, and whose turn it is at them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, TimeoutType};

use opentelemetry::KeyValue;

use super::lease::Lease;
use super::share::{Turn, Turns};
use super::target::Target;
use crate::error::{Error, Result};
use crate::id::OrganizationId;
use crate::telemetry::trace::Peer;
use crate::telemetry::{meter, metrics};

/// How long a connection may take to be made, from all servers of a target.
const CREATE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a pool is used.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// Most connections.
    pub size: usize,
    /// Most of them that one organization holds at a time.
    pub share: usize,
    /// How long a call waits for its turn; where it would be more than half of it from the beginning, it does not.
    pub wait: Duration,
}

impl PoolSettings {
    /// Of so many connections, one organization holds a fifth at most, or three where that is more, but never all.
    pub fn new(size: usize, wait: Duration) -> Self {
        let share = (size / 5).max(3).min(size.saturating_sub(1)).max(1);
        Self { size, share, wait }
    }
}

/// Connections to one target.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pool: Pool,
    turns: Turns,
    target: Target,
    peer: Arc<Peer>,
    name: KeyValue,
    replicates: Arc<AtomicBool>,
    pub(super) settings: PoolSettings,
}

impl Connections {
    /// Makes a pool, which connects later. It has a name for metrics.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be made.
    pub(super) fn new(name: &'static str, target: &Target, settings: PoolSettings) -> Result<Self> {
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
        let (turns, peer) = (Turns::new(settings.size, settings.share), Arc::new(target.peer()));
        let name = KeyValue::new("db.client.connection.pool.name", name);
        observe(&pool, &turns, &name);
        Ok(Self { pool, turns, target, peer, name, replicates: Arc::default(), settings })
    }

    /// Whether its commits wait for a standby, as far as is known.
    pub(super) fn replicates(&self) -> bool {
        self.replicates.load(Ordering::Relaxed)
    }

    /// Says what the server has answered to that.
    pub(super) fn set_replicates(&self, replicates: bool) {
        self.replicates.store(replicates, Ordering::Relaxed);
    }

    /// A connection, when it is the organization's turn.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when that takes too long, [`Error::DatabaseUnavailable`] when none can be made.
    pub(super) async fn lease(&self, organization: OrganizationId) -> Result<Lease> {
        let started = Instant::now();
        let label = std::slice::from_ref(&self.name);
        let turn = self.turns.next(organization, self.settings.wait).await.inspect_err(|_| {
            metrics().connection_timeouts.add(1, label);
        })?;
        let lease = self.connected(turn).await?;
        metrics().connection_wait.record(started.elapsed().as_secs_f64(), label);
        Ok(lease)
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
            Ok(client) => Ok(Lease::new(client, turn, self.target.tls(), Arc::clone(&self.peer))),
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

/// Tells how a pool is used, whenever somebody asks.
fn observe(pool: &Pool, turns: &Turns, name: &KeyValue) {
    metrics().connection_timeouts.add(0, std::slice::from_ref(name));
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let meter = meter();
    let level = |instrument: &'static str, unit: &'static str, help: &'static str| {
        meter.i64_observable_up_down_counter(instrument).with_unit(unit).with_description(help)
    };
    let (shown, label) = (pool.clone(), name.clone());
    level("db.client.connection.count", "{connection}", "Connections to the database")
        .with_callback(move |connections| {
            let status = shown.status();
            let idle = status.size.min(status.available);
            for (state, number) in [("idle", idle), ("used", status.size - idle)] {
                let state = KeyValue::new("db.client.connection.state", state);
                connections.observe(count(number), &[label.clone(), state]);
            }
        })
        .build();
    let (most, label) = (pool.status().max_size, name.clone());
    level("db.client.connection.max", "{connection}", "Most connections to the database that there may be")
        .with_callback(move |connections| connections.observe(count(most), std::slice::from_ref(&label)))
        .build();
    let (turns, label) = (turns.clone(), name.clone());
    level("db.client.connection.pending_requests", "{request}", "Calls that wait for a connection to the database")
        .with_callback(move |requests| requests.observe(count(turns.waiting()), std::slice::from_ref(&label)))
        .build();
}
