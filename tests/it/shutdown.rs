//! The end of a server: what is answered until when, and what those are told who are not done in time.

use std::process::Command;
use std::time::{Duration, Instant};

use photometa::pb::{self, photo_service_client::PhotoServiceClient};
use tokio::net::TcpStream;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{A, App, details, reason, token};
use crate::health::{lock_photos, until_blocked};
use crate::replica::Replica;

/// The program on the app's database.
fn replica(app: &App, name: &str, arguments: &[&str]) -> Replica {
    let url = app.database.url("photometa_app");
    let mut replica = Replica::start(name, &[("PHOTOMETA_DATABASE_URL", &url)], arguments);
    replica.wait("ready", Replica::is_ready);
    replica
}

/// A call to it that waits for a lock.
async fn waiting(app: &App, replica: &Replica) -> tokio::task::JoinHandle<Result<(), Status>> {
    let mut client = PhotoServiceClient::new(replica.channel().await);
    let mut request = Request::new(pb::ListPhotosRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {}", token(A.as_admin())).parse().unwrap());
    let call = tokio::spawn(async move { client.list_photos(request).await.map(drop) });
    until_blocked(app, 1).await;
    call
}

fn terminate(replica: &Replica) {
    assert!(Command::new("kill").args(["-TERM", &replica.child.id().to_string()]).status().unwrap().success());
}

/// Waits for the end of a program; its exit status and how long that took.
fn ended(replica: &mut Replica) -> (Option<i32>, Duration) {
    let started = Instant::now();
    loop {
        if let Some(status) = replica.child.try_wait().unwrap() {
            return (status.code(), started.elapsed());
        }
        assert!(started.elapsed() < Duration::from_secs(60), "it does not end: {}", replica.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn calls_are_answered_after_not_serving_and_new_connections_are_refused_later() {
    let app = App::start().await;
    let address = app.address;
    let mut health = HealthClient::new(app.channel.clone());
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    while watch.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    let mut sessions = app.sessions(A.as_admin());
    let locker = lock_photos(&app).await;
    let mut slow = app.photos(A.as_admin());
    let slow = tokio::spawn(async move { slow.list_photos(pb::ListPhotosRequest::default()).await });
    until_blocked(&app, 1).await;

    tokio::join!(app.stop(), async {
        while watch.message().await.unwrap().unwrap().status() != ServingStatus::NotServing {}
        // Clients have not been told to go away yet.
        sessions.who_am_i(pb::WhoAmIRequest {}).await.unwrap();
        let started = Instant::now();
        while TcpStream::connect(address).await.is_ok() {
            assert!(started.elapsed() < Duration::from_secs(3), "the port stays open");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(locker);
    });

    slow.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_outlast_the_drain_are_told_and_the_status_is_0() {
    let app = App::start().await;
    let mut replica = replica(&app, "outlasted", &["--drain-timeout", "500ms"]);
    let _locker = lock_photos(&app).await;
    let call = waiting(&app, &replica).await;

    terminate(&replica);

    let status = call.await.unwrap().unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "DRAINING"), "{status:?}");
    assert!(details(&status).retry_info().is_some());
    let (code, took) = ended(&mut replica);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    until_blocked(&app, 0).await;
    assert!(replica.log().contains("ending without the calls that are still running"), "{}", replica.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_signal_ends_the_program_at_once_with_status_1() {
    let app = App::start().await;
    let mut replica = replica(&app, "insisted", &["--drain-timeout", "1m"]);
    let locker = lock_photos(&app).await;
    let call = waiting(&app, &replica).await;

    terminate(&replica);
    replica.wait("draining", |replica| replica.log().contains("draining"));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(replica.child.try_wait().unwrap().is_none(), "it did not wait for its call");
    terminate(&replica);

    let (code, took) = ended(&mut replica);
    assert_eq!(code, Some(1));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(replica.log().contains("second signal"), "{}", replica.log());
    // As if it had been killed: its client hears nothing, and PostgreSQL learns of it when it looks for it, or when its
    // statement is done.
    call.await.unwrap().unwrap_err();
    drop(locker);
    until_blocked(&app, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_that_come_at_once_are_one_and_cut_nothing_off() {
    let app = App::start().await;
    let mut replica = replica(&app, "doubled", &["--drain-timeout", "1m"]);
    let locker = lock_photos(&app).await;
    let call = waiting(&app, &replica).await;

    // As timeout(1) does: to the process, and to its group.
    terminate(&replica);
    terminate(&replica);
    replica.wait("draining", |replica| replica.log().contains("draining"));
    terminate(&replica);
    drop(locker);

    call.await.unwrap().unwrap();
    assert_eq!(ended(&mut replica).0, Some(0));
    assert!(replica.log().trim_end().lines().last().unwrap().contains("\"ended\""), "{}", replica.log());
}
