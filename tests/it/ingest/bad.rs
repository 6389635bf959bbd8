//! Bad items cost only themselves, whatever is wrong with them and wherever they stand; bad messages end the stream
//! after everything before them is acknowledged.

use photometa::pb::{self, WriteOutcome};
use prost::Message as _;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use super::{Ingest, item, runs, sequences, status};
use crate::bad_input::detection::DETECTIONS;
use crate::harness::{A, App, B, details, detection, paths, reason};

/// Sends a bad detection at every place of a message of three, in a batch and in a stream, and compares what is said.
async fn compare(app: &App, ingest: &mut Ingest, photo_id: &str, what: &str, bad: &pb::Detection) -> Status {
    let mut last = None;
    for place in 0..3 {
        let mut message: Vec<_> = (0..3).map(|_| item(rand(), photo_id)).collect();
        message[place].detection = Some(bad.clone());
        let detections = message.iter().map(|item| item.detection.clone().unwrap()).collect();
        let sent: Vec<i64> = message.iter().map(|item| item.sequence).collect();

        ingest.send(message).await;
        let acks = ingest.acks(3).await;
        let request = pb::BatchCreateDetectionsRequest { detections, partial: true };
        let batch = app.detections(A.as_service()).batch_create_detections(request).await.unwrap().into_inner();

        assert_eq!(sequences(&acks), sent, "{what}");
        for (index, (ack, result)) in acks.iter().zip(batch.results).enumerate() {
            if index != place {
                assert_eq!(ack.outcome(), WriteOutcome::Created, "{what} at {place}: {ack:?}");
                assert_eq!(result.detection.unwrap().id, ack.detection_id, "{what} at {place}");
                continue;
            }
            let (found, told) = (status(ack), result.status.unwrap());
            let told = Status::with_details(Code::from(told.code), told.message.clone(), told.encode_to_vec().into());
            let here = |text: &str| text.replace("detections[", "items[").replacen("].", "].detection.", 1);
            assert_eq!(found.code(), told.code(), "{what}");
            assert_eq!(found.message(), here(told.message()), "{what}");
            assert_eq!(reason(&found), reason(&told), "{what}");
            assert_eq!(paths(&found), paths(&told).iter().map(|path| here(path)).collect::<Vec<_>>(), "{what}");
            let resource = |status: &Status| format!("{:?}", details(status).resource_info());
            assert_eq!(resource(&found), resource(&told), "{what}");
            assert_eq!((ack.outcome, ack.detection_id.as_str()), (0, ""), "{what}");
            last = Some(found);
        }
    }
    last.unwrap()
}

/// A sequence that no other item has.
fn rand() -> i64 {
    i64::try_from(Uuid::new_v4().as_u64_pair().0 >> 1).unwrap()
}

#[tokio::test]
async fn bad_fields_cost_only_their_item_at_every_place() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let mut ingest = Ingest::open(&app, A.as_service()).await;

    for (what, spoil, expected) in DETECTIONS {
        let mut bad = detection(&photo.id);
        spoil(&mut bad);
        let status = compare(&app, &mut ingest, &photo.id, what, &bad).await;
        let expected: Vec<_> = expected.iter().map(|path| format!("items[2].{path}")).collect();
        assert_eq!((reason(&status).as_str(), paths(&status)), ("INVALID_FIELDS", expected), "{what}");
    }

    assert_eq!(runs(&app).await, vec![1; DETECTIONS.len() * 6]);
}

