//! Callers of every kind, who send one thing after the other and take down what they are told.

use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use photometa::pb::{self, WriteOutcome};
use photometa::pb::{detection_service_client::DetectionServiceClient, photo_service_client::PhotoServiceClient};
use tonic::Status;

use super::ledger::Round;
use crate::harness::Authenticated;
use crate::ingest::Ingest;

/// Items of a batch.
const BATCH: usize = 20;

/// Clients of one connection.
#[derive(Clone)]
pub struct Clients {
    pub detections: DetectionServiceClient<Authenticated>,
    pub photos: PhotoServiceClient<Authenticated>,
}

/// What is going on when somebody dies.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    Detections,
    Photos,
    DetectionBatches,
    PhotoBatches,
    Streams,
    Everything,
}

impl Load {
    pub const TURNS: [Self; 6] =
        [Self::Detections, Self::Photos, Self::DetectionBatches, Self::PhotoBatches, Self::Streams, Self::Everything];

    /// Sends until the round is over.
    pub async fn run(self, round: &Round, clients: &Clients) {
        let [detections, photos, detection_batches, photo_batches, streams] = match self {
            Self::Detections => [8, 0, 0, 0, 0],
            Self::Photos => [0, 8, 0, 0, 0],
            Self::DetectionBatches => [0, 0, 4, 0, 0],
            Self::PhotoBatches => [0, 0, 0, 4, 0],
            Self::Streams => [0, 0, 0, 0, 2],
            Self::Everything => [4, 2, 2, 2, 1],
        };
        let mut callers: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
        for _ in 0..detections {
            callers.push(Box::pin(repeat(round, async || create_detection(round, clients).await)));
        }
        for _ in 0..photos {
            callers.push(Box::pin(repeat(round, async || create_photo(round, clients).await)));
        }
        for number in 0..detection_batches {
            let partial = number % 2 == 0;
            callers.push(Box::pin(repeat(round, async move || batch_create_detections(round, clients, partial).await)));
        }
        for number in 0..photo_batches {
            let partial = number % 2 == 0;
            callers.push(Box::pin(repeat(round, async move || batch_create_photos(round, clients, partial).await)));
        }
        for _ in 0..streams {
            callers.push(Box::pin(repeat(round, async || ingest_detections(round, clients).await)));
        }
        join_all(callers).await;
    }
}

async fn repeat(round: &Round, send: impl AsyncFn() -> Result<(), Status>) {
    while round.goes_on() {
        if let Err(status) = send().await {
            round.refusals.borrow_mut().push(status);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn create_detection(round: &Round, clients: &Clients) -> Result<(), Status> {
    let detection = round.detection();
    let name = detection.run_id().to_owned();
    let request = pb::CreateDetectionRequest { detection: Some(detection) };
    let answer = clients.detections.clone().create_detection(request).await?.into_inner();
    let outcome = answer.outcome();
    round.detections.borrow_mut().acknowledge(&name, answer.detection.unwrap().id, outcome);
    Ok(())
}

async fn create_photo(round: &Round, clients: &Clients) -> Result<(), Status> {
    let photo = round.photo();
    let name = photo.s3_key.clone();
    let request = pb::CreatePhotoRequest { photo: Some(photo) };
    let answer = clients.photos.clone().create_photo(request).await?.into_inner();
    let outcome = answer.outcome();
    round.photos.borrow_mut().acknowledge(&name, answer.photo.unwrap().id, outcome);
    Ok(())
}

async fn batch_create_detections(round: &Round, clients: &Clients, partial: bool) -> Result<(), Status> {
    let detections: Vec<_> = (0..BATCH).map(|_| round.detection()).collect();
    if !partial {
        round.detections.borrow_mut().together(&detections);
    }
    let answers = send_detections(clients, &detections, partial).await?;
    for (given, (id, outcome)) in detections.iter().zip(answers) {
        round.detections.borrow_mut().acknowledge(given.run_id(), id, outcome);
    }
    Ok(())
}

async fn batch_create_photos(round: &Round, clients: &Clients, partial: bool) -> Result<(), Status> {
    let photos: Vec<_> = (0..BATCH).map(|_| round.photo()).collect();
    if !partial {
        round.photos.borrow_mut().together(&photos);
    }
    let answers = send_photos(clients, &photos, partial).await?;
    for (given, (id, outcome)) in photos.iter().zip(answers) {
        round.photos.borrow_mut().acknowledge(&given.s3_key, id, outcome);
    }
    Ok(())
}

/// The id and the outcome of each item.
pub type Answers = Vec<(String, WriteOutcome)>;

/// Sends a batch of which nothing is refused.
pub async fn send_detections(
    clients: &Clients,
    detections: &[pb::Detection],
    partial: bool,
) -> Result<Answers, Status> {
    let request = pb::BatchCreateDetectionsRequest { detections: detections.to_vec(), partial };
    let answer = clients.detections.clone().batch_create_detections(request).await?.into_inner();
    assert_eq!(answer.results.len(), detections.len());
    let answers = answer.results.into_iter().map(|result| {
        let outcome = result.outcome();
        (result.detection.expect("no status").id, outcome)
    });
    Ok(answers.collect())
}

/// Sends a batch of which nothing is refused.
pub async fn send_photos(clients: &Clients, photos: &[pb::Photo], partial: bool) -> Result<Answers, Status> {
    let request = pb::BatchCreatePhotosRequest { photos: photos.to_vec(), partial };
    let answer = clients.photos.clone().batch_create_photos(request).await?.into_inner();
    assert_eq!(answer.results.len(), photos.len());
    let answers = answer.results.into_iter().map(|result| {
        let outcome = result.outcome();
        (result.photo.expect("no status").id, outcome)
    });
    Ok(answers.collect())
}

async fn ingest_detections(round: &Round, clients: &Clients) -> Result<(), Status> {
    let mut ingest = Ingest::open_with(clients.detections.clone(), None).await?;
    let sender = ingest.messages.take().unwrap();
    let send = async move {
        while round.goes_on() {
            let items = (0..4).map(|_| as_item(round.detection())).collect();
            if sender.send(pb::IngestDetectionsRequest { items }).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // That was all: the other side may finish, and says how the stream ends.
        drop(sender);
        std::future::pending::<()>().await;
    };
    let receive = async {
        while let Some(answer) = ingest.answers.message().await? {
            for ack in answer.acks {
                let (name, outcome) = (ack.sequence.to_string(), ack.outcome());
                round.detections.borrow_mut().acknowledge(&name, ack.detection_id, outcome);
            }
        }
        Ok(())
    };
    tokio::select! {
        end = receive => end,
        () = send => unreachable!("the stream ends first"),
    }
}

/// A detection of a round in a stream; its sequence is its name.
pub fn as_item(detection: pb::Detection) -> pb::IngestDetectionsItem {
    pb::IngestDetectionsItem { sequence: detection.run_id().parse().unwrap(), detection: Some(detection) }
}
