//! What was sent in a round, and what the callers were told of it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Debug;

use photometa::pb::{self, WriteOutcome};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{details, detection, photo, reason};
use crate::program::PROJECT;

/// Callers send no more in a round, however long it takes until somebody dies.
const MOST: usize = 3000;

/// What is sent and stored, and has a name that makes sending again safe.
pub trait Item: Clone + Debug + PartialEq {
    fn name(&self) -> &str;
    fn id(&self) -> &str;
    /// It without what the server alone says of it.
    fn as_sent(&self, with_id: bool) -> Self;
}

impl Item for pb::Detection {
    fn name(&self) -> &str {
        self.run_id()
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn as_sent(&self, with_id: bool) -> Self {
        let mut sent = self.clone();
        sent.id.truncate(if with_id { usize::MAX } else { 0 });
        (sent.project_id, sent.etag) = Default::default();
        (sent.create_time, sent.update_time) = (None, None);
        sent
    }
}

impl Item for pb::Photo {
    fn name(&self) -> &str {
        &self.s3_key
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn as_sent(&self, with_id: bool) -> Self {
        let mut sent = self.clone();
        sent.id.truncate(if with_id { usize::MAX } else { 0 });
        (sent.organization_id, sent.etag) = Default::default();
        (sent.create_time, sent.update_time, sent.upload_time) = (None, None, None);
        sent
    }
}

/// What was sent of one kind, and what was said of it, by name.
pub struct Ledger<T> {
    /// What was sent.
    pub given: HashMap<String, T>,
    /// The id that was answered.
    pub acknowledged: HashMap<String, String>,
    /// What must be stored together or not at all.
    pub wholes: Vec<Vec<String>>,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self { given: HashMap::new(), acknowledged: HashMap::new(), wholes: Vec::new() }
    }
}

impl<T: Item> Ledger<T> {
    fn send(&mut self, item: &T) {
        let before = self.given.insert(item.name().to_owned(), item.clone());
        assert!(before.is_none(), "two have the name {before:?}");
    }

    /// Takes down that these are sent in one batch.
    pub fn together(&mut self, items: &[T]) {
        self.wholes.push(items.iter().map(|item| item.name().to_owned()).collect());
    }

    /// Takes down an answer. Nothing is sent twice while somebody may die, so that all of them are new.
    pub fn acknowledge(&mut self, name: &str, id: String, outcome: WriteOutcome) {
        assert_eq!(outcome, WriteOutcome::Created, "{name}");
        assert!(self.given.contains_key(name), "{name} was acknowledged and not sent");
        let before = self.acknowledged.insert(name.to_owned(), id);
        assert!(before.is_none(), "{name} was acknowledged twice");
    }
}

/// A round: all callers of it work on one photo, and below one prefix of keys.
pub struct Round {
    pub number: usize,
    pub photo_id: String,
    pub detections: RefCell<Ledger<pb::Detection>>,
    pub photos: RefCell<Ledger<pb::Photo>>,
    /// What the callers were told instead of answers.
    pub refusals: RefCell<Vec<Status>>,
    over: Cell<bool>,
    next: Cell<usize>,
}

impl Round {
    pub fn new(number: usize, photo_id: String) -> Self {
        let refusals = RefCell::default();
        let (detections, photos) = (RefCell::default(), RefCell::default());
        Self { number, photo_id, detections, photos, refusals, over: Cell::new(false), next: Cell::new(0) }
    }

    /// Tells whether callers send more.
    pub fn goes_on(&self) -> bool {
        !self.over.get() && self.next.get() < MOST
    }

    /// Tells the callers to stop.
    pub fn end(&self) {
        self.over.set(true);
    }

    fn next(&self) -> usize {
        self.next.replace(self.next.get() + 1)
    }

    /// Makes a detection that differs from every other one, and takes it down as sent.
    pub fn detection(&self) -> pb::Detection {
        let number = self.next();
        let mut made = detection(&self.photo_id);
        made.run_id = Some(number.to_string());
        // Every third has an id of its own, too.
        made.id = if number.is_multiple_of(3) { Uuid::now_v7().to_string() } else { String::new() };
        made.confidence = Some(f64::from(u32::try_from(number).unwrap()) / 4096.0);
        made.results.as_mut().unwrap().objects[0].label = format!("crack {number}");
        self.detections.borrow_mut().send(&made);
        made
    }

    /// Makes a photo that differs from every other one, and takes it down as sent.
    pub fn photo(&self) -> pb::Photo {
        let number = self.next();
        let mut made = photo(PROJECT.parse().unwrap(), &format!("{}{number}.jpg", prefix(self.number)));
        made.id = if number.is_multiple_of(3) { Uuid::now_v7().to_string() } else { String::new() };
        made.width = Some(i32::try_from(number).unwrap() + 1);
        self.photos.borrow_mut().send(&made);
        made
    }
}

/// Asserts that a caller of a program that lives is told to try again, and nothing else.
pub fn assert_to_be_retried(status: &Status) {
    let told = (status.code(), reason(status));
    let away = (Code::Unavailable, "DATABASE_UNAVAILABLE".to_owned());
    let full = (Code::ResourceExhausted, "OVERLOADED".to_owned());
    assert!(told == away || told == full, "{status:?}");
    assert!(details(status).retry_info().is_some(), "{status:?}");
}

/// What every key of a round begins with.
pub fn prefix(round: usize) -> String {
    format!("round-{round}/")
}
