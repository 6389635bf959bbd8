//! How many detections become rows: pixel boxes are converted where there are any, then each item is stored on its
//! own, and what was not stored is explained.

use std::borrow::Cow;

use super::model::{Detection, NewDetection};
use super::{convert, query, write};
use crate::db::Tx;
use crate::error::{Error, Result};

/// Converts pixel boxes where there are any, then stores what can be stored: each item on its own.
pub(super) async fn store(tx: &Tx, new: &[NewDetection]) -> Result<Vec<Result<(Detection, bool)>>> {
    let pixels: Vec<_> = new.iter().filter(|item| !item.pixel_boxes.is_empty()).map(|item| item.photo_id).collect();
    if pixels.is_empty() {
        let new: Vec<&NewDetection> = new.iter().collect();
        return write::explain(tx, &new, write::insert(tx, &new).await?).await;
    }
    let frames = query::frames(tx, &pixels).await?;
    let placed = new.iter().map(|item| match frames.get(&item.photo_id) {
        Some(frame) if !item.pixel_boxes.is_empty() => convert::place(item, *frame).map(Cow::Owned),
        // Without pixel boxes, or without its photo, which the insert will say.
        _ => Ok(Cow::Borrowed(item)),
    });
    let placed: Vec<Result<Cow<'_, NewDetection>>> = placed.collect();
    let ready: Vec<&NewDetection> = placed.iter().filter_map(|item| item.as_ref().ok().map(AsRef::as_ref)).collect();
    let mut stored = write::explain(tx, &ready, write::insert(tx, &ready).await?).await?.into_iter();
    let outcomes = placed.into_iter().map(|item| match item {
        Ok(_) => stored.next().unwrap_or(Err(Error::ConcurrentChange)),
        Err(error) => Err(error),
    });
    Ok(outcomes.collect())
}
