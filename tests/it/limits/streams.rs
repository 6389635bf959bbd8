//! Streams: how many, and what becomes of those whose client sends nothing or reads nothing.

use super::*;
use crate::cluster::connect;
use crate::health::LOCK_PHOTOS;
use crate::ingest::items;
use crate::training::ends::fill;
use crate::training::{everything, in_lines};

fn idle(timeout: Duration) -> Limits {
    Limits { stream_idle_timeout: timeout, ..Limits::default() }
}

fn is_idle(status: &Status, what: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{status:?}");
    assert!(status.message().contains(what), "{status:?}");
}

#[tokio::test]
async fn streams_are_counted_apart_from_calls() {
    let app = App::start_with(Limits { max_concurrent_streams: 2, max_concurrent_calls: 2, ..Limits::default() }).await;
    let photo = app.photo(A, "site/1.jpg").await;
    let mut first = Ingest::open(&app, A.as_service()).await;

    let second = Ingest::open_with(app.detections(A.as_service()), None).await.map(drop);
    is_overload(second);
    is_overload(app.feedback(A.as_admin()).export_training_data(in_lines(everything())).await.map(drop));
    let theirs = Ingest::open(&app, B.as_service()).await;
    who_am_i(&app, A.as_service()).await.unwrap();

    assert_eq!(first.whole(items(0..3, &photo.id)).await.len(), 3);
    drop(theirs);
    let started = Instant::now();
    loop {
        match Ingest::open_with(app.detections(A.as_service()), None).await {
            Ok(again) => break first = again,
            Err(status) => is_overload(Err(status)),
        };
        assert!(started.elapsed() < Duration::from_secs(10), "a stream that ended holds its permit");
    }
    assert_eq!(first.whole(items(3..5, &photo.id)).await.len(), 2);
}

#[tokio::test]
async fn stream_of_a_silent_client_ends_after_its_acknowledgements() {
    let app = App::start_with(idle(Duration::from_secs(3))).await;
    let photo = app.photo(A, "site/1.jpg").await;
    let mut ingest = Ingest::open(&app, A.as_service()).await;
    let locker = connect(&app.database.superuser()).await;
    let opened = Instant::now();

    // Slower than others, and not silent.
    for number in 0..4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ingest.send(items(number..number + 1, &photo.id)).await;
        ingest.acks(1).await;
    }
    assert!(opened.elapsed() > Duration::from_millis(3500));
    // The database's time is not the client's silence.
    locker.batch_execute(LOCK_PHOTOS).await.unwrap();
    ingest.send(items(4..5, &photo.id)).await;
    until_blocked(&app, 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    drop(locker);
    let (acks, end) = ingest.rest().await;

    assert_eq!(acks.len(), 1);
    is_idle(&end.unwrap_err(), "sent nothing");
}

#[tokio::test]
async fn stream_whose_client_does_not_read_ends_and_the_client_is_told_when_it_reads() {
    let app = App::start_with(idle(Duration::from_millis(500))).await;
    fill(&app).await;
    let mut client = app.feedback(A.as_admin());
    let mut answers = client.export_training_data(in_lines(everything())).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();

    tokio::time::sleep(Duration::from_secs(6)).await;

    let end = loop {
        match answers.message().await {
            Ok(Some(message)) => assert!(!message.progress.unwrap().done, "it was read in time"),
            Ok(None) => panic!("it ended as if it were whole"),
            Err(status) => break status,
        }
    };
    is_idle(&end, "read nothing");
}
