//! How many detections become rows: pixel boxes are converted where there are any, then each item is stored on its
//! own, and what was not stored is explained.

use super::model::{Detection, NewDetection};
use super::{convert, query, write};
use crate::auth::Caller;
use crate::batch::{Settled, settle};
use crate::db::{Access, Db, Tx};
use crate::error::{Error, Result};

/// A detection, and whether it is new; or why it was not stored.
pub(super) type Outcome = Result<(Detection, bool)>;

/// Converts the pixel boxes of those that have any.
pub(super) async fn place(db: &Db, caller: &Caller, items: Vec<NewDetection>) -> Result<Vec<Result<NewDetection>>> {
    let photos: Vec<_> = items.iter().filter(|item| !item.pixel_boxes.is_empty()).map(|item| item.photo_id).collect();
    if photos.is_empty() {
        return Ok(items.into_iter().map(Ok).collect());
    }
    let frames = db.once(caller, Access::Read, async |tx| query::frames(&tx, &photos).await).await?;
    let placed = items.into_iter().map(|item| match frames.get(&item.photo_id) {
        Some(frame) if !item.pixel_boxes.is_empty() => convert::place(item, *frame),
        // Without pixel boxes, or without its photo, which the insert will say.
        _ => Ok(item),
    });
    Ok(placed.collect())
}

/// Stores placed items within a transaction, each on its own; those that are new are answered without their results.
pub(super) async fn within(tx: &Tx, items: &[NewDetection]) -> Result<Vec<Outcome>> {
    let insert = async |open: Vec<usize>| write::insert(tx, items, &open).await;
    let explain = async |open: Vec<usize>| write::explain(tx, items, &open).await;
    settle(items.len(), insert, explain, |_| Error::ConcurrentChange).await
}

/// Stores items, each on its own and in as few flights as that takes. What the database refuses for no reason that we
/// know may be the fault of one item: then each is stored alone, so that it costs only itself.
///
/// # Errors
/// Only when no item is stored: trouble after that is told to those that are not.
pub(super) async fn each(db: &Db, caller: &Caller, items: Vec<NewDetection>) -> Result<Vec<Outcome>> {
    let placed = place(db, caller, items).await?;
    let mut refused = Vec::with_capacity(placed.len());
    let mut items = Vec::with_capacity(placed.len());
    for item in placed {
        refused.push(item.map(|item| items.push(item)).err());
    }
    let stored = match flights(db, caller, &items).await {
        Err(error @ Error::Internal(_)) if items.len() == 1 => vec![Err(error)],
        Err(Error::Internal(cause)) => {
            tracing::warn!(cause, items = items.len(), "storing each item alone");
            alone(db, caller, &items).await
        }
        stored => stored?,
    };
    let mut stored = stored.into_iter().zip(items).map(|(outcome, item)| match outcome {
        Ok((detection, true)) => Ok((Detection { results: Some(item.results), ..detection }, true)),
        outcome => outcome,
    });
    let outcomes = refused.into_iter().map(|refused| match refused {
        Some(error) => Err(error),
        None => stored.next().unwrap_or(Err(Error::ConcurrentChange)),
    });
    Ok(outcomes.collect())
}

async fn alone(db: &Db, caller: &Caller, items: &[NewDetection]) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(items.len());
    for one in items.chunks(1) {
        match flights(db, caller, one).await {
            Ok(stored) => outcomes.extend(stored),
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
async fn flights(db: &Db, caller: &Caller, items: &[NewDetection]) -> Result<Vec<Outcome>> {
    let insert = async |open: Vec<usize>| {
        let inserted = db.once(caller, Access::Write, async |tx| write::insert(&tx, items, &open).await).await;
        of_open(inserted, &open, items.len())
    };
    let explain = async |open: Vec<usize>| {
        let explained = db.once(caller, Access::Read, async |tx| write::explain(&tx, items, &open).await).await;
        of_open(explained, &open, items.len())
    };
    settle(items.len(), insert, explain, |_| Error::ConcurrentChange).await
}

/// Lets a flight's trouble befall the items that are open. The others are settled: what is new of them is committed.
fn of_open(settled: Result<Settled<Detection>>, open: &[usize], count: usize) -> Result<Settled<Detection>> {
    match settled.map_err(Error::classified) {
        Err(error) if open.len() < count && !matches!(error, Error::Internal(_)) => {
            Ok(open.iter().map(|&place| (place, Err(error.clone()))).collect())
        }
        settled => settled,
    }
}
