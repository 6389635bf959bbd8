//! A stream of twelve messages cut at each of its boundaries and in the middle of messages: what was acknowledged is
//! stored, and sending all of it again gives exactly the whole.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use photometa::pb::detection_service_client::DetectionServiceClient;
use photometa::pb::{self, WriteOutcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use uuid::Uuid;

use super::{Ingest, item, items, sequences};
use crate::harness::{A, App, Bearer, token};
use crate::random::Random;

const MESSAGES: usize = 12;
const EACH: usize = 3;

/// All items of a stream, on a photo of its own: what an earlier one has left in flight does not meddle.
async fn stream(app: &App) -> Vec<pb::IngestDetectionsItem> {
    let photo = app.photo(A, &format!("{}.jpg", Uuid::now_v7())).await;
    items(0..i64::try_from(MESSAGES * EACH).unwrap(), &photo.id)
}

/// The id of what is stored of a stream, by sequence; nothing may be there twice.
async fn stored(app: &App, all: &[pb::IngestDetectionsItem]) -> HashMap<i64, String> {
    let photo_id: Uuid = all[0].detection.as_ref().unwrap().photo_id.parse().unwrap();
    let query = "select substr(run_id, 5)::bigint, id::text from companycam_photos.detections where photo_id = $1";
    let rows = app.postgres.query(query, &[&photo_id]).await.unwrap();
    let stored: HashMap<_, _> = rows.iter().map(|row| (row.try_get(0).unwrap(), row.try_get(1).unwrap())).collect();
    assert_eq!(stored.len(), rows.len());
    stored
}

/// Asserts that what was acknowledged is stored. Then sends everything again, and asserts that all of it is there once.
async fn assert_whole_again(app: &App, all: &[pb::IngestDetectionsItem], acks: &[pb::IngestDetectionsAck]) {
    let before = stored(app, all).await;
    for ack in acks {
        assert_eq!(ack.outcome(), WriteOutcome::Created);
        assert_eq!(before.get(&ack.sequence), Some(&ack.detection_id), "{ack:?}");
    }

    let again = Ingest::open(app, A.as_service()).await.whole(all.to_vec()).await;

    assert_eq!(again.len(), all.len());
    assert!(again.values().all(|ack| ack.status.is_none()), "{again:?}");
    for (sequence, id) in &before {
        let again = &again[sequence];
        assert_eq!((again.outcome(), &again.detection_id), (WriteOutcome::Unchanged, id));
    }
    assert_eq!(stored(app, all).await.len(), all.len());
}

#[tokio::test]
async fn half_closing_at_any_message_stores_what_was_sent_and_nothing_else() {
    let app = App::start().await;

    for cut in 0..=MESSAGES {
        let all = stream(&app).await;
        let mut ingest = Ingest::open(&app, A.as_service()).await;
        for message in all.chunks(EACH).take(cut) {
            ingest.send(message.to_vec()).await;
        }
        ingest.half_close();
        let (acks, end) = ingest.rest().await;

        end.unwrap();
        assert_eq!(sequences(&acks), all.iter().take(cut * EACH).map(|item| item.sequence).collect::<Vec<_>>());
        assert_eq!(stored(&app, &all).await.len(), cut * EACH);
        assert_whole_again(&app, &all, &acks).await;
    }
}

/// A wire to the server, which can be cut.
struct Wire {
    address: SocketAddr,
    /// Cuts when it is dropped.
    cut: oneshot::Sender<()>,
}

impl Wire {
    /// Lays one for one connection. It is cut after so many bytes from the client, if it is not cut before.
    async fn lay(server: SocketAddr, most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, told) = oneshot::channel();
        tokio::spawn(async move {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(server).await.unwrap();
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (near.into_split(), far.into_split());
            tokio::select! {
                _ = told => {}
                _ = async { tokio::io::copy(&mut (&mut from_client).take(most), &mut to_server).await } => {
                    // What has passed arrives; nothing goes back.
                    let _ = to_server.flush().await;
                }
                _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
            }
            // Both ends are dropped here: nobody is told anything but that the connection is gone.
        });
        Self { address, cut }
    }

    /// Opens a stream through it.
    async fn open(&self) -> Option<Ingest> {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        let channel = InterceptedService::new(
            endpoint.connect().await.ok()?,
            Bearer::new(&format!("Bearer {}", token(A.as_service()))),
        );
        Ingest::open_with(DetectionServiceClient::new(channel), None).await.ok()
    }
}

#[tokio::test]
async fn wire_cut_at_any_message_loses_nothing_that_was_acknowledged() {
    let app = App::start().await;

    for cut in 0..=MESSAGES {
        // Every other time the answers are waited for, so that both what is and what is not committed is met.
        for wait in [true, false] {
            let all = stream(&app).await;
            let wire = Wire::lay(app.address, u64::MAX).await;
            let mut ingest = wire.open().await.unwrap();
            for message in all.chunks(EACH).take(cut) {
                ingest.send(message.to_vec()).await;
            }
            let mut acks = if wait { ingest.acks(cut * EACH).await } else { Vec::new() };
            drop(wire.cut);
            let (more, end) = ingest.rest().await;

            end.unwrap_err();
            acks.extend(more);
            assert_whole_again(&app, &all, &acks).await;
        }
    }
}

#[tokio::test]
async fn wire_cut_at_any_byte_loses_nothing_that_was_acknowledged() {
    let app = App::start().await;
    let mut random = Random::seeded();

    for _ in 0..60 {
        let all = stream(&app).await;
        let bytes: usize = all.iter().map(prost::Message::encoded_len).sum();
        let most = random.below(bytes + 1000);
        let wire = Wire::lay(app.address, u64::try_from(most).unwrap()).await;
        let mut acks = Vec::new();
        if let Some(mut ingest) = wire.open().await {
            let sender = ingest.messages.take().unwrap();
            for message in all.chunks(EACH) {
                // Refused when the wire is cut.
                let _ = sender.send(pb::IngestDetectionsRequest { items: message.to_vec() }).await;
            }
            drop(sender);
            (acks, _) = ingest.rest().await;
        }

        assert_whole_again(&app, &all, &acks).await;
    }
}

#[tokio::test]
async fn client_that_never_reads_and_hangs_up_leaves_nothing_behind_but_what_it_sent() {
    let app = App::start().await;
    let all = stream(&app).await;
    let mut unread = Vec::new();

    // More than there are connections to the database.
    for _ in 0..8 {
        let ingest = Ingest::open(&app, A.as_service()).await;
        for message in all.chunks(EACH) {
            ingest.send(message.to_vec()).await;
        }
        unread.push(ingest);
    }
    drop(unread);

    assert_whole_again(&app, &all, &[]).await;
    let photo_id = &all[0].detection.as_ref().unwrap().photo_id;
    let last = tokio::time::timeout(Duration::from_secs(30), async {
        Ingest::open(&app, A.as_service()).await.whole(vec![item(1000, photo_id)]).await
    });
    assert_eq!(last.await.unwrap()[&1000].outcome(), WriteOutcome::Created);
}
