//! How many items of a kind are created, each on its own: what can be inserted is, and what could not is explained.

use std::future::Future;

use crate::auth::Caller;
use crate::db::{Access, Db, Tx};
use crate::error::{Error, Result};

/// How often items are inserted that are free when they are looked at, and taken when they are inserted.
const ROUNDS: usize = 3;

/// An item that was not there before or that was, and `true` if it is new; or why it is not stored.
pub type Outcome<T> = Result<(<T as Create>::Stored, bool)>;

/// What became of some items, by their places.
pub type Settled<T> = Vec<(usize, Outcome<T>)>;

/// An item to be created.
pub trait Create: Send + Sync + Sized {
    /// What it becomes.
    type Stored: Send;

    /// Inserts the open items in one statement, and settles those that are new.
    fn insert(tx: &Tx, items: &[Self], open: &[usize]) -> impl Future<Output = Result<Settled<Self>>> + Send;

    /// Settles, in one statement, what was stored before, is taken, or refers to nothing.
    fn explain(tx: &Tx, items: &[Self], open: &[usize]) -> impl Future<Output = Result<Settled<Self>>> + Send;

    /// Why an item is not stored that neither of them settles.
    fn left(&self) -> Error;
}

/// Creates items within a transaction.
///
/// # Errors
/// What the database answers; the transaction can then only be rolled back.
pub async fn within<T: Create>(tx: &Tx, items: &[T]) -> Result<Vec<Outcome<T>>> {
    let insert = async |open: Vec<usize>| T::insert(tx, items, &open).await;
    let explain = async |open: Vec<usize>| T::explain(tx, items, &open).await;
    settle(items, insert, explain).await
}

/// Creates items in as few flights as that takes. What the database refuses for no reason that we know may be the fault
/// of one item: then each is created alone, so that it costs only itself.
///
/// # Errors
/// Only when no item is stored: trouble after that is told to those that are not.
pub async fn each<T: Create>(db: &Db, caller: &Caller, items: &[T]) -> Result<Vec<Outcome<T>>> {
    match flights(db, caller, items).await {
        Err(error @ Error::Internal(_)) if items.len() == 1 => Ok(vec![Err(error)]),
        Err(Error::Internal(cause)) => {
            tracing::warn!(cause, items = items.len(), "creating each item alone");
            Ok(alone(db, caller, items).await)
        }
        created => created,
    }
}

async fn alone<T: Create>(db: &Db, caller: &Caller, items: &[T]) -> Vec<Outcome<T>> {
    let mut outcomes = Vec::with_capacity(items.len());
    for one in items.chunks(1) {
        match flights(db, caller, one).await {
            Ok(created) => outcomes.extend(created),
            Err(error @ Error::Internal(_)) => outcomes.push(Err(error)),
            Err(error) => {
                outcomes.resize_with(items.len(), || Err(error.clone()));
                break;
            }
        }
    }
    outcomes
}

/// A flight that inserts, and where something is left a second one that explains it.
async fn flights<T: Create>(db: &Db, caller: &Caller, items: &[T]) -> Result<Vec<Outcome<T>>> {
    let insert = async |open: Vec<usize>| {
        let inserted = db.once(caller, Access::Write, async |tx| T::insert(&tx, items, &open).await).await;
        of_open::<T>(inserted, &open, items.len())
    };
    let explain = async |open: Vec<usize>| {
        let explained = db.once(caller, Access::Read, async |tx| T::explain(&tx, items, &open).await).await;
        of_open::<T>(explained, &open, items.len())
    };
    settle(items, insert, explain).await
}

/// Lets a flight's trouble befall the items that are open. The others are settled: what is new of them is committed.
fn of_open<T: Create>(settled: Result<Settled<T>>, open: &[usize], count: usize) -> Result<Settled<T>> {
    match settled.map_err(Error::classified) {
        Err(error) if open.len() < count && !matches!(error, Error::Internal(_)) => {
            Ok(open.iter().map(|&place| (place, Err(error.clone()))).collect())
        }
        settled => settled,
    }
}

/// Inserts and explains what is open, by turns. What is free after all is inserted in another round: the second of two
/// items with one key, when the first was refused for something else.
async fn settle<T, I, E>(
    items: &[T],
    insert: impl Fn(Vec<usize>) -> I,
    explain: impl Fn(Vec<usize>) -> E,
) -> Result<Vec<Outcome<T>>>
where
    T: Create,
    I: Future<Output = Result<Settled<T>>>,
    E: Future<Output = Result<Settled<T>>>,
{
    let mut outcomes: Vec<Option<Outcome<T>>> = items.iter().map(|_| None).collect();
    let mut open: Vec<usize> = (0..items.len()).collect();
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
    let outcomes = outcomes.into_iter().zip(items);
    Ok(outcomes.map(|(outcome, item)| outcome.unwrap_or_else(|| Err(item.left()))).collect())
}
