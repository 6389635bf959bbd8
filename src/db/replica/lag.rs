//! How long ago was the primary where the standby is? Measured by this process's clock alone, and also true while
//! nobody writes: a position of the primary is kept until the standby has come to it.

use std::time::{Duration, Instant};

use crate::lsn::Lsn;

/// The distance to the primary.
#[derive(Debug)]
pub(super) struct Lag {
    most: Duration,
    /// When the primary was where, and the standby was not.
    goal: Option<(Instant, Lsn)>,
    far: bool,
}

impl Lag {
    /// Far is what is more than `most` behind, and whatever was not seen near yet.
    pub(super) fn new(most: Duration) -> Self {
        Self { most, goal: None, far: true }
    }

    /// Takes in where both are; the primary is not always there to say it.
    pub(super) fn look(&mut self, now: Instant, replayed: Lsn, primary: Option<Lsn>) {
        if let Some((since, goal)) = self.goal {
            let took = now.duration_since(since);
            if replayed >= goal {
                self.far = took > self.most;
                self.goal = None;
            } else {
                self.far |= took > self.most;
            }
        }
        match primary {
            Some(primary) if primary > replayed => {
                self.goal.get_or_insert((now, primary));
            }
            // At the same place.
            Some(_) => (self.goal, self.far) = (None, false),
            None => {}
        }
    }

    /// Whether it is too far behind.
    pub(super) fn is_far(&self) -> bool {
        self.far
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(30);

    /// What is said of a standby after each of these looks: the second, and where both are.
    fn said(looks: &[(u64, &str, Option<&str>)]) -> Vec<bool> {
        let (mut lag, begin) = (Lag::new(MOST), Instant::now());
        let lsn = |text: &str| text.parse().unwrap();
        let far = |(second, replayed, primary): &(u64, &str, Option<&str>)| {
            lag.look(begin + Duration::from_secs(*second), lsn(replayed), primary.map(lsn));
            lag.is_far()
        };
        looks.iter().map(far).collect()
    }

    #[test]
    fn a_standby_is_far_until_it_was_seen_near() {
        assert_eq!(said(&[(0, "0/1", Some("0/1"))]), [false]);
        assert_eq!(
            said(&[(0, "0/1", Some("0/5")), (1, "0/4", Some("0/9")), (2, "0/6", Some("0/9"))]),
            [true, true, false]
        );
        assert_eq!(said(&[(0, "0/1", None)]), [true]);
    }

    #[test]
    fn a_standby_that_stays_behind_is_far_after_the_time_allowed() {
        let looks =
            [(0, "0/1", Some("0/1")), (10, "0/1", Some("0/2")), (40, "0/1", Some("0/3")), (41, "0/1", Some("0/3"))];

        assert_eq!(said(&looks), [false, false, false, true]);
    }

    #[test]
    fn a_standby_that_follows_at_too_great_a_distance_stays_far() {
        let looks =
            [(0, "0/1", Some("0/5")), (60, "0/5", Some("0/9")), (61, "0/6", Some("0/9")), (120, "0/9", Some("0/B"))];

        assert_eq!(said(&looks), [true; 4]);
    }

    #[test]
    fn nobody_is_behind_while_nobody_writes_or_while_the_primary_is_away() {
        assert_eq!(said(&[(0, "0/1", Some("0/1")), (600, "0/1", Some("0/1")), (900, "0/1", None)]), [false; 3]);
    }
}
