//! Who waits for whom: a lane for each organization. Each has few statements under way, so a flood shares its statements
//! with itself, however many people and machines it comes from, and other organizations wait for none of it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::id::OrganizationId;
use crate::{MAX_BATCH, MAX_REQUEST_BYTES};

/// Most bytes of one statement, of items as they came; one item may have as many.
const MOST_BYTES: usize = MAX_REQUEST_BYTES;
/// Statements of a lane under way at a time. With two, groups are smaller: 8 callers had 17 % and 32 callers 9 % less rate.
const FLIGHTS: usize = 1;
/// A statement that takes longer than this waits for somebody's lock, and does not keep back those that come after it …
pub(super) const STUCK: Duration = Duration::from_secs(1);
/// … but there may be so many only.
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
    pub(super) answer: oneshot::Sender<Result<R>>,
}

/// Tells whether items may share a statement, because the database takes their callers for the same: an organization's
/// machines, but of people each one alone.
fn may_share(one: &Caller, other: &Caller) -> bool {
    (one.organization, one.role, one.person()) == (other.organization, other.role, other.person())
}

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
    /// When each statement under way began. While something waits, there is one at least.
    flights: Vec<Instant>,
    /// What waits, oldest first.
    queue: BTreeMap<u64, Waiting<T, R>>,
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
    pub(super) fn begin_alone(&mut self, organization: OrganizationId) -> Option<Instant> {
        let new = || Lane { flights: Vec::new(), queue: BTreeMap::new(), load: Load::default() };
        let lane = self.lanes.entry(organization).or_insert_with(new);
        let free = lane.queue.is_empty() && lane.flights.len() < FLIGHTS;
        free.then(|| lane.begin())
    }

    /// Lets an item wait in its lane, whose statements are all under way, and answers its number.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too much waits.
    pub(super) fn push(&mut self, waiting: Waiting<T, R>) -> Result<u64> {
        let bytes = waiting.bytes;
        let lane = self.lanes.get_mut(&waiting.caller.organization).ok_or(Error::Overloaded)?;
        if !lane.load.has_room(bytes, LANE) || !self.load.has_room(bytes, ALL) {
            return Err(Error::Overloaded);
        }
        let number = self.count;
        self.count += 1;
        lane.queue.insert(number, waiting);
        lane.load.add(bytes);
        self.load.add(bytes);
        Ok(number)
    }

    /// Takes an item out whose caller leaves, if it still waits.
    pub(super) fn leave(&mut self, organization: OrganizationId, number: u64) -> Option<Waiting<T, R>> {
        let lane = self.lanes.get_mut(&organization)?;
        let left = lane.queue.remove(&number)?;
        lane.load.take(left.bytes);
        self.load.take(left.bytes);
        Some(left)
    }

    /// Begins a statement for those that have waited longest in a lane, if it may have another one.
    pub(super) fn begin(&mut self, organization: OrganizationId) -> Option<(Instant, Vec<Waiting<T, R>>)> {
        let lane = self.lanes.get_mut(&organization)?;
        let free = lane.flights.len() < FLIGHTS || lane.flights.len() < MOST_FLIGHTS && lane.is_stuck();
        let group = if free { lane.take() } else { Vec::new() };
        for taken in &group {
            self.load.take(taken.bytes);
        }
        if !group.is_empty() {
            return Some((lane.begin(), group));
        }
        if lane.flights.is_empty() {
            self.lanes.remove(&organization);
        }
        None
    }

    /// Ends a statement. [`Lanes::begin`] comes after it, and forgets a lane in which nothing is left.
    pub(super) fn end(&mut self, organization: OrganizationId, began: Instant) {
        let Some(lane) = self.lanes.get_mut(&organization) else { return };
        if let Some(place) = lane.flights.iter().position(|flight| *flight == began) {
            lane.flights.swap_remove(place);
        }
    }
}

impl<T, R> Lane<T, R> {
    fn begin(&mut self) -> Instant {
        let now = Instant::now();
        self.flights.push(now);
        now
    }

    fn is_stuck(&self) -> bool {
        self.flights.iter().all(|began| began.elapsed() >= STUCK)
    }

    /// Takes out the oldest item, and those after it that fit into its statement.
    fn take(&mut self) -> Vec<Waiting<T, R>> {
        let Some(oldest) = self.queue.values().next() else { return Vec::new() };
        let mut bytes = 0;
        let fits = |(_, next): &(&u64, &Waiting<T, R>)| {
            let first = bytes == 0;
            bytes += next.bytes;
            first || bytes <= MOST_BYTES
        };
        let alike = self.queue.iter().filter(|(_, other)| may_share(&oldest.caller, &other.caller));
        let numbers: Vec<u64> = alike.take(MAX_BATCH).take_while(fits).map(|(&number, _)| number).collect();
        let taken: Vec<_> = numbers.iter().filter_map(|number| self.queue.remove(number)).collect();
        for one in &taken {
            self.load.take(one.bytes);
        }
        taken
    }
}

#[cfg(test)]
impl<T, R> Lanes<T, R> {
    /// Tells whether nothing waits, nothing is under way, and that is what is counted.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty() && (self.load.items, self.load.bytes) == (0, 0)
    }
}
