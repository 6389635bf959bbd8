//! Clients that hang up: at every message of a stream, and while a statement runs.

use std::time::Duration;

use photometa::pb::WriteOutcome;

use super::{Ingest, item, items, runs};
use crate::harness::{A, App};
use crate::health::{lock_photos, until_blocked};

#[tokio::test]
async fn hanging_up_at_any_message_and_sending_all_again_gives_exactly_the_whole() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let all = items(0..60, &photo.id);
    let messages: Vec<_> = all.chunks(5).collect();

    for cut in 0..=messages.len() {
        app.postgres.batch_execute("delete from companycam_photos.detections").await.unwrap();
        // Every other time the answers are waited for, so that both what is and what is not committed is met.
        for (round, wait) in [false, true].into_iter().enumerate() {
            let mut ingest = Ingest::open(&app, A.as_service()).await;
            for message in &messages[..cut] {
                ingest.send(message.to_vec()).await;
            }
            if wait {
                ingest.acks(cut * 5).await;
            } else {
                tokio::time::sleep(Duration::from_millis(u64::try_from(cut * (round + 1)).unwrap())).await;
            }
            drop(ingest);
        }

        let acks = Ingest::open(&app, A.as_service()).await.whole(all.clone()).await;

        assert_eq!(acks.len(), 60, "cut at {cut}");
        for (sequence, ack) in &acks {
            assert_eq!(ack.status, None, "cut at {cut}");
            // What was acknowledged in the second round was stored.
            if usize::try_from(*sequence).unwrap() < cut * 5 {
                assert_eq!(ack.outcome(), WriteOutcome::Unchanged, "cut at {cut}: {ack:?}");
            }
        }
        assert_eq!(runs(&app).await, [1; 60], "cut at {cut}");
    }
    // The connections are all there.
    let calls = futures_util::future::join_all((0..8).map(|_| app.detection(A, &photo.id))).await;
    assert_eq!(calls.len(), 8);
}

#[tokio::test]
async fn hanging_up_ends_the_statement_and_gives_its_connection_back() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let locker = lock_photos(&app).await;
    let mut open = Vec::new();
    // As many as an organization has connections.
    for number in 0..3 {
        let ingest = Ingest::open(&app, A.as_service()).await;
        ingest.send(vec![item(number, &photo.id)]).await;
        open.push(ingest);
    }
    until_blocked(&app, 3).await;

    drop(open);

    until_blocked(&app, 0).await;
    drop(locker);
    let acks = Ingest::open(&app, A.as_service()).await.whole(items(0..3, &photo.id)).await;
    assert!(acks.values().all(|ack| ack.outcome() == WriteOutcome::Created), "{acks:?}");
    assert_eq!(runs(&app).await, [1; 3]);
}
