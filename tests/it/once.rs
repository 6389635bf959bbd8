//! Thirty-two workers with the same things to store, in whichever order and by whichever call: each thing is stored
//! once, every worker is told so, and none waits for another in a circle.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use photometa::pb::{self, WriteOutcome};
use uuid::Uuid;

use crate::harness::{A, App, photo};
use crate::health::{blocked, lock_photos};
use crate::ingest::load::{assert_no_deadlocks, messages, named};
use crate::ingest::{Ingest, runs};

const WORKERS: usize = 32;
const ITEMS: i64 = 40;

/// What a worker was told: of each thing, its id and what became of it.
type Told = HashMap<String, (String, WriteOutcome)>;

/// Photos of which some have an id of their own.
fn photos() -> Vec<pb::Photo> {
    let photos = (0..ITEMS).map(|number| pb::Photo {
        id: if number % 3 == 0 { Uuid::now_v7().to_string() } else { String::new() },
        ..photo(if number % 2 == 0 { A.house } else { A.bridge }, &format!("{number}.jpg"))
    });
    photos.collect()
}

async fn create_detections(app: &App, messages: Vec<Vec<pb::IngestDetectionsItem>>) -> Told {
    let (mut client, mut told) = (app.detections(A.as_service()), HashMap::new());
    for item in messages.into_iter().flatten() {
        let request = pb::CreateDetectionRequest { detection: item.detection };
        let answer = client.create_detection(request).await.unwrap().into_inner();
        let outcome = answer.outcome();
        told.insert(item.sequence.to_string(), (answer.detection.unwrap().id, outcome));
    }
    told
}

/// In one batch: it holds much for others to wait for.
async fn batch_create_detections(app: &App, messages: Vec<Vec<pb::IngestDetectionsItem>>, partial: bool) -> Told {
    let items = messages.concat();
    let detections = items.iter().map(|item| item.detection.clone().unwrap()).collect();
    let request = pb::BatchCreateDetectionsRequest { detections, partial };
    let answer = app.detections(A.as_service()).batch_create_detections(request).await.unwrap().into_inner();
    let told = items.iter().zip(answer.results).map(|(item, result)| {
        assert_eq!(result.status, None);
        let outcome = result.outcome();
        (item.sequence.to_string(), (result.detection.unwrap().id, outcome))
    });
    told.collect()
}

async fn ingest_detections(app: &App, messages: Vec<Vec<pb::IngestDetectionsItem>>) -> Told {
    let mut ingest = Ingest::open(app, A.as_service()).await;
    let sender = ingest.messages.take().unwrap();
    let ((acks, end), ()) = tokio::join!(ingest.rest(), async move {
        for items in messages {
            sender.send(pb::IngestDetectionsRequest { items }).await.unwrap();
        }
    });
    end.unwrap();
    let told = acks.into_iter().map(|ack| {
        assert_eq!(ack.status, None);
        let outcome = ack.outcome();
        (ack.sequence.to_string(), (ack.detection_id, outcome))
    });
    told.collect()
}

async fn create_photos(app: &App, batches: Vec<Vec<pb::Photo>>) -> Told {
    let (mut client, mut told) = (app.photos(A.as_service()), HashMap::new());
    for photo in batches.into_iter().flatten() {
        let name = photo.s3_key.clone();
        let request = pb::CreatePhotoRequest { photo: Some(photo) };
        let answer = client.create_photo(request).await.unwrap().into_inner();
        let outcome = answer.outcome();
        told.insert(name, (answer.photo.unwrap().id, outcome));
    }
    told
}

async fn batch_create_photos(app: &App, batches: Vec<Vec<pb::Photo>>, partial: bool) -> Told {
    let photos = batches.concat();
    let request = pb::BatchCreatePhotosRequest { photos: photos.clone(), partial };
    let answer = app.photos(A.as_service()).batch_create_photos(request).await.unwrap().into_inner();
    let told = photos.into_iter().zip(answer.results).map(|(photo, result)| {
        assert_eq!(result.status, None);
        let outcome = result.outcome();
        (photo.s3_key, (result.photo.unwrap().id, outcome))
    });
    told.collect()
}

