//! One stream of ExportTrainingData: passes over the rows, written as they come, cut into messages. Behind each message
//! stands all that is needed to go on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::form::{Attributes, is_placed, label, shape};
use super::model::{Category, Cursor, Found, Labels, Photo, Plan, REJECT, Skipped, Stage};
use super::ranges::Ranges;
use super::reader::{Batch, Entry, Reader, ahead, mark};
use super::{coco, convert, labels, lines};
use crate::auth::Caller;
use crate::db::Db;
use crate::detection::Object;
use crate::error::{Error, Result};
use crate::page::{Binding, Pages};
use crate::pb;
use crate::streaming::{Answers, Bounds, Out, answer, stopped};

/// Bytes behind which a message ends.
const CHUNK: usize = 256 * 1024;
/// Items left out behind which a message ends.
const MAX_SKIPPED: usize = 1000;
/// How long a stream says nothing at most.
const SILENCE: Duration = Duration::from_secs(1);

/// What a stream works with.
pub(crate) struct Exporter {
    pub(crate) db: Db,
    pub(crate) pages: Pages,
    pub(crate) caller: Caller,
    pub(crate) bounds: Bounds,
    pub(crate) plan: Plan,
    pub(crate) binding: Binding,
    /// Where it goes on; at the beginning without.
    pub(crate) cursor: Option<Cursor>,
}

impl Exporter {
    /// Exports in a task of its own.
    pub(crate) fn answer(self) -> Answers<pb::ExportTrainingDataResponse> {
        let Self { db, pages, caller, bounds, plan, binding, cursor } = self;
        let (term, draining) = (caller.term, bounds.draining.clone());
        answer(&bounds, term, move |out| async move {
            let export = Export::begin((db, caller), (pages, binding), plan, cursor, out);
            tokio::select! {
                // Whatever runs is dropped.
                error = stopped(draining, term.expires) => Err(error.into()),
                end = async { export.await?.run().await } => end.map_err(Into::into),
            }
        })
    }
}

/// An export under way.
struct Export {
    db: Db,
    caller: Caller,
    pages: Pages,
    binding: Binding,
    plan: Arc<Plan>,
    out: Out<pb::ExportTrainingDataResponse>,
    labels: Labels,
    /// Numbers of this export that were given since its moment.
    late: Ranges,
    cursor: Cursor,
    /// What is written and not sent.
    buffer: Vec<u8>,
    skipped: Vec<Skipped>,
    sent: Instant,
}

impl Export {
    async fn begin(
        (db, caller): (Db, Caller),
        (pages, binding): (Pages, Binding),
        plan: Plan,
        cursor: Option<Cursor>,
        out: Out<pb::ExportTrainingDataResponse>,
    ) -> Result<Self> {
        let caller = caller.streaming();
        let mut buffer = Vec::with_capacity(CHUNK + CHUNK / 4);
        let cursor = if let Some(cursor) = cursor {
            cursor
        } else {
            let moment = labels::moment(&db, &caller).await?;
            let seen = db.in_time().await?.max(caller.after);
            let cursor = Cursor::begin(&plan, moment, seen.map(|position| position.to_string()));
            if plan.coco {
                coco::begin(&mut buffer, &plan);
            }
            cursor
        };
        // Whoever reads shows what was there when it began.
        let after = cursor.lsn.as_deref().and_then(|position| position.parse().ok()).max(caller.after);
        let caller = Caller { after, ..caller };
        let labels = labels::all(&db, &caller).await?;
        let (plan, sent, late) = (Arc::new(plan), Instant::now(), Ranges::from(cursor.late.clone()));
        Ok(Self { db, caller, pages, binding, plan, out, labels, late, cursor, buffer, skipped: Vec::new(), sent })
    }

    async fn run(mut self) -> Result<()> {
        loop {
            match self.cursor.stage {
                Stage::Images | Stage::Objects | Stage::Negatives => self.pass().await?,
                Stage::Categories => self.categories().await?,
                Stage::End => {
                    return self.send().await;
                }
            }
            let stage =
                if self.plan.coco { coco::next(&mut self.buffer, self.cursor.stage, &self.plan) } else { Stage::End };
            self.cursor.enter(stage);
        }
    }

