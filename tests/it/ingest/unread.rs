//! A client that sends and never reads, or a database that does not answer: the server stops reading, keeps little, and
//! serves everybody else.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use photometa::pb::{self, detection_service_client::DetectionServiceClient};
use tokio_stream::StreamExt as _;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::{Ingest, item};
use crate::harness::{A, App, Bearer, token};
use crate::health::{lock_photos, until_blocked};

/// Resident memory of this process, which is server and client, in MiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

/// Waits until nothing more is taken for a second, and answers how much was.
async fn settled(taken: impl Fn() -> usize) -> usize {
    // Looks are counted, and not time: a pause of the machine is none of the flood.
    let (started, mut last, mut quiet) = (Instant::now(), 0, 0);
    while quiet < 20 {
        assert!(started.elapsed() < Duration::from_secs(60), "{last} messages, and the server reads on");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = taken();
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
    }
    last
}

/// Sends items that are answered with long refusals for as long as they are taken, and counts the messages.
async fn flood(channel: Channel, taken: Arc<AtomicUsize>) -> tonic::Streaming<pb::IngestDetectionsResponse> {
    let bearer = Bearer::new(&format!("Bearer {}", token(A.as_service())));
    let mut client = DetectionServiceClient::new(InterceptedService::new(channel, bearer));
    let messages = tokio_stream::iter(0..).map(move |number: i64| {
        taken.fetch_add(1, Ordering::Relaxed);
        let bad = pb::Detection { model_version: "x".repeat(5000), ..Default::default() };
        let item = |sequence| pb::IngestDetectionsItem { sequence, detection: Some(bad.clone()) };
        pb::IngestDetectionsRequest { items: (number * 10..number * 10 + 10).map(item).collect() }
    });
    client.ingest_detections(messages).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_never_reads_is_not_read_from_and_hinders_nobody() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let before = resident();
    let own = app.connect().await;
    let counts: Vec<_> = (0..6).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let mut unread = Vec::new();
    // Five on a connection of their own, and one on everybody's.
    for (number, taken) in counts.iter().enumerate() {
        let channel = if number == 0 { app.channel.clone() } else { own.clone() };
        unread.push(flood(channel, taken.clone()).await);
    }

    let taken = || counts.iter().map(|taken| taken.load(Ordering::Relaxed)).sum::<usize>();
    let last = settled(taken).await;
    let grown = resident().saturating_sub(before);
    println!("{last} messages of 50 KB taken from 6 clients, {grown} MiB grown");
    // What the buffers of both ends hold, answers above all. Memory is printed only: other tests run in this process.
    assert!(last < 6 * 1000, "{last} messages");

    // Others are served: on the same connection, on the other one, and by another stream.
    for number in 0..20 {
        let detection = app.detection(A, &photo.id);
        tokio::time::timeout(Duration::from_secs(5), detection).await.unwrap();
        let ingest = Ingest::open(&app, A.as_service());
        let acks = tokio::time::timeout(Duration::from_secs(5), async {
            ingest.await.whole(vec![item(number, &photo.id)]).await
        });
        assert_eq!(acks.await.unwrap().len(), 1);
    }
    assert_eq!(taken(), last, "the server reads on");

    // One that reads at last gets all of it, in order.
    let mut next = 0;
    while next < 1000 {
        for ack in unread[1].message().await.unwrap().unwrap().acks {
            assert_eq!(ack.sequence, next);
            next += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_stops_reading_while_the_database_does_not_answer() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let locker = lock_photos(&app).await;
    let taken = Arc::new(AtomicUsize::new(0));
    let bearer = Bearer::new(&format!("Bearer {}", token(A.as_service())));
    let mut client = DetectionServiceClient::new(InterceptedService::new(app.channel.clone(), bearer));
    let (counter, photo_id) = (taken.clone(), photo.id.clone());
    let messages = tokio_stream::iter(0..2000).map(move |number: i64| {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut item = item(number, &photo_id);
        // Twelve kilobytes, of which the window holds 340.
        let object = crate::harness::object("");
        item.detection.as_mut().unwrap().results.as_mut().unwrap().objects = vec![object; 200];
        pb::IngestDetectionsRequest { items: vec![item] }
    });
    let answers = client.ingest_detections(messages).await.unwrap().into_inner();

    until_blocked(&app, 1).await;
    let waiting = settled(|| taken.load(Ordering::Relaxed)).await;
    let mut ingest = Ingest { messages: None, answers };
    drop(locker);
    let acks = ingest.acks(2000).await;

    println!("{waiting} messages of 12 KB taken while the database did not answer");
    assert!(waiting < 1000, "{waiting} messages were taken");
    assert!(acks.iter().enumerate().all(|(place, ack)| usize::try_from(ack.sequence).unwrap() == place));
    assert!(acks.iter().all(|ack| ack.status.is_none()));
}

#[tokio::test]
async fn client_that_never_reads_does_not_hold_up_the_end_of_the_server() {
    let app = App::start().await;
    let taken = Arc::new(AtomicUsize::new(0));
    let _unread = flood(app.channel.clone(), taken.clone()).await;
    while taken.load(Ordering::Relaxed) < 50 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;

    let started = Instant::now();
    app.stop().await;

    // The drain timeout of the tests is five seconds.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}
