//! How detections are created: pixel boxes are converted where there are any, then each item is stored on its own.

use super::model::{Detection, NewDetection};
use super::{convert, query, write};
use crate::auth::Caller;
use crate::create::{self, Create, Outcome, Settled};
use crate::db::{Access, Db, Tx};
use crate::error::{Error, Resource, Result};

impl Create for NewDetection {
    type Stored = Detection;

    async fn insert(tx: &Tx, items: &[Self], open: &[usize]) -> Result<Settled<Self>> {
        write::insert(tx, items, open).await
    }

    async fn explain(tx: &Tx, items: &[Self], open: &[usize]) -> Result<Settled<Self>> {
        write::explain(tx, items, open).await
    }

    fn left(&self, _: &Caller) -> Error {
        Error::ConcurrentChange
    }
}

/// Converts the pixel boxes of those that have any.
pub(super) async fn place(db: &Db, caller: &Caller, items: Vec<NewDetection>) -> Result<Vec<Result<NewDetection>>> {
    let photos: Vec<_> = items.iter().filter(|item| !item.pixel_boxes.is_empty()).map(|item| item.photo_id).collect();
    if photos.is_empty() {
        return Ok(items.into_iter().map(Ok).collect());
    }
    let frames = db.once(&caller.in_time(), Access::Check, async |tx| query::frames(&tx, &photos).await).await?;
    let placed = items.into_iter().map(|item| match frames.get(&item.photo_id) {
        _ if item.pixel_boxes.is_empty() => Ok(item),
        Some(frame) => convert::place(item, *frame),
        // Not left to the insert, which may find the photo after all, and would store the item without its boxes.
        None => Err(Error::NotFound(Resource::Photo, item.photo_id.to_string())),
    });
    Ok(placed.collect())
}

/// Places items and creates them, each on its own.
///
/// # Errors
/// As [`create::each`].
pub(super) async fn each(db: &Db, caller: &Caller, items: Vec<NewDetection>) -> Result<Vec<Outcome<NewDetection>>> {
    let placed = place(db, caller, items).await?;
    let mut refused = Vec::with_capacity(placed.len());
    let mut items = Vec::with_capacity(placed.len());
    for item in placed {
        refused.push(item.map(|item| items.push(item)).err());
    }
    let created = create::each(db, caller, &items).await?;
    let mut created = created.into_iter().zip(items).map(|(outcome, item)| match outcome {
        Ok((detection, true)) => Ok((Detection { results: Some(item.results), ..detection }, true)),
        outcome => outcome,
    });
    let outcomes = refused.into_iter().map(|refused| match refused {
        Some(error) => Err(error),
        None => created.next().unwrap_or(Err(Error::ConcurrentChange)),
    });
    Ok(outcomes.collect())
}