    /// One pass over the rows.
    async fn pass(&mut self) -> Result<()> {
        let reader = Reader::new(&self.db, &self.caller, &self.plan, &self.cursor);
        let mut batches = ahead(reader, (self.cursor.photo, self.cursor.detection));
        let mut ended = false;
        while let Some(batch) = batches.recv().await {
            let Batch { entries, next } = batch?;
            self.number(&entries).await?;
            for entry in &entries {
                self.entry(entry).await?;
            }
            match next {
                Some((photo, detection)) => (self.cursor.photo, self.cursor.detection) = (photo, detection),
                None => ended = true,
            }
            if self.sent.elapsed() > SILENCE {
                self.send().await?;
            }
        }
        if !ended {
            return Err(Error::Internal("the rows of an export ended early".to_owned()));
        }
        if self.is_first_pass() {
            self.cursor.sums.0 = self.cursor.sums.1;
            return Ok(());
        }
        if self.cursor.sums.0 == self.cursor.sums.1 { Ok(()) } else { Err(Error::ConcurrentChange) }
    }

    /// Writes what was found on a photo.
    async fn entry(&mut self, Entry { photo, found, ends }: &Entry) -> Result<()> {
        for one in found {
            let begins = !std::mem::replace(&mut self.cursor.open, true);
            if begins {
                self.photo(photo);
            }
            if photo.size.is_some() {
                self.cursor.sums.1 = self.cursor.sums.1.wrapping_add(mark(photo, one));
            }
            self.cursor.detection = Some(one.place());
            if let Some(size) = photo.size.filter(|_| self.cursor.stage != Stage::Images) {
                self.detection(photo, size, one, begins)?;
                self.send_if_full().await?;
            }
        }
        if *ends {
            if self.cursor.open && photo.size.is_some() && !self.plan.coco {
                self.buffer.extend_from_slice(b"]}\n");
            }
            self.cursor.photo = Some((photo.created_at.as_microsecond(), photo.id));
            (self.cursor.detection, self.cursor.open) = (None, false);
        }
        self.send_if_full().await
    }

    /// The first pass counts, and tells which photos are left out.
    fn is_first_pass(&self) -> bool {
        self.cursor.stage == Stage::Images || !self.plan.coco
    }

    /// Begins a photo.
    fn photo(&mut self, photo: &Photo) {
        let Some(size) = photo.size else {
            if self.is_first_pass() {
                self.cursor.counts.skipped_photos += 1;
                self.skipped.push(Skipped::Photo(photo.id));
            }
            return;
        };
        self.cursor.image += 1;
        self.cursor.counts.images += i64::from(self.is_first_pass());
        match self.cursor.stage {
            Stage::Images => coco::image(&mut self.buffer, self.cursor.image, photo, size, &self.plan),
            Stage::Objects if !self.plan.coco => lines::begin(&mut self.buffer, photo, size, &self.plan),
            _ => {}
        }
    }

    /// Writes the objects of a detection.
    fn detection(&mut self, photo: &Photo, size: (i32, i32), found: &Found, first: bool) -> Result<()> {
        if !self.plan.coco {
            lines::detection(&mut self.buffer, first, found);
        }
        let mut first = true;
        let there = if self.cursor.stage == Stage::Negatives { Cow::Borrowed(&[][..]) } else { there(found) };
        let missing = if self.tells_missing() { missing(found) } else { Vec::new() };
        let all = there.iter().map(|object| (object, false)).chain(missing.into_iter().map(|object| (object, true)));
        for (object, negative) in all {
            let attributes = Attributes::of(object);
            let stays = negative || !found.corrections.moved(&object.object_id);
            let Some(shape) = shape(photo, size, self.plan.frame, object, (&attributes, stays)) else {
                self.cursor.counts.skipped_objects += 1;
                self.skipped.push(Skipped::Object(photo.id, found.id, object.object_id.clone()));
                continue;
            };
            let category_id = self.number_of(object)?;
            let counts = &mut self.cursor.counts;
            let count = if negative { &mut counts.negatives } else { &mut counts.annotations };
            *count += 1;
            if self.plan.coco {
                let ids = (*count, self.cursor.image, category_id);
                coco::annotation(&mut self.buffer, ids, found, object, shape);
            } else {
                lines::object(&mut self.buffer, (first, category_id, negative), object, shape);
            }
            first = false;
        }
        if !self.plan.coco {
            self.buffer.extend_from_slice(b"]}");
        }
        Ok(())
    }

