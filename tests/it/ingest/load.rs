//! Many streams at once: each item is stored once, and each sequence answered once.

use std::collections::HashMap;
use std::time::Duration;

use photometa::pb::{self, WriteOutcome};
use uuid::Uuid;

use super::{Ingest, items, runs, sequences};
use crate::harness::{A, App};
use crate::health::throw_out;
use crate::random::Random;

const ITEMS: i64 = 600;

/// Items on two photos of which some have a run, every third an id of its own, and every sixth both.
pub async fn named(app: &App, count: i64) -> Vec<pb::IngestDetectionsItem> {
    let photos = [app.photo(A, "site/1.jpg").await, app.photo(A, "site/2.jpg").await];
    let mut all = items(0..count, &photos[0].id);
    for item in &mut all {
        let detection = item.detection.as_mut().unwrap();
        if item.sequence % 3 == 0 {
            detection.id = Uuid::now_v7().to_string();
            detection.run_id = detection.run_id.take().filter(|_| item.sequence % 6 == 0);
        }
        detection.photo_id.clone_from(&photos[usize::try_from(item.sequence % 2).unwrap()].id);
    }
    all
}

/// The items in an order of the worker's own, in messages of one to forty.
pub fn messages<T>(worker: usize, mut items: Vec<T>) -> Vec<Vec<T>> {
    let third = items.len() / 3;
    match worker % 4 {
        0 => {}
        1 => items.reverse(),
        2 => items.rotate_left(third),
        _ => Random::of_worker(worker).shuffle(&mut items),
    }
    let mut messages = Vec::new();
    while !items.is_empty() {
        let size = [1, 7, 40, 3][messages.len() % 4].min(items.len());
        messages.push(items.drain(..size).collect());
    }
    messages
}

#[tokio::test]
async fn eight_workers_with_the_same_items_store_each_once_and_are_all_answered() {
    let app = App::start().await;
    let all = named(&app, ITEMS).await;

    let workers = (0..8).map(|worker| {
        let (app, all) = (&app, all.clone());
        async move {
            let mut ingest = Ingest::open(app, A.as_service()).await;
            let sender = ingest.messages.take().unwrap();
            let (acks, ()) = tokio::join!(ingest.rest(), async move {
                for items in messages(worker, all) {
                    sender.send(pb::IngestDetectionsRequest { items }).await.unwrap();
                }
            });
            acks.1.unwrap();
            acks.0
        }
    });
    let answered = futures_util::future::join_all(workers).await;

    let mut created: HashMap<i64, usize> = HashMap::new();
    let mut ids: HashMap<i64, String> = HashMap::new();
    for acks in &answered {
        let mut sorted = sequences(acks);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..ITEMS).collect::<Vec<_>>());
        for ack in acks {
            assert_eq!(ack.status, None);
            *created.entry(ack.sequence).or_default() += usize::from(ack.outcome() == WriteOutcome::Created);
            let id = ids.entry(ack.sequence).or_insert_with(|| ack.detection_id.clone());
            assert_eq!(*id, ack.detection_id);
        }
    }
    assert!(created.values().all(|times| *times == 1), "{created:?}");
    let counts = runs(&app).await;
    assert_eq!(counts.iter().sum::<i64>(), ITEMS);
    assert_no_deadlocks(&app).await;
}

/// Asserts that no session has ever waited for another one in a circle.
pub async fn assert_no_deadlocks(app: &App) {
    // Sessions tell what they counted when they end.
    throw_out(app).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(app.count("select deadlocks from pg_stat_database where datname = current_database()").await, 0);
}
