//! What surrounds the services: readiness, reflection, deadlines, request ids, and the answers to what is not there.

use std::time::{Duration, Instant};

use photometa::auth::token::{Expectations, Verifier};
use photometa::db::{Db, PoolSettings};
use photometa::page::Pages;
use photometa::pb::{self, photo_service_client::PhotoServiceClient};
use photometa::server::{Condition, Connections, Parts};
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use uuid::Uuid;

use crate::cluster::connect;
use crate::harness::{A, App, SECRET, details, reason, token};
use crate::rpcs::{POOL, raw};

/// Long enough for the readiness check to notice, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(15);

fn names() -> Vec<String> {
    let services = POOL.services().filter(|service| service.package_name() == "photometa.v1");
    services.map(|service| service.full_name().to_owned()).chain([String::new()]).collect()
}

async fn check(app: &App, service: &str) -> Result<ServingStatus, Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(HealthClient::new(app.channel.clone()).check(request).await?.into_inner().status())
}

/// Lets nobody into the app's database, and throws out who is there.
pub async fn take_away(app: &App) {
    allow(app, false).await;
    throw_out(app).await;
}

pub async fn allow(app: &App, connections: bool) {
    let name = app.database.superuser().get_dbname().unwrap().to_owned();
    // PostgreSQL lets nobody do it to the database they are in.
    let outside = connect(app.database.superuser().dbname("postgres")).await;
    outside.batch_execute(&format!("alter database {name} allow_connections {connections}")).await.unwrap();
}

/// Ends every session of the app's database but the test's own, and waits until they have ended.
pub async fn throw_out(app: &App) {
    // All at once: one that waits for another's end is used meanwhile. The service's first: what it waits for may be a lock
    // that another one lets go of as it ends.
    let all = "select pg_terminate_backend(pid) from
               (select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                order by usename <> 'photometa_app') s";
    app.postgres.batch_execute(all).await.unwrap();
    let left = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
    app.postgres.batch_execute(left).await.unwrap();
}

/// Ends the session of the service that waits for a lock, and waits until it has ended. Not another one, which would be next.
async fn end_its_session(app: &App) {
    let its = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
               where datname = current_database() and application_name = 'photometa' and wait_event_type = 'Lock'";
    app.postgres.batch_execute(its).await.unwrap();
}

/// Waits until a watch says this; it may repeat itself before.
async fn told(watch: &mut tonic::Streaming<HealthCheckResponse>, expected: ServingStatus) {
    let told = async { while watch.next().await.expect("the watch goes on").unwrap().status() != expected {} };
    tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("health never says {expected:?}"));
}

async fn list(app: &App) -> Result<pb::ListPhotosResponse, Status> {
    Ok(app.photos(A.as_admin()).list_photos(pb::ListPhotosRequest::default()).await?.into_inner())
}

/// How many statements of the service wait for a lock.
pub async fn blocked(app: &App) -> i64 {
    app.count(
        "select count(*) from pg_stat_activity where datname = current_database()
            and application_name = 'photometa' and state = 'active' and wait_event_type = 'Lock'",
    )
    .await
}

