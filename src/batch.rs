//! Batches: items that are checked and stored together, all or nothing, or `partial`: each on its own.

use crate::error::{Error, Result};

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
