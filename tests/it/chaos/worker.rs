//! A caller with photos that nobody else touches, and a model of what it was told of them.

use std::collections::{BTreeMap, BTreeSet};

use photometa::pb::{self, WriteOutcome};
use prost_types::FieldMask;
use tonic::Code;
use uuid::Uuid;

use super::caller::Caller;
use super::record::Record;
use crate::harness::{A, B, Organization, detection, photo, reason};
use crate::random::Random;

/// A worker keeps no more photos than this, and not many more detections of one: then it deletes one.
const MOST: usize = 40;

/// A photo as it was acknowledged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Photo {
    pub id: String,
    pub width: i32,
    pub etag: String,
    pub tags: BTreeSet<String>,
    /// By the name of the run.
    pub detections: BTreeMap<String, Detection>,
}

/// A detection as it was acknowledged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Detection {
    pub id: String,
    pub confirmed: bool,
    /// How many answers were given.
    pub answers: usize,
}

/// What a worker knows at the end, by the photos' keys.
pub struct Model {
    pub organization: Organization,
    pub prefix: String,
    pub photos: BTreeMap<String, Photo>,
}

pub struct Worker {
    caller: Caller,
    record: Record,
    model: Model,
    /// A photo of another organization.
    foreign: Option<String>,
    next: usize,
}

impl Worker {
    pub fn new(number: usize, address: &str, record: Record, random: Random) -> Self {
        let organization = if number.is_multiple_of(2) { A } else { B };
        let caller = Caller::new(address, organization.as_admin(), record.clone(), random);
        let model = Model { organization, prefix: format!("worker-{number}/"), photos: BTreeMap::new() };
        Self { caller, record, model, foreign: None, next: 0 }
    }

    /// Works until the run is over, and answers what must be there now.
    pub async fn run(mut self) -> Model {
        self.foreign = Some(self.of_another_organization().await);
        while !self.record.is_over() {
            match self.caller.random.below(12) {
                0 | 1 => self.create_photo().await,
                2 | 3 => self.create_detections(1).await,
                4 => self.create_detections(10).await,
                5 => self.add_tag().await,
                6 => self.answer().await,
                7 => self.update_photo().await,
                8 => self.delete_photo().await,
                9 => self.list().await,
                10 => self.look_at_another_organizations().await,
                _ => self.look().await,
            }
        }
        self.list().await;
        for key in self.model.photos.keys().cloned().collect::<Vec<_>>() {
            self.compare(&key).await;
        }
        self.model
    }

