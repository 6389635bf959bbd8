//! Who waits for whom: a lane for all whose items may share a statement. Each lane has few statements under way, so a
//! flood shares its statements with itself, and a caller of another lane waits for none of it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::MAX_BATCH;
use crate::auth::{Caller, Role};
use crate::error::{Error, Result};
use crate::id::{OrganizationId, UserId};

/// Most bytes of one statement, of items as they came; one item may have more.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Statements of a lane under way at a time: one is made ready while another one waits for the disk.
const FLIGHTS: usize = 2;
/// A statement that takes longer than this waits for somebody's lock, and does not keep back those that come after it …
pub(super) const STUCK: Duration = Duration::from_secs(1);
/// … but there may be so many only.
const MOST_FLIGHTS: usize = 4;
/// What may wait in one lane.
const LANE: Load = Load { items: 2 * MAX_BATCH, bytes: 8 * 1024 * 1024 };
/// What may wait in all of them: when one is full, others still have room.
const ALL: Load = Load { items: 16 * MAX_BATCH, bytes: 64 * 1024 * 1024 };

/// Those whose items may share a statement, because the database takes them for the same: the machines of an
/// organization, but of people each one alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    organization: OrganizationId,
    role: Role,
    person: Option<UserId>,
}

impl Key {
    /// The lane of a caller.
    pub(super) fn of(caller: &Caller) -> Self {
        Self { organization: caller.organization, role: caller.role, person: caller.person() }
    }
}

/// An item, and who waits for it.
pub(super) struct Waiting<T, R> {
    pub(super) item: T,
    /// Its size as it came.
    pub(super) bytes: usize,
    pub(super) caller: Caller,
    pub(super) answer: oneshot::Sender<Result<R>>,
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

    fn take(&mut self, less: Self) {
        self.items -= less.items;
        self.bytes -= less.bytes;
    }
}

struct Lane<T, R> {
    /// When each statement under way began.
    flights: Vec<Instant>,
    queue: VecDeque<Waiting<T, R>>,
    load: Load,
}

/// The lanes in which something waits or is under way.
pub(super) struct Lanes<T, R> {
    lanes: HashMap<Key, Lane<T, R>>,
    load: Load,
}

impl<T, R> Default for Lanes<T, R> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), load: Load::default() }
    }
}

impl<T, R> Lanes<T, R> {
    /// Begins a statement for a caller that need not wait for anybody.
    pub(super) fn begin_alone(&mut self, key: Key) -> Option<Instant> {
        let new = || Lane { flights: Vec::new(), queue: VecDeque::new(), load: Load::default() };
        let lane = self.lanes.entry(key).or_insert_with(new);
        let free = lane.queue.is_empty() && lane.flights.len() < FLIGHTS;
        free.then(|| lane.begin())
    }

    /// Lets an item wait in a lane that is there.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too much waits.
    pub(super) fn push(&mut self, key: Key, waiting: Waiting<T, R>) -> Result<()> {
        let bytes = waiting.bytes;
        let Some(lane) = self.lanes.get_mut(&key) else { return Err(Error::Overloaded) };
        if !lane.load.has_room(bytes, LANE) {
            self.load.take(lane.forget());
        }
        if !lane.load.has_room(bytes, LANE) || !self.load.has_room(bytes, ALL) {
            return Err(Error::Overloaded);
        }
        lane.queue.push_back(waiting);
        lane.load.add(bytes);
        self.load.add(bytes);
        Ok(())
    }

    /// Begins a statement for those that wait in a lane, if it may have another one. Callers who left are forgotten.
    pub(super) fn begin(&mut self, key: Key) -> Option<(Instant, Vec<Waiting<T, R>>)> {
        let lane = self.lanes.get_mut(&key)?;
        let stuck = lane.flights.len() < MOST_FLIGHTS && lane.flights.iter().all(|began| began.elapsed() >= STUCK);
        if lane.flights.len() >= FLIGHTS && !stuck {
            return None;
        }
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(next) = lane.queue.front() {
            let full = group.len() == MAX_BATCH || bytes + next.bytes > MOST_BYTES;
            if full && !group.is_empty() {
                break;
            }
            let Some(next) = lane.queue.pop_front() else { break };
            let one = Load { items: 1, bytes: next.bytes };
            lane.load.take(one);
            self.load.take(one);
            if !next.answer.is_closed() {
                bytes += next.bytes;
                group.push(next);
            }
        }
        if !group.is_empty() {
            return Some((lane.begin(), group));
        }
        if lane.flights.is_empty() {
            self.lanes.remove(&key);
        }
        None
    }

    /// Ends a statement. [`Lanes::begin`] comes after it, and forgets a lane in which nothing is left.
    pub(super) fn end(&mut self, key: Key, began: Instant) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
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

    /// Forgets callers who left, and answers what that makes free.
    fn forget(&mut self) -> Load {
        let mut free = Load::default();
        self.queue.retain(|waiting| {
            let left = waiting.answer.is_closed();
            if left {
                free.add(waiting.bytes);
            }
            !left
        });
        self.load.take(free);
        free
    }
}
