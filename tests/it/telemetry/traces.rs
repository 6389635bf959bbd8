//! Spans: whose children they are, what they say, and what they never say.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use photometa::pb;
use photometa::pb::detection_service_client::DetectionServiceClient;
use photometa::pb::feedback_service_client::FeedbackServiceClient;
use photometa::pb::photo_service_client::PhotoServiceClient;
use photometa::pb::session_service_client::SessionServiceClient;
use photometa::pb::tag_service_client::TagServiceClient;
use tonic::Code;
use tonic::transport::Channel;
use uuid::Uuid;

use super::receiver::{Attributes, Receiver, attributes};
use super::{end, of, program, sending_to};
use crate::harness::{A, App, detection, photo};
use crate::health::{lock_photos, until_blocked};
use crate::program::Folder;
use crate::tls::authority::Authority;
use crate::training::{everything, in_lines};

const GET: &str = "photometa.v1.PhotoService/GetPhoto";
const CREATE: &str = "photometa.v1.PhotoService/CreatePhoto";
pub const WHO_AM_I: &str = "photometa.v1.SessionService/WhoAmI";
pub const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
pub const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn said(span: &Span) -> Attributes {
    attributes(&span.attributes)
}

/// The children of a span.
fn children(receiver: &Receiver, parent: &Span) -> Vec<Span> {
    receiver.spans().into_iter().filter(|span| span.parent_span_id == parent.span_id).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Attributes {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_of_a_caller_goes_through_the_rpc_to_the_database() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let replica = sending_to(&receiver, &app, &[("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")]);
    let mut client = PhotoServiceClient::new(replica.channel().await);
    let id = app.photo(A, "traced.jpg").await.id;

    let mut request = of(A.as_admin(), pb::GetPhotoRequest { id, ..Default::default() });
    request.metadata_mut().insert("traceparent", CALLER.parse().unwrap());
    client.get_photo(request).await.unwrap();

    let server = receiver.named(GET, 1).await.remove(0);
    assert_eq!((hex(&server.trace_id), hex(&server.parent_span_id)), (TRACE.to_owned(), "b7ad6b7169203331".to_owned()));
    assert_eq!(server.kind(), SpanKind::Server);
    assert_eq!(said(&server), pairs([("rpc.system.name", "grpc"), ("rpc.method", GET), ("rpc.status_code", "OK")]));
    assert_eq!(server.status.clone().unwrap_or_default().code(), StatusCode::Unset);
    let flights = children(&receiver, &server);
    assert!(!flights.is_empty());
    let place = app.database.app();
    for flight in flights {
        assert_eq!((flight.kind(), hex(&flight.trace_id)), (SpanKind::Client, TRACE.to_owned()));
        let mut said = said(&flight);
        let summary = said.remove("db.query.summary").unwrap();
        assert!(summary.contains("photo::"), "{summary}");
        assert_eq!(flight.name, summary);
        said.remove("db.operation.batch.size");
        assert_eq!(said.remove("db.namespace").as_deref(), place.get_dbname());
        assert_eq!(said.remove("db.system.name").as_deref(), Some("postgresql"));
        assert!(said.remove("server.address").is_some());
        said.remove("server.port");
        assert_eq!(said, Attributes::new());
        assert!(flight.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(flight.end_time_unix_nano <= server.end_time_unix_nano);
    }
    let resource = receiver.resource();
    assert_eq!(resource["service.name"], "photometa");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "test");
    assert!(resource["service.instance.id"].parse::<Uuid>().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_say_how_calls_and_statements_fail() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let replica = sending_to(&receiver, &app, &[("PHOTOMETA_REQUEST_TIMEOUT", "3s")]);
    let channel = replica.channel().await;
    let mut client = PhotoServiceClient::new(channel.clone());
    let list = "photometa.v1.PhotoService/ListPhotos";

    // Its caller's fault is none of the server's.
    let nowhere = pb::GetPhotoRequest { id: Uuid::new_v4().to_string(), ..Default::default() };
    client.get_photo(of(A.as_admin(), nowhere)).await.unwrap_err();
    // Somebody hangs up while a statement runs.
    let locker = lock_photos(&app).await;
    let call =
        tokio::spawn(async move { client.list_photos(of(A.as_admin(), pb::ListPhotosRequest::default())).await });
    until_blocked(&app, 1).await;
    call.abort();
    let cancelled = receiver.named(list, 1).await.remove(0);
    // The database takes too long.
    let mut client = PhotoServiceClient::new(channel.clone());
    let late = client.list_photos(of(A.as_admin(), pb::ListPhotosRequest::default())).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    drop(locker);
    let late = receiver.named(list, 2).await.remove(1);
    // What is not there has no name of its own.
    let path = "/photometa.v1.PhotoService/GetAll".parse().unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<pb::GetPhotoRequest, pb::Photo>::default();
    let none = pb::GetPhotoRequest::default();
    assert_eq!(grpc.unary(of(A.as_admin(), none), path, codec).await.unwrap_err().code(), Code::Unimplemented);
    let unknown = receiver.named("grpc", 1).await.remove(0);

    let missing = receiver.named(GET, 1).await.remove(0);
    assert_eq!(said(&missing)["rpc.status_code"], "NOT_FOUND");
    assert_eq!(missing.status.unwrap_or_default().code(), StatusCode::Unset);
    assert_eq!(said(&cancelled)["rpc.status_code"], "CANCELLED");
    let flight = receiver.wait("flight", || children(&receiver, &cancelled).pop(), |_| true).await;
    assert_eq!((said(&flight)["error.type"].as_str(), flight.status.unwrap().code()), ("cancelled", StatusCode::Error));
    assert_eq!(said(&late)["rpc.status_code"], "DEADLINE_EXCEEDED");
    assert_eq!(
        (said(&late)["error.type"].as_str(), late.status.unwrap().code()),
        ("DEADLINE_EXCEEDED", StatusCode::Error)
    );
    assert_eq!(
        (said(&unknown)["rpc.method"].as_str(), said(&unknown)["error.type"].as_str()),
        ("_OTHER", "UNIMPLEMENTED")
    );
    assert!(!receiver.words().contains("GetAll"));
}

/// Creates a photo alone, and behind it three in a group, whose callers have these spans.
async fn create_three_together(app: &App, channel: Channel, callers: [Option<&'static str>; 3]) {
    let client = PhotoServiceClient::new(channel);
    let locker = lock_photos(app).await;
    let create = |(number, caller): (usize, Option<&'static str>)| {
        let (mut client, photo) = (client.clone(), photo(A.house, &format!("group/{number}.jpg")));
        let mut request = of(A.as_service(), pb::CreatePhotoRequest { photo: Some(photo) });
        if let Some(caller) = caller {
            request.metadata_mut().insert("traceparent", caller.parse().unwrap());
        }
        tokio::spawn(async move { client.create_photo(request).await.unwrap() })
    };
    let alone = create((0, None));
    until_blocked(app, 1).await;
    let together: Vec<_> = (1..).zip(callers).map(create).collect();
    // They wait for the first one; nothing shows outside that they do.
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(locker);
    for call in together.into_iter().chain([alone]) {
        call.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_is_linked_with_the_calls_whose_items_it_stores() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let replica = sending_to(&receiver, &app, &[]);
    create_three_together(&app, replica.channel().await, [None; 3]).await;

    let calls = receiver.named(CREATE, 4).await;
    let group = receiver.named("group photo", 1).await.remove(0);
    assert_eq!(said(&group)["photometa.group.size"], "number 3");
    let linked =
        |call: &&Span| group.links.iter().any(|link| link.span_id == call.span_id && link.trace_id == call.trace_id);
    let (members, others): (Vec<_>, Vec<_>) = calls.iter().partition(linked);
    assert_eq!((members.len(), others.len()), (2, 2));
    for member in members {
        assert_eq!(member.links[0].span_id, group.span_id);
        assert_eq!(children(&receiver, member), []);
    }
    let (parents, alone): (Vec<_>, Vec<_>) = others.into_iter().partition(|call| call.span_id == group.parent_span_id);
    assert_eq!((parents.len(), alone.len()), (1, 1));
    assert_eq!(group.trace_id, parents[0].trace_id);
    assert!(parents[0].links.is_empty());
    assert!(!children(&receiver, &group).is_empty());
    assert!(!children(&receiver, alone[0]).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sampled_has_no_span_and_a_group_belongs_to_a_call_that_is() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let mut replica = sending_to(&receiver, &app, &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]);
    let unsampled = CALLER.strip_suffix("01").map(|start| format!("{start}00")).unwrap();
    create_three_together(&app, replica.channel().await, [None, Some(CALLER), Some(unsampled.leak())]).await;
    end(&mut replica);

    let (call, group) = (receiver.named(CREATE, 1).await.remove(0), receiver.named("group photo", 1).await.remove(0));
    assert_eq!(hex(&call.trace_id), TRACE);
    assert_eq!((&group.parent_span_id, &group.trace_id), (&call.span_id, &call.trace_id));
    assert_eq!(said(&group)["photometa.group.size"], "number 3");
    assert!(group.links.is_empty() && call.links.is_empty());
    let flights = children(&receiver, &group);
    assert!(!flights.is_empty());
    assert_eq!(receiver.spans().len(), 2 + flights.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ratio_samples_by_the_callers_trace() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let sampler = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")];
    let mut replica = sending_to(&receiver, &app, &sampler);
    let mut client = SessionServiceClient::new(replica.channel().await);
    // By the last 64 bits, whatever the caller has decided.
    let (low, high) = ("0af7651916cd43dd7fffffffffffffff", "0af7651916cd43ddffffffffffffffff");
    for trace in [low, high] {
        for sampled in ["00", "01"] {
            let mut request = of(A.as_admin(), pb::WhoAmIRequest {});
            let caller = format!("00-{trace}-b7ad6b7169203331-{sampled}");
            request.metadata_mut().insert("traceparent", caller.parse().unwrap());
            client.who_am_i(request).await.unwrap();
        }
    }
    for _ in 0..100 {
        client.who_am_i(of(A.as_admin(), pb::WhoAmIRequest {})).await.unwrap();
    }
    end(&mut replica);

    let spans: Vec<_> = receiver.spans().into_iter().filter(|span| span.name == WHO_AM_I).collect();
    let of_trace = |trace: &str| spans.iter().filter(|span| hex(&span.trace_id) == trace).count();
    assert_eq!((of_trace(low), of_trace(high)), (2, 0));
    // Six standard deviations.
    assert!((20..=80).contains(&(spans.len() - 2)), "{} of 100", spans.len() - 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn span_of_a_stream_lasts_until_its_end_and_its_statements_are_in_it() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let replica = sending_to(&receiver, &app, &[]);
    let photo = app.photo(A, "streamed.jpg").await.id;
    let name = "photometa.v1.DetectionService/IngestDetections";
    let (items, sent) = tokio::sync::mpsc::channel(1);
    let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
    let mut client = DetectionServiceClient::new(replica.channel().await);

    let mut answers = client.ingest_detections(of(A.as_service(), sent)).await.unwrap().into_inner();
    let detection = pb::Detection { id: Uuid::now_v7().to_string(), ..detection(&photo) };
    let item = pb::IngestDetectionsItem { sequence: 1, detection: Some(detection) };
    items.send(pb::IngestDetectionsRequest { items: vec![item] }).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().acks.len(), 1);
    let store = receiver
        .wait("statement", || receiver.spans().into_iter().find(|span| span.name.contains("detection::")), |_| true)
        .await;
    assert!(receiver.spans().iter().all(|span| span.name != name));
    drop(items);
    assert!(answers.message().await.unwrap().is_none());

    let server = receiver.named(name, 1).await.remove(0);
    assert_eq!(said(&server)["rpc.status_code"], "OK");
    assert_eq!((&store.parent_span_id, &store.trace_id), (&server.span_id, &server.trace_id));
    assert!(store.end_time_unix_nano < server.end_time_unix_nano);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_an_export_runs_ahead_are_in_its_span() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let replica = sending_to(&receiver, &app, &[]);
    let photo = app.photo(A, "exported.jpg").await;
    app.detection(A, &photo.id).await;
    let mut client = FeedbackServiceClient::new(replica.channel().await);

    let mut parts = client.export_training_data(of(A.as_admin(), in_lines(everything()))).await.unwrap().into_inner();
    while parts.message().await.unwrap().is_some() {}

    let server = receiver.named("photometa.v1.FeedbackService/ExportTrainingData", 1).await.remove(0);
    let flights = receiver.spans().into_iter().filter(|span| span.kind() == SpanKind::Client);
    let (own, others): (Vec<_>, Vec<_>) = flights.partition(|flight| flight.parent_span_id == server.span_id);
    assert!(own.iter().any(|flight| flight.name == "training::query::DETECTIONS"), "{own:?}");
    assert_eq!(others, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_service_asks_for_itself_is_no_trace() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let mut replica = sending_to(&receiver, &app, &[("PHOTOMETA_BACKLOG_INTERVAL", "50ms")]);
    let photo = app.photo(A, "looked-at.jpg").await;
    app.detection(A, &photo.id).await;
    let told = || receiver.metrics().contains("photometa.backlog.photos").then_some(());
    receiver.wait("backlog", told, |()| true).await;
    SessionServiceClient::new(replica.channel().await).who_am_i(of(A.as_admin(), pb::WhoAmIRequest {})).await.unwrap();
    end(&mut replica);

    assert_eq!(receiver.named(WHO_AM_I, 1).await.len(), 1);
    assert_eq!(receiver.spans().into_iter().filter(|span| span.kind() == SpanKind::Client).collect::<Vec<_>>(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_customers_is_exported() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let replica = sending_to(&receiver, &app, &[]);
    let channel = replica.channel().await;
    let (mut photos, mut tags) = (PhotoServiceClient::new(channel.clone()), TagServiceClient::new(channel.clone()));
    let mark = "qzvalueofacustomer".to_owned();
    let marked = pb::Photo { s3_key: format!("{mark}/a.jpg"), ..photo(A.house, &format!("{mark}/a.jpg")) };

    let create = pb::CreatePhotoRequest { photo: Some(marked.clone()) };
    let mut request = of(A.as_service(), create.clone());
    request.metadata_mut().insert("x-request-id", mark.parse().unwrap());
    request.metadata_mut().insert("x-of-the-caller", mark.parse().unwrap());
    request.metadata_mut().insert("traceparent", CALLER.parse().unwrap());
    request.metadata_mut().insert("tracestate", format!("caller={mark}").parse().unwrap());
    let photo = photos.create_photo(request).await.unwrap().into_inner().photo.unwrap();
    let other = pb::Photo { id: photo.id.clone(), s3_key: format!("{mark}/b.jpg"), ..marked };
    photos.create_photo(of(A.as_service(), pb::CreatePhotoRequest { photo: Some(other) })).await.unwrap_err();
    let tag = pb::Tag { tag: mark.clone(), ..Default::default() };
    let add = pb::AddTagsRequest { photo_ids: vec![photo.id.clone()], tags: vec![tag] };
    tags.add_tags(of(A.as_admin(), add)).await.unwrap();
    let page = pb::ListPhotosRequest { page_token: mark.clone(), ..Default::default() };
    photos.list_photos(of(A.as_admin(), page)).await.unwrap_err();
    SessionServiceClient::new(channel).who_am_i(of(A.as_admin(), pb::WhoAmIRequest {})).await.unwrap();
    receiver.named(WHO_AM_I, 1).await;

    let words = receiver.words();
    assert!(words.contains("photo::"));
    for value in [mark, photo.id, A.id.to_string(), A.admin.to_string(), A.house.to_string(), "127.0.0.1".to_owned()] {
        assert!(!words.contains(&value), "{value} is exported");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collector_with_tls_must_prove_its_name_to_an_authority_of_the_system() {
    let folder = Folder::made("collector");
    let (authority, stranger) = (Authority::new("the system's"), Authority::new("a stranger"));
    let app = App::start().await;
    let trusted = folder.write("ca.pem", &authority.pem);
    let trusted = [("SSL_CERT_FILE", trusted.to_str().unwrap()), ("SSL_CERT_DIR", "")];
    let ours = Receiver::start_with_tls(&authority.server(&["localhost"])).await;
    let theirs = Receiver::start_with_tls(&stranger.server(&["localhost"])).await;

    let replica = sending_to(&ours, &app, &trusted);
    let mut other = sending_to(&theirs, &app, &trusted);
    for replica in [&replica, &other] {
        let mut client = PhotoServiceClient::new(replica.channel().await);
        client.list_photos(of(A.as_admin(), pb::ListPhotosRequest::default())).await.unwrap();
    }

    ours.named("photometa.v1.PhotoService/ListPhotos", 1).await;
    other.wait("complaint", |other| other.log().contains("the collector of telemetry does not take it"));
    assert!(theirs.spans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collector_that_is_away_delays_nobody_and_is_complained_of() {
    let app = App::start().await;
    let away = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let mut replica = program(&app, &away, &[]);
    let mut client = SessionServiceClient::new(replica.channel().await);

    for _ in 0..20 {
        client.who_am_i(of(A.as_admin(), pb::WhoAmIRequest {})).await.unwrap();
    }
    replica.wait("complaint", |replica| replica.log().contains("the collector of telemetry does not take it"));
    assert!(end(&mut replica) < Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_at_the_end_is_handed_over() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let mut replica = sending_to(&receiver, &app, &[("OTEL_BSP_SCHEDULE_DELAY", "3600000")]);
    SessionServiceClient::new(replica.channel().await).who_am_i(of(A.as_admin(), pb::WhoAmIRequest {})).await.unwrap();
    assert!(receiver.spans().is_empty());

    tokio::task::spawn_blocking(move || end(&mut replica)).await.unwrap();

    assert_eq!(receiver.named(WHO_AM_I, 1).await.len(), 1);
}
