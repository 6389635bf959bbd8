//! `photometa healthcheck`: is the server ready? For containers and scripts; the exit status is the answer.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::client::{connect, describe};
use super::{Failure, print_json};
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
    #[arg(long, default_value = "3s", value_parser = config::positive)]
    timeout: Duration,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    ready: bool,
    address: &'a str,
    /// Empty for the server as a whole.
    service: &'a str,
    /// Why it is not ready.
    problem: Option<String>,
}

impl Healthcheck {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { client, service, timeout, json } = self;
        let address = &client.address;
        let answer = match tokio::time::timeout(timeout, check(&client, service.clone())).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("{address} does not answer within {}", humantime::format_duration(timeout)).into()),
        };
        if json {
            let problem = answer.as_ref().err().map(ToString::to_string);
            print_json(&Answer { ready: answer.is_ok(), address, service: &service, problem })?;
        }
        answer
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
