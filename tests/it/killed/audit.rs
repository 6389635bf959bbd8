//! What is stored after a round, compared with what was sent and what was acknowledged.

use std::collections::HashMap;
use std::ops::AddAssign;

use photometa::pb::{self, WriteOutcome};
use uuid::Uuid;

use super::ledger::{Item, Ledger, Round};
use super::load::{Answers, as_item, send_detections, send_photos};
use super::victim::Victim;
use crate::ingest::Ingest;

/// Items of what is sent again at once.
const CHUNK: usize = 1000;

/// What became of what a round has sent.
#[derive(Debug, Default)]
pub struct Found {
    pub acknowledged: usize,
    /// Committed, and nobody was told.
    pub silent: usize,
    /// Not stored until it was sent again.
    pub lost: usize,
}

/// Compares what is stored with what was sent, sends all of it again, and compares once more.
pub async fn audit(victim: &Victim, round: Round) -> Found {
    let (detections, photos) = (round.detections.into_inner(), round.photos.into_inner());
    let photo_id = round.photo_id.as_str();
    let prefix = super::ledger::prefix(round.number);

    let before = detections.assert_kept(stored_detections(victim, photo_id).await);
    assert_events(victim, photo_id, before.len()).await;
    let photos_before = photos.assert_kept(stored_photos(victim, &prefix).await);

    let given: Vec<_> = detections.given.values().cloned().collect();
    let answers = again(victim, &given, round.number.is_multiple_of(2)).await;
    let mut found = detections.assert_again(&before, &given, answers);
    let given: Vec<_> = photos.given.values().cloned().collect();
    let mut answers = Vec::new();
    for chunk in given.chunks(CHUNK) {
        answers.extend(send_photos(&victim.clients, chunk, false).await.unwrap());
    }
    let more = photos.assert_again(&photos_before, &given, answers);

    let after = detections.assert_kept(stored_detections(victim, photo_id).await);
    assert_events(victim, photo_id, after.len()).await;
    let photos_after = photos.assert_kept(stored_photos(victim, &prefix).await);
    assert_eq!((after.len(), photos_after.len()), (detections.given.len(), photos.given.len()));
    found += more;
    found
}

impl AddAssign for Found {
    fn add_assign(&mut self, more: Self) {
        self.acknowledged += more.acknowledged;
        self.silent += more.silent;
        self.lost += more.lost;
    }
}

impl<T: Item> Ledger<T> {
    /// Asserts that what was acknowledged is stored, once and as it was sent, that nothing else is, and that what was
    /// sent together is all there or not at all. Answers what is stored by name.
    fn assert_kept(&self, stored: Vec<T>) -> HashMap<String, T> {
        let mut kept = HashMap::new();
        for item in stored {
            let given = self.given.get(item.name()).unwrap_or_else(|| panic!("{item:?} was not sent"));
            assert_eq!(item.as_sent(!given.id().is_empty()), *given);
            let twice = kept.insert(item.name().to_owned(), item);
            assert!(twice.is_none(), "{twice:?} is stored twice");
        }
        for (name, id) in &self.acknowledged {
            assert_eq!(kept.get(name).map(Item::id), Some(id.as_str()), "{name} was acknowledged");
        }
        for whole in &self.wholes {
            let found = whole.iter().filter(|name| kept.contains_key(*name)).count();
            assert!(found == 0 || found == whole.len(), "{found} of {} of a batch: {whole:?}", whole.len());
        }
        kept
    }

    /// Asserts what sending everything again answers: what was stored keeps its id.
    fn assert_again(&self, before: &HashMap<String, T>, given: &[T], answers: Answers) -> Found {
        assert_eq!(given.len(), answers.len());
        for (item, (id, outcome)) in given.iter().zip(answers) {
            match before.get(item.name()) {
                Some(kept) => assert_eq!((outcome, id.as_str()), (WriteOutcome::Unchanged, kept.id()), "{item:?}"),
                None => assert_eq!(outcome, WriteOutcome::Created, "{item:?}"),
            }
        }
        let acknowledged = self.acknowledged.len();
        Found { acknowledged, silent: before.len() - acknowledged, lost: given.len() - before.len() }
    }
}

/// Sends detections again, in batches or through streams.
async fn again(victim: &Victim, given: &[pb::Detection], by_batch: bool) -> Answers {
    let mut answers = Vec::new();
    for chunk in given.chunks(CHUNK) {
        if by_batch {
            answers.extend(send_detections(&victim.clients, chunk, true).await.unwrap());
            continue;
        }
        let ingest = Ingest::open_with(victim.clients.detections.clone(), None).await.unwrap();
        let items: Vec<_> = chunk.iter().cloned().map(as_item).collect();
        let sequences: Vec<i64> = items.iter().map(|item| item.sequence).collect();
        let acks = ingest.whole(items).await;
        answers
            .extend(sequences.iter().map(|sequence| (acks[sequence].detection_id.clone(), acks[sequence].outcome())));
    }
    answers
}

async fn stored_detections(victim: &Victim, photo_id: &str) -> Vec<pb::Detection> {
    let (mut stored, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListDetectionsRequest {
            filter: Some(pb::DetectionFilter { photo_ids: vec![photo_id.to_owned()], ..Default::default() }),
            page_size: 1000,
            page_token,
            view: pb::DetectionView::Full.into(),
            ..Default::default()
        };
        let page = victim.clients.detections.clone().list_detections(request).await.unwrap().into_inner();
        stored.extend(page.detections);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return stored;
        }
    }
}

async fn stored_photos(victim: &Victim, prefix: &str) -> Vec<pb::Photo> {
    let (mut stored, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListPhotosRequest {
            filter: Some(pb::PhotoFilter { s3_key_prefix: prefix.to_owned(), ..Default::default() }),
            page_size: 1000,
            page_token,
            ..Default::default()
        };
        let page = victim.clients.photos.clone().list_photos(request).await.unwrap().into_inner();
        stored.extend(page.photos);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return stored;
        }
    }
}

/// Asserts that each of so many detections has one event of its creation, and that there are no other ones.
async fn assert_events(victim: &Victim, photo_id: &str, detections: usize) {
    let query = "select count(*), count(*) filter (where d.id is null or e.events is distinct from 1)
                 from (select id from companycam_photos.detections where photo_id = $1) d
                 full join (select detection_id, count(*) as events from companycam_photos.detection_events
                            where photo_id = $1 and event_type = 'created' group by detection_id) e
                   on e.detection_id = d.id";
    let photo_id: Uuid = photo_id.parse().unwrap();
    let row = victim.postgres.query_one(query, &[&photo_id]).await.unwrap();
    let found: (i64, i64) = (row.try_get(0).unwrap(), row.try_get(1).unwrap());
    assert_eq!(found, (i64::try_from(detections).unwrap(), 0), "detections, and those that are not one with one event");
}
