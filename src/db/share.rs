//! Turns at the connections of a pool: of those that wait, the organization that holds fewest is next, and none ever
//! holds all of them. So a flood waits for itself, and another organization for no more than one statement. Who would
//! wait long is refused at once: what waits already is answered in time then, and cheap calls may wait in any number.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::id::OrganizationId;

/// Who may have a connection when.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Most connections of one organization.
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Connections of organizations that have some.
    held: HashMap<OrganizationId, usize>,
    /// Those that wait, oldest first; none is empty.
    waiting: HashMap<OrganizationId, BTreeMap<u64, Waiting>>,
    /// How many have waited so far, which is the next one's number.
    count: u64,
}

/// Who waits since when.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    sender: oneshot::Sender<Turn>,
}

/// The right to one connection. Its end is the next one's turn.
#[derive(Debug)]
pub(super) struct Turn {
    shared: Arc<Shared>,
    organization: OrganizationId,
}

impl Turns {
    /// For a pool of so many connections, of which an organization holds at most `most`.
    pub(super) fn new(size: usize, most: usize) -> Self {
        let state = State { free: size, held: HashMap::new(), waiting: HashMap::new(), count: 0 };
        Self(Arc::new(Shared { most: most.clamp(1, size.max(1)), state: Mutex::new(state) }))
    }

    /// Waits for a turn. Dropping the future gives the place up.
    ///
    /// # Errors
    /// [`Error::Overloaded`] after the `longest` wait, and at once where the organization's first in the queue has waited
    /// for half of that: the last one would wait longer.
    pub(super) async fn next(&self, organization: OrganizationId, longest: Duration) -> Result<Turn> {
        let (place, turn) = match self.enter(organization, longest / 2)? {
            Entered::Turn(turn) => return Ok(turn),
            Entered::Queue(place, turn) => (place, turn),
        };
        let turn = tokio::time::timeout(longest, turn).await;
        drop(place);
        // A sender is dropped only with its place.
        let turn = turn.map_err(|_| Error::Overloaded)?;
        Ok(turn.unwrap_or_else(|_| unreachable!("a place in the queue ends with its turn")))
    }

    /// Whether nobody has a turn: no connection works, or comes to rest.
    pub(super) fn at_rest(&self) -> bool {
        self.0.state().held.is_empty()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.state().waiting.values().map(BTreeMap::len).sum()
    }

    /// A turn, if there is one now.
    pub(super) fn now(&self, organization: OrganizationId) -> Option<Turn> {
        let mut state = self.0.state();
        state.take(organization, self.0.most).then(|| Turn { shared: Arc::clone(&self.0), organization })
    }

    fn enter(&self, organization: OrganizationId, patience: Duration) -> Result<Entered<'_>> {
        let mut state = self.0.state();
        // Where one is free that somebody waits for, that one waits for its own organization's share.
        if state.take(organization, self.0.most) {
            return Ok(Entered::Turn(Turn { shared: Arc::clone(&self.0), organization }));
        }
        let since = Instant::now();
        let first = state.waiting.get(&organization).and_then(BTreeMap::first_key_value);
        if first.is_some_and(|(_, first)| since - first.since >= patience) {
            return Err(Error::Overloaded);
        }
        let (sender, receiver) = oneshot::channel();
        let number = state.count;
        state.count += 1;
        state.waiting.entry(organization).or_default().insert(number, Waiting { since, sender });
        Ok(Entered::Queue(Place { shared: &self.0, organization, number }, receiver))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and if it did, the counts would be whole all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a free connection, if the organization may have one more.
    fn take(&mut self, organization: OrganizationId, most: usize) -> bool {
        let held = self.held.get(&organization).copied().unwrap_or_default();
        if self.free == 0 || held >= most {
            return false;
        }
        self.free -= 1;
        self.held.insert(organization, held + 1);
        true
    }

    fn give_back(&mut self, organization: OrganizationId) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(&organization) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&organization);
            }
        }
    }

    /// Whose turn is next, with the connection taken for it.
    fn next(&mut self, most: usize) -> Option<(OrganizationId, oneshot::Sender<Turn>)> {
        let oldest = |(organization, queue): (&OrganizationId, &BTreeMap<u64, _>)| {
            let held = self.held.get(organization).copied().unwrap_or_default();
            let (number, _) = queue.first_key_value()?;
            (held < most).then_some((held, *number, *organization))
        };
        let (_, number, organization) =
            self.waiting.iter().filter_map(oldest).min_by_key(|(held, number, _)| (*held, *number))?;
        if !self.take(organization, most) {
            return None;
        }
        self.leave(organization, number).map(|waiting| (organization, waiting.sender))
    }

    fn leave(&mut self, organization: OrganizationId, number: u64) -> Option<Waiting> {
        let queue = self.waiting.get_mut(&organization)?;
        let left = queue.remove(&number);
        if queue.is_empty() {
            self.waiting.remove(&organization);
        }
        left
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut state = self.shared.state();
            state.give_back(self.organization);
            state.next(self.shared.most)
        };
        if let Some((organization, sender)) = next {
            // Who has left in this moment gives it to the next one, by dropping it.
            drop(sender.send(Self { shared: Arc::clone(&self.shared), organization }));
        }
    }
}

/// What asking for a turn gives.
enum Entered<'a> {
    Turn(Turn),
    Queue(Place<'a>, oneshot::Receiver<Turn>),
}

/// A place in the queue.
struct Place<'a> {
    shared: &'a Shared,
    organization: OrganizationId,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let left = self.shared.state().leave(self.organization, self.number);
        // Without the lock.
        drop(left);
    }
}

#[cfg(test)]
mod tests;
