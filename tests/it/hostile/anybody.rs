//! What anybody may call without a credential, health and reflection: little of it at once, and never at others' cost.

use std::time::{Duration, Instant};

use tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::frames::PATIENCE;
use crate::harness::App;

async fn watch(channel: &Channel) -> Result<Streaming<HealthCheckResponse>, tonic::Status> {
    let answer = HealthClient::new(channel.clone()).watch(HealthCheckRequest::default()).await;
    answer.map(tonic::Response::into_inner)
}

/// A call that stays open, and has asked once.
async fn reflect(channel: &Channel, host: &str) -> Result<Streaming<ServerReflectionResponse>, tonic::Status> {
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let once = tokio_stream::once(ServerReflectionRequest { host: host.to_owned(), message_request });
    let asked = once.chain(tokio_stream::pending());
    ServerReflectionClient::new(channel.clone()).server_reflection_info(asked).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn messages_beyond_a_name_are_refused() {
    let app = App::start().await;
    let long = "x".repeat(5000);

    let health = HealthClient::new(app.channel.clone()).check(HealthCheckRequest { service: long.clone() }).await;
    let mut reflection = reflect(&app.channel, &long).await.unwrap();

    assert_eq!(health.unwrap_err().code(), Code::OutOfRange);
    // Its stream ends at a request that cannot be read.
    assert!(reflection.message().await.unwrap().is_none());
}

#[tokio::test]
async fn connection_has_sixteen_at_once_and_another_one_its_own() {
    let app = App::start().await;
    let mut watched = Vec::new();
    for _ in 0..16 {
        watched.push(watch(&app.channel).await.unwrap());
    }

    assert_eq!(watch(&app.channel).await.unwrap_err().code(), Code::ResourceExhausted);
    watch(&app.connect().await).await.unwrap();

    drop(watched.pop());
    let started = Instant::now();
    while watch(&app.channel).await.is_err() {
        assert!(started.elapsed() < PATIENCE, "there is room again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn reflection_has_a_most_and_health_answers_all_the_same() {
    let app = App::start().await;
    let mut open = Vec::new();
    for _ in 0..8 {
        let channel = app.connect().await;
        for _ in 0..8 {
            open.push(reflect(&channel, "").await.unwrap());
        }
    }

    assert_eq!(reflect(&app.connect().await, "").await.unwrap_err().code(), Code::ResourceExhausted);
    for answers in &mut open {
        answers.message().await.unwrap().unwrap();
    }
    HealthClient::new(app.channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
}
