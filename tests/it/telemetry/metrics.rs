//! Metrics: that all of them are told, are listed, and say what has happened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use photometa::pb;
use photometa::pb::detection_service_client::DetectionServiceClient;
use photometa::pb::photo_service_client::PhotoServiceClient;
use tonic::Code;
use tonic::transport::Channel;
use uuid::Uuid;

use super::admin::{ask, watched};
use super::receiver::Receiver;
use super::{of, sending_to};
use crate::harness::{A, App, detection, photo};
use crate::health::{lock_photos, until_blocked};

/// Samples as Prometheus reads them, by name and labels.
fn scrape(address: &str) -> BTreeMap<String, String> {
    let text = ask(address, "GET /metrics").2;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.rsplit_once(' ')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Something of everything.
async fn work(channel: Channel, photo_id: &str) {
    let mut photos = PhotoServiceClient::new(channel.clone());
    let create = pb::CreatePhotoRequest { photo: Some(photo(A.house, "measured.jpg")) };
    photos.create_photo(of(A.as_service(), create)).await.unwrap();
    photos.list_photos(of(A.as_admin(), pb::ListPhotosRequest::default())).await.unwrap();
    let one = pb::Detection { id: Uuid::now_v7().to_string(), ..detection(photo_id) };
    let bad = pb::Detection { id: Uuid::now_v7().to_string(), ..detection(&Uuid::new_v4().to_string()) };
    let items = [one.clone(), one, bad].into_iter().zip(1..);
    let items = items.map(|(detection, sequence)| pb::IngestDetectionsItem { sequence, detection: Some(detection) });
    let message = pb::IngestDetectionsRequest { items: items.collect() };
    let stream = tokio_stream::iter([message]);
    let mut client = DetectionServiceClient::new(channel);
    let mut answers = client.ingest_detections(of(A.as_service(), stream)).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
}

/// A metric that docs/telemetry.md lists.
struct Listed {
    name: String,
    labels: BTreeSet<String>,
    meaning: String,
}

/// All of them, by their names of Prometheus.
fn listed() -> BTreeMap<String, Listed> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/telemetry.md")).unwrap();
    let section = text.split("<!-- begin metrics -->").nth(1).unwrap().split("<!-- end metrics -->").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let ticked = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let labels = ticked(cells[3]).into_iter().map(|label| label.replace('.', "_")).collect();
        let listed = Listed { name: ticked(cells[0])[0].clone(), labels, meaning: cells[4].to_owned() };
        (ticked(cells[1])[0].clone(), listed)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_those_that_are_listed_with_the_labels_that_are_listed() {
    let app = App::start().await;
    let (replica, address) = watched(&app, &[("PHOTOMETA_BACKLOG_INTERVAL", "50ms")]);
    work(replica.channel().await, &app.photo(A, "listed.jpg").await.id).await;
    let missing = pb::GetPhotoRequest { id: "no id".to_owned(), ..Default::default() };
    PhotoServiceClient::new(replica.channel().await).get_photo(of(A.as_admin(), missing)).await.unwrap_err();

    let waits = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("photometa_backlog_photos{"));
        line.is_some_and(|line| line.contains("detection_type=\"damage\"") && line.ends_with(" 1"))
    };
    let mut text = ask(&address, "GET /metrics").2;
    // Two photos, one of which has a result.
    for _ in 0..500 {
        if waits(&text) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        text = ask(&address, "GET /metrics").2;
    }
    assert!(waits(&text), "{text}");
    let told: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let listed = listed();
    let names: BTreeSet<&str> = listed.keys().map(String::as_str).chain(["target_info"]).collect();
    assert_eq!(told, names);
    for (name, Listed { labels, meaning, .. }) in &listed {
        let help =
            text.lines().find_map(|line| line.strip_prefix("# HELP ")?.strip_prefix(name.as_str())?.strip_prefix(' '));
        assert!(help.is_some_and(|help| !help.is_empty() && meaning.starts_with(help)), "{name}: {help:?}, {meaning}");
        for line in text.lines().filter(|line| {
            ["", "_bucket", "_sum", "_count"].iter().any(|end| line.starts_with(&format!("{name}{end}{{")))
        }) {
            let found = line.split('{').nth(1).unwrap().split("\",").filter_map(|label| label.split('=').next());
            let unlisted: Vec<_> = found.filter(|label| *label != "le" && !labels.contains(*label)).collect();
            assert!(unlisted.is_empty(), "{line} has {unlisted:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_say_what_has_happened() {
    let app = App::start().await;
    let (replica, address) = watched(&app, &[("PHOTOMETA_MAX_CONCURRENT_CALLS", "2"), ("PHOTOMETA_POOL_SIZE", "5")]);
    let channel = replica.channel().await;
    let before = scrape(&address);
    assert_eq!(before[r#"photometa_calls_refused_total{reason="permits"}"#], "0");
    assert_eq!(before[r#"db_client_connection_max{db_client_connection_pool_name="primary"}"#], "5");

    work(channel.clone(), &app.photo(A, "counted.jpg").await.id).await;
    // One call runs, another one of its organization is refused, and the first one's client hangs up.
    let locker = lock_photos(&app).await;
    let mut client = PhotoServiceClient::new(channel.clone());
    let call =
        tokio::spawn(async move { client.list_photos(of(A.as_admin(), pb::ListPhotosRequest::default())).await });
    until_blocked(&app, 1).await;
    let during = scrape(&address);
    let mut client = PhotoServiceClient::new(channel);
    let refused = client.list_photos(of(A.as_admin(), pb::ListPhotosRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    call.abort();
    until_blocked(&app, 0).await;
    drop(locker);

    assert_eq!(during[r#"photometa_calls_in_flight{kind="call"}"#], "1");
    let used =
        r#"db_client_connection_count{db_client_connection_pool_name="primary",db_client_connection_state="used"}"#;
    assert_ne!(during[used], "0");
    let of_list = |code: &str| {
        format!(
            r#"rpc_server_call_duration_seconds_count{{rpc_method="photometa.v1.PhotoService/ListPhotos",rpc_status_code="{code}",rpc_system_name="grpc"}}"#
        )
    };
    let cancelled = of_list("CANCELLED");
    let mut after = scrape(&address);
    for _ in 0..500 {
        if after.contains_key(&cancelled) && after[r#"photometa_calls_in_flight{kind="call"}"#] == "0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        after = scrape(&address);
    }
    for (sample, value) in [
        (cancelled.as_str(), "1"),
        (&of_list("OK"), "1"),
        (&of_list("RESOURCE_EXHAUSTED"), "1"),
        (r#"photometa_calls_refused_total{reason="permits"}"#, "1"),
        (r#"photometa_calls_refused_total{reason="pool"}"#, "0"),
        (r#"photometa_calls_in_flight{kind="call"}"#, "0"),
        (r#"photometa_calls_in_flight{kind="stream"}"#, "0"),
        (r#"photometa_group_size_count{kind="photo"}"#, "1"),
        (r#"photometa_group_waiting{kind="photo"}"#, "0"),
        (r#"photometa_ingest_items_total{outcome="created"}"#, "1"),
        (r#"photometa_ingest_items_total{outcome="unchanged"}"#, "1"),
        (r#"photometa_ingest_items_total{outcome="failed"}"#, "1"),
        ("photometa_ingest_streams", "0"),
        (r#"photometa_page_size_count{rpc_method="photometa.v1.PhotoService/ListPhotos"}"#, "1"),
        ("photometa_ready", "1"),
    ] {
        assert_eq!(after.get(sample).map(String::as_str), Some(value), "{sample}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_that_ends_by_its_clients_silence_is_no_error_of_ours() {
    let app = App::start().await;
    let (replica, address) = watched(&app, &[("PHOTOMETA_STREAM_IDLE_TIMEOUT", "100ms")]);
    let mut client = DetectionServiceClient::new(replica.channel().await);
    let silent = of(A.as_service(), tokio_stream::pending());

    let mut answers = client.ingest_detections(silent).await.unwrap().into_inner();
    let end = answers.message().await.unwrap_err();

    assert_eq!(end.code(), Code::DeadlineExceeded);
    let counted = r#"rpc_server_call_duration_seconds_count{rpc_method="photometa.v1.DetectionService/IngestDetections",rpc_status_code="DEADLINE_EXCEEDED",rpc_system_name="grpc"}"#;
    let mut told = scrape(&address);
    for _ in 0..500 {
        if told.keys().any(|name| name.contains("IngestDetections") && name.contains("_count")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        told = scrape(&address);
    }
    assert_eq!(told.get(counted).map(String::as_str), Some("1"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collector_gets_the_same_metrics() {
    let (app, receiver) = (App::start().await, Receiver::start().await);
    let replica =
        sending_to(&receiver, &app, &[("OTEL_TRACES_EXPORTER", "none"), ("PHOTOMETA_BACKLOG_INTERVAL", "50ms")]);
    work(replica.channel().await, &app.photo(A, "sent.jpg").await.id).await;

    let listed: BTreeSet<String> = listed().into_values().map(|listed| listed.name).collect();
    let told = receiver.wait("metrics", || Some(receiver.metrics()), |told| *told == listed).await;

    assert!(!told.is_empty());
    assert!(receiver.spans().is_empty());
}
