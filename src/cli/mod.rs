//! The command line: one file per subcommand.

mod client;
mod database;
mod doctor;
mod export;
mod healthcheck;
pub mod import;
mod migrate;
mod secret;
mod seed;
mod serve;
mod token;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config;

/// Photo metadata of many organizations, over gRPC, on PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "photometa", version, about, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    database: config::Database,
    #[command(flatten)]
    credentials: config::Credentials,
    #[command(flatten)]
    listen: config::Listen,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (also what happens without a subcommand).
    Serve(config::Listen),
    /// Bring the database's schema to a version, or show where it is and what a step would do.
    Migrate(migrate::Migrate),
    /// Check that the database keeps tenants apart and is fit to serve; exit status 0 says yes.
    Doctor(doctor::Doctor),
    /// Fill a running server with a demo organization; safe to repeat.
    Seed(seed::Seed),
    /// Print a development credential.
    Token(token::Token),
    /// Bring labelled data in.
    Import(import::Import),
    /// Write training data.
    Export(export::Export),
    /// Ask a running server whether it is ready; exit status 0 says yes.
    Healthcheck(healthcheck::Healthcheck),
}

/// What a command fails with: a sentence for its user.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Cli {
    /// Runs the command. Exit status: 0 done, 1 failed, 2 wrong usage.
    pub async fn run(self) -> ExitCode {
        let Self { command, database, credentials, listen } = self;
        let outcome = match command {
            None => serve::run(database, credentials, listen).await,
            Some(Command::Serve(listen)) => serve::run(database, credentials, listen).await,
            Some(Command::Migrate(command)) => command.run(&database).await,
            Some(Command::Doctor(command)) => command.run(&database).await,
            Some(Command::Seed(command)) => command.run(&database, &credentials).await,
            Some(Command::Token(command)) => command.run(&database, &credentials),
            Some(Command::Import(command)) => command.run().await,
            Some(Command::Export(command)) => command.run().await,
            Some(Command::Healthcheck(command)) => command.run().await,
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                tracing::debug!(?failure, "the command failed");
                complain(&failure);
                ExitCode::FAILURE
            }
        }
    }
}

/// Answers on standard output. Whoever stops reading need not be told the rest.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[expect(clippy::print_stderr, reason = "the command line's own voice")]
fn complain(failure: &Failure) {
    eprintln!("photometa: {failure}");
}
