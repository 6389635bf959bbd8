//! When a key set is read again because a token names a key that is not in it: one round for all who wait, and never
//! more rounds than the source bears, however many names somebody invents.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout_at;

use super::super::verified::Fingerprint;

/// Longest time that a call waits for a key.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between the end of a round and the next one that a name may cause.
const GAP: Duration = Duration::from_secs(1);
/// The same, after rounds that have brought nothing.
const LONGEST_GAP: Duration = Duration::from_secs(10);
/// Most calls that wait.
const MOST_WAITING: usize = 256;
/// Most names that are remembered.
const MOST_NAMES: usize = 256;

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There are other keys.
    Changed,
    /// There are the same.
    Same,
    /// The source cannot be read.
    Failed,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// Number of the newest round that has begun.
    begun: u64,
    /// Number of the newest round that has ended.
    ended: u64,
    /// Number of the newest round in which the source could be read.
    good: u64,
    /// When a name may cause the next one.
    next: Instant,
    gap: Duration,
}

/// The rounds of reading one source.
#[derive(Debug)]
pub(super) struct Rounds {
    state: watch::Sender<State>,
    /// Number of the newest round that somebody waits for.
    wanted: watch::Sender<u64>,
    /// The first round that would have shown a name.
    names: Mutex<HashMap<Fingerprint, u64>>,
    waiting: Semaphore,
}

impl Default for Rounds {
    fn default() -> Self {
        let state = State { begun: 0, ended: 0, good: 0, next: Instant::now(), gap: GAP };
        Self {
            state: watch::Sender::new(state),
            wanted: watch::Sender::new(0),
            names: Mutex::default(),
            waiting: Semaphore::new(MOST_WAITING),
        }
    }
}

impl Rounds {
    /// Tells whether the source was ever read.
    pub(super) fn had_any(&self) -> bool {
        self.state.borrow().good > 0
    }

    /// A round begins.
    pub(super) fn begin(&self) {
        self.state.send_modify(|state| state.begun += 1);
    }

    /// The round has ended. `asked`: because a name was not known.
    pub(super) fn end(&self, outcome: Outcome, asked: bool) {
        self.state.send_modify(|state| {
            state.ended = state.begun;
            if outcome != Outcome::Failed {
                state.good = state.begun;
            }
            state.gap = if asked && outcome != Outcome::Changed { LONGEST_GAP.min(state.gap * 2) } else { GAP };
            state.next = Instant::now() + state.gap;
        });
    }

    /// Waits until somebody wants a round that has not begun, and one may begin.
    pub(super) async fn asked(&self) {
        let begun = self.state.borrow().begun;
        // Who wants a round holds on to self.
        let _ = self.wanted.subscribe().wait_for(|wanted| *wanted > begun).await;
        let next = self.state.borrow().next;
        tokio::time::sleep_until(next.into()).await;
    }

    /// Waits until a round that began after the name came has ended, or the name is `known`. Until the next round may
    /// begin, a name that the newest one did not show is refused without another.
    ///
    /// # Errors
    /// When there was no such round: how long to wait before asking again.
    pub(super) async fn learn(
        &self,
        name: Fingerprint,
        until: Instant,
        known: impl Fn() -> bool,
    ) -> Result<(), Duration> {
        let Ok(_waiting) = self.waiting.try_acquire() else { return Err(GAP) };
        let now = Instant::now();
        let until = until.min(now + PATIENCE);
        let mut changes = self.state.subscribe();
        let state = *changes.borrow_and_update();
        let needed = self.needed(name, state, now);
        if known() || needed <= state.good {
            return Ok(());
        }
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, needed.max(*wanted)) < needed);
        if state.begun == state.ended && state.next > until {
            return Err(state.next - now);
        }
        while let Ok(Ok(())) = timeout_at(until.into(), changes.changed()).await {
            let state = *changes.borrow_and_update();
            if known() || needed <= state.good {
                return Ok(());
            }
            if needed <= state.ended {
                break;
            }
        }
        Err(self.state.borrow().next.saturating_duration_since(Instant::now()).max(GAP))
    }

    /// The first round that shows the name, if anything does.
    fn needed(&self, name: Fingerprint, state: State, now: Instant) -> u64 {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let coming = state.begun + 1;
        match names.get(&name) {
            // The newest was of no use, and there may be another: the name may have come with a rotation since.
            Some(&needed) if needed > state.ended || now < state.next && needed <= state.good => needed,
            _ => {
                if names.len() >= MOST_NAMES {
                    names.clear();
                }
                names.insert(name, coming);
                coming
            }
        }
    }
}
