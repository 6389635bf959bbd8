//! IngestDetections as a worker uses it: what is sent is stored, and each sequence is answered once, after its commit.

use std::collections::HashMap;
use std::time::Duration;

use photometa::pb::{self, WriteOutcome};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use crate::harness::{A, App, Authenticated, Who, detection, reason};
use crate::health::{lock_photos, until_blocked};

mod bad;
mod cuts;
mod ends;
mod hangup;
pub mod load;
mod unread;

/// How long a test waits for an answer, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(30);

type Client = pb::detection_service_client::DetectionServiceClient<Authenticated>;

/// An open stream.
pub struct Ingest {
    /// Where messages go; dropped to half-close.
    pub messages: Option<mpsc::Sender<pb::IngestDetectionsRequest>>,
    /// What the server says.
    pub answers: Streaming<pb::IngestDetectionsResponse>,
}

impl Ingest {
    /// Opens one for somebody.
    pub async fn open(app: &App, who: Who) -> Self {
        Self::open_with(app.detections(who), None).await.unwrap()
    }

    /// Opens one with a deadline.
    pub async fn open_with(mut client: Client, deadline: Option<Duration>) -> Result<Self, Status> {
        let (messages, received) = mpsc::channel(1);
        let mut request = Request::new(ReceiverStream::new(received));
        if let Some(deadline) = deadline {
            request.set_timeout(deadline);
        }
        let answers = client.ingest_detections(request).await?.into_inner();
        Ok(Self { messages: Some(messages), answers })
    }

    /// Sends a message.
    pub async fn send(&self, items: Vec<pb::IngestDetectionsItem>) {
        let message = pb::IngestDetectionsRequest { items };
        self.messages.as_ref().unwrap().send(message).await.expect("the stream is open");
    }

    /// Waits for the next answer.
    async fn next(&mut self) -> Result<Option<pb::IngestDetectionsResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.answers.message()).await.expect("an answer comes, or an end")
    }

    /// Says that there is no more.
    fn half_close(&mut self) {
        self.messages = None;
    }

    /// Reads until this many are acknowledged.
    pub async fn acks(&mut self, count: usize) -> Vec<pb::IngestDetectionsAck> {
        let mut acks = Vec::new();
        while acks.len() < count {
            acks.extend(self.next().await.unwrap().expect("more acknowledgements").acks);
        }
        assert_eq!(acks.len(), count, "{acks:?}");
        acks
    }

    /// Reads to the end: what else is acknowledged, and how it ends.
    pub async fn rest(&mut self) -> (Vec<pb::IngestDetectionsAck>, Result<(), Status>) {
        let mut acks = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(answer)) => acks.extend(answer.acks),
                Ok(None) => return (acks, Ok(())),
                Err(status) => return (acks, Err(status)),
            }
        }
    }

    /// Sends a message, ends, and answers all acknowledgements by sequence.
    pub async fn whole(mut self, items: Vec<pb::IngestDetectionsItem>) -> HashMap<i64, pb::IngestDetectionsAck> {
        self.send(items).await;
        self.half_close();
        let (acks, end) = self.rest().await;
        end.unwrap();
        acks.into_iter().map(|ack| (ack.sequence, ack)).collect()
    }
}

/// An item whose run has its sequence's name.
fn item(sequence: i64, photo_id: &str) -> pb::IngestDetectionsItem {
    let detection = pb::Detection { run_id: Some(format!("run-{sequence}")), ..detection(photo_id) };
    pb::IngestDetectionsItem { sequence, detection: Some(detection) }
}

pub fn items(sequences: std::ops::Range<i64>, photo_id: &str) -> Vec<pb::IngestDetectionsItem> {
    sequences.map(|sequence| item(sequence, photo_id)).collect()
}

fn sequences(acks: &[pb::IngestDetectionsAck]) -> Vec<i64> {
    acks.iter().map(|ack| ack.sequence).collect()
}

/// The status of an acknowledgement as that of a call.
fn status(ack: &pb::IngestDetectionsAck) -> Status {
    let status = ack.status.clone().unwrap_or_else(|| panic!("a status in {ack:?}"));
    let details = prost::Message::encode_to_vec(&status);
    Status::with_details(Code::from(status.code), status.message, details.into())
}

/// How many detections there are of each run.
pub async fn runs(app: &App) -> Vec<i64> {
    let query = "select count(*) from companycam_photos.detections group by run_id order by run_id";
    app.postgres.query(query, &[]).await.unwrap().iter().map(|row| row.try_get(0).unwrap()).collect()
}

