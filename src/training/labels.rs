//! The numbers of labels: a label gets the next free one when it is first exported, or the one that it is given before, and
//! keeps it.

use std::collections::BTreeSet;

use super::model::{Category, Labels};
use super::query;
use crate::auth::Caller;
use crate::db::{Access, Db, Tx};
use crate::error::{Error, Result};
use crate::id::now;

/// How many are read at a time.
const PAGE: i64 = 1000;

/// Gives labels their numbers, those that are asked for where they are free; answers them in their order.
///
/// # Errors
/// Why the database does not store them; [`Error::Internal`] when all numbers are taken.
pub(crate) async fn register(db: &Db, caller: &Caller, wanted: &[Category]) -> Result<Vec<Category>> {
    db.scoped(&caller.in_time(), Access::Write, async |tx| register_in(&tx, wanted).await).await
}

async fn register_in(tx: &Tx, wanted: &[Category]) -> Result<Vec<Category>> {
    query::lock_labels(tx).await?;
    let names: Vec<&str> = wanted.iter().map(|category| category.name.as_str()).collect();
    let ids: Vec<i32> = wanted.iter().filter_map(|category| category.id).collect();
    let (mut known, (taken, highest)) =
        futures_util::future::try_join(query::named(tx, &names), query::taken(tx, &ids)).await?;
    let mut taken: BTreeSet<i32> = taken.into_iter().collect();
    let mut new: Vec<Category> = Vec::new();
    // Those that ask for a number come first, so that no other one takes it.
    for category in wanted.iter().filter(|category| category.id.is_some()) {
        if !known.contains_key(&category.name) && category.id.is_some_and(|id| taken.insert(id)) {
            known.insert(category.name.clone(), category.clone());
            new.push(category.clone());
        }
    }
    let mut next = highest.into_iter().chain(new.iter().filter_map(|category| category.id)).max().unwrap_or(0);
    for category in wanted {
        if !known.contains_key(&category.name) {
            next =
                next.checked_add(1).ok_or_else(|| Error::Internal("all numbers of categories are taken".to_owned()))?;
            let numbered = Category { id: Some(next), ..category.clone() };
            known.insert(category.name.clone(), numbered.clone());
            new.push(numbered);
        }
    }
    if !new.is_empty() {
        query::add_labels(tx, &new, now()).await?;
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
    let (mut all, mut after) = (Labels::new(), -1);
    loop {
        let page = list(db, caller, after, PAGE).await?;
        let Some(last) = page.last().and_then(|last| last.id) else { return Ok(all) };
        after = last;
        all.extend(page.into_iter().map(|category| (category.name.clone(), category)));
    }
}
