//! Batches: items that are checked and stored together, all or nothing, or `partial`: each on its own.

use std::future::Future;

use crate::error::{Error, Result};

/// How often items are inserted that are free when they are looked at, and taken when they are inserted.
const ROUNDS: usize = 3;

/// What became of some items, by their places: `true` with those that are new.
pub type Settled<R> = Vec<(usize, Result<(R, bool)>)>;

/// Stores `count` items by inserting what can be inserted and explaining what could not. Both are given the places of
/// the items that are open, and answer for those that are settled. What is free after all is inserted in another round:
/// the second of two items with one key, when the first was refused for something else. `left` says why an item is still
/// open at the end.
///
/// # Errors
/// What `insert` or `explain` answer.
pub async fn settle<R, I, E>(
    count: usize,
    insert: impl Fn(Vec<usize>) -> I,
    explain: impl Fn(Vec<usize>) -> E,
    left: impl Fn(usize) -> Error,
) -> Result<Vec<Result<(R, bool)>>>
where
    I: Future<Output = Result<Settled<R>>>,
    E: Future<Output = Result<Settled<R>>>,
{
    let mut outcomes: Vec<Option<Result<(R, bool)>>> = (0..count).map(|_| None).collect();
    let mut open: Vec<usize> = (0..count).collect();
    for _ in 0..ROUNDS {
        let before = open.len();
        for explaining in [false, true] {
            if open.is_empty() {
                break;
            }
            let settled = if explaining { explain(open.clone()).await? } else { insert(open.clone()).await? };
            for (place, outcome) in settled {
                outcomes[place] = Some(outcome);
            }
            open.retain(|&place| outcomes[place].is_none());
        }
        if open.len() == before {
            break;
        }
    }
    let outcomes = outcomes.into_iter().enumerate();
    Ok(outcomes.map(|(place, outcome)| outcome.unwrap_or_else(|| Err(left(place)))).collect())
}

/// The items of a batch after their field rules were checked.
#[derive(Debug)]
pub struct Batch<T> {
    /// Items that passed, in order.
    pub accepted: Vec<T>,
    /// For each item of the request, why it was refused.
    refused: Vec<Option<Error>>,
    partial: bool,
}

impl<T> Batch<T> {
    /// Sorts checked items. Unless `partial`, one refused item refuses the batch, and the violations of all of
    /// its items are told together.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn admit(items: Vec<Result<T>>, partial: bool) -> Result<Self> {
        let mut batch =
            Self { accepted: Vec::with_capacity(items.len()), refused: Vec::with_capacity(items.len()), partial };
        for item in items {
            match item {
                Ok(item) => {
                    batch.accepted.push(item);
                    batch.refused.push(None);
                }
                Err(error) => batch.refused.push(Some(error)),
            }
        }
        if partial {
            return Ok(batch);
        }
        let mut violations = Vec::new();
        for error in std::mem::take(&mut batch.refused) {
            match error {
                Some(Error::Invalid(found)) => violations.extend(found),
                Some(other) => return Err(other),
                None => batch.refused.push(None),
            }
        }
        if violations.is_empty() { Ok(batch) } else { Err(Error::Invalid(violations)) }
    }

    /// Takes in what a second look at the accepted items found. Unless `partial`, one refused item refuses the batch.
    ///
    /// # Errors
    /// As [`Batch::admit`].
    pub fn look_again(self, items: Vec<Result<T>>) -> Result<Self> {
        let mut items = items.into_iter();
        let refused = self.refused.into_iter();
        let all = refused.filter_map(|refused| refused.map_or_else(|| items.next(), |error| Some(Err(error))));
        Self::admit(all.collect(), self.partial)
    }

    /// Inside the transaction: lets the outcomes of the accepted items stand, or, unless `partial`, answers the
    /// first error, which rolls everything back.
    ///
    /// # Errors
    /// The first item's error, unless `partial`.
    pub fn settle<R>(&self, outcomes: Vec<Result<R>>) -> Result<Vec<Result<R>>> {
        if self.partial { Ok(outcomes) } else { outcomes.into_iter().map(|outcome| outcome.map(Ok)).collect() }
    }

    /// After the transaction: one outcome per item of the request, in its order.
    pub fn merge<R>(self, outcomes: Vec<Result<R>>) -> impl Iterator<Item = Result<R>> {
        let mut outcomes = outcomes.into_iter();
        self.refused.into_iter().map(move |refused| match refused {
            Some(error) => Err(error),
            None => outcomes.next().unwrap_or_else(|| Err(Error::Internal("a batch item got no outcome".to_owned()))),
        })
    }
}
