//! Who waits for whom: a lane for each organization. Its machines, and each of its people, have one statement under way,
//! and there are few in all, so a flood waits for itself, however many people and machines it comes from.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use opentelemetry::Context;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::auth::{Caller, Role};
use crate::batch::fitting;
use crate::error::{Error, Result};
use crate::id::{OrganizationId, UserId};
use crate::telemetry::Held;
use crate::{MAX_BATCH, MAX_REQUEST_BYTES};

/// Most bytes of one statement, of items as they came; one item may have as many.
const MOST_BYTES: usize = MAX_REQUEST_BYTES;
/// A statement that takes longer than this waits for somebody's lock, and does not keep back those that come after it.
pub(super) const STUCK: Duration = Duration::from_secs(1);
/// Statements of a lane under way at a time.
const MOST_FLIGHTS: usize = 4;
/// What may wait in one lane.
const LANE: Load = Load { items: 2 * MAX_BATCH, bytes: 2 * MOST_BYTES };
/// What may wait in all of them: when one is full, others still have room.
const ALL: Load = Load { items: 8 * LANE.items, bytes: 8 * LANE.bytes };

/// An item, and who waits for it.
pub(super) struct Waiting<T, R> {
    pub(super) item: T,
    /// Its size as it came.
    pub(super) bytes: usize,
    pub(super) caller: Caller,
    /// The span that waits.
    pub(super) trace: Context,
    /// Counts it while it does.
    pub(super) _held: Held,
    pub(super) answer: oneshot::Sender<Result<R>>,
}

/// Those whose items may share a statement, because the database takes them for the same: an organization's machines, but
/// of people each one alone. Two statements of theirs at a time would make groups smaller: 8 callers had 17 % and 32
/// callers 9 % less rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) organization: OrganizationId,
    role: Role,
    person: Option<UserId>,
}

impl Key {
    /// With whom a caller shares.
    pub(super) fn of(caller: &Caller) -> Self {
        Self { organization: caller.organization, role: caller.role, person: caller.person() }
    }
}

/// Whose statement begins, when, and with what.
pub(super) type Begun<T, R> = (Key, Instant, Vec<Waiting<T, R>>);

/// How much waits.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    items: usize,
    bytes: usize,
}

impl Load {
    fn has_room(self, bytes: usize, most: Self) -> bool {
        self.items < most.items && self.bytes + bytes <= most.bytes
    }

    fn add(&mut self, bytes: usize) {
        self.items += 1;
        self.bytes += bytes;
    }

    fn take(&mut self, bytes: usize) {
        self.items -= 1;
        self.bytes -= bytes;
    }
}

struct Lane<T, R> {
    /// The statements under way, and when each began. While something waits, there is one at least.
    flights: Vec<(Key, Instant)>,
    /// What waits, oldest first; none is empty.
    queues: HashMap<Key, BTreeMap<u64, Waiting<T, R>>>,
    load: Load,
}

/// The lanes in which something waits or is under way.
pub(super) struct Lanes<T, R> {
    lanes: HashMap<OrganizationId, Lane<T, R>>,
    load: Load,
    /// How many have waited so far, which is the next one's number.
    count: u64,
}

impl<T, R> Default for Lanes<T, R> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), load: Load::default(), count: 0 }
    }
}

impl<T, R> Lanes<T, R> {
    /// Begins a statement for a caller that need not wait for anybody.
    pub(super) fn begin_alone(&mut self, key: Key) -> Option<Instant> {
        let new = || Lane { flights: Vec::new(), queues: HashMap::new(), load: Load::default() };
        let lane = self.lanes.entry(key.organization).or_insert_with(new);
        let free = !lane.queues.contains_key(&key) && lane.is_free(key);
        free.then(|| lane.begin(key))
    }

    /// Lets an item wait in its lane, whose statements are all under way, and answers its number.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too much waits.
    pub(super) fn push(&mut self, key: Key, waiting: Waiting<T, R>) -> Result<u64> {
        let bytes = waiting.bytes;
        let lane = self.lanes.get_mut(&key.organization).ok_or(Error::Overloaded)?;
        if !lane.load.has_room(bytes, LANE) || !self.load.has_room(bytes, ALL) {
            return Err(Error::Overloaded);
        }
        let number = self.count;
        self.count += 1;
        lane.queues.entry(key).or_default().insert(number, waiting);
        lane.load.add(bytes);
        self.load.add(bytes);
        Ok(number)
    }

    /// Takes an item out whose caller leaves, if it still waits.
    pub(super) fn leave(&mut self, key: Key, number: u64) -> Option<Waiting<T, R>> {
        let lane = self.lanes.get_mut(&key.organization)?;
        let left = lane.remove(key, number)?;
        self.load.take(left.bytes);
        Some(left)
    }

    /// Begins a statement for those that have waited longest in a lane of those that may have one.
    pub(super) fn begin(&mut self, organization: OrganizationId) -> Option<Begun<T, R>> {
        let lane = self.lanes.get_mut(&organization)?;
        let oldest = |(key, queue): (&Key, &BTreeMap<u64, _>)| {
            let (number, _) = queue.first_key_value()?;
            lane.is_free(*key).then_some((*number, *key))
        };
        if let Some((_, key)) = lane.queues.iter().filter_map(oldest).min_by_key(|(number, _)| *number) {
            let group = lane.take(key);
            for taken in &group {
                self.load.take(taken.bytes);
            }
            return Some((key, lane.begin(key), group));
        }
        if lane.flights.is_empty() {
            self.lanes.remove(&organization);
        }
        None
    }

    /// Ends a statement. [`Lanes::begin`] comes after it, and forgets a lane in which nothing is left.
    pub(super) fn end(&mut self, key: Key, began: Instant) {
        let Some(lane) = self.lanes.get_mut(&key.organization) else { return };
        if let Some(place) = lane.flights.iter().position(|flight| *flight == (key, began)) {
            lane.flights.swap_remove(place);
        }
    }
}

impl<T, R> Lane<T, R> {
    fn begin(&mut self, key: Key) -> Instant {
        let now = Instant::now();
        self.flights.push((key, now));
        now
    }

    /// Tells whether another statement may begin.
    fn is_free(&self, key: Key) -> bool {
        let mut own = self.flights.iter().filter(|(other, _)| *other == key);
        self.flights.len() < MOST_FLIGHTS && own.all(|(_, began)| began.elapsed() >= STUCK)
    }

    /// Takes out the oldest items that fit into one statement.
    fn take(&mut self, key: Key) -> Vec<Waiting<T, R>> {
        let Some(queue) = self.queues.get(&key) else { return Vec::new() };
        let count = fitting(queue.values().map(|waiting| waiting.bytes), MAX_BATCH, MOST_BYTES);
        let numbers: Vec<u64> = queue.keys().take(count).copied().collect();
        numbers.into_iter().filter_map(|number| self.remove(key, number)).collect()
    }

    fn remove(&mut self, key: Key, number: u64) -> Option<Waiting<T, R>> {
        let queue = self.queues.get_mut(&key)?;
        let removed = queue.remove(&number)?;
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        self.load.take(removed.bytes);
        Some(removed)
    }
}

#[cfg(test)]
impl<T, R> Lanes<T, R> {
    /// Tells whether nothing waits, nothing is under way, and that is what is counted.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty() && (self.load.items, self.load.bytes) == (0, 0)
    }
}
