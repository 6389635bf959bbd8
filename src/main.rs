//! The `photometa` program: reads the command line and runs it.

use std::process::ExitCode;

use photometa::cli::Cli;
use photometa::config::Otlp;
use photometa::telemetry;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    let telemetry = match cli.serves() {
        Some(listen) => telemetry::serve(&Otlp::from_environment(), listen.admin.admin_listen.is_some()),
        None => telemetry::start(),
    };
    let code = Box::pin(cli.run(telemetry.scrape())).await;
    telemetry.end().await;
    code
}