    /// The number of an object's label; remembers those that the list of categories would not have without this export.
    fn number_of(&mut self, object: &Object) -> Result<i32> {
        let category = self.labels.get(label(object));
        let (id, created_at) = category
            .and_then(|category| Some((category.id?, category.created_at?)))
            .ok_or_else(|| Error::Internal("a label has no number".to_owned()))?;
        if created_at >= self.cursor.moment() {
            self.late.insert(id);
        }
        Ok(id)
    }

    /// Whether this pass tells what is not there.
    fn tells_missing(&self) -> bool {
        self.cursor.stage == Stage::Negatives || !self.plan.coco && self.plan.negatives()
    }

    /// Gives labels that have no number theirs, before they are needed.
    async fn number(&mut self, entries: &[Entry]) -> Result<()> {
        if self.cursor.stage == Stage::Images {
            return Ok(());
        }
        let (there_too, missing_too) = (self.cursor.stage != Stage::Negatives, self.tells_missing());
        let mut new: BTreeMap<String, Category> = BTreeMap::new();
        let mut look = |object: &Object| {
            let name = label(object);
            if is_placed(object) && !self.labels.contains_key(name) && !new.contains_key(name) {
                let supercategory = Attributes::of(object).supercategory();
                let category = Category { id: None, name: name.to_owned(), supercategory, created_at: None };
                new.insert(name.to_owned(), category);
            }
        };
        for found in entries.iter().filter(|entry| entry.photo.size.is_some()).flat_map(|entry| &entry.found) {
            if there_too {
                there(found).iter().for_each(&mut look);
            }
            if missing_too {
                missing(found).into_iter().for_each(&mut look);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let new: Vec<Category> = new.into_values().collect();
        let numbered = labels::register(&self.db, &self.caller, &new).await?;
        self.labels.extend(numbered.into_iter().map(|category| (category.name.clone(), category)));
        // Whoever goes on with this export has to see them.
        self.caller.after = self.caller.written.position().max(self.caller.after);
        self.cursor.lsn = self.caller.after.map(|position| position.to_string());
        Ok(())
    }

    /// Writes the categories that were there at the moment, and those that this export has brought. The number of the image
    /// is behind the last one's.
    async fn categories(&mut self) -> Result<()> {
        let moment = self.cursor.moment();
        let listed = self.labels.values().filter(|category| {
            let known = category.created_at.is_some_and(|at| at < moment);
            known || category.id.is_some_and(|id| self.late.contains(id))
        });
        let mut listed: Vec<Category> = listed.cloned().collect();
        listed.sort_unstable_by_key(|category| category.id);
        for (place, category) in listed.iter().enumerate() {
            let behind = i64::from(category.id.unwrap_or_default()) + 1;
            if behind > self.cursor.image {
                coco::category(&mut self.buffer, place == 0, category);
                self.cursor.image = behind;
                self.send_if_full().await?;
            }
        }
        Ok(())
    }

    async fn send_if_full(&mut self) -> Result<()> {
        if self.buffer.len() >= CHUNK || self.skipped.len() >= MAX_SKIPPED {
            self.send().await?;
        }
        Ok(())
    }

    /// Sends what is written.
    async fn send(&mut self) -> Result<()> {
        self.cursor.late = self.late.to_vec();
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK + CHUNK / 4));
        let message = pb::ExportTrainingDataResponse {
            chunk,
            resume_token: self.pages.seal(&self.binding, &self.cursor),
            skipped: std::mem::take(&mut self.skipped).into_iter().map(convert::skipped).collect(),
            progress: Some(convert::progress(&self.cursor)),
        };
        self.out.send(message).await?;
        self.sent = Instant::now();
        Ok(())
    }
}

/// The objects that are there: none of a detection that was rejected.
fn there(found: &Found) -> Cow<'_, [Object]> {
    if found.verdict.as_deref() == Some(REJECT) {
        return Cow::Borrowed(&[]);
    }
    if found.corrections.is_empty() {
        return Cow::Borrowed(&found.results.objects);
    }
    Cow::Owned(found.corrections.applied_to(&found.results).objects)
}

/// The objects that a model saw and people say are not there.
fn missing(found: &Found) -> Vec<&Object> {
    if found.verdict.as_deref() == Some(REJECT) {
        return found.results.objects.iter().collect();
    }
    found.corrections.removed_from(&found.results).collect()
}
