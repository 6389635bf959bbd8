//! Where in PostgreSQL's log a write is: every call that has committed something says so, however it was stored.

use futures_util::future::join_all;
use photometa::lsn::Lsn;
use photometa::pb;
use serde_json::Value;

use crate::harness::{A, App, detection, photo, token};
use crate::health::{lock_photos, until_blocked};
use crate::ingest::Ingest;
use crate::rpcs::RPCS;
use crate::world::World;

const HEADER: &str = "x-photometa-lsn";

/// Where the server's log is now.
async fn now(app: &App) -> Lsn {
    let row = app.postgres.query_one("select pg_current_wal_insert_lsn()::text", &[]).await.unwrap();
    row.try_get::<_, String>(0).unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_call_that_writes_says_where_the_log_is_after_it() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;
    let shows =
        |name: &str| ["/Get", "/BatchGet", "/List", "/WhoAmI", "/Export"].iter().any(|verb| name.contains(verb));
    // What deletes others' things comes last.
    let (deletes, others): (Vec<_>, Vec<_>) = RPCS.iter().partition(|rpc| rpc.name.contains("/Delete"));

    for rpc in others.into_iter().chain(deletes) {
        let (before, who) = (now(&app).await, world.who(rpc.roles[0]));
        let authorization = format!("Bearer {}", token(who));

        let outcome = rpc.exchange(&app, Some(&authorization), world.ids().fill(rpc.request)).await;

        let (metadata, answer) = match outcome {
            Ok((metadata, answer)) => (metadata, answer),
            // It refers to what an earlier one has deleted.
            Err(status) => (status.metadata().clone(), Value::Null),
        };
        let told = metadata.get(HEADER).map(|position| position.to_str().unwrap());
        let told = answer[0]["lsn"].as_str().or(told).map(|position| position.parse::<Lsn>().unwrap());
        if shows(rpc.name) {
            assert_eq!(told, None, "{}", rpc.name);
        } else if !answer.is_null() {
            let told = told.unwrap_or_else(|| panic!("{} says nothing: {answer}", rpc.name));
            // Some find that there is nothing to change.
            assert!(before <= told && told <= now(&app).await, "{}: {told} after {before}", rpc.name);
        }
    }
}

#[tokio::test]
async fn everybody_whose_photo_is_in_a_shared_statement_is_told_where_its_commit_is() {
    let app = App::start().await;
    let locker = lock_photos(&app).await;
    let create = |number: usize| {
        let mut client = app.photos(A.as_service());
        let request = pb::CreatePhotoRequest { photo: Some(photo(A.house, &format!("{number}.jpg"))) };
        tokio::spawn(async move { client.create_photo(request).await.unwrap() })
    };
    let mut calls = vec![create(0)];
    until_blocked(&app, 1).await;
    calls.extend((1..20).map(create));
    // The first one is stuck, and the others have begun together.
    until_blocked(&app, 2).await;
    let before = now(&app).await;

    drop(locker);

    let after = join_all(calls).await.into_iter().map(|answer| {
        let position = answer.unwrap().metadata().get(HEADER).unwrap().to_str().unwrap().to_owned();
        position.parse::<Lsn>().unwrap()
    });
    assert!(after.into_iter().all(|position| position > before));
    assert!(app.count("select count(distinct created_at) from companycam_photos.photos").await < 20);
}

#[tokio::test]
async fn acknowledgements_say_where_the_log_is_after_what_they_acknowledge() {
    let app = App::start().await;
    let photo = app.photo(A, "1.jpg").await;
    let mut ingest = Ingest::open(&app, A.as_service()).await;
    let sender = ingest.messages.take().unwrap();
    let mut before = now(&app).await;

    for sequence in 1..=2 {
        let item = pb::IngestDetectionsItem { sequence, detection: Some(detection(&photo.id)) };
        sender.send(pb::IngestDetectionsRequest { items: vec![item] }).await.unwrap();

        let answer = ingest.answers.message().await.unwrap().unwrap();

        let told: Lsn = answer.lsn.parse().unwrap();
        assert!(before < told && told <= now(&app).await);
        before = told;
    }
    let refused = pb::IngestDetectionsItem { sequence: 3, detection: Some(pb::Detection::default()) };
    sender.send(pb::IngestDetectionsRequest { items: vec![refused] }).await.unwrap();
    assert_eq!(ingest.answers.message().await.unwrap().unwrap().lsn, "");
}
