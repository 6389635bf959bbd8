//! A standby that answers reads. One session of its own asks it again and again how far it has replayed the primary's
//! log. While it does not answer, or is too far behind, reads stay on the primary, and none has to find that out; and
//! whatever goes wrong on the standby, the primary is asked instead.

mod lag;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::{Connections, Db, Target, causes, first_of, login, session};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::lsn::Lsn;
use crate::seldom::Seldom;

use lag::Lag;

/// How often the standby is asked when nobody waits.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a read waits for what its caller has seen.
const WAIT: Duration = Duration::from_millis(100);
/// How often the standby is asked while somebody waits.
const STEP: Duration = Duration::from_millis(5);

/// How a standby is used.
#[derive(Debug, Clone)]
pub struct Standby {
    /// The login role's connection: one server.
    pub target: Target,
    /// How long ago the primary may have been where the standby is.
    pub max_lag: Duration,
    /// Reads although row security does not bind the login role there.
    pub allow_unsafe_role: bool,
}

/// A standby and what is known of it.
#[derive(Debug)]
pub(super) struct Replica {
    /// Connections to it.
    pub(super) connections: Connections,
    shared: Arc<Shared>,
    watcher: JoinHandle<()>,
    /// The trouble of reads.
    trouble: Seldom,
}

#[derive(Debug)]
struct Shared {
    /// How far it has replayed the log; none while it is of no use.
    replayed: watch::Sender<Option<Lsn>>,
    /// Somebody wants to know now.
    asked: Notify,
}

impl Replica {
    /// Begins to watch it. It is of no use before it was seen near the primary.
    pub(super) fn watch(connections: Connections, standby: Standby, primary: Db) -> Self {
        let shared = Arc::new(Shared { replayed: watch::Sender::new(None), asked: Notify::new() });
        let watcher = Watcher { shared: Arc::clone(&shared), standby, primary, session: None, trouble: None };
        let watcher = tokio::spawn(watcher.run());
        Self { connections, shared, watcher, trouble: Seldom::default() }
    }

    /// Tells whether the standby has what the caller has seen, and waits a moment until it has.
    pub(super) async fn has_seen(&self, caller: &Caller) -> bool {
        let mut replayed = self.shared.replayed.subscribe();
        let known = *replayed.borrow_and_update();
        let after = match (known, caller.after) {
            (None, _) => return false,
            (Some(_), None) => return true,
            (Some(known), Some(after)) if known >= after => return true,
            (Some(_), Some(after)) => after,
        };
        let asking = async {
            loop {
                self.shared.asked.notify_one();
                tokio::time::sleep(STEP).await;
            }
        };
        tokio::select! {
            seen = replayed.wait_for(|known| known.is_none_or(|known| known >= after)) => seen.is_ok_and(|known| known.is_some()),
            () = asking => false,
            () = tokio::time::sleep(WAIT.min(caller.remaining())) => false,
        }
    }

    /// Runs a read there. None when the primary has to be asked: the standby was lost meanwhile, or has failed.
    pub(super) async fn answer<T>(&self, read: impl Future<Output = Result<T>>) -> Option<Result<T>> {
        let mut replayed = self.shared.replayed.subscribe();
        let outcome = tokio::select! {
            biased;
            outcome = read => outcome,
            _ = replayed.wait_for(Option::is_none) => return None,
        };
        match &outcome {
            // Whatever it is: a conflict with what it replays, no connection, a schema that it has not got yet. What is
            // the statement's own fault, the primary will say too.
            Err(Error::Database(error)) => self.complain(&causes(&**error)),
            Err(Error::DatabaseUnavailable(why)) => self.complain(why),
            // It has enough to do; that is no trouble.
            Err(Error::Overloaded) => {}
            _ => return Some(outcome),
        }
        None
    }

    /// Says what is wrong with a read, now and then, and has the standby looked at.
    fn complain(&self, why: &str) {
        self.shared.asked.notify_one();
        if let Some(times) = self.trouble.again() {
            tracing::warn!(why, others = times - 1, "the replica has not answered a read; the primary does");
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// The one who asks.
struct Watcher {
    shared: Arc<Shared>,
    standby: Standby,
    primary: Db,
    session: Option<Client>,
    /// What was last said.
    trouble: Option<String>,
}

impl Watcher {
    async fn run(mut self) {
        let mut lag = Lag::new(self.standby.max_lag);
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                biased;
                _ = ticks.tick() => true,
                () = self.shared.asked.notified() => false,
            };
            let found = tokio::time::timeout(PATIENCE, self.ask()).await;
            let found = found.unwrap_or_else(|_| Err(format!("it does not answer within {PATIENCE:?}")));
            if found.is_err() {
                // The next one may be another server's.
                self.session = None;
            }
            if let (Ok(replayed), true) = (&found, due) {
                // Without the primary's word, what was known of the distance stays.
                let primary = tokio::time::timeout(PATIENCE, self.primary.flushed()).await;
                lag.look(Instant::now(), *replayed, primary.ok().and_then(Result::ok));
            }
            let behind = || format!("it is more than {:?} behind", self.standby.max_lag);
            let found = found.and_then(|replayed| if lag.is_far() { Err(behind()) } else { Ok(replayed) });
            self.tell(found);
        }
    }

    /// How far it has replayed the log.
    async fn ask(&mut self) -> Result<Lsn, String> {
        let session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => self.open().await?,
        };
        let answer =
            session.simple_query("select pg_catalog.pg_last_wal_replay_lsn() where pg_catalog.pg_is_in_recovery()");
        let answer = answer.await.map_err(|error| causes(&error))?;
        self.session = Some(session);
        first_of(&answer).ok_or_else(|| "it is no standby".to_owned())
    }

    async fn open(&self) -> Result<Client, String> {
        let session = session(&self.standby.target, "photometa replica").await.map_err(|error| error.to_string())?;
        let login = login::inspect(&session).await.map_err(|error| causes(&error))?;
        if login.dangers.is_empty() || self.standby.allow_unsafe_role {
            return Ok(session);
        }
        Err(format!("row security does not bind the role {}: {}", login.name, login.dangers.join("; ")))
    }

    /// Tells the reads, and says what has changed.
    fn tell(&mut self, found: Result<Lsn, String>) {
        let (replayed, trouble) = match found {
            Ok(replayed) => (Some(replayed), None),
            Err(why) => (None, Some(why)),
        };
        let before = self.shared.replayed.send_replace(replayed);
        match &trouble {
            Some(why) if trouble != self.trouble => {
                tracing::warn!(why, "the replica is of no use; the primary answers its reads");
            }
            None if before.is_none() => tracing::info!("the replica answers reads"),
            _ => {}
        }
        self.trouble = trouble;
    }
}