/// Waits until that many statements of the service wait for a lock.
pub async fn until_blocked(app: &App, expected: i64) {
    let started = Instant::now();
    while blocked(app).await != expected {
        assert!(started.elapsed() < PATIENCE, "{} statements wait, not {expected}", blocked(app).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Holds the photos until its session ends.
pub const LOCK_PHOTOS: &str = "begin; lock table companycam_photos.photos in access exclusive mode";

/// Holds the photos until it is dropped.
pub async fn lock_photos(app: &App) -> tokio_postgres::Client {
    let locker = connect(&app.database.superuser()).await;
    locker.batch_execute(LOCK_PHOTOS).await.unwrap();
    locker
}

#[tokio::test]
async fn check_answers_serving_for_every_service_without_a_credential() {
    let app = App::start().await;

    assert_eq!(names().len(), 9);
    for name in names() {
        let started = Instant::now();
        while check(&app, &name).await.ok() != Some(ServingStatus::Serving) {
            assert!(started.elapsed() < PATIENCE, "{name:?} does not serve");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(check(&app, "photometa.v1.NoService").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn watch_follows_the_database_away_and_back() {
    let app = App::start().await;
    let mut watch =
        HealthClient::new(app.channel.clone()).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    told(&mut watch, ServingStatus::Serving).await;

    take_away(&app).await;

    told(&mut watch, ServingStatus::NotServing).await;
    for name in names() {
        let status = list(&app).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
        assert!(details(&status).retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
        assert_ne!(check(&app, &name).await.unwrap(), ServingStatus::Serving, "{name}");
    }

    allow(&app, true).await;

    told(&mut watch, ServingStatus::Serving).await;
    list(&app).await.unwrap();
}

#[tokio::test]
async fn read_whose_connection_dies_is_run_again() {
    let app = App::start().await;
    app.photo(A, "site/1.jpg").await;
    let locker = lock_photos(&app).await;

    let (photos, ()) = tokio::join!(list(&app), async {
        for _ in 0..2 {
            until_blocked(&app, 1).await;
            end_its_session(&app).await;
        }
        until_blocked(&app, 1).await;
        drop(locker);
    });

    assert_eq!(photos.unwrap().photos.len(), 1);
}

#[tokio::test]
async fn call_whose_connections_die_again_and_again_answers_unavailable_and_the_next_one_works() {
    let app = App::start().await;
    list(&app).await.unwrap();
    let locker = lock_photos(&app).await;
    let (photos, ()) = tokio::join!(list(&app), async {
        for _ in 0..3 {
            until_blocked(&app, 1).await;
            end_its_session(&app).await;
        }
    });
    drop(locker);

    let status = photos.unwrap_err();

    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    for _ in 0..8 {
        list(&app).await.unwrap();
    }
}

#[tokio::test]
async fn deadline_ends_the_call_and_its_statement() {
    let app = App::start().await;
    let locker = lock_photos(&app).await;

    // The client has a clock of its own, which may be first on a busy machine: then another try.
    let mut found = None;
    for milliseconds in (200..=500).step_by(20) {
        let mut request = Request::new(pb::ListPhotosRequest::default());
        request.set_timeout(Duration::from_millis(milliseconds));
        let started = Instant::now();
        let status = app.photos(A.as_admin()).list_photos(request).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_millis(milliseconds) + Duration::from_secs(5));
        if status.code() == Code::DeadlineExceeded {
            found = Some(status);
            break;
        }
    }
    let status = found.expect("the server's answer is first at least once");

    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    until_blocked(&app, 0).await;
    drop(locker);
    let calls = futures_util::future::join_all((0..16).map(|_| list(&app))).await;
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
}

#[tokio::test]
async fn limit_of_the_server_ends_calls_without_a_deadline() {
    let app = App::start().await;
    let channel = serve(app.database.app(), Duration::from_millis(300)).await;
    let _locker = lock_photos(&app).await;
    let mut request = Request::new(pb::ListPhotosRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {}", token(A.as_admin())).parse().unwrap());

    let status = PhotoServiceClient::new(channel).list_photos(request).await.unwrap_err();

    assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    until_blocked(&app, 0).await;
}

#[tokio::test]
async fn server_that_never_saw_its_database_never_says_serving() {
    let app = App::start().await;
    let mut nowhere = app.database.app();
    nowhere.dbname("no_such_database");
    let mut health = HealthClient::new(serve(nowhere, Duration::from_secs(5)).await);

    for _ in 0..20 {
        let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A second server, which ends with the test.
pub async fn serve(database: tokio_postgres::Config, request_timeout: Duration) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let parts = Parts {
        db: Db::new(database, PoolSettings::new(2, Duration::from_secs(5))).unwrap(),
        pages: Pages::new(SECRET),
        verifier: Verifier::hs256(SECRET, &Expectations::default()),
        request_timeout,
        drain_timeout: Duration::from_secs(1),
        limits: photometa::config::Limits::default(),
        connections: Connections::default(),
        web: photometa::config::Web::default(),
        schema_version: photometa::db::migrate::newest(),
        ready: tokio::sync::watch::Sender::new(false),
        condition: Condition::default(),
    };
    tokio::spawn(photometa::server::serve(parts, listener, std::future::pending()));
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn hanging_up_ends_the_statement() {
    let app = App::start().await;
    let _locker = lock_photos(&app).await;
    let mut photos = app.photos(A.as_admin());
    let call = tokio::spawn(async move { photos.list_photos(pb::ListPhotosRequest::default()).await });
    until_blocked(&app, 1).await;

    call.abort();

    until_blocked(&app, 0).await;
}

#[tokio::test]
async fn stopping_tells_watchers_and_lets_calls_in_flight_end() {
    let app = App::start().await;
    let mut watch =
        HealthClient::new(app.channel.clone()).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    told(&mut watch, ServingStatus::Serving).await;
    let locker = lock_photos(&app).await;
    let mut photos = app.photos(A.as_admin());
    let call = tokio::spawn(async move { photos.list_photos(pb::ListPhotosRequest::default()).await });
    until_blocked(&app, 1).await;

    tokio::join!(app.stop(), async {
        told(&mut watch, ServingStatus::NotServing).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(locker);
        drop(watch);
    });

    call.await.unwrap().unwrap();
}

#[tokio::test]
async fn request_id_is_echoed_made_and_bounded() {
    let app = App::start().await;
    let call = async |given: Option<&str>| {
        let mut request = Request::new(pb::ListPhotosRequest::default());
        if let Some(given) = given {
            request.metadata_mut().insert("x-request-id", given.parse().unwrap());
        }
        let answer = app.photos(A.as_admin()).list_photos(request).await.unwrap();
        answer.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned()
    };

    assert_eq!(call(Some("my-call 1")).await, "my-call 1");
    let (first, second) = (call(None).await, call(None).await);
    assert!(Uuid::try_parse(&first).is_ok() && first != second, "{first} {second}");
    assert!(Uuid::try_parse(&call(Some(&"x".repeat(129))).await).is_ok());
    let refused = app.photos(A.as_admin()).get_photo(pb::GetPhotoRequest::default()).await.unwrap_err();
    assert!(refused.metadata().get("x-request-id").is_some());
}

#[tokio::test]
async fn unknown_rpc_answers_unimplemented() {
    let app = App::start().await;

    for path in
        ["photometa.v1.PhotoService/Nothing", "photometa.v1.NoService/GetPhoto", "photometa.v2.PhotoService/GetPhoto"]
    {
        let status = raw(&app, path, None, Vec::new()).await.unwrap_err();

        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "RPC_NOT_FOUND"), "{path}");
        assert!(status.metadata().get("x-request-id").is_some(), "{path}");
    }
}

macro_rules! reflection {
    ($test:ident, $version:ident) => {
        #[tokio::test]
        async fn $test() {
            use tonic_reflection::pb::$version::ServerReflectionRequest;
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;

            let app = App::start().await;
            let mut client = ServerReflectionClient::new(app.channel.clone());
            let mut ask = async |message| {
                let request = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
                let mut answers =
                    client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
                answers.next().await.unwrap().unwrap().message_response.unwrap()
            };

            let MessageResponse::ListServicesResponse(found) = ask(MessageRequest::ListServices(String::new())).await
            else {
                panic!("no list of services");
            };
            let found: Vec<String> = found.service.into_iter().map(|service| service.name).collect();

            for name in names().into_iter().filter(|name| !name.is_empty()) {
                assert!(found.contains(&name), "{name} is not in {found:?}");
                let MessageResponse::FileDescriptorResponse(files) =
                    ask(MessageRequest::FileContainingSymbol(name.clone())).await
                else {
                    panic!("no file for {name}");
                };
                let file: prost_types::FileDescriptorProto =
                    prost::Message::decode(files.file_descriptor_proto[0].as_slice()).unwrap();
                let places = file.source_code_info.unwrap().location;
                // Field 6 of a file is its services.
                let comment = places.iter().find(|place| place.path == [6, 0]).unwrap().leading_comments();
                assert!(comment.len() > 10, "{name} has no comment");
            }
            assert!(found.contains(&"grpc.health.v1.Health".to_owned()), "{found:?}");
        }
    };
}

reflection!(reflection_v1_shows_every_service_with_its_comments, v1);
reflection!(reflection_v1alpha_shows_every_service_with_its_comments, v1alpha);