/// Asserts that every worker was told of everything: one that it was created, the others its id.
fn assert_once(told: &[Told]) {
    assert_eq!(told.len(), WORKERS);
    for worker in told {
        assert_eq!(i64::try_from(worker.len()).unwrap(), ITEMS);
    }
    for (name, (id, _)) in &told[0] {
        assert!(told.iter().all(|worker| worker[name].0 == *id), "{name} has several ids");
        let count = |outcome| told.iter().filter(|worker| worker[name].1 == outcome).count();
        assert_eq!((count(WriteOutcome::Created), count(WriteOutcome::Unchanged)), (1, WORKERS - 1), "{name}");
    }
}

/// Lets workers go when as many of them as can be wait in the database.
async fn at_once(app: &App, workers: impl Iterator<Item = Worker<'_>>) -> Vec<Told> {
    let locker = lock_photos(app).await;
    let ((), told) = tokio::join!(
        async {
            while blocked(app).await == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            drop(locker);
        },
        join_all(workers),
    );
    told
}

type Worker<'a> = Pin<Box<dyn Future<Output = Told> + 'a>>;

async fn assert_detections_once(
    call: impl for<'a> Fn(&'a App, usize, Vec<Vec<pb::IngestDetectionsItem>>) -> Worker<'a>,
) {
    let app = App::start().await;
    let all = named(&app, ITEMS).await;

    let workers = (0..WORKERS).map(|worker| call(&app, worker, messages(worker, all.clone())));
    let told = at_once(&app, workers).await;

    assert_once(&told);
    let stored = runs(&app).await;
    assert_eq!(stored.iter().sum::<i64>(), ITEMS);
    let events = "select count(*) from companycam_photos.detection_events e
                  join companycam_photos.detections d on d.id = e.detection_id where e.event_type = 'created'";
    assert_eq!(app.count(events).await, ITEMS);
    assert_no_deadlocks(&app).await;
}

async fn assert_photos_once(call: impl for<'a> Fn(&'a App, usize, Vec<Vec<pb::Photo>>) -> Worker<'a>) {
    let app = App::start().await;
    let all = photos();

    let workers = (0..WORKERS).map(|worker| call(&app, worker, messages(worker, all.clone())));
    let told = at_once(&app, workers).await;

    assert_once(&told);
    assert_eq!(app.count("select count(*) from companycam_photos.photos").await, ITEMS);
    assert_no_deadlocks(&app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_detection_stores_once_what_32_callers_send_at_once() {
    assert_detections_once(|app, _, messages| Box::pin(create_detections(app, messages))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_create_detections_stores_once_what_32_callers_send_at_once() {
    assert_detections_once(|app, worker, messages| {
        Box::pin(batch_create_detections(app, messages, worker.is_multiple_of(2)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creates_of_every_kind_store_once_what_32_workers_send_at_once() {
    assert_detections_once(|app, worker, messages| match worker / 4 % 4 {
        0 => Box::pin(create_detections(app, messages)),
        1 => Box::pin(batch_create_detections(app, messages, worker.is_multiple_of(2))),
        _ => Box::pin(ingest_detections(app, messages)),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_photo_stores_once_what_32_callers_send_at_once() {
    assert_photos_once(|app, _, batches| Box::pin(create_photos(app, batches))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_create_photos_stores_once_what_32_callers_send_at_once() {
    assert_photos_once(|app, worker, batches| Box::pin(batch_create_photos(app, batches, worker.is_multiple_of(2))))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_one_by_one_and_in_batches_are_stored_once_when_32_callers_send_them_at_once() {
    assert_photos_once(|app, worker, batches| match worker / 4 % 2 {
        0 => Box::pin(create_photos(app, batches)),
        _ => Box::pin(batch_create_photos(app, batches, worker.is_multiple_of(2))),
    })
    .await;
}
