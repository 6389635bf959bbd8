//! How often something is logged that strangers, or trouble, can cause as often as they like.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most one line in so long.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts what happened since it was last told.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// Nothing has happened so far.
    pub const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// It has happened. Answers how often since the last line, when it is time for another one.
    pub fn again(&self) -> Option<u64> {
        self.again_at(Instant::now())
    }

    fn again_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, times) = &mut *state;
        *times += 1;
        if told.is_some_and(|told| now.saturating_duration_since(told) < PAUSE) {
            return None;
        }
        *told = Some(now);
        Some(std::mem::take(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn again_tells_the_first_and_then_the_sum_after_a_pause() {
        let (seldom, start) = (Seldom::default(), Instant::now());

        assert_eq!(seldom.again_at(start), Some(1));
        assert_eq!(seldom.again_at(start), None);
        assert_eq!(seldom.again_at(start + PAUSE / 2), None);
        assert_eq!(seldom.again_at(start + PAUSE), Some(3));
    }
}
