//! Two replicas of the program on one database, replaced one after the other while clients work. A client that calls the
//! other replica when one is UNAVAILABLE sees nothing fail, nothing is lost, and nothing is there twice.
//! PHOTOMETA_TEST_ROLLS asks for more than one roll.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use photometa::pb::detection_service_client::DetectionServiceClient;
use photometa::pb::photo_service_client::PhotoServiceClient;
use photometa::pb::{self, WriteOutcome};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use uuid::Uuid;

use crate::cluster::{TestDatabase, connect};
use crate::harness::{A, Authenticated, Bearer, detection, photo, token};
use crate::port;
use crate::replica::Replica;
use crate::unseen::{was_never_sent, was_refused};

/// Workers that call, and those that stream.
const CALLERS: usize = 6;
const STREAMS: usize = 2;
/// Items that a stream sends before it reads.
const WINDOW: usize = 20;
/// How often a call is made before it counts as failed.
const ATTEMPTS: usize = 200;

/// Both replicas, as a client with a list of addresses sees them.
#[derive(Clone)]
struct Service {
    replicas: Arc<Vec<Authenticated>>,
    next: Arc<AtomicUsize>,
    retried: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Service {
    fn new(addresses: &[String]) -> Self {
        let bearer = Bearer::new(&format!("Bearer {}", token(A.as_service())));
        let replicas = addresses.iter().map(|address| {
            let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
            InterceptedService::new(channel, bearer.clone())
        });
        Self {
            replicas: Arc::new(replicas.collect()),
            next: Arc::default(),
            retried: Arc::default(),
            over: Arc::default(),
        }
    }

    /// One replica after the other.
    fn one(&self) -> Authenticated {
        self.replicas[self.next.fetch_add(1, Ordering::Relaxed) % self.replicas.len()].clone()
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// Calls until the answer is not UNAVAILABLE. Answers whether no call before it can have been carried out, too.
    async fn call<T>(&self, mut call: impl AsyncFnMut(Authenticated) -> Result<Response<T>, Status>) -> (T, bool) {
        let mut first = true;
        for _ in 0..ATTEMPTS {
            match call(self.one()).await {
                Ok(answer) => return (answer.into_inner(), first),
                Err(status) if is_unavailable(&status) || was_refused(&status) => {
                    // That it was not carried out is seen in the next answer.
                    first &= was_refused(&status);
                    self.retried.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(status) => panic!("a call failed: {status:?}"),
            }
        }
        panic!("a call was refused {ATTEMPTS} times")
    }

    /// Registers photos and stores detections on them one after the other, and looks at what it has written.
    async fn work(self) -> usize {
        let mut done = 0;
        while self.goes_on() {
            let new =
                pb::Photo { id: Uuid::now_v7().to_string(), ..photo(A.house, &format!("{}.jpg", Uuid::now_v7())) };
            let request = pb::CreatePhotoRequest { photo: Some(new.clone()) };
            let (created, first) =
                self.call(async |replica| PhotoServiceClient::new(replica).create_photo(request.clone()).await).await;
            // Where an answer was lost, the next one says so.
            assert!(created.outcome() == WriteOutcome::Created || !first, "{created:?}");

            let run = pb::Detection { run_id: Some(Uuid::now_v7().to_string()), ..detection(&new.id) };
            let request = pb::CreateDetectionRequest { detection: Some(run) };
            let (stored, first) = self
                .call(async |replica| DetectionServiceClient::new(replica).create_detection(request.clone()).await)
                .await;
            assert!(stored.outcome() == WriteOutcome::Created || !first, "{stored:?}");

            let filter = pb::DetectionFilter { photo_ids: vec![new.id], ..Default::default() };
            let request = pb::ListDetectionsRequest { filter: Some(filter), ..Default::default() };
            let (listed, _) = self
                .call(async |replica| DetectionServiceClient::new(replica).list_detections(request.clone()).await)
                .await;
            assert_eq!(listed.detections.len(), 1);
            done += 1;
        }
        done
    }

    /// Streams detections, and sends what was not acknowledged on another stream.
    async fn stream(self, photo_id: String) -> usize {
        let (mut waiting, mut done): (Vec<pb::IngestDetectionsItem>, usize) = (Vec::new(), 0);
        while self.goes_on() || !waiting.is_empty() {
            let (messages, received) = mpsc::channel(WINDOW);
            let mut received = Some(ReceiverStream::new(received));
            let opened = DetectionServiceClient::new(self.one()).ingest_detections(received.take().unwrap()).await;
            let end = match opened {
                Ok(answers) => self.exchange(messages, answers.into_inner(), &photo_id, &mut waiting, &mut done).await,
                Err(status) => Err(status),
            };
            if let Err(status) = end {
                assert!(is_unavailable(&status) || was_refused(&status), "a stream failed: {status:?}");
                self.retried.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        done
    }

    async fn exchange(
        &self,
        messages: mpsc::Sender<pb::IngestDetectionsRequest>,
        mut answers: tonic::Streaming<pb::IngestDetectionsResponse>,
        photo_id: &str,
        waiting: &mut Vec<pb::IngestDetectionsItem>,
        done: &mut usize,
    ) -> Result<(), Status> {
        let mut items = waiting.clone();
        loop {
            let new = if self.goes_on() { WINDOW - waiting.len() } else { 0 };
            for number in 0..new {
                let run_id = Some(Uuid::now_v7().to_string());
                let sequence = i64::try_from(*done + waiting.len() + number).unwrap();
                items.push(pb::IngestDetectionsItem {
                    sequence,
                    detection: Some(pb::Detection { run_id, ..detection(photo_id) }),
                });
            }
            waiting.extend(items.iter().skip(items.len() - new).cloned());
            if waiting.is_empty() {
                return Ok(());
            }
            // Refused when the stream has ended, which its answers tell.
            let _ = messages.send(pb::IngestDetectionsRequest { items: std::mem::take(&mut items) }).await;
            while !waiting.is_empty() {
                let Some(answer) = answers.message().await? else { return Ok(()) };
                for ack in answer.acks {
                    assert!(ack.status.is_none(), "{ack:?}");
                    let place = waiting.iter().position(|item| item.sequence == ack.sequence);
                    waiting.remove(place.expect("each is acknowledged once"));
                    *done += 1;
                }
            }
        }
    }
}

fn is_unavailable(status: &Status) -> bool {
    status.code() == Code::Unavailable || was_never_sent(status)
}

/// Tells the clients that it is over, when it is dropped.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn start(address: String, url: &str) -> Replica {
    Replica::start_at("rolled", address, &[("PHOTOMETA_DATABASE_URL", url)], &["--pool-size", "6"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_are_replaced_one_after_the_other_fail_no_call() {
    #[expect(clippy::disallowed_methods, reason = "asks for a longer form of this test")]
    let rolls = std::env::var("PHOTOMETA_TEST_ROLLS").map_or(1, |rolls| rolls.parse().unwrap());
    let database = TestDatabase::clone_template().await;
    let url = database.url("photometa_app");
    let mut replicas = [port::address(), port::address()].map(|address| start(address, &url));
    for replica in &mut replicas {
        replica.wait("ready", Replica::is_ready);
    }
    let service = Service::new(&replicas.each_ref().map(|replica| replica.address.clone()));
    let request = pb::CreatePhotoRequest { photo: Some(photo(A.house, "streams.jpg")) };
    let (streamed, _) =
        service.call(async |replica| PhotoServiceClient::new(replica).create_photo(request.clone()).await).await;
    let streamed = streamed.photo.unwrap().id;
    let (callers, streams) = (
        join_all((0..CALLERS).map(|_| service.clone().work())),
        join_all((0..STREAMS).map(|_| service.clone().stream(streamed.clone()))),
    );
    let over = Over(service.over.clone());
    let roll = tokio::task::spawn_blocking(move || {
        let _over = over;
        for _ in 0..rolls {
            for replica in &mut replicas {
                std::thread::sleep(Duration::from_millis(500));
                let pid = replica.child.id().to_string();
                assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
                assert_eq!(replica.child.wait().unwrap().code(), Some(0), "{}", replica.log());
                *replica = start(replica.address.clone(), &url);
                replica.wait("ready", Replica::is_ready);
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        replicas
    });
    let (called, acknowledged, rolled) = tokio::join!(callers, streams, roll);
    let _replicas = rolled.unwrap();
    let (called, acknowledged): (usize, usize) = (called.into_iter().sum(), acknowledged.into_iter().sum());

    let retried = service.retried.load(Ordering::Relaxed);
    println!("{rolls} rolls: {called} photos, {acknowledged} items of streams, {retried} calls made again");
    assert!(called > 10 && acknowledged > 10);
    let postgres = connect(&database.superuser()).await;
    let count = async |query: &str| -> usize {
        let found: i64 = postgres.query_one(query, &[]).await.unwrap().try_get(0).unwrap();
        usize::try_from(found).unwrap()
    };
    assert_eq!(count("select count(*) from companycam_photos.photos").await, called + 1);
    assert_eq!(count("select count(*) from companycam_photos.detections").await, called + acknowledged);
    assert_eq!(count("select count(distinct run_id) from companycam_photos.detections").await, called + acknowledged);
}