    fn name(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    fn some_photo(&mut self) -> Option<String> {
        let keys: Vec<&String> = self.model.photos.keys().collect();
        (!keys.is_empty()).then(|| keys[self.caller.random.below(keys.len())].clone())
    }

    /// Registers a photo as somebody else.
    async fn of_another_organization(&mut self) -> String {
        let other = if self.model.organization.id == A.id { B } else { A };
        let made = photo(other.house, &format!("foreign/{}.jpg", Uuid::new_v4()));
        let random = self.caller.random.of(0);
        let address = self.caller.address.clone();
        let mut caller = Caller::new(&address, other.as_admin(), self.record.clone(), random);
        let photos = caller.photos.clone();
        let settled = caller
            .settle(photos, pb::CreatePhotoRequest { photo: Some(made) }, |mut photos, request| async move {
                photos.create_photo(request).await
            })
            .await;
        settled.expect("a photo of somebody else's").photo.unwrap().id
    }

    async fn create_photo(&mut self) {
        if self.model.photos.len() > MOST {
            return self.delete_photo().await;
        }
        let number = self.name();
        let key = format!("{}{number}.jpg", self.model.prefix);
        let mut made = photo(self.model.organization.house, &key);
        made.width = Some(i32::try_from(number).unwrap());
        made.id = if self.caller.random.one_in(3) { Uuid::now_v7().to_string() } else { String::new() };
        let photos = self.caller.photos.clone();
        let settled = self
            .caller
            .settle(photos, pb::CreatePhotoRequest { photo: Some(made.clone()) }, |mut photos, request| async move {
                photos.create_photo(request).await
            })
            .await;
        let repeated = settled.repeated;
        let answer = settled.expect("a new photo");
        assert_new(answer.outcome(), repeated, &key);
        let stored = answer.photo.unwrap();
        assert!(made.id.is_empty() || made.id == stored.id, "{stored:?}");
        let known = Photo { id: stored.id, width: made.width.unwrap(), etag: stored.etag, ..Photo::default() };
        let before = self.model.photos.insert(key, known);
        assert!(before.is_none());
        self.record.wrote();
    }

    async fn create_detections(&mut self, count: usize) {
        let Some(key) = self.some_photo() else { return };
        let photo_id = self.model.photos[&key].id.clone();
        let made: Vec<pb::Detection> = (0..count)
            .map(|_| pb::Detection { run_id: Some(self.name().to_string()), ..detection(&photo_id) })
            .collect();
        let detections = self.caller.detections.clone();
        let (outcomes, repeated) = if let [one] = made.as_slice() {
            let settled = self
                .caller
                .settle(
                    detections,
                    pb::CreateDetectionRequest { detection: Some(one.clone()) },
                    |mut detections, request| async move { detections.create_detection(request).await },
                )
                .await;
            let repeated = settled.repeated;
            let answer = settled.expect("a new detection");
            (vec![(answer.outcome(), answer.detection)], repeated)
        } else {
            let settled = self
                .caller
                .settle(
                    detections,
                    pb::BatchCreateDetectionsRequest { detections: made.clone(), partial: false },
                    |mut detections, request| async move { detections.batch_create_detections(request).await },
                )
                .await;
            let repeated = settled.repeated;
            let results = settled.expect("new detections").results;
            (results.into_iter().map(|result| (result.outcome(), result.detection)).collect(), repeated)
        };
        assert_eq!(outcomes.len(), made.len());
        for (made, (outcome, stored)) in made.into_iter().zip(outcomes) {
            let run = made.run_id.unwrap();
            assert_new(outcome, repeated, &run);
            let known = Detection { id: stored.unwrap().id, ..Detection::default() };
            let before = self.model.photos.get_mut(&key).unwrap().detections.insert(run, known);
            assert!(before.is_none());
            self.record.wrote();
        }
    }

    async fn add_tag(&mut self) {
        let Some(key) = self.some_photo() else { return };
        let word = format!("word {}", self.caller.random.below(20));
        let tag = pb::Tag { tag: word.clone(), source: pb::TagSource::User.into(), ..Default::default() };
        let message = pb::AddTagsRequest { photo_ids: vec![self.model.photos[&key].id.clone()], tags: vec![tag] };
        let tags = self.caller.tags.clone();
        let settled =
            self.caller.settle(tags, message, |mut tags, request| async move { tags.add_tags(request).await }).await;
        let repeated = settled.repeated;
        let answer = settled.expect("a tag");
        let is_new = self.model.photos.get_mut(&key).unwrap().tags.insert(word.clone());
        match (answer.added, answer.unchanged, is_new) {
            (1, 0, true) | (0, 1, false) => {}
            (0, 1, true) if repeated => {}
            other => panic!("{key}, tag {word}: {other:?}, repeated: {repeated}"),
        }
        self.record.wrote();
    }

    async fn answer(&mut self) {
        let Some(key) = self.some_photo() else { return };
        let runs: Vec<String> = self.model.photos[&key].detections.keys().cloned().collect();
        if runs.is_empty() {
            return;
        }
        let run = runs[self.caller.random.below(runs.len())].clone();
        let confirms = self.caller.random.one_in(2);
        let verdict = if confirms { pb::Verdict::Confirm } else { pb::Verdict::Reject };
        let detection_id = self.model.photos[&key].detections[&run].id.clone();
        // With an id, a repetition is known for one.
        let feedback = pb::Feedback {
            id: Uuid::now_v7().to_string(),
            detection_id,
            verdict: verdict.into(),
            ..Default::default()
        };
        let client = self.caller.feedback.clone();
        let message = pb::CreateFeedbackRequest { feedback: Some(feedback), ..Default::default() };
        let settled = self
            .caller
            .settle(client, message, |mut client, request| async move { client.create_feedback(request).await })
            .await;
        let repeated = settled.repeated;
        assert_new(settled.expect("an answer").outcome(), repeated, &run);
        let known = self.model.photos.get_mut(&key).unwrap().detections.get_mut(&run).unwrap();
        (known.confirmed, known.answers) = (confirms, known.answers + 1);
        self.record.wrote();
    }

    async fn update_photo(&mut self) {
        let Some(key) = self.some_photo() else { return };
        let known = self.model.photos[&key].clone();
        let width = known.width % 500_000 + 1;
        let changed =
            pb::Photo { id: known.id.clone(), width: Some(width), etag: known.etag.clone(), ..Default::default() };
        let message = pb::UpdatePhotoRequest {
            photo: Some(changed),
            update_mask: Some(FieldMask { paths: vec!["width".to_owned()] }),
        };
        let photos = self.caller.photos.clone();
        let settled = self
            .caller
            .settle(photos, message, |mut photos, request| async move { photos.update_photo(request).await })
            .await;
        let stored = match settled.answer {
            Ok(answer) => answer.photo.unwrap(),
            // An attempt before was carried out.
            Err(status) if settled.repeated && reason(&status) == "STALE_ETAG" => self.photo(&key).await,
            Err(status) => panic!("{key}: {status:?}"),
        };
        assert_eq!(stored.width, Some(width), "{key}: an update that was refused as late has not happened");
        let known = self.model.photos.get_mut(&key).unwrap();
        (known.width, known.etag) = (width, stored.etag);
        self.record.wrote();
    }

    /// Deletes the photo with most detections, when there is enough of anything.
    async fn delete_photo(&mut self) {
        let photos = self.model.photos.iter();
        let Some((key, most)) = photos.max_by_key(|(_, photo)| photo.detections.len()) else { return };
        if self.model.photos.len() <= MOST && most.detections.len() <= MOST {
            return;
        }
        let key = key.clone();
        let known = self.model.photos.remove(&key).unwrap();
        let photos = self.caller.photos.clone();
        let settled = self
            .caller
            .settle(
                photos,
                pb::DeletePhotoRequest { id: known.id, etag: String::new() },
                |mut photos, request| async move { photos.delete_photo(request).await },
            )
            .await;
        match settled.answer {
            Ok(answer) => {
                assert_eq!(answer.detections_deleted, i64::try_from(known.detections.len()).unwrap(), "{key}");
            }
            Err(status) => assert!(settled.repeated && status.code() == Code::NotFound, "{key}: {status:?}"),
        }
        self.record.wrote();
    }

    /// The photo as it is stored, in full.
    async fn photo(&mut self, key: &str) -> pb::Photo {
        let message = pb::GetPhotoRequest { id: self.model.photos[key].id.clone(), view: pb::PhotoView::Full.into() };
        let photos = self.caller.photos.clone();
        let settled = self
            .caller
            .settle(photos, message, |mut photos, request| async move { photos.get_photo(request).await })
            .await;
        settled.expect("a photo that was acknowledged").photo.unwrap()
    }

    async fn look(&mut self) {
        if let Some(key) = self.some_photo() {
            self.compare(&key).await;
        }
    }

    /// Compares a photo with what was acknowledged of it.
    async fn compare(&mut self, key: &str) {
        let stored = self.photo(key).await;
        assert_eq!(stored.organization_id, self.model.organization.id.to_string(), "{key}");
        let detections = stored.detections.iter().map(|detection| {
            let known = &self.model.photos[key].detections;
            let answers = known.get(detection.run_id()).map_or(0, |known| known.answers);
            (
                detection.run_id().to_owned(),
                Detection { id: detection.id.clone(), confirmed: detection.user_confirmed, answers },
            )
        });
        let found = Photo {
            id: stored.id.clone(),
            width: stored.width(),
            etag: stored.etag.clone(),
            tags: stored.tags.iter().map(|tag| tag.tag.clone()).collect(),
            detections: detections.collect(),
        };
        let mut known = self.model.photos[key].clone();
        // It changes with everything that belongs to the photo.
        known.etag.clone_from(&found.etag);
        assert_eq!(found, known, "{key} is not what was acknowledged");
        self.model.photos.get_mut(key).unwrap().etag = found.etag;
        self.record.read();
    }

    /// Compares the keys of all photos with those that were acknowledged.
    async fn list(&mut self) {
        let filter = pb::PhotoFilter { s3_key_prefix: self.model.prefix.clone(), ..Default::default() };
        let photos = self.caller.photos.clone();
        let settled = self
            .caller
            .settle(
                photos,
                pb::ListPhotosRequest { filter: Some(filter), page_size: 1000, ..Default::default() },
                |mut photos, request| async move { photos.list_photos(request).await },
            )
            .await;
        let listed = settled.expect("a list").photos;
        assert!(listed.iter().all(|photo| photo.organization_id == self.model.organization.id.to_string()));
        let mut listed: Vec<String> = listed.into_iter().map(|photo| photo.s3_key).collect();
        listed.sort();
        let known: Vec<String> = {
            let mut known: Vec<String> = self.model.photos.keys().cloned().collect();
            known.sort();
            known
        };
        assert_eq!(listed, known, "the list is not what was acknowledged");
        self.record.read();
    }

    async fn look_at_another_organizations(&mut self) {
        let message = pb::GetPhotoRequest { id: self.foreign.clone().unwrap(), view: pb::PhotoView::Full.into() };
        let photos = self.caller.photos.clone();
        let settled = self
            .caller
            .settle(photos, message, |mut photos, request| async move { photos.get_photo(request).await })
            .await;
        let status = settled.answer.expect_err("another organization's photo is shown");
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
        self.record.read();
    }
}

/// Asserts that what was sent for the first time is new. When an attempt was not answered, that one may have made it.
fn assert_new(outcome: WriteOutcome, repeated: bool, what: &str) {
    let allowed = outcome == WriteOutcome::Created || repeated && outcome == WriteOutcome::Unchanged;
    assert!(allowed, "{what} is {outcome:?}, repeated: {repeated}");
}
