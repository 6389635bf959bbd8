//! The command line: one file per subcommand.

mod client;
mod completions;
mod configuration;
mod database;
mod doctor;
mod export;
mod healthcheck;
pub mod import;
mod invocation;
mod migrate;
mod secret;
mod seed;
mod serve;
mod token;

use std::fmt;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde::{Serialize, Serializer};

use crate::config;
use crate::telemetry::Scrape;
use invocation::Told;
pub use invocation::command;

/// What `--help` ends with.
const EXAMPLES: &str = "\
Examples:
  photometa
      Serves on 127.0.0.1:50051 with a private PostgreSQL, and prints a credential and calls to paste.
  photometa serve --config photometa.toml
      Serves with the settings of a file; `photometa config describe --toml` writes one to start from.
  photometa config show
      What every setting is, and who said so: a flag, a variable, the file, or nobody.
  photometa migrate plan && photometa migrate up
      What a new version would lock, and then the new version.
  photometa doctor
      Is the database fit?

Exit status: 0 done; 1 it failed, or the answer is no (doctor, healthcheck, migrate status --check); 2 wrong usage or
settings, and nothing was tried. Results are on standard output, everything else on standard error.";

/// Photo metadata of many organizations, over gRPC, on PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "photometa", version, about, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// File of settings, in TOML: one `key = value` for each, as in `pool_size = 16`. Flags and variables win over it; no
    /// other file is read.
    #[arg(long, env = "PHOTOMETA_CONFIG", value_name = "FILE", global = true, help_heading = "Settings")]
    config: Option<PathBuf>,
    /// What the settings are, and what is to be said of them.
    #[arg(skip)]
    told: Told,
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
    /// Show what the settings are, and who said so.
    Config(configuration::Config),
    /// Print what a shell needs to complete words of this program.
    Completions(completions::Completions),
}

/// What a command fails with: a sentence for its user.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What was asked for cannot be: exit status 2, as for a command line that cannot be read.
#[derive(Debug)]
pub(crate) struct Misuse(String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

impl Cli {
    /// How it listens, where the command is the server.
    pub fn serves(&self) -> Option<&config::Listen> {
        match &self.command {
            None => Some(&self.listen),
            Some(Command::Serve(listen)) => Some(listen),
            Some(_) => None,
        }
    }

    /// Runs the command; a server shows its metrics through `scrape`. Exit status: 0 done, 1 failed, 2 wrong usage or
    /// settings.
    pub async fn run(self, scrape: Scrape) -> ExitCode {
        let Self { command, config: _, told, database, credentials, listen } = self;
        let serves = matches!(command, None | Some(Command::Serve(_)));
        for warning in &told.warnings {
            // A service's words are collected; a command's are read.
            if serves { tracing::warn!("{warning}") } else { warn(warning) }
        }
        let outcome = match command {
            None => serve::run(database, credentials, listen, scrape).await,
            Some(Command::Serve(listen)) => serve::run(database, credentials, listen, scrape).await,
            Some(Command::Migrate(command)) => command.run(&database).await,
            Some(Command::Doctor(command)) => command.run(&database).await,
            Some(Command::Seed(command)) => command.run(&database, &credentials).await,
            Some(Command::Completions(command)) => command.run(),
            Some(Command::Token(command)) => command.run(&database, &credentials),
            Some(Command::Import(command)) => command.run().await,
            Some(Command::Export(command)) => command.run().await,
            Some(Command::Healthcheck(command)) => command.run().await,
            Some(Command::Config(command)) => command.run(&database, &credentials, told),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                tracing::debug!(?failure, "the command failed");
                complain(&failure);
                ExitCode::from(if failure.is::<Misuse>() { 2 } else { 1 })
            }
        }
    }
}

/// A duration in a JSON document: seconds.
fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Answers a program on standard output: one JSON document.
fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    print(&format!("{}\n", serde_json::to_string_pretty(document)?))
}

/// Answers on standard output. Whoever stops reading need not be told the rest.
///
/// # Errors
/// When the answer cannot be written where it is wanted.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

fn complain(failure: &dyn fmt::Display) {
    say(&format_args!("photometa: {failure}"));
}

fn warn(warning: &str) {
    say(&format_args!("photometa: warning: {warning}"));
}

/// The folder of a file, which is the current one where its name says none.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Says a line on standard error. Where nobody can be told, there is nobody to tell that.
fn say(line: &dyn fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
