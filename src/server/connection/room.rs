//! How many connections there is room for, and who goes when there is none: a newcomer, which has not shown a credential yet,
//! rather than whoever has. So strangers keep nobody out, whether they only connect or call too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The room of all connections.
#[derive(Debug)]
pub(in crate::server) struct Room {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    next: u64,
    /// By the order in which they came.
    newcomers: BTreeMap<u64, Arc<Seat>>,
}

/// What the room and a connection have in common.
#[derive(Debug, Default)]
struct Seat {
    leave: Notify,
    /// Its place is given to somebody else.
    given: AtomicBool,
}

impl Room {
    /// For so many connections; at least one of them may be a newcomer.
    pub(in crate::server) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(2), state: Mutex::default() })
    }

    /// How many there may be.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection. The oldest newcomer goes when there is none, or when they have half of the room;
    /// with none that could, there is no place.
    pub(in crate::server) fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state();
        if state.open >= self.most || state.newcomers.len() >= self.most / 2 {
            state.make_room();
        }
        if state.open >= self.most {
            return None;
        }
        let (seat, number) = (Arc::new(Seat::default()), state.next);
        state.next += 1;
        state.open += 1;
        state.newcomers.insert(number, Arc::clone(&seat));
        drop(state);
        Some(Place { room: Arc::clone(self), number, seat, proven: AtomicBool::new(false) })
    }

    /// Sends the oldest newcomers away, for when the system has no room.
    pub(super) fn make_room(&self, newcomers: usize) {
        let mut state = self.state();
        for _ in 0..newcomers {
            state.make_room();
        }
    }
}

impl State {
    fn make_room(&mut self) {
        if let Some((_, seat)) = self.newcomers.pop_first() {
            self.open -= 1;
            seat.given.store(true, Ordering::Release);
            seat.leave.notify_one();
        }
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Place {
    room: Arc<Room>,
    number: u64,
    seat: Arc<Seat>,
    proven: AtomicBool,
}

impl Place {
    /// It has shown a credential, and is no newcomer any more.
    pub(in crate::server) fn prove(&self) {
        if !self.proven.swap(true, Ordering::Relaxed) {
            self.room.state().newcomers.remove(&self.number);
        }
    }

    /// Waits until the place is given to somebody else.
    pub(in crate::server) async fn given(&self) {
        self.seat.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.newcomers.remove(&self.number);
        if !self.seat.given.load(Ordering::Acquire) {
            state.open -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_to_go(place: &Place) -> bool {
        place.seat.given.load(Ordering::Acquire)
    }

    #[test]
    fn enter_sends_the_oldest_newcomer_away_when_newcomers_have_half_of_the_room() {
        let room = Room::new(4);
        let first = room.enter().unwrap();
        let second = room.enter().unwrap();

        let third = room.enter().unwrap();

        assert!(told_to_go(&first) && !told_to_go(&second) && !told_to_go(&third));
        drop((first, second, third));
        assert_eq!(room.state().open, 0);
        assert!(room.state().newcomers.is_empty());
    }

    #[test]
    fn enter_leaves_those_in_peace_who_have_shown_a_credential() {
        let room = Room::new(4);
        let proven: Vec<_> = (0..3).map(|_| room.enter().unwrap()).inspect(Place::prove).collect();
        let newcomer = room.enter().unwrap();

        let other = room.enter().unwrap();

        assert!(told_to_go(&newcomer));
        assert!(!proven.iter().any(told_to_go));
        other.prove();
        assert!(room.enter().is_none(), "all four have shown one");
        drop(proven);
        assert!(room.enter().is_some());
    }

    #[tokio::test]
    async fn given_ends_when_the_place_was_given_before_it_was_asked() {
        let room = Room::new(2);
        let first = room.enter().unwrap();

        room.make_room(1);

        first.given().await;
    }
}
