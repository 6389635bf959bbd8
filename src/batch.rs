//! Batches: items that are checked and stored together, all or nothing, or `partial`: each on its own.

use crate::error::{Error, Result};

/// How many of the items that wait go into one statement, by their sizes: no more than `items` and `bytes`, but one at
/// least.
pub fn fitting(sizes: impl Iterator<Item = usize>, items: usize, bytes: usize) -> usize {
    let mut sum = 0;
    let fits = |(place, size): &(usize, usize)| {
        sum += size;
        *place == 0 || sum <= bytes
    };
    sizes.take(items).enumerate().take_while(fits).count()
}

/// The items of a batch after their field rules were checked.
#[derive(Debug)]
pub struct Batch<T> {
    /// Items that passed, in order.
    pub accepted: Vec<T>,
    /// For each item of the request, why it was refused.
    refused: Vec<Option<Error>>,
    /// Each item stands for itself; otherwise, all of them or none.
    pub partial: bool,
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

    /// After the transaction: one outcome per item of the request, in its order.
    pub fn merge<R>(self, outcomes: Vec<Result<R>>) -> impl Iterator<Item = Result<R>> {
        let mut outcomes = outcomes.into_iter();
        self.refused.into_iter().map(move |refused| match refused {
            Some(error) => Err(error),
            None => outcomes.next().unwrap_or_else(|| Err(Error::Internal("a batch item got no outcome".to_owned()))),
        })
    }
}
