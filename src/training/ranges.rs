//! A set of numbers as its runs: what is given out one after the other stays small in a token.

use std::collections::BTreeMap;

/// A set of numbers.
#[derive(Debug, Default)]
pub(super) struct Ranges(BTreeMap<i32, i32>);

impl Ranges {
    /// Whether a number is in it.
    pub(super) fn contains(&self, number: i32) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// Adds a number.
    pub(super) fn insert(&mut self, number: i32) {
        if self.contains(number) {
            return;
        }
        let before = self.0.range(..number).next_back().map(|(first, last)| (*first, *last));
        let first = before.filter(|(_, last)| last.checked_add(1) == Some(number)).map_or(number, |(first, _)| first);
        let behind = number.checked_add(1).and_then(|next| self.0.remove(&next));
        self.0.insert(first, behind.unwrap_or(number));
    }

    /// Its runs: the first and the last number of each, in order.
    pub(super) fn to_vec(&self) -> Vec<(i32, i32)> {
        self.0.iter().map(|(first, last)| (*first, *last)).collect()
    }
}

impl From<Vec<(i32, i32)>> for Ranges {
    fn from(runs: Vec<(i32, i32)>) -> Self {
        Self(runs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_one_another_are_one_run() {
        let mut ranges = Ranges::default();
        for number in [5, 1, 2, 9, 4, 3, i32::MAX, 3, 0] {
            ranges.insert(number);
        }

        assert_eq!(ranges.to_vec(), [(0, 5), (9, 9), (i32::MAX, i32::MAX)]);
        let again = Ranges::from(ranges.to_vec());
        let found: Vec<i32> = [-1, 0, 5, 6, 8, 9, 10, i32::MAX].into_iter().filter(|n| again.contains(*n)).collect();
        assert_eq!(found, [0, 5, 9, i32::MAX]);
    }
}