#[tokio::test]
async fn bad_references_and_conflicts_cost_only_their_item_at_every_place() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let theirs = app.photo(B, "site/1.jpg").await;
    let stored = app.detection(A, &photo.id).await;
    let named = pb::Detection { run_id: Some("taken".to_owned()), ..detection(&photo.id) };
    let request = pb::CreateDetectionRequest { detection: Some(named.clone()) };
    app.detections(A.as_service()).create_detection(request).await.unwrap();
    let mut ingest = Ingest::open(&app, A.as_service()).await;

    let unknown = Uuid::now_v7().to_string();
    for (what, bad, code, expected) in [
        ("an unknown photo", detection(&unknown), Code::NotFound, "PHOTO_NOT_FOUND"),
        ("another organization's photo", detection(&theirs.id), Code::NotFound, "PHOTO_NOT_FOUND"),
        (
            "a taken id",
            pb::Detection { id: stored.id.clone(), model_version: "other".to_owned(), ..detection(&photo.id) },
            Code::AlreadyExists,
            "DETECTION_ALREADY_EXISTS",
        ),
        (
            "a taken run",
            pb::Detection { confidence: Some(0.125), ..named.clone() },
            Code::AlreadyExists,
            "DETECTION_ALREADY_EXISTS",
        ),
    ] {
        let status = compare(&app, &mut ingest, &photo.id, what, &bad).await;
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{what}");
    }

    let count = "select count(*) from companycam_photos.detections where organization_id = ";
    assert_eq!(app.count(&format!("{count} '{}'", B.id)).await, 0);
}

#[tokio::test]
async fn missing_detection_is_told_with_its_path() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let mut ingest = Ingest::open(&app, A.as_service()).await;
    let nothing = pb::IngestDetectionsItem { sequence: -5, detection: None };

    ingest.send(vec![item(1, &photo.id), nothing]).await;
    let acks = ingest.acks(2).await;

    assert_eq!(sequences(&acks), [1, -5]);
    assert_eq!(paths(&status(&acks[1]))[0], "items[1].detection");
}

#[tokio::test]
async fn item_that_the_database_alone_refuses_costs_only_itself() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let check =
        "alter table companycam_photos.detections add constraint fault_check check (run_id <> 'run-5') not valid";
    app.postgres.batch_execute(check).await.unwrap();

    let acks = Ingest::open(&app, A.as_service()).await.whole(super::items(0..10, &photo.id)).await;

    for (sequence, ack) in &acks {
        if *sequence == 5 {
            let status = status(ack);
            assert_eq!((status.code(), reason(&status).as_str()), (Code::Internal, "INTERNAL"));
            assert!(!format!("{status:?}").contains("fault_check"), "{status:?}");
        } else {
            assert_eq!(ack.outcome(), WriteOutcome::Created, "{ack:?}");
        }
    }
    assert_eq!((acks.len(), runs(&app).await), (10, vec![1; 9]));
}

/// A message of one item as bytes, which need be none.
#[derive(Clone, PartialEq, prost::Message)]
struct Bytes {
    #[prost(bytes = "vec", repeated, tag = "1")]
    items: Vec<Vec<u8>>,
}

#[tokio::test]
async fn bad_message_ends_the_stream_after_everything_before_it_is_acknowledged() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let mut next = 0;

    for (what, bad, expected, path) in [
        ("no message", Bytes { items: vec![b"\xff\xff".to_vec()] }, "MALFORMED_MESSAGE", ""),
        ("a huge message", Bytes { items: vec![vec![0; 4 << 20]] }, "MESSAGE_TOO_LARGE", ""),
        ("many items", Bytes { items: vec![Vec::new(); 1001] }, "INVALID_FIELDS", "items"),
    ] {
        for before in [0, 1, 7] {
            let good =
                (next..next + before).map(|number| Bytes { items: vec![item(number, &photo.id).encode_to_vec()] });
            let after = Bytes { items: vec![item(-1, &photo.id).encode_to_vec()] };
            let messages: Vec<_> = good.chain([bad.clone(), after]).collect();
            let mut client = Grpc::new(app.authenticated(A.as_service())).max_encoding_message_size(64 << 20);
            client.ready().await.unwrap();
            let path_of = PathAndQuery::from_static("/photometa.v1.DetectionService/IngestDetections");
            let codec = ProstCodec::<Bytes, pb::IngestDetectionsResponse>::default();
            let request = Request::new(tokio_stream::iter(messages));
            let answers = client.streaming(request, path_of, codec).await.unwrap().into_inner();

            let (acks, end) = Ingest { messages: None, answers }.rest().await;

            assert_eq!(sequences(&acks), (next..next + before).collect::<Vec<_>>(), "{what}");
            let status = end.unwrap_err();
            assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, expected), "{what}");
            assert_eq!(paths(&status).join(" "), path, "{what}");
            next += before;
        }
    }

    assert_eq!(runs(&app).await.len(), usize::try_from(next).unwrap());
}
