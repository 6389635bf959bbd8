//! `photometa migrate`: the schema, forward, backward, and where it is.

use clap::{Args, Subcommand};
use tokio_postgres::Config;

use super::Failure;
use super::serve::{DATABASE, embedded};
use crate::config::Database;
use crate::db::migrate::{Migrator, VERSIONS};

/// Brings the schema to a version. Without a database URL, that of the private PostgreSQL.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Apply every missing version (`serve` does so too).
    Up,
    /// Undo every version above the given one. Their rows are lost.
    Down {
        /// Version to go back to; 0 undoes everything.
        #[arg(long)]
        to: u32,
    },
    /// Show which versions are applied.
    Status,
    /// Show the SQL of the missing versions.
    Plan,
}

impl Migrate {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        let running = match migration_config(database)? {
            Some(config) => return self.step.run(&config).await,
            None => embedded(database).await?,
        };
        let outcome = self.step.run(&running.config("postgres", DATABASE)).await;
        running.stop().await?;
        outcome
    }
}

/// The migrating role's connection, when a database is configured.
pub(super) fn migration_config(database: &Database) -> Result<Option<Config>, Failure> {
    let url = database.migration_url.as_ref().or(database.database_url.as_ref());
    let parse = |url: &crate::config::Secret| {
        url.reveal().parse().map_err(|error| format!("the migration URL cannot be read: {error}"))
    };
    Ok(url.map(parse).transpose()?)
}

impl Step {
    #[expect(clippy::print_stdout, reason = "what this command is for")]
    async fn run(self, config: &Config) -> Result<(), Failure> {
        let mut migrator = Migrator::connect(config).await?;
        match self {
            Self::Up => match migrator.up().await?.as_slice() {
                [] => println!("nothing to do: version {} is applied", VERSIONS.len()),
                applied => applied.iter().for_each(|name| println!("applied {name}")),
            },
            Self::Down { to } => match migrator.down(to).await?.as_slice() {
                [] => println!("nothing to do: version {to} is applied"),
                undone => undone.iter().for_each(|name| println!("undone {name}")),
            },
            Self::Status => {
                let current = migrator.current().await?.unwrap_or(0);
                for (number, version) in (1..).zip(VERSIONS) {
                    println!("{} {}", if number <= current { "applied" } else { "missing" }, version.name);
                }
                if usize::try_from(current).is_ok_and(|current| current > VERSIONS.len()) {
                    println!("the database is at version {current}, which this program does not know");
                }
            }
            Self::Plan => {
                let current = migrator.current().await?.unwrap_or(0);
                for (_, version) in (1..).zip(VERSIONS).filter(|(number, _)| *number > current) {
                    println!("-- {}\n{}", version.name, version.up);
                }
            }
        }
        Ok(())
    }
}
