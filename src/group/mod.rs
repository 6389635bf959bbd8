//! Group commit: creates that come at the same time share a statement. One that comes while its lane has a statement
//! free is stored at once, by its own task. Those that come meanwhile wait, and are stored together when one ends. None
//! waits for company: a lone caller pays nothing, and many callers share one transaction. All are answered after the
//! commit.

mod lanes;

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use opentelemetry::context::FutureExt as _;
use opentelemetry::{Context, KeyValue};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::id::OrganizationId;
use crate::telemetry::{Held, KIND, metrics, trace};

use lanes::{Key, Lanes, STUCK, Waiting};

type Outcomes<R> = Result<Vec<Result<R>>>;
type Store<T, R> = dyn Fn(Caller, Vec<T>) -> Pin<Box<dyn Future<Output = Outcomes<R>> + Send>> + Send + Sync;

/// Stores items `T` in groups, and answers `R` for each of them.
pub struct Group<T, R>(Arc<Shared<T, R>>);

struct Shared<T, R> {
    /// What is stored, for traces and metrics.
    kind: &'static str,
    store: Box<Store<T, R>>,
    lanes: Mutex<Lanes<T, R>>,
}

impl<T: Send + 'static, R: Send + 'static> Group<T, R> {
    /// Stores items of a kind with `store`, which answers for each item in order. The caller it is given is one of the items' callers,
    /// with the latest deadline of them all.
    pub fn new<F>(kind: &'static str, store: impl Fn(Caller, Vec<T>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcomes<R>> + Send + 'static,
    {
        let store = move |caller, items| -> Pin<Box<dyn Future<Output = Outcomes<R>> + Send>> {
            Box::pin(store(caller, items))
        };
        metrics().group_waiting.add(0, &[KeyValue::new(KIND, kind)]);
        Self(Arc::new(Shared { kind, store: Box::new(store), lanes: Mutex::default() }))
    }

    /// Stores an item of so many bytes, alone or with others. When the caller leaves before its item is under way, the
    /// item is not stored; after that it is, unless nobody waits for the statement any more.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too many wait; otherwise what became of the item.
    pub async fn store(&self, caller: &Caller, item: T, bytes: usize) -> Result<R> {
        match self.enter(caller, item, bytes)? {
            Entered::Alone(flight, item) => {
                let outcomes = flight.store(caller.clone(), vec![item]).await;
                drop(flight);
                outcomes?.pop().unwrap_or_else(lost)
            }
            Entered::Waiting(_place, answered) => answered.await.unwrap_or_else(|_| lost()),
        }
    }

    fn enter(&self, caller: &Caller, item: T, bytes: usize) -> Result<Entered<'_, T, R>> {
        let (shared, key) = (&self.0, Key::of(caller));
        let mut lanes = shared.lanes();
        if let Some(began) = lanes.begin_alone(key) {
            return Ok(Entered::Alone(Flight { shared: Arc::clone(shared), key, began }, item));
        }
        let (answer, answered) = oneshot::channel();
        let (caller, trace) = (caller.clone(), Context::current());
        let held = Held::new(&metrics().group_waiting, Some(shared.kind));
        let number = lanes.push(key, Waiting { item, bytes, caller, trace, _held: held, answer })?;
        shared.fly(lanes, key.organization);
        Ok(Entered::Waiting(Place { shared, key, number }, answered))
    }
}

/// What a caller does next.
enum Entered<'a, T: Send + 'static, R: Send + 'static> {
    /// Stores its item itself.
    Alone(Flight<T, R>, T),
    /// Waits for a group's statement.
    Waiting(Place<'a, T, R>, oneshot::Receiver<Result<R>>),
}

/// The place of a caller that waits. When it leaves, its item goes too, unless that is under way.
struct Place<'a, T: Send + 'static, R: Send + 'static> {
    shared: &'a Shared<T, R>,
    key: Key,
    number: u64,
}

