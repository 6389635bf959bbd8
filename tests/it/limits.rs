//! What the server takes on at once: calls and streams in flight, metadata, deadlines, and clients that are silent.

use std::time::{Duration, Instant};

use photometa::config::Limits;
use photometa::pb::{self, session_service_client::SessionServiceClient};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{A, App, B, Who, details, paths, reason, token};
use crate::health::{lock_photos, until_blocked};
use crate::ingest::Ingest;
use crate::rpcs::raw;
use crate::wire::{Wire, message, unfinished};

mod streams;

const WHO_AM_I: &str = "photometa.v1.SessionService/WhoAmI";

async fn who_am_i(app: &App, who: Who) -> Result<(), Status> {
    SessionServiceClient::new(app.authenticated(who)).who_am_i(pb::WhoAmIRequest {}).await.map(drop)
}

fn is_overload(outcome: Result<(), Status>) -> Duration {
    let status = outcome.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"), "{status:?}");
    details(&status).retry_info().unwrap().retry_delay.unwrap()
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_at_once_and_one_organization_leaves_room_for_others() {
    let app = App::start_with(Limits { max_concurrent_calls: 6, ..Limits::default() }).await;
    let locker = lock_photos(&app).await;
    let list = |who: Who| {
        let mut photos = app.photos(who);
        tokio::spawn(async move { photos.list_photos(pb::ListPhotosRequest::default()).await })
    };

    // Half of them.
    let held: Vec<_> = (0..3).map(|_| list(A.as_admin())).collect();
    until_blocked(&app, 3).await;
    let started = Instant::now();
    let mut delays = Vec::new();
    for _ in 0..10 {
        delays.push(is_overload(who_am_i(&app, A.as_service()).await));
    }
    let quick = started.elapsed();
    let other = list(B.as_admin());
    until_blocked(&app, 4).await;
    who_am_i(&app, B.as_service()).await.unwrap();
    HealthClient::new(app.channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
    drop(locker);

    assert!(quick < Duration::from_secs(1), "{quick:?}");
    delays.sort_unstable();
    assert!(delays[0] >= Duration::from_millis(100) && delays[9] <= Duration::from_millis(300), "{delays:?}");
    delays.dedup();
    assert!(delays.len() > 3, "all come back together: {delays:?}");
    for call in held.into_iter().chain([other]) {
        call.await.unwrap().unwrap();
    }
    who_am_i(&app, A.as_service()).await.unwrap();
}

#[tokio::test]
async fn callers_who_hang_up_hold_no_permit() {
    let app = App::start_with(Limits { max_concurrent_calls: 2, ..Limits::default() }).await;
    let _locker = lock_photos(&app).await;
    for _ in 0..5 {
        let mut photos = app.photos(A.as_admin());
        let call = tokio::spawn(async move { photos.list_photos(pb::ListPhotosRequest::default()).await });
        until_blocked(&app, 1).await;
        is_overload(who_am_i(&app, A.as_admin()).await);

        call.abort();

        until_blocked(&app, 0).await;
        who_am_i(&app, A.as_admin()).await.unwrap();
    }
}

#[tokio::test]
async fn body_that_does_not_come_counts_against_the_deadline() {
    let app = App::start().await;
    let mut wire = Wire::connect(app.address).await;

    // A message of a hundred bytes, of which three came; and one that never began.
    for body in [&b"\0\0\0\0\x64abc"[..], b""] {
        let started = Instant::now();
        let answer = wire.call(WHO_AM_I, A.as_admin(), &[("grpc-timeout", "300m")], unfinished(body)).await;

        let status = answer.status.unwrap();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
        assert!((250..3000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn deadlines_that_are_over_are_told_and_those_that_cannot_be_read_are_refused() {
    let app = App::start().await;
    let mut wire = Wire::connect(app.address).await;
    let mut call = async |timeout: &str| {
        let body = message(&pb::WhoAmIRequest {});
        wire.call(WHO_AM_I, A.as_admin(), &[("grpc-timeout", timeout)], body).await
    };

    for over in ["0n", "0S", "1n"] {
        let status = call(over).await.status.unwrap();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{over}");
    }
    for unreadable in ["soon", "10", "-1S", "123456789m"] {
        let answer = call(unreadable).await;
        let status = answer.status.unwrap();
        assert_eq!((status.code(), paths(&status).join(" ")), (Code::InvalidArgument, "grpc-timeout".to_owned()));
        assert!(answer.headers.contains_key("x-request-id"));
    }
    assert_eq!(call("99999999H").await.status.unwrap().code(), Code::Ok);
}

#[tokio::test]
async fn millions_of_empty_items_are_refused_before_they_take_memory() {
    let app = App::start().await;
    let batch = "photometa.v1.PhotoService/BatchCreatePhotos";

    let bearer = format!("Bearer {}", token(A.as_service()));
    for (authorization, expected) in [
        (None, (Code::Unauthenticated, "CREDENTIAL_MISSING")),
        (Some(bearer.as_str()), (Code::InvalidArgument, "MESSAGE_TOO_LARGE")),
    ] {
        let status = raw(&app, batch, authorization, b"\x0a\x00".repeat(2_000_000)).await.unwrap_err();

        assert_eq!((status.code(), reason(&status).as_str()), expected);
    }
}

#[tokio::test]
async fn metadata_beyond_its_limits_is_refused_and_the_connection_goes_on() {
    let app = App::start().await;
    let mut wire = Wire::connect(app.address).await;
    let names: Vec<_> = (0..200).map(|number| format!("x-entry-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let (large, huge) = ("v".repeat(17_000), "v".repeat(70_000));

    for metadata in [&many[..], &[("x-large", large.as_str())]] {
        let status = wire.call(WHO_AM_I, A.as_admin(), metadata, message(&pb::WhoAmIRequest {})).await.status.unwrap();
        assert_eq!((status.code(), paths(&status).join(" ")), (Code::InvalidArgument, "metadata".to_owned()));
    }
    let refused = wire.call(WHO_AM_I, A.as_admin(), &[("x-huge", &huge)], message(&pb::WhoAmIRequest {})).await;
    assert_eq!(refused.http.as_u16(), 431);

    let fine = wire.call(WHO_AM_I, A.as_admin(), &[("x-fine", "v")], message(&pb::WhoAmIRequest {})).await;
    assert_eq!(fine.status.unwrap().code(), Code::Ok);
}
