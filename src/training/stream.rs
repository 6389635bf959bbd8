//! One stream of ExportTrainingData: passes over the rows, written as they come, cut into messages. Behind each message
//! stands all that is needed to go on.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, Stream};
use tokio::sync::{mpsc, watch};
use tonic::Status;
use tracing::Instrument as _;

use super::form::{Attributes, shape};
use super::model::{Category, Cursor, Found, Labels, Photo, Plan, REJECT, Skipped, Stage};
use super::reader::{Batch, Entry, Reader, ahead, changed, mark};
use super::{coco, convert, labels, lines};
use crate::auth::Caller;
use crate::db::Db;
use crate::detection::Object;
use crate::error::Result;
use crate::id::now;
use crate::page::{Binding, Pages};
use crate::pb;
use crate::streaming::{at, stopped};

/// Bytes behind which a message ends.
const CHUNK: usize = 256 * 1024;
/// Items left out behind which a message ends.
const MAX_SKIPPED: usize = 1000;
/// How long a stream says nothing at most.
const SILENCE: Duration = Duration::from_secs(1);
/// How many categories are written at a time.
const CATEGORIES: i64 = 1000;

type Answer = Result<pb::ExportTrainingDataResponse, Status>;

/// The answers of a stream. Dropping them, as happens when the client hangs up, ends it.
pub(crate) type Answers = Pin<Box<dyn Stream<Item = Answer> + Send>>;

/// What a stream works with.
pub(crate) struct Exporter {
    pub(crate) db: Db,
    pub(crate) pages: Pages,
    pub(crate) caller: Caller,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) plan: Plan,
    pub(crate) binding: Binding,
    /// Where it goes on; at the beginning without.
    pub(crate) cursor: Option<Cursor>,
}

impl Exporter {
    /// Exports in a task of its own.
    pub(crate) fn answer(self) -> Answers {
        let (out, mut answers) = mpsc::channel(1);
        let Self { db, pages, caller, draining, plan, binding, cursor } = self;
        let work = async move {
            let (deadline, stop) = (caller.term.asked, stopped(draining, caller.term.expires));
            let export = Export::begin((db, caller), (pages, binding), plan, cursor, out.clone());
            let run = async { export.await?.run().await };
            let end = tokio::select! {
                // Whatever runs is dropped.
                () = out.closed() => return,
                () = at(deadline) => Err(crate::error::Error::Deadline),
                error = stop => Err(error),
                end = run => end,
            };
            if let Err(error) = end {
                let _ = out.send(Err(error.into())).await;
            }
        };
        tokio::spawn(work.in_current_span());
        Box::pin(stream::poll_fn(move |context| answers.poll_recv(context)))
    }
}

