//! `photometa healthcheck`: is the server ready? For containers and scripts; the exit status is the answer.

use std::time::Duration;

use clap::Args;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Failure;
use super::client::{connect, describe};
use crate::config;

/// Asks `grpc.health.v1.Health/Check`; needs no credential.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    #[command(flatten)]
    client: config::Client,
    /// Service to ask about, such as photometa.v1.PhotoService [default: the server as a whole].
    #[arg(long, default_value = "", hide_default_value = true)]
    service: String,
    /// How long the answer may take.
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Healthcheck {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { client, service, timeout } = self;
        tokio::time::timeout(timeout, check(&client, service)).await.map_err(|_| {
            let address = &client.address;
            format!("{address} does not answer within {}", humantime::format_duration(timeout))
        })?
    }
}

async fn check(client: &config::Client, service: String) -> Result<(), Failure> {
    let address = &client.address;
    let asked = if service.is_empty() { address.clone() } else { format!("{service} at {address}") };
    let mut health = HealthClient::new(connect(client).await?);
    let answer = health.check(HealthCheckRequest { service }).await;
    let answer = answer.map_err(|status| format!("{asked}: {}", describe(&status)))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(format!("{asked} is {}", other.as_str_name()).into()),
    }
}
