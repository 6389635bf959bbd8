//! The numbers of labels: a label gets the next free one when it is first exported, or the one that it is given before, and
//! keeps it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::model::{Category, Labels};
use super::query;
use crate::auth::Caller;
use crate::db::{Access, Db, Tx};
use crate::error::{Error, Result};
use crate::id::now;

/// How many are read at a time.
const PAGE: i64 = 1000;
/// Numbers from here on are given to who asks for them, and never counted on from: no client can use up the others.
const BOUND: i32 = 1_000_000_000;

/// Gives labels their numbers, those that are asked for where they are free; answers them in their order.
///
/// # Errors
/// Why the database does not store them.
pub(crate) async fn register(db: &Db, caller: &Caller, wanted: &[Category]) -> Result<Vec<Category>> {
    db.scoped(&caller.in_time(), Access::Write, async |tx| register_in(&tx, wanted).await).await
}

async fn register_in(tx: &Tx, wanted: &[Category]) -> Result<Vec<Category>> {
    query::lock_labels(tx).await?;
    let at = Some(now());
    let names: Vec<&str> = wanted.iter().map(|category| category.name.as_str()).collect();
    let ids: Vec<i32> = wanted.iter().filter_map(|category| category.id).collect();
    let (mut known, (taken, highest)) =
        futures_util::future::try_join(query::named(tx, &names), query::taken(tx, &ids, BOUND)).await?;
    let mut taken: BTreeSet<i32> = taken.into_iter().collect();
    let mut new: Vec<Category> = Vec::new();
    // Those that ask for a number come first, so that no other one takes it.
    for category in wanted.iter().filter(|category| category.id.is_some()) {
        if !known.contains_key(&category.name) && category.id.is_some_and(|id| taken.insert(id)) {
            let numbered = Category { created_at: at, ..category.clone() };
            known.insert(category.name.clone(), numbered.clone());
            new.push(numbered);
        }
    }
    let given = new.iter().filter_map(|category| category.id).filter(|id| *id < BOUND);
    let mut last = highest.into_iter().chain(given).max().unwrap_or(0);
    for category in wanted {
        if !known.contains_key(&category.name) {
            last += 1;
            if last >= BOUND {
                return Err(Error::Internal("all numbers of categories are taken".to_owned()));
            }
            let numbered = Category { id: Some(last), created_at: at, ..category.clone() };
            known.insert(category.name.clone(), numbered.clone());
            new.push(numbered);
        }
    }
    if !new.is_empty() {
        query::add_labels(tx, &new).await?;
    }
    Ok(wanted.iter().filter_map(|category| known.get(&category.name).cloned()).collect())
}

/// Lists at most `limit` categories with higher numbers than `after`.
///
/// # Errors
/// Why the database does not read them.
pub(crate) async fn list(db: &Db, caller: &Caller, after: i32, limit: i64) -> Result<Vec<Category>> {
    db.once(&caller.in_time(), Access::Read, async |tx| query::labels(&tx, after, limit).await).await
}

/// Reads all of them.
pub(super) async fn all(db: &Db, caller: &Caller) -> Result<Labels> {
    let (mut all, mut after) = (Labels::new(), Some(-1));
    while let Some(behind) = after {
        let page = list(db, caller, behind, PAGE).await?;
        let full = i64::try_from(page.len()).is_ok_and(|read| read == PAGE);
        after = page.last().and_then(|last| last.id).filter(|_| full);
        all.extend(page.into_iter().map(|category| (category.name.clone(), category)));
    }
    Ok(all)
}

/// A moment at which nobody is about to add categories: those that are there say an earlier time, and those to come none
/// that is earlier.
pub(super) async fn moment(db: &Db, caller: &Caller) -> Result<Timestamp> {
    let work = async |tx: Tx| query::await_labels(&tx).await.map(|()| now());
    db.once(&caller.in_time(), Access::Check, work).await
}
