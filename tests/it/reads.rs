//! Reads from a standby: which calls it answers, when the primary does it instead, and that nobody is told less than
//! they have seen. Both servers log their statements, and a standby whose replay is paused stays as it is.

use std::time::{Duration, Instant};

use photometa::pb;
use serde_json::{Value, json};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

use crate::cluster::TestDatabase;
use crate::harness::{A, App, photo};
use crate::program::{Folder, photometa};
use crate::replica::Replica;
use crate::rpcs::{RPCS, Rpc};
use crate::standby::Pair;
use crate::statements::log::Log;
use crate::training::{everything, export};
use crate::world::World;

const HEADER: &str = "x-photometa-lsn";
/// How long a test waits for something, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);
/// No test takes as long.
const NEVER: Duration = Duration::from_secs(3600);

/// The service over both, once the standby answers reads.
async fn start(max_lag: Duration) -> (Pair, App) {
    let pair = Pair::start().await;
    let database = TestDatabase::of(pair.primary.running(), "photometa");
    let app = App::start_reading_from(database, pair.read_from(max_lag)).await;
    until_standby_answers(&pair, &app).await;
    (pair, app)
}

async fn until_standby_answers(pair: &Pair, app: &App) {
    let standby = pair.standby.superuser().await;
    let mut log = Log::open(&pair.standby.log());
    until("the standby answers", async || {
        list(app, None).await.unwrap();
        !log.statements(&standby).await.is_empty()
    })
    .await;
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !done().await {
        assert!(started.elapsed() < PATIENCE, "not after a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The keys of the photos that a caller sees who has seen this position.
async fn list(app: &App, after: Option<&str>) -> Result<Vec<String>, Status> {
    let mut request = Request::new(pb::ListPhotosRequest::default());
    if let Some(after) = after {
        request.metadata_mut().insert(HEADER, after.parse().unwrap());
    }
    let answer = app.photos(A.as_admin()).list_photos(request).await?.into_inner();
    Ok(answer.photos.into_iter().map(|photo| photo.s3_key).collect())
}

/// Creates a photo, and answers the position after that.
async fn create(app: &App, s3_key: &str) -> String {
    let request = pb::CreatePhotoRequest { photo: Some(photo(A.house, s3_key)) };
    let answer = app.photos(A.as_service()).create_photo(request).await.unwrap();
    position(answer.metadata()).unwrap()
}

fn position(metadata: &MetadataMap) -> Option<String> {
    metadata.get(HEADER).map(|position| position.to_str().unwrap().to_owned())
}

/// Whether it only shows, as the contract names such RPCs.
fn shows(rpc: &str) -> bool {
    ["/Get", "/BatchGet", "/List"].iter().any(|verb| rpc.contains(verb))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_only_show_run_on_the_standby_and_all_others_on_the_primary() {
    let (pair, app) = start(NEVER).await;
    let world = World::grow(&app, A).await;
    pair.catch_up().await;
    let (primary, standby) = tokio::join!(pair.primary.superuser(), pair.standby.superuser());
    let mut logs = (Log::open(&pair.primary.log()), Log::open(&pair.standby.log()));
    let boxed = json!({"detections": [{
        "photo_id": world.photos[0].id, "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "boxed", "processing_time": "1s",
        "results": {"objects": [{"label": "crack", "pixel_box": {"x": 1, "y": 1, "width": 2, "height": 2}}]},
    }]});
    let again =
        json!({"photo": {"project_id": A.house, "s3_key": "house/1.jpg", "s3_url": "https://example.com/other"}});
    let others = [
        ("DetectionService/BatchCreateDetections", boxed),
        ("DetectionService/DeleteDetectionsByModel", json!({"model_version": "cracks-1", "validate_only": true})),
        // The one that is there is looked at, too.
        ("PhotoService/CreatePhoto", again),
    ];
    let all = RPCS.iter().map(|rpc| (rpc.name, world.ids().fill(rpc.request)));
    // What deletes comes last.
    let (reads, writes): (Vec<_>, Vec<_>) = all.partition(|(name, _)| shows(name));

    for (name, request) in reads.into_iter().chain(others).chain(writes) {
        let rpc = Rpc::named(name);
        // Some refer to what an earlier one has deleted: what counts is where they asked.
        let answer = rpc.call(&app, world.who(rpc.roles[0]), request).await;

        let made = (logs.0.statements(&primary).await, logs.1.statements(&standby).await);
        let right = match name {
            "SessionService/WhoAmI" => made.0.is_empty() && made.1.is_empty(),
            // It asks the primary for its moment, and gives labels their numbers there.
            "FeedbackService/ExportTrainingData" => answer.is_ok() && !made.0.is_empty(),
            name if shows(name) => answer.is_ok() && made.0.is_empty() && !made.1.is_empty(),
            _ => !made.0.is_empty() && made.1.is_empty(),
        };
        assert!(right, "{name}: on the primary {:?}, on the standby {:?}, {answer:?}", made.0, made.1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_shows_what_its_caller_has_seen_whichever_server_has_it() {
    let (pair, app) = start(NEVER).await;
    create(&app, "1.jpg").await;
    pair.catch_up().await;
    let standby = pair.standby.superuser().await;
    standby.batch_execute("select pg_wal_replay_pause()").await.unwrap();
    until("the replay is paused", async || {
        let state = standby.query_one("select pg_get_wal_replay_pause_state()", &[]).await.unwrap();
        state.try_get::<_, String>(0).unwrap() == "paused"
    })
    .await;

    let position = create(&app, "2.jpg").await;

    assert_eq!(list(&app, None).await.unwrap(), ["1.jpg"]);
    assert_eq!(list(&app, Some(&position)).await.unwrap(), ["2.jpg", "1.jpg"]);
    // The standby has not said that it was so far.
    assert_eq!(list(&app, None).await.unwrap(), ["1.jpg"]);

    standby.batch_execute("select pg_wal_replay_resume()").await.unwrap();
    pair.catch_up().await;
    let mut log = Log::open(&pair.standby.log());
    assert_eq!(list(&app, None).await.unwrap(), ["2.jpg", "1.jpg"]);
    assert_eq!(log.statements(&standby).await.len(), 1);
    until("the standby answers who has seen the position", async || {
        assert_eq!(list(&app, Some(&position)).await.unwrap(), ["2.jpg", "1.jpg"]);
        !log.statements(&standby).await.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_shows_what_was_there_when_it_began_whichever_server_has_it() {
    let (pair, app) = start(NEVER).await;
    pair.catch_up().await;
    let standby = pair.standby.superuser().await;
    standby.batch_execute("select pg_wal_replay_pause()").await.unwrap();
    let photo = app.photo(A, "1.jpg").await;
    app.detection(A, &photo.id).await;

    let behind = export(&app, A.as_member(), everything()).await.unwrap();

    assert_eq!((behind.progress().images, behind.progress().annotations), (1, 1));
    standby.batch_execute("select pg_wal_replay_resume()").await.unwrap();
    pair.catch_up().await;
    let mut log = Log::open(&pair.standby.log());
    until("the standby answers exports", async || {
        log.statements(&standby).await;
        assert!(export(&app, A.as_member(), everything()).await.unwrap().bytes() == behind.bytes());
        let made = log.statements(&standby).await;
        made.iter().any(|statement| statement.contains("training::query::DETECTIONS"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_stays_behind_is_not_asked_until_it_is_near_again() {
    let (pair, app) = start(Duration::from_secs(1)).await;
    let standby = pair.standby.superuser().await;
    standby.batch_execute("select pg_wal_replay_pause()").await.unwrap();
    create(&app, "1.jpg").await;

    until("the primary answers", async || list(&app, None).await.unwrap() == ["1.jpg"]).await;
    standby.batch_execute("select pg_wal_replay_resume()").await.unwrap();

    until_standby_answers(&pair, &app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_stops_costs_no_read_and_is_used_again_when_it_is_back() {
    let (mut pair, app) = start(NEVER).await;
    create(&app, "1.jpg").await;
    pair.catch_up().await;
    let reads = async {
        let mut reads = 0;
        loop {
            assert_eq!(list(&app, None).await.unwrap(), ["1.jpg"]);
            reads += 1;
            if reads > 200 && pair_stopped(&app).await {
                break;
            }
        }
    };
    let stop = pair.standby.stop();

    tokio::join!(reads, stop);

    pair.standby.go().await;
    until_standby_answers(&pair, &app).await;
}

/// Whether nobody streams from the primary any more.
async fn pair_stopped(app: &App) -> bool {
    app.count("select count(*) from pg_stat_replication").await == 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_replay_cancels_is_answered_by_the_primary() {
    let (pair, app) = start(NEVER).await;
    create(&app, "1.jpg").await;
    let slow = "create policy slow on companycam_photos.photos as restrictive for select
                using (not pg_is_in_recovery() or pg_sleep(600) is not null)";
    app.postgres.batch_execute(slow).await.unwrap();
    pair.catch_up().await;
    let standby = pair.standby.superuser().await;
    pair.standby.set("max_standby_streaming_delay = 0").await;
    // The server tells its processes of the change when it has read it itself; then new sessions know it too. Who replays
    // has to know before there is a conflict.
    until("the change is known", async || {
        let delay = "select current_setting('max_standby_streaming_delay') = '0'";
        pair.standby.superuser().await.query_one(delay, &[]).await.unwrap().try_get(0).unwrap()
    })
    .await;

    let replay = async {
        let sleeping = "select count(*) > 0 from pg_stat_activity where wait_event = 'PgSleep'";
        until("the read sleeps", async || standby.query_one(sleeping, &[]).await.unwrap().try_get(0).unwrap()).await;
        let lock = "begin; lock table companycam_photos.photos in access exclusive mode; commit";
        app.postgres.batch_execute(lock).await.unwrap();
    };
    let (listed, ()) = tokio::join!(list(&app, None), replay);

    assert_eq!(listed.unwrap(), ["1.jpg"]);
    let conflicts = "select sum(confl_lock)::bigint from pg_stat_database_conflicts";
    until("the conflict is counted", async || {
        standby.query_one(conflicts, &[]).await.unwrap().try_get::<_, i64>(0).unwrap() == 1
    })
    .await;
}

#[tokio::test]
async fn a_position_that_cannot_be_read_is_refused_by_name() {
    let app = App::start().await;

    for text in ["", "latest", "16/", "0/1, 0/2", "-1/0"] {
        let status = list(&app, Some(text)).await.unwrap_err();

        assert_eq!((status.code(), crate::harness::paths(&status)), (Code::InvalidArgument, vec![HEADER.to_owned()]));
    }
    assert_eq!(list(&app, Some("FFFFFFFF/FFFFFFFF")).await.unwrap(), Vec::<String>::new());
}

/// The variables of a service with a standby.
fn urls<'a>(app: &'a str, url: &'a str) -> [(&'static str, &'a str); 2] {
    [("PHOTOMETA_DATABASE_URL", app), ("PHOTOMETA_READ_DATABASE_URL", url)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_and_doctor_look_at_the_standby_s_connection() {
    let database = TestDatabase::clone_template().await;
    let (app, postgres) = (database.url("photometa_app"), database.url("postgres"));

    for (given, code, words) in [
        (&urls(&app, &postgres)[..], 1, ["row security does not bind", "it is a superuser"]),
        (&urls(&app, "host=a,b user=photometa_app")[..], 2, ["PHOTOMETA_READ_DATABASE_URL", "name one standby"]),
    ] {
        let said = Replica::start("refused", given, &[]).ended_with(code);
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
    }
    let mut served = Replica::start("no-standby", &urls(&app, &app), &[]);
    served.wait("ready", Replica::is_ready);
    served.wait("told", |served| served.log().contains("it is no standby"));
    let folder = Folder::made("doctor");
    let doctor = |url: &str| {
        let output = photometa(&folder.0).envs(urls(&app, url)).args(["doctor", "--json"]).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.into_iter().filter(|finding| finding["check"] == "replica").collect::<Vec<_>>()
    };
    assert_eq!(doctor(&app)[0]["message"], "the replica is no standby");
    assert!(doctor(&postgres).iter().any(|finding| finding["state"] == "failed"));
    assert_eq!(doctor("host=/nowhere user=photometa_app")[0]["state"], "warning");
}
