//! How long connections last, and how many there may be: an end costs no call, and a crowd keeps nobody out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use photometa::pb;
use photometa::server::{ConnectionLimits, Connections};
use tokio::task::JoinHandle;

use super::bystander::Bystander;
use super::frames::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PATIENCE, PING, Raw, call, frame};
use super::{WHO_AM_I, bystander};
use crate::harness::{A, App, Bearer, photo, reason, token};
use crate::health::{lock_photos, until_blocked};
use crate::ingest::{Ingest, items};
use crate::unseen::{was_never_sent, was_refused};

async fn start(limits: ConnectionLimits) -> App {
    App::start_behind(Connections { limits, ..Default::default() }).await
}

/// Sends one item of a stream.
async fn send(ingest: &Ingest, number: i64, photo_id: &str) {
    let message = pb::IngestDetectionsRequest { items: items(number..number + 1, photo_id) };
    ingest.messages.as_ref().unwrap().send(message).await.expect("the stream is open");
}

/// A photo and a stream over connections of which each may end at any moment: what was not seen is called again.
async fn opened(app: &App) -> (String, Ingest) {
    let request = pb::CreatePhotoRequest { photo: Some(photo(A.house, "site/1.jpg")) };
    let stored = again(async || app.photos(A.as_service()).create_photo(request.clone()).await).await;
    let ingest = again(async || Ingest::open_with(app.detections(A.as_service()), None).await).await;
    (stored.into_inner().photo.unwrap().id, ingest)
}

async fn again<T>(call: impl AsyncFn() -> Result<T, tonic::Status>) -> T {
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(status) => assert!(was_never_sent(&status) || was_refused(&status), "{status:?}"),
        }
    }
}

/// Ends a stream, and answers how many items were acknowledged.
async fn acknowledged(mut ingest: Ingest) -> usize {
    ingest.messages = None;
    let (acks, end) = ingest.rest().await;
    end.unwrap();
    acks.len()
}

