//! What ends a stream from outside: shutdown, deadlines, the end of the credential, and the database going away. What
//! was read is acknowledged where that is possible, and sending the rest again gives the whole.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use photometa::auth::token::Claims;
use photometa::pb::WriteOutcome;
use photometa::pb::detection_service_client::DetectionServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Status};

use super::{Ingest, item, items, runs, sequences};
use crate::harness::{A, App, Bearer, details, reason, sign, token};
use crate::health::{allow, lock_photos, serve, take_away, throw_out, until_blocked};

fn told(end: Result<(), Status>) -> (Code, String) {
    let status = end.unwrap_err();
    (status.code(), reason(&status))
}

#[tokio::test]
async fn draining_server_acknowledges_all_that_it_has_read_and_ends_the_stream() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let locker = lock_photos(&app).await;
    let (mut busy, mut idle) = (Ingest::open(&app, A.as_service()).await, Ingest::open(&app, A.as_service()).await);
    for number in 0..20 {
        busy.send(items(number * 10..number * 10 + 10, &photo.id)).await;
    }
    until_blocked(&app, 1).await;
    // All of it is on the server.
    tokio::time::sleep(Duration::from_millis(300)).await;

    let started = Instant::now();
    let ((), (acks, end), (none, idle_end)) = tokio::join!(
        app.stop(),
        async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            // The server drains by now, and takes no more of it.
            let late = busy.messages.clone().unwrap();
            tokio::spawn(async move {
                let items = vec![item(1000, "01890a5d-ac96-774b-bcce-b302099a8057")];
                let _ = late.send(photometa::pb::IngestDetectionsRequest { items }).await;
            });
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(locker);
            busy.rest().await
        },
        idle.rest(),
    );

    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(sequences(&acks), (0..200).collect::<Vec<_>>());
    assert!(acks.iter().all(|ack| ack.outcome() == WriteOutcome::Created));
    assert!(details(end.as_ref().unwrap_err()).retry_info().is_some());
    assert_eq!(told(end), (Code::Unavailable, "DRAINING".to_owned()));
    assert_eq!((none.len(), told(idle_end)), (0, (Code::Unavailable, "DRAINING".to_owned())));
}

#[tokio::test]
async fn deadline_ends_the_stream_and_its_statement() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let client = app.detections(A.as_service());

    let started = Instant::now();
    let mut idle = Ingest::open_with(client.clone(), Some(Duration::from_secs(3))).await.unwrap();
    idle.send(vec![item(1, &photo.id)]).await;
    let (acks, end) = idle.rest().await;
    assert_eq!((sequences(&acks), told(end)), (vec![1], (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned())));
    assert!((2900..8000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());

    let locker = lock_photos(&app).await;
    let mut busy = Ingest::open_with(client, Some(Duration::from_millis(800))).await.unwrap();
    busy.send(vec![item(2, &photo.id)]).await;
    let (acks, end) = busy.rest().await;
    assert_eq!((acks.len(), told(end)), (0, (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned())));
    until_blocked(&app, 0).await;
    drop(locker);
    assert_eq!(Ingest::open(&app, A.as_service()).await.whole(items(1..3, &photo.id)).await.len(), 2);
    assert_eq!(runs(&app).await, [1, 1]);
}

#[tokio::test]
async fn limit_of_the_server_is_for_each_statement_and_not_for_the_stream() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let channel = serve(app.database.app(), Duration::from_secs(2)).await;
    let bearer = Bearer::new(&format!("Bearer {}", token(A.as_service())));
    let client = DetectionServiceClient::new(InterceptedService::new(channel, bearer));
    let mut ingest = loop {
        // Until it has seen its schema.
        match Ingest::open_with(client.clone(), None).await {
            Ok(ingest) => break ingest,
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };

    for number in 0..3 {
        // Each takes some time of its own.
        let locker = lock_photos(&app).await;
        ingest.send(vec![item(number, &photo.id)]).await;
        until_blocked(&app, 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(locker);
        assert_eq!(sequences(&ingest.acks(1).await), [number]);
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    let _locker = lock_photos(&app).await;
    ingest.send(vec![item(3, &photo.id)]).await;
    let (acks, end) = ingest.rest().await;

    assert_eq!((acks.len(), told(end)), (0, (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned())));
    until_blocked(&app, 0).await;
}

#[tokio::test]
async fn stream_ends_when_its_credential_does() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let who = A.as_service();
    let claims = Claims { sub: who.subject, org: who.organization, role: who.role, exp: now + 3, iss: None, aud: None };
    let client = DetectionServiceClient::new(app.with_authorization(&format!("Bearer {}", sign(&claims))));

    let started = Instant::now();
    let mut ingest = Ingest::open_with(client, None).await.unwrap();
    ingest.send(items(0..3, &photo.id)).await;
    let (acks, end) = ingest.rest().await;

    assert_eq!((acks.len(), told(end)), (3, (Code::Unauthenticated, "CREDENTIAL_EXPIRED".to_owned())));
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
}

#[tokio::test]
async fn stream_whose_connection_dies_goes_on_with_another_one() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let ingest = Ingest::open(&app, A.as_service()).await;
    // With the sessions, the lock's goes too.
    let _locker = lock_photos(&app).await;
    ingest.send(items(0..5, &photo.id)).await;
    until_blocked(&app, 1).await;

    throw_out(&app).await;
    let acks = ingest.whole(items(5..10, &photo.id)).await;

    assert!(acks.values().all(|ack| ack.outcome() == WriteOutcome::Created), "{acks:?}");
    assert_eq!(runs(&app).await, [1; 10]);
}

#[tokio::test]
async fn stream_whose_database_goes_away_ends_without_acknowledging_and_sending_again_gives_the_whole() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let mut ingest = Ingest::open(&app, A.as_service()).await;
    ingest.send(items(0..5, &photo.id)).await;
    let first = ingest.acks(5).await;
    let locker = lock_photos(&app).await;
    for number in 1..10 {
        ingest.send(items(number * 5..number * 5 + 5, &photo.id)).await;
    }
    until_blocked(&app, 1).await;

    take_away(&app).await;
    drop(locker);
    let (acks, end) = ingest.rest().await;
    allow(&app, true).await;

    assert_eq!((first.len(), acks.len()), (5, 0));
    assert!(details(end.as_ref().unwrap_err()).retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
    assert_eq!(told(end), (Code::Unavailable, "DATABASE_UNAVAILABLE".to_owned()));
    let again = Ingest::open(&app, A.as_service()).await.whole(items(0..50, &photo.id)).await;
    assert_eq!(again.len(), 50);
    assert!(again.values().all(|ack| ack.status.is_none()));
    assert_eq!(runs(&app).await, [1; 50]);
}

#[tokio::test]
async fn stream_ends_without_acknowledging_when_what_an_item_meets_comes_and_goes() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    Ingest::open(&app, A.as_service()).await.whole(items(0..1, &photo.id)).await;
    // There for the insert, and gone for what explains its refusal.
    app.hide_from_readers("detections").await;
    let mut ingest = Ingest::open(&app, A.as_service()).await;

    ingest.send(items(0..3, &photo.id)).await;
    let (acks, end) = ingest.rest().await;

    assert!(details(end.as_ref().unwrap_err()).retry_info().is_some());
    assert_eq!((acks.len(), told(end)), (0, (Code::Aborted, "CONCURRENT_CHANGE".to_owned())));
    assert_eq!(runs(&app).await, [1; 3]);
}