/// An export under way.
struct Export {
    db: Db,
    caller: Caller,
    pages: Pages,
    binding: Binding,
    plan: Arc<Plan>,
    out: mpsc::Sender<Answer>,
    labels: Labels,
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
        out: mpsc::Sender<Answer>,
    ) -> Result<Self> {
        let mut buffer = Vec::with_capacity(CHUNK + CHUNK / 4);
        let cursor = if let Some(cursor) = cursor {
            cursor
        } else {
            let seen = db.in_time().await?.max(caller.after);
            let cursor = Cursor::begin(&plan, now(), seen.map(|position| position.to_string()));
            if plan.coco {
                coco::begin(&mut buffer);
            }
            cursor
        };
        // Whoever reads shows what was there when it began.
        let after = cursor.lsn.as_deref().and_then(|position| position.parse().ok()).max(caller.after);
        let caller = Caller { after, ..caller.streaming() };
        let labels = labels::all(&db, &caller).await?;
        let (plan, sent) = (Arc::new(plan), Instant::now());
        Ok(Self { db, caller, pages, binding, plan, out, labels, cursor, buffer, skipped: Vec::new(), sent })
    }

    async fn run(mut self) -> Result<()> {
        loop {
            match self.cursor.stage {
                Stage::Images | Stage::Objects | Stage::Negatives => self.pass().await?,
                Stage::Categories => self.categories().await?,
                Stage::End => return self.send().await,
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
        while let Some(batch) = batches.recv().await {
            let Batch { entries, next } = batch?;
            self.number(&entries).await?;
            for entry in &entries {
                self.entry(entry).await?;
            }
            if let Some((photo, detection)) = next {
                (self.cursor.photo, self.cursor.detection) = (photo, detection);
            }
            if self.sent.elapsed() > SILENCE {
                self.send().await?;
            }
        }
        let first = self.cursor.stage == Stage::Images || !self.plan.coco;
        if first {
            self.cursor.sums.0 = self.cursor.sums.1;
            return Ok(());
        }
        if self.cursor.sums.0 == self.cursor.sums.1 { Ok(()) } else { Err(changed()) }
    }

    /// Writes what was found on a photo.
    async fn entry(&mut self, Entry { photo, found, begins, ends }: &Entry) -> Result<()> {
        let Some(size) = photo.size else {
            if *begins {
                self.cursor.counts.skipped_photos += 1;
                self.skipped.push(Skipped::Photo(photo.id));
            }
            self.cursor.detection = found.last().map(|last| last.place());
            return self.behind(photo, *ends).await;
        };
        if *begins {
            self.cursor.image += 1;
            let first_pass = self.cursor.stage == Stage::Images || !self.plan.coco;
            self.cursor.counts.images += i64::from(first_pass);
            match self.cursor.stage {
                Stage::Images => coco::image(&mut self.buffer, self.cursor.image, photo, size, &self.plan),
                Stage::Objects if !self.plan.coco => lines::begin(&mut self.buffer, photo, size, &self.plan),
                _ => {}
            }
        }
        for (place, one) in found.iter().enumerate() {
            self.cursor.sums.1 = self.cursor.sums.1.wrapping_add(mark(photo, one));
            self.cursor.detection = Some(one.place());
            if self.cursor.stage != Stage::Images {
                self.detection(photo, size, one, *begins && place == 0);
                self.send_if_full().await?;
            }
        }
        if *ends && !self.plan.coco {
            self.buffer.extend_from_slice(b"]}\n");
        }
        self.behind(photo, *ends).await
    }

    /// Is behind a photo, if it ends.
    async fn behind(&mut self, photo: &Photo, ends: bool) -> Result<()> {
        if ends {
            self.cursor.photo = Some((photo.created_at.as_microsecond(), photo.id));
            self.cursor.detection = None;
        }
        self.send_if_full().await
    }

    /// Writes the objects of a detection.
    fn detection(&mut self, photo: &Photo, size: (i32, i32), found: &Found, first: bool) {
        if !self.plan.coco {
            lines::detection(&mut self.buffer, first, found);
        }
        let mut first = true;
        let there = if self.cursor.stage == Stage::Negatives { Vec::new() } else { there(found) };
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
            let category_id = self.labels.get(&object.label).and_then(|category| category.id).unwrap_or_default();
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
        let mut new: Vec<Category> = Vec::new();
        let mut look = |object: &Object| {
            if !self.labels.contains_key(&object.label) && !new.iter().any(|category| category.name == object.label) {
                let supercategory = Attributes::of(object).supercategory();
                new.push(Category { id: None, name: object.label.clone(), supercategory });
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
        let numbered = labels::register(&self.db, &self.caller, &new).await?;
        self.labels.extend(numbered.into_iter().map(|category| (category.name.clone(), category)));
        self.caller.after = self.caller.written.position().max(self.caller.after);
        Ok(())
    }

    /// Writes the organization's categories; the image's number counts on behind the last one.
    async fn categories(&mut self) -> Result<()> {
        loop {
            let after = i32::try_from(self.cursor.image - 1).unwrap_or(i32::MAX);
            let page = labels::list(&self.db, &self.caller, after, CATEGORIES).await?;
            let Some(last) = page.last().and_then(|last| last.id) else { return Ok(()) };
            for (place, category) in page.iter().enumerate() {
                coco::category(&mut self.buffer, self.cursor.image == 0 && place == 0, category);
            }
            self.cursor.image = i64::from(last) + 1;
            self.send_if_full().await?;
        }
    }

    async fn send_if_full(&mut self) -> Result<()> {
        if self.buffer.len() >= CHUNK || self.skipped.len() >= MAX_SKIPPED { self.send().await } else { Ok(()) }
    }

    /// Sends what is written. A client that has hung up needs nothing.
    async fn send(&mut self) -> Result<()> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK + CHUNK / 4));
        let message = pb::ExportTrainingDataResponse {
            chunk: chunk.into(),
            resume_token: self.pages.seal(&self.binding, &self.cursor),
            skipped: std::mem::take(&mut self.skipped).into_iter().map(convert::skipped).collect(),
            progress: Some(convert::progress(&self.cursor)),
        };
        let _ = self.out.send(Ok(message)).await;
        self.sent = Instant::now();
        Ok(())
    }
}

/// The objects that are there: none of a detection that was rejected.
fn there(found: &Found) -> Vec<Object> {
    if found.verdict.as_deref() == Some(REJECT) {
        return Vec::new();
    }
    found.corrections.applied_to(&found.results).objects
}

/// The objects that a model saw and people say are not there.
fn missing(found: &Found) -> Vec<&Object> {
    if found.verdict.as_deref() == Some(REJECT) {
        return found.results.objects.iter().collect();
    }
    found.corrections.removed_from(&found.results).collect()
}
