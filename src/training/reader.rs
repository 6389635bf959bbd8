//! Reads one pass over the rows of an export, some at a time, each time in a short transaction of its own: nothing is held
//! while the client is slow.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use opentelemetry::context::FutureExt as _;
use tracing::Instrument as _;

use super::model::{Cursor, Found, Inner, Key, Photo, Plan, Stage};
use super::query::{self, Shown};
use crate::auth::Caller;
use crate::db::{Access, Db, Tx};
use crate::error::{Error, Result};
use crate::feedback;
use crate::id::PhotoId;

/// Photos that are looked at in one transaction.
const PHOTOS: i64 = 500;
/// Most detections of them that are read at once, and their bytes as PostgreSQL keeps them.
const ROWS: i64 = 1000;
const BYTES: i64 = 1024 * 1024;
/// The same where only photos are of interest.
const BARE_ROWS: i64 = 10_000;

/// A photo with detections.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) photo: Photo,
    /// In their order.
    pub(super) found: Vec<Found>,
    /// These are its last ones.
    pub(super) ends: bool,
}

/// What was read at once.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// Where to go on; none at the end.
    pub(super) next: Option<Place>,
}

/// Where to go on: behind a photo, and behind a detection of a photo that follows it.
pub(super) type Place = (Option<Key>, Option<Inner>);

/// Reads what a pass needs.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) db: Db,
    pub(super) caller: Caller,
    pub(super) plan: Arc<Plan>,
    pub(super) stage: Stage,
    pub(super) moment: Timestamp,
}

impl Reader {
    /// A reader for the pass that an export is in.
    pub(super) fn new(db: &Db, caller: &Caller, plan: &Arc<Plan>, cursor: &Cursor) -> Self {
        let (stage, moment) = (cursor.stage, cursor.moment());
        Self { db: db.clone(), caller: caller.clone(), plan: plan.clone(), stage, moment }
    }

    /// Reads on from a place.
    ///
    /// # Errors
    /// Why the database cannot. [`Error::ConcurrentChange`] when the photo that was begun is gone: what is written of it
    /// cannot be ended.
    pub(super) async fn read(&self, place: Place) -> Result<Batch> {
        self.db.scoped(&self.caller.in_time(), Access::Read, async |tx| self.batch(&tx, place).await).await
    }

    async fn batch(&self, tx: &Tx, (after, begun): Place) -> Result<Batch> {
        let photos = query::photos(tx, &self.plan, &self.moment, after, PHOTOS).await?;
        let last = photos.last().map(|photo| (photo.created_at.as_microsecond(), photo.id));
        let more = photos.len() >= usize::try_from(PHOTOS).unwrap_or(usize::MAX);
        let behind_all = last.filter(|_| more).map(|last| (Some(last), None));
        let takes = |photo: &Photo| {
            // Nothing on a photo without size has pixels; the first pass tells of it.
            (photo.size.is_some() || !self.plan.coco || self.stage == Stage::Images)
                && self.plan.split.as_ref().is_none_or(|split| split.takes(photo))
        };
        let photos: Vec<Photo> = photos.into_iter().filter(takes).collect();
        if begun.is_some_and(|(id, ..)| photos.iter().all(|photo| photo.id != id)) {
            return Err(Error::ConcurrentChange);
        }
        if photos.is_empty() {
            return Ok(Batch { entries: Vec::new(), next: behind_all });
        }
        let ids: Vec<PhotoId> = photos.iter().map(|photo| photo.id).collect();
        let most = match self.stage {
            Stage::Images => (BARE_ROWS, BYTES, Shown::Nothing),
            Stage::Negatives => (BARE_ROWS, BYTES, Shown::Missing),
            Stage::Objects | Stage::Categories | Stage::End => (ROWS, BYTES, Shown::All),
        };
        let query::Detections { found, whole } =
            query::detections(tx, &self.plan, &self.moment, (&ids, begun), most).await?;
        let cut = if whole { None } else { found.last().map(Found::place) };
        let found = self.as_it_stood(tx, found).await?;
        Ok(assemble(photos, found, (after, begun), (cut, behind_all)))
    }

    /// Puts detections that were answered after the moment back to how they stood then, and drops those that were not
    /// asked for as they stood.
    async fn as_it_stood(&self, tx: &Tx, mut found: Vec<Found>) -> Result<Vec<Found>> {
        let later: Vec<_> = found.iter().filter(|one| one.updated_at >= self.moment).map(|one| one.id).collect();
        if later.is_empty() {
            return Ok(found);
        }
        let mut answers = feedback::answers(tx, &later, Some(self.moment)).await?;
        found.retain_mut(|one| {
            if one.updated_at < self.moment {
                return true;
            }
            let answers = answers.remove(&one.id).unwrap_or_default();
            let stand = feedback::fold(&answers, &one.results.ids());
            one.verdict = stand.newest.map(|newest| newest.verdict.name().to_owned());
            one.corrections = stand.corrections;
            self.plan.wants(one.verdict.as_deref())
        });
        Ok(found)
    }
}

/// Gives each photo its detections. `cut` is the last detection that was read, where there may be more behind it.
fn assemble(
    photos: Vec<Photo>,
    found: Vec<Found>,
    (after, begun): Place,
    (cut, behind_all): (Option<Inner>, Option<Place>),
) -> Batch {
    let mut of_photo: HashMap<PhotoId, Vec<Found>> = HashMap::new();
    for one in found {
        of_photo.entry(one.photo_id).or_default().push(one);
    }
    let mut entries = Vec::new();
    let mut done = after;
    for photo in photos {
        let mut found = of_photo.remove(&photo.id).unwrap_or_default();
        found.sort_unstable_by_key(|one| (one.created_at, one.id));
        let key = (photo.created_at.as_microsecond(), photo.id);
        let goes_on = begun.is_some_and(|(id, ..)| id == photo.id);
        let ends = cut.is_none_or(|(id, ..)| id != photo.id);
        if goes_on || !found.is_empty() {
            entries.push(Entry { photo, found, ends });
        }
        if !ends {
            return Batch { entries, next: Some((done, cut)) };
        }
        done = Some(key);
    }
    Batch { entries, next: behind_all }
}

/// Reads all of a pass, one batch ahead of who takes them.
pub(super) fn ahead(reader: Reader, place: Place) -> tokio::sync::mpsc::Receiver<Result<Batch>> {
    let (out, batches) = tokio::sync::mpsc::channel(1);
    let work = async move {
        let mut place = Some(place);
        while let Some(here) = place {
            let batch = tokio::select! {
                () = out.closed() => return,
                batch = reader.read(here) => batch,
            };
            place = batch.as_ref().ok().and_then(|batch| batch.next);
            if out.send(batch).await.is_err() {
                return;
            }
        }
    };
    tokio::spawn(work.in_current_span().with_current_context());
    batches
}

/// What the sums of two passes are made of.
pub(super) fn mark(photo: &Photo, one: &Found) -> u64 {
    let (high, low) = one.id.0.as_u64_pair();
    let mixed = (high ^ low.rotate_left(23)).wrapping_add(u64::from(photo.version.unsigned_abs()));
    // The finalizer of SplitMix64: sums of what differs differ.
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
