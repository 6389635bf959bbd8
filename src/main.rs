//! The `photometa` program: reads the command line and runs it.

use std::process::ExitCode;

use clap::Parser as _;
use photometa::{cli::Cli, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start();
    cli.run().await
}