impl<T: Send + 'static, R: Send + 'static> Drop for Place<'_, T, R> {
    fn drop(&mut self) {
        let left = self.shared.lanes().leave(self.key, self.number);
        // Without the lock.
        drop(left);
    }
}

impl<T: Send + 'static, R: Send + 'static> Shared<T, R> {
    fn lanes(&self) -> MutexGuard<'_, Lanes<T, R>> {
        // Nothing panics while it holds the lock, and if it did, the lanes would be whole all the same.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores those that wait in a lane, if another statement may be under way there.
    fn fly(self: &Arc<Self>, mut lanes: MutexGuard<'_, Lanes<T, R>>, organization: OrganizationId) {
        let Some((key, began, group)) = lanes.begin(organization) else { return };
        drop(lanes);
        let flight = Flight { shared: Arc::clone(self), key, began };
        // Without a runtime the program is ending, and nobody waits.
        if let Ok(runtime) = Handle::try_current() {
            let span = tracing::info_span!(parent: None, "group", org.id = %organization, items = group.len());
            let calls: Vec<&Context> = group.iter().map(|waiting| &waiting.trace).collect();
            let trace = trace::group(self.kind, &calls);
            let context = trace::context(&trace);
            let carried = async move {
                flight.carry(group).await;
                drop(trace);
            };
            runtime.spawn(carried.instrument(span).with_context(context));
            // Others of the lane may be free to begin too.
            self.fly(self.lanes(), organization);
        }
    }
}

/// A statement of a lane under way. When it ends, in whatever way, the next one begins.
struct Flight<T: Send + 'static, R: Send + 'static> {
    shared: Arc<Shared<T, R>>,
    key: Key,
    began: Instant,
}

impl<T: Send + 'static, R: Send + 'static> Flight<T, R> {
    /// Runs the statement. When it is stuck it keeps nobody back, and says so, because nobody else may come to ask.
    async fn store(&self, caller: Caller, items: Vec<T>) -> Outcomes<R> {
        let size = u64::try_from(items.len()).unwrap_or(u64::MAX);
        metrics().group_size.record(size, &[KeyValue::new(KIND, self.shared.kind)]);
        let mut stored = (self.shared.store)(caller, items);
        if let Ok(outcomes) = timeout(STUCK, &mut stored).await {
            return outcomes;
        }
        self.shared.fly(self.shared.lanes(), self.key.organization);
        stored.await
    }

    /// Stores a group, and answers each of its callers.
    async fn carry(self, group: Vec<Waiting<T, R>>) {
        let Some(latest) = group.iter().map(|waiting| &waiting.caller).max_by_key(|caller| caller.deadline) else {
            return;
        };
        let caller = latest.apart();
        let written = caller.written.clone();
        let (items, (mut answers, callers)): (Vec<T>, (Vec<_>, Vec<_>)) =
            group.into_iter().map(|waiting| (waiting.item, (waiting.answer, waiting.caller))).unzip();
        let outcomes = {
            let left = join_all(answers.iter_mut().map(oneshot::Sender::closed));
            tokio::select! {
                biased;
                // Dropped with its statement, which is cancelled, or was never begun.
                _ = pin!(left) => return,
                outcomes = self.store(caller, items) => outcomes,
            }
        };
        drop(self);
        // Each of them before it is answered.
        if let Some(position) = written.position() {
            for caller in &callers {
                caller.written.raise(position);
            }
        }
        match outcomes {
            // Who has left needs no answer.
            Ok(outcomes) => {
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(outcome);
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

impl<T: Send + 'static, R: Send + 'static> Drop for Flight<T, R> {
    fn drop(&mut self) {
        let mut lanes = self.shared.lanes();
        lanes.end(self.key, self.began);
        self.shared.fly(lanes, self.key.organization);
    }
}

fn lost<R>() -> Result<R> {
    Err(Error::Internal("a group has lost an item".to_owned()))
}

impl<T, R> fmt::Debug for Group<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Group")
    }
}

#[cfg(test)]
mod tests;