#[tokio::test]
async fn ingest_acknowledges_what_is_committed() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let mut ingest = Ingest::open(&app, A.as_service()).await;

    for number in 0..5 {
        ingest.send(Vec::new()).await;
        ingest.send(items(number * 10..number * 10 + 10, &photo.id)).await;
        let acks = ingest.acks(10).await;
        assert_eq!(sequences(&acks), (number * 10..number * 10 + 10).collect::<Vec<_>>());
        for ack in acks {
            assert_eq!((ack.outcome(), ack.status), (WriteOutcome::Created, None));
            let query = format!(
                "select count(*) from companycam_photos.detections where id = '{}' and run_id = 'run-{}'",
                ack.detection_id, ack.sequence
            );
            assert_eq!(app.count(&query).await, 1);
        }
    }
    ingest.half_close();
    let (more, end) = ingest.rest().await;

    assert!(more.is_empty() && end.is_ok(), "{more:?} {end:?}");
    let events =
        app.count("select count(*) from companycam_photos.detection_events where event_type = 'created'").await;
    assert_eq!(events, 50);
}

#[tokio::test]
async fn ingest_answers_what_was_stored_before_as_unchanged() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let first = Ingest::open(&app, A.as_service()).await.whole(items(0..20, &photo.id)).await;

    let again = Ingest::open(&app, A.as_admin()).await.whole(items(0..25, &photo.id)).await;

    for (sequence, ack) in &again {
        let expected = if *sequence < 20 { WriteOutcome::Unchanged } else { WriteOutcome::Created };
        assert_eq!(ack.outcome(), expected, "{ack:?}");
        assert!(first.get(sequence).is_none_or(|first| first.detection_id == ack.detection_id));
    }
    assert_eq!(runs(&app).await, [1; 25]);
}

#[tokio::test]
async fn ingest_answers_repetitions_each_on_its_own_and_the_first_one_wins() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let id = uuid::Uuid::now_v7().to_string();
    let chosen = |model: &str| {
        let mut item = item(7, &photo.id);
        let detection = item.detection.as_mut().unwrap();
        (detection.id, detection.run_id, detection.model_version) = (id.clone(), None, model.to_owned());
        item
    };
    let mut ingest = Ingest::open(&app, A.as_service()).await;

    // By run, by id, and by id with other content that sorts before.
    let sent = vec![item(1, &photo.id), item(1, &photo.id), chosen("b"), chosen("a"), chosen("b"), item(1, &photo.id)];
    ingest.send(sent).await;
    let acks = ingest.acks(6).await;

    assert_eq!(sequences(&acks), [1, 1, 7, 7, 7, 1]);
    let outcomes: Vec<_> = acks.iter().map(pb::IngestDetectionsAck::outcome).collect();
    let [created, unchanged, refused] = [WriteOutcome::Created, WriteOutcome::Unchanged, WriteOutcome::Unspecified];
    assert_eq!(outcomes, [created, unchanged, created, refused, unchanged, unchanged]);
    assert_eq!(reason(&status(&acks[3])), "DETECTION_ALREADY_EXISTS");
    assert_eq!(app.count("select count(*) from companycam_photos.detections").await, 2);
}

#[tokio::test]
async fn ingest_stores_what_queued_in_few_statements_and_no_more_than_the_window() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let locker = lock_photos(&app).await;
    let mut ingest = Ingest::open(&app, A.as_service()).await;

    for sequence in 0..900 {
        ingest.send(vec![item(sequence, &photo.id)]).await;
        if sequence == 0 {
            until_blocked(&app, 1).await;
        }
    }
    // The client's own buffers take what the server does not: wait until the server has it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(locker);
    let acks = ingest.acks(900).await;

    assert_eq!(sequences(&acks), (0..900).collect::<Vec<_>>());
    // Each statement has one time.
    let statements = app.count("select count(distinct created_at) from companycam_photos.detections").await;
    assert!((2..=4).contains(&statements), "{statements} statements");
}

#[tokio::test]
async fn ingest_holds_no_connection_while_it_waits_for_its_client() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let mut open = Vec::new();
    // More than there are connections.
    for number in 0..12 {
        let mut ingest = Ingest::open(&app, A.as_service()).await;
        ingest.send(vec![item(number, &photo.id)]).await;
        ingest.acks(1).await;
        open.push(ingest);
    }

    app.detection(A, &photo.id).await;

    let busy = "select count(*) from pg_stat_activity
                where datname = current_database() and application_name = 'photometa' and state <> 'idle'";
    let started = std::time::Instant::now();
    // The readiness check may be on one.
    while app.count(busy).await > 0 {
        assert!(started.elapsed() < Duration::from_secs(5), "a stream holds a connection");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