/// Registers photos over a connection of its own, each call another one, until it is asked to end; answers how many it was told
/// are stored.
async fn uploader(app: &App, name: usize, ended: &Arc<AtomicBool>) -> JoinHandle<i64> {
    let (authorization, ended) = (format!("Bearer {}", token(A.as_service())), Arc::clone(ended));
    let channel = app.connect().await;
    let mut photos =
        pb::photo_service_client::PhotoServiceClient::with_interceptor(channel, Bearer::new(&authorization));
    tokio::spawn(async move {
        let (mut calls, mut stored) = (0, 0);
        while !ended.load(Ordering::Relaxed) {
            let photo = photo(A.house, &format!("uploader-{name}/{calls}.jpg"));
            let call = photos.create_photo(pb::CreatePhotoRequest { photo: Some(photo) });
            match tokio::time::timeout(PATIENCE, call).await.expect("an answer in time") {
                Ok(_) => stored += 1,
                Err(status) => {
                    assert!(was_never_sent(&status) || was_refused(&status), "call {calls} failed: {status:?}");
                }
            }
            calls += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        println!("connections of 300 ms: {calls} calls, {} of them unseen", calls - stored);
        stored
    })
}

/// Answers pings, as a client does, until the server closes.
async fn polite(mut raw: Raw) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let Some(got) =
        tokio::time::timeout(Duration::from_secs(20), raw.next()).await.expect("the server should close")
    {
        kinds.push(got.kind);
        if got.kind == PING
            && got.flags == 0
            && raw.send(&frame(PING, super::frames::ACK, 0, &got.payload)).await.is_err()
        {
            break;
        }
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_without_a_call_is_told_and_closed_and_one_with_a_stream_is_kept() {
    let app = start(ConnectionLimits { idle: Duration::from_millis(500), ..ConnectionLimits::default() }).await;
    let photo = app.photo(A, "site/1.jpg").await;
    let ingest = Ingest::open(&app, A.as_service()).await;
    send(&ingest, 1, &photo.id).await;

    let kinds = polite(Raw::begun(app.address).await).await;
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");

    tokio::time::sleep(Duration::from_secs(2)).await;
    send(&ingest, 2, &photo.id).await;
    assert_eq!(acknowledged(ingest).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_reach_their_age_cost_no_call_and_no_stream() {
    let limits = ConnectionLimits {
        age: Duration::from_millis(300),
        grace: Duration::from_secs(60),
        ..ConnectionLimits::default()
    };
    let app = start(limits).await;
    let (photo_id, ingest) = opened(&app).await;
    let ended = Arc::<AtomicBool>::default();
    let mut uploaders = Vec::new();
    for name in 0..4 {
        uploaders.push(uploader(&app, name, &ended).await);
    }

    // Through some ten connections each, one after the other, and one that has reached its age long ago.
    for number in 0..15 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        send(&ingest, number, &photo_id).await;
    }

    assert_eq!(acknowledged(ingest).await, 15);
    ended.store(true, Ordering::Relaxed);
    let mut told = 0;
    for uploader in uploaders {
        told += uploader.await.unwrap();
    }
    // What is there and nobody was told of would be a call whose answer was cut.
    let stored = app.count("select count(*) from companycam_photos.photos where s3_key like 'uploader-%'").await;
    assert!(told > 100 && stored == told, "{stored} photos are stored, {told} acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_is_told_before_its_connection_is_cut_with_all_of_it_acknowledged() {
    let limits = ConnectionLimits {
        age: Duration::from_millis(300),
        grace: Duration::from_secs(4),
        ..ConnectionLimits::default()
    };
    let app = start(limits).await;
    let (photo_id, mut ingest) = opened(&app).await;
    send(&ingest, 1, &photo_id).await;

    let (acks, end) = ingest.rest().await;

    let end = end.unwrap_err();
    assert_eq!((end.code(), reason(&end).as_str(), acks.len()), (tonic::Code::Unavailable, "DRAINING", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_is_ended_when_the_grace_after_its_connections_age_is_over() {
    let limits = ConnectionLimits {
        age: Duration::from_millis(300),
        grace: Duration::from_millis(500),
        ..ConnectionLimits::default()
    };
    let app = start(limits).await;
    let mut raw = Raw::begun(app.address).await;
    let authorization = format!("Bearer {}", token(A.as_service()));
    // A stream on which nothing is ever sent.
    let path = "/photometa.v1.DetectionService/IngestDetections";
    raw.send(&frame(HEADERS, END_HEADERS, 1, &call(path, &[("authorization", &authorization)]))).await.unwrap();

    let started = Instant::now();
    let kinds = polite(raw).await;

    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn crowd_that_only_connects_keeps_nobody_out() {
    let app = start(ConnectionLimits { most: 8, ..ConnectionLimits::default() }).await;
    let somebody = bystander(&app).known().await;
    let mut crowd = Vec::new();
    for number in 0..100 {
        let raw = if number % 2 == 0 { Raw::begun(app.address).await } else { Raw::silent(app.address).await };
        crowd.push(raw);
    }

    // Somebody who comes now gets in, while all of the crowd would like to stay.
    let channel = app.connect().await;
    let newcomer = Bystander::begin(channel, &format!("Bearer {}", token(A.as_member())));
    tokio::time::sleep(Duration::from_millis(500)).await;
    newcomer.end("a newcomer beside a crowd").await;
    somebody.end("a crowd").await;

    let mut left = 0;
    for mut raw in crowd {
        let closed =
            tokio::time::timeout(Duration::from_millis(5), async { while raw.next().await.is_some() {} }).await;
        left += usize::from(closed.is_err());
    }
    assert!(left < 8, "{left} of the crowd are there, with room for 8");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_beyond_the_most_is_refused_until_there_is_room() {
    let app = start(ConnectionLimits { most: 3, ..ConnectionLimits::default() }).await;
    let authorization = format!("Bearer {}", token(A.as_admin()));
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &call(WHO_AM_I, &[("authorization", &authorization)]));
    // The channel of the tests has shown no credential yet, and is the one that may go.
    let mut called = Vec::new();
    while called.len() < 3 {
        let mut raw = Raw::begun(app.address).await;
        raw.send(&request).await.unwrap();
        assert!(raw.until(HEADERS).await.is_some(), "there should be room");
        called.push(raw);
    }

    Raw::begun(app.address).await.until_closed(PATIENCE).await;
    drop(called.pop());

    let started = Instant::now();
    loop {
        let mut raw = Raw::begun(app.address).await;
        let sent = raw.send(&request).await.is_ok();
        if sent && raw.until(HEADERS).await.is_some() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "there is room, and nobody gets in");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crowd_that_calls_without_a_credential_keeps_nobody_out() {
    let app = start(ConnectionLimits { most: 3, ..ConnectionLimits::default() }).await;
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &call(WHO_AM_I, &[]));

    let mut crowd = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::begun(app.address).await;
        raw.send(&request).await.unwrap();
        assert!(raw.until(HEADERS).await.is_some(), "there should be room: the others may go");
        crowd.push(raw);
    }
}

/// A client that has not heard yet that its connection ends, because it has been idle, calls once more.
#[tokio::test(flavor = "multi_thread")]
async fn call_that_crosses_the_end_of_an_idle_connection_is_answered() {
    let limits = ConnectionLimits {
        idle: Duration::from_millis(300),
        pong: Duration::from_secs(1),
        grace: Duration::from_secs(60),
        ..ConnectionLimits::default()
    };
    let app = start(limits).await;
    let locker = lock_photos(&app).await;
    let mut raw = Raw::begun(app.address).await;
    raw.until(GOAWAY).await.unwrap();

    // Its ping is not answered: as far as the server knows, the client has not read the GOAWAY.
    let authorization = format!("Bearer {}", token(A.as_admin()));
    let headers = call("/photometa.v1.PhotoService/ListPhotos", &[("authorization", &authorization)]);
    let ask = [frame(HEADERS, END_HEADERS, 1, &headers), frame(DATA, END_STREAM, 1, &[0; 5])];
    raw.send(&ask.concat()).await.unwrap();
    until_blocked(&app, 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(locker);

    let answer = raw.until(HEADERS).await.expect("the connection is there");
    assert_eq!(answer.stream, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_beyond_64_kib_is_refused_and_the_connection_goes_on() {
    let app = start(ConnectionLimits::default()).await;
    let bearer = Bearer::new(&format!("Bearer {}", token(A.as_admin())));
    let mut client = pb::session_service_client::SessionServiceClient::with_interceptor(app.channel.clone(), bearer);
    let with = |bytes: usize| {
        let mut request = tonic::Request::new(pb::WhoAmIRequest::default());
        request.metadata_mut().insert("x-large", "x".repeat(bytes).parse().unwrap());
        request
    };

    assert!(client.who_am_i(with(15_000)).await.is_ok());
    let refused = client.who_am_i(with(70_000)).await.unwrap_err();
    assert!(client.who_am_i(with(1)).await.is_ok());

    // Below gRPC: its clients show the status of HTTP, Request Header Fields Too Large.
    assert!(refused.code() == tonic::Code::Unknown && refused.message().contains("431"), "{refused}");
}
