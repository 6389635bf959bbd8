//! What becomes of calls when the database fails over, is full, takes no more sessions, or is in no hurry: they are told
//! to come again, and it goes on as soon as that is possible.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use photometa::db::Target;
use photometa::pb;
use photometa::pb::photo_service_client::PhotoServiceClient;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::cluster::TestDatabase;
use crate::harness::{A, App, Bearer, details, detection, photo, reason, skipped, token};
use crate::health::{blocked, lock_photos, until_blocked};
use crate::program::{Folder, signal};
use crate::random::asked;
use crate::replica::Replica;
use crate::standby::{Pair, Server};

/// How long anything may take, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

fn assert_to_be_retried(status: &Status) {
    assert_eq!((status.code(), reason(status).as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"), "{status:?}");
    assert!(details(status).retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
}

/// Registers photos until it is told to stop, and answers the keys of those that were acknowledged, in order.
async fn register(app: Arc<App>, number: usize, over: Arc<AtomicBool>) -> Vec<String> {
    let mut photos = app.photos(A.as_service());
    let mut acknowledged = Vec::new();
    for key in (0..).map(|next| format!("caller-{number}/{next:06}.jpg")) {
        let started = Instant::now();
        loop {
            let mut request = Request::new(pb::CreatePhotoRequest { photo: Some(photo(A.house, &key)) });
            request.set_timeout(Duration::from_secs(1));
            match photos.create_photo(request).await {
                Ok(_) => break acknowledged.push(key),
                // Nobody knows whether it is there.
                Err(_) if over.load(Ordering::Relaxed) => return acknowledged,
                Err(status) if status.code() == Code::Unavailable => assert_to_be_retried(&status),
                // The caller's clock may be first.
                Err(status) => assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}"),
            }
            assert!(started.elapsed() < PATIENCE, "{key} is not stored");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if over.load(Ordering::Relaxed) {
            break;
        }
    }
    acknowledged
}

/// What a standby has is the primary's every acknowledged write; both are servers of one connection string.
async fn pair_in_step() -> (Pair, Arc<App>) {
    let pair = Pair::start().await;
    pair.primary.set("synchronous_standby_names = '*'").await;
    let hosts = [&pair.primary, &pair.standby].map(|server| server.running().socket_dir().display().to_string());
    let port = pair.primary.running().port();
    let url = format!("host={} port={port} user=photometa_app dbname=photometa", hosts.join(","));
    let target: Target = url.parse().unwrap();
    let app = App::start_through(TestDatabase::of(pair.primary.running(), "photometa"), target).await;
    (pair, Arc::new(app))
}

/// Lets the primary be struck while four callers register photos, and its standby take over.
async fn fail_over(strike: &str) {
    let (pair, app) = pair_in_step().await;
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4).map(|number| tokio::spawn(register(app.clone(), number, over.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;

    let processes = pair.primary.processes();
    signal(strike, &processes);
    let standby = pair.standby.superuser().await;
    standby.batch_execute("select pg_promote()").await.unwrap();
    let promoted = Instant::now();
    let after = "select count(*) from companycam_photos.photos where created_at > pg_postmaster_start_time()";
    let count = async || standby.query_one(after, &[]).await.unwrap().try_get::<_, i64>(0).unwrap();
    let before = count().await;
    while count().await < before + 20 {
        assert!(promoted.elapsed() < PATIENCE, "nothing is written to the new primary");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("twenty photos on the new primary {:?} after it was promoted", promoted.elapsed());
    over.store(true, Ordering::Relaxed);
    let acknowledged: Vec<_> = futures_util::future::join_all(callers).await;

    let stored = standby.query("select s3_key from companycam_photos.photos order by s3_key", &[]).await.unwrap();
    let stored: Vec<String> = stored.iter().map(|row| row.try_get(0).unwrap()).collect();
    for key in acknowledged.into_iter().flat_map(Result::unwrap) {
        assert!(stored.binary_search(&key).is_ok(), "{key} was acknowledged and is lost");
    }
    // So that it can be ended.
    let _ = Command::new("kill").arg("-CONT").args(processes.iter().map(ToString::to_string)).output();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standby_that_is_promoted_takes_over_when_the_primary_dies() {
    fail_over("-KILL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standby_that_is_promoted_takes_over_when_the_primary_stands_still() {
    fail_over("-STOP").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_told_to_come_again_while_the_database_takes_no_more_sessions() {
    let server = Server::prepared("crowded").await;
    let admin = server.superuser().await;
    admin.batch_execute(include_str!("fixture.sql")).await.unwrap();
    let app = Arc::new(App::start_on(TestDatabase::of(server.running(), "photometa")).await);
    admin.batch_execute("alter role photometa_app connection limit 1").await.unwrap();
    let its = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'photometa'";
    admin.batch_execute(its).await.unwrap();
    let list = |app: Arc<App>| async move {
        app.photos(A.as_admin()).list_photos(pb::ListPhotosRequest::default()).await.map(|_| ())
    };

    let locker = lock_photos(&app).await;
    let calls: Vec<_> = (0..3).map(|_| tokio::spawn(list(app.clone()))).collect();
    let started = Instant::now();
    while calls.iter().filter(|call| call.is_finished()).count() < 2 {
        assert!(started.elapsed() < PATIENCE, "calls wait for a session that they cannot have");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(locker);
    let outcomes: Vec<_> = futures_util::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    admin.batch_execute("alter role photometa_app connection limit -1").await.unwrap();

    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).for_each(assert_to_be_retried);
    futures_util::future::join_all((0..8).map(|_| list(app.clone()))).await.into_iter().for_each(Result::unwrap);
}

/// One that waits for what was held by another one that was killed too does not see that its server is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_that_outlives_its_killed_server_does_not_keep_the_next_one_out() {
    let mut server = Server::prepared("outlived").await;
    let session = server.superuser().await;
    let stuck: i32 = session.query_one("select pg_backend_pid()", &[]).await.unwrap().try_get(0).unwrap();
    let stuck = stuck.unsigned_abs();
    signal("-STOP", &[stuck]);
    let others: Vec<_> = server.processes().into_iter().filter(|pid| *pid != stuck).collect();
    signal("-KILL", &others);
    server.bury();

    server.go().await;

    server.superuser().await.batch_execute("checkpoint").await.unwrap();
    // Whoever has to ask how it ended may not have done so yet.
    assert!(fs::read_link(format!("/proc/{stuck}/cwd")).is_err(), "the session is still there");
}

/// A write whose standby is away is on the primary's disk, and nobody knows whether it will be on the standby's. That it is
/// there already is no answer for whoever repeats it: the standby may be promoted without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeat_of_a_write_is_not_acknowledged_before_the_synchronous_standby_has_it() {
    let server = Server::prepared("synchronous").await;
    let admin = server.superuser().await;
    admin.batch_execute(include_str!("fixture.sql")).await.unwrap();
    let database = || TestDatabase::of(server.running(), "photometa");
    let photo = App::start_on(database()).await.photo(A, "site/1.jpg").await;
    server.set("synchronous_standby_names = 'nobody'").await;
    let app = App::start_on(database()).await;
    let new = pb::Detection { id: Uuid::now_v7().to_string(), ..detection(&photo.id) };
    let create = async |seconds: u64| {
        let mut request = Request::new(pb::CreateDetectionRequest { detection: Some(new.clone()) });
        request.set_timeout(Duration::from_secs(seconds));
        app.detections(A.as_service()).create_detection(request).await
    };
    let second = Uuid::now_v7().to_string();
    // Which is as many statements as it takes, where that is one.
    let batch = async |seconds: u64| {
        let detections = vec![pb::Detection { id: second.clone(), ..new.clone() }];
        let mut request = Request::new(pb::BatchCreateDetectionsRequest { detections, partial: false });
        request.set_timeout(Duration::from_secs(seconds));
        app.detections(A.as_service()).batch_create_detections(request).await
    };

    for attempt in 0..3 {
        let (alone, together) = tokio::join!(create(1), batch(1));
        for (what, late) in [("a detection", alone.map(drop)), ("a batch", together.map(drop))] {
            let code = late.as_ref().err().map(Status::code);
            assert!(matches!(code, Some(Code::DeadlineExceeded | Code::Cancelled)), "{what}, {attempt}: {late:?}");
        }
    }
    server.set("synchronous_standby_names = ''").await;

    assert_eq!(create(60).await.unwrap().into_inner().outcome(), pb::WriteOutcome::Unchanged);
    assert_eq!(batch(60).await.unwrap().into_inner().results[0].outcome(), pb::WriteOutcome::Unchanged);
}

/// A disk of its own, in memory; gone when dropped.
struct SmallDisk(Folder);

impl SmallDisk {
    fn mount(mebibytes: u32) -> Option<Self> {
        let folder = Folder::made("disk");
        let mut mount = Command::new("mount");
        let size = format!("size={mebibytes}m,mode=755");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder.0);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_are_told_to_come_again_while_the_disk_is_full_and_reads_go_on() {
    let Some(disk) = SmallDisk::mount(400) else {
        skipped("only root may mount a small disk");
        return;
    };
    let server = Server::prepared_in(Folder(disk.0.0.join("server"))).await;
    let admin = server.superuser().await;
    admin.batch_execute(include_str!("fixture.sql")).await.unwrap();
    let app = App::start_on(TestDatabase::of(server.running(), "photometa")).await;
    let first = app.photo(A, "first.jpg").await;
    let filler = disk.0.0.join("filler");
    // Until nothing is left: what is written in advance of the log is there already.
    let filled = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", filler.display())).output();
    assert!(!filled.unwrap().status.success(), "the disk is not full");

    let mut stored = Vec::new();
    let refused = loop {
        let keys = (0..200).map(|number| photo(A.house, &format!("{}/{number}.jpg", stored.len())));
        let request = pb::BatchCreatePhotosRequest { photos: keys.collect(), partial: false };
        match app.photos(A.as_service()).batch_create_photos(request).await {
            Ok(answer) => stored.extend(answer.into_inner().results.into_iter().map(|result| result.photo.unwrap().id)),
            Err(status) => break status,
        }
        assert!(stored.len() < 1_000_000, "it is never full");
    };
    let seen = app.photos(A.as_admin()).get_photo(pb::GetPhotoRequest { id: first.id, ..Default::default() }).await;
    fs::remove_file(&filler).unwrap();

    assert_to_be_retried(&refused);
    assert_eq!(seen.unwrap().into_inner().photo.unwrap().s3_key, "first.jpg");
    app.photo(A, "last.jpg").await;
    assert_eq!(
        app.count("select count(*) from companycam_photos.photos").await,
        i64::try_from(stored.len()).unwrap() + 2,
        "what was acknowledged, and nothing else"
    );
}

/// A program that was killed tells PostgreSQL nothing, and what waits for a lock does not see that its connection is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statement_goes_with_its_program_when_that_is_killed() {
    let app = App::start().await;
    let mut killed = Replica::start("killed", &[("PHOTOMETA_DATABASE_URL", &app.database.url("photometa_app"))], &[]);
    killed.wait("ready", Replica::is_ready);
    let authorization = Bearer::new(&format!("Bearer {}", token(A.as_admin())));
    let mut photos = PhotoServiceClient::with_interceptor(killed.channel().await, authorization);
    let locker = lock_photos(&app).await;
    let call = tokio::spawn(async move {
        let mut request = Request::new(pb::ListPhotosRequest::default());
        request.set_timeout(10 * PATIENCE);
        photos.list_photos(request).await
    });
    until_blocked(&app, 1).await;

    killed.child.kill().unwrap();

    let started = Instant::now();
    until_blocked(&app, 0).await;
    println!("a statement is gone {:?} after its program was killed", started.elapsed());
    call.await.unwrap().unwrap_err();
    drop(locker);
}

/// How long after its caller has gone, or its deadline has passed, a statement is still there: PHOTOMETA_TEST_CANCELS asks
/// for other than ten rounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statement_goes_with_its_caller_and_with_its_deadline() {
    let app = App::start().await;
    app.photo(A, "site/1.jpg").await;
    let locker = lock_photos(&app).await;
    let (mut after_hang_up, mut after_deadline) = (Vec::new(), Vec::new());
    let gone = async |since: Instant| {
        while blocked(&app).await > 0 {
            assert!(since.elapsed() < PATIENCE, "the statement stays");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        since.elapsed()
    };
    for _ in 0..asked("PHOTOMETA_TEST_CANCELS").unwrap_or(10) {
        let mut photos = app.photos(A.as_admin());
        let call = tokio::spawn(async move { photos.list_photos(pb::ListPhotosRequest::default()).await });
        until_blocked(&app, 1).await;
        call.abort();
        after_hang_up.push(gone(Instant::now()).await);

        let mut request = Request::new(pb::ListPhotosRequest::default());
        request.set_timeout(Duration::from_millis(200));
        let deadline = Instant::now() + Duration::from_millis(200);
        app.photos(A.as_admin()).list_photos(request).await.unwrap_err();
        after_deadline.push(gone(deadline).await);
    }
    drop(locker);

    for (what, mut times) in [("hanging up", after_hang_up), ("the deadline", after_deadline)] {
        times.sort();
        println!(
            "a statement is gone after {what}: p50 {:?}, longest {:?}",
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
    // Its connection is clean.
    futures_util::future::join_all((0..8).map(|number| {
        let app = &app;
        async move { app.photo(A, &format!("clean/{number}.jpg")).await }
    }))
    .await;
}
