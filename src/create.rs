//! How many items of a kind are created, each on its own: what can be inserted is, and what could not is explained.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::hash::Hash;

use crate::auth::Caller;
use crate::batch::Batch;
use crate::db::{Access, Db, Tx};
use crate::error::{Error, Result};

/// How often an item is inserted and looked at that is taken when it is inserted, and free when it is looked at.
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

    /// Why a caller's item is not stored that neither of them settles.
    fn left(&self, caller: &Caller) -> Error;
}

/// Of the open items, the first one with each id and each natural key, by its id: PostgreSQL might insert either of two.
pub fn first_of_each<I: Eq + Hash, K: Eq + Hash>(
    open: &[usize],
    names: impl Fn(usize) -> (I, Option<K>),
) -> HashMap<I, usize> {
    let (mut firsts, mut keys) = (HashMap::with_capacity(open.len()), HashSet::with_capacity(open.len()));
    for &place in open {
        let (id, key) = names(place);
        if let Entry::Vacant(vacant) = firsts.entry(id)
            && key.is_none_or(|key| keys.insert(key))
        {
            vacant.insert(place);
        }
    }
    firsts
}

/// The place of the open item that a statement numbers `position`, from 1.
pub fn place_of(open: &[usize], position: i32) -> Option<usize> {
    open.get(usize::try_from(position).ok()?.checked_sub(1)?).copied()
}

/// Creates the items of a batch: each on its own if it is partial, otherwise all of them or none.
///
/// # Errors
/// As [`each`]; unless it is partial, the first item's error, after which nothing is stored.
pub async fn batch<T: Create>(db: &Db, caller: &Caller, batch: &Batch<T>) -> Result<Vec<Outcome<T>>> {
    let items = batch.accepted.as_slice();
    if batch.partial {
        return each(db, caller, items).await;
    }
    let all = async |tx: Tx| {
        let insert = async |open: Vec<usize>| T::insert(&tx, items, &open).await;
        let explain = async |open: Vec<usize>| T::explain(&tx, items, &open).await;
        settle(caller, items, insert, explain).await?.into_iter().map(|outcome| outcome.map(Ok)).collect()
    };
    db.scoped(caller, Access::Write, all).await
}

/// Creates items in as few flights as that takes. What the database refuses for no reason that we know may be the fault
/// of one item: then what is open is tried one by one, so that it costs only itself.
///
/// # Errors
/// Only when no item is stored: trouble after that is told to those that are not.
pub async fn each<T: Create>(db: &Db, caller: &Caller, items: &[T]) -> Result<Vec<Outcome<T>>> {
    let insert = async |open: Vec<usize>| {
        let one = async |open: Vec<usize>| {
            db.once(&caller.in_time(), Access::Write, async |tx| T::insert(&tx, items, &open).await).await
        };
        fly::<T, _>(one, open, items.len()).await
    };
    let explain = async |open: Vec<usize>| {
        let one = async |open: Vec<usize>| {
            db.once(&caller.in_time(), Access::Check, async |tx| T::explain(&tx, items, &open).await).await
        };
        fly::<T, _>(one, open, items.len()).await
    };
    settle(caller, items, insert, explain).await
}

/// Settles open items in one flight, or in one for each when the database refuses that for no reason that we know.
/// Trouble befalls the items that are open: what is new of the others, which are settled, is committed.
async fn fly<T: Create, F>(flight: impl Fn(Vec<usize>) -> F, open: Vec<usize>, all: usize) -> Result<Settled<T>>
where
    F: Future<Output = Result<Settled<T>>>,
{
    let cause = match flight(open.clone()).await.map_err(Error::classified) {
        Err(Error::Internal(cause)) => cause,
        Err(error) if open.len() < all => {
            return Ok(open.into_iter().map(|place| (place, Err(error.clone()))).collect());
        }
        settled => return settled,
    };
    if let [only] = *open {
        return Ok(vec![(only, Err(Error::Internal(cause)))]);
    }
    tracing::warn!(cause, items = open.len(), "trying each item alone");
    let mut settled = Vec::with_capacity(open.len());
    let mut trouble: Option<Error> = None;
    for place in open {
        match &trouble {
            Some(error) => settled.push((place, Err(error.clone()))),
            None => match flight(vec![place]).await.map_err(Error::classified) {
                Ok(found) => settled.extend(found),
                Err(error) => {
                    if !matches!(error, Error::Internal(_)) {
                        trouble = Some(error.clone());
                    }
                    settled.push((place, Err(error)));
                }
            },
        }
    }
    Ok(settled)
}

/// Inserts and explains what is open, by turns. What is free after all is inserted again: the second of two items with
/// one key, when the first was refused for something else, or one whose rival was deleted in between.
async fn settle<T, I, E>(
    caller: &Caller,
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
    for turn in 0..2 * ROUNDS {
        if open.is_empty() {
            break;
        }
        let settled = if turn % 2 == 0 { insert(open.clone()).await? } else { explain(open.clone()).await? };
        for (place, outcome) in settled {
            outcomes[place] = Some(outcome);
        }
        open.retain(|&place| outcomes[place].is_none());
    }
    let outcomes = outcomes.into_iter().zip(items);
    Ok(outcomes.map(|(outcome, item)| outcome.unwrap_or_else(|| Err(item.left(caller)))).collect())
}
