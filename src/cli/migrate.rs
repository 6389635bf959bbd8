//! `photometa migrate`: the schema, forward, backward, where it is, and what a step would do.

mod report;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;

use super::client::spinner;
use super::database::Reached;
use super::{Failure, print};
use crate::config::Database;
use crate::db::Target;
use crate::db::migrate::{MigrateError, Migrator, Observer, Planned, PlannedStatement, Touched, VERSIONS};
use crate::db::{catalog, describe, hypertable};

/// What `migrate --help` ends with.
const EXAMPLES: &str = "\
Examples:
  photometa migrate status
  photometa migrate plan
      The SQL that `migrate up` would run, with the locks it takes on tables that are in use.
  PHOTOMETA_MIGRATION_URL=postgres://postgres:…@host/db photometa migrate up
      As somebody who may: the first time, it makes the roles, too.
  until photometa migrate status --check; do sleep 1; done
      Waits until every version is applied.";

/// Brings the schema to a version. Without a database URL, that of the private PostgreSQL.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Migrate {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Apply the missing versions (`serve` does so too).
    Up {
        /// Last version to apply [default: the newest].
        #[arg(long)]
        to: Option<u32>,
        /// Print one JSON document instead of lines.
        #[arg(long)]
        json: bool,
    },
    /// Undo every version above the given one. The rows of what they made are lost.
    Down {
        /// Version to go back to; 0 undoes everything.
        #[arg(long)]
        to: u32,
        /// Print one JSON document instead of lines.
        #[arg(long)]
        json: bool,
    },
    /// Show which versions are applied, and whether an index was left invalid.
    Status {
        /// Exit status 1 unless every version is applied.
        #[arg(long)]
        check: bool,
        /// Print one JSON document instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Show the SQL of the missing versions, the locks each statement takes on tables that are in use, and their rows.
    Plan {
        /// Print one JSON document instead of SQL.
        #[arg(long)]
        json: bool,
    },
    /// Make detection_events a hypertable, where TimescaleDB is installed. Needs a superuser as PHOTOMETA_MIGRATION_URL.
    Hypertable,
    /// Print the schema's documentation from the live database: diagram, data dictionary, indexes.
    Describe {
        /// Print the facts that `photometa doctor` compares instead, one a line.
        #[arg(long, conflicts_with = "write")]
        facts: bool,
        /// Bring README.md and declared.txt of this folder up to date instead (migrations/ of the source).
        #[arg(long, value_name = "FOLDER")]
        write: Option<PathBuf>,
    },
}

impl Migrate {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        if !matches!(self.step, Step::Up { .. } | Step::Hypertable) {
            Reached::expect(database)?;
        }
        let reached = Reached::find(database).await?;
        let check = matches!(self.step, Step::Status { check: true, .. });
        let outcome = self.step.run(&reached.owner).await;
        let missing = if check && outcome.is_ok() { missing(&reached.owner).await.err() } else { None };
        reached.leave().await?;
        print(&outcome?)?;
        missing.map_or(Ok(()), Err)
    }
}

impl Step {
    async fn run(self, target: &Target) -> Result<String, Failure> {
        match self {
            Self::Up { to, json } => {
                let mut migrator = Migrator::connect(target).await?;
                let bar = working("migrating");
                let applied = match to {
                    Some(target) => migrator.up_to(target).await,
                    None => migrator.up().await,
                };
                bar.finish_and_clear();
                let applied = applied?;
                if json {
                    return report::moved("applied", &applied, &migrator).await;
                }
                Ok(listed("applied", &applied, &migrator).await? + &invalid(&migrator).await?)
            }
            Self::Down { to, json } => {
                let mut migrator = Migrator::connect(target).await?;
                let bar = working("undoing");
                let undone = migrator.down(to).await;
                bar.finish_and_clear();
                let undone = undone?;
                if json {
                    report::moved("undone", &undone, &migrator).await
                } else {
                    listed("undone", &undone, &migrator).await
                }
            }
            Self::Status { json: true, .. } => report::status(&Observer::connect(target).await?).await,
            Self::Status { json: false, .. } => status(&Observer::connect(target).await?).await,
            Self::Plan { json } => {
                let versions = Observer::connect(target).await?.plan().await?;
                if json { report::plan(&versions) } else { Ok(plan(&versions)) }
            }
            Self::Hypertable => Ok(format!("{}\n", hypertable::convert(target).await?)),
            Self::Describe { facts, write } => {
                described(&Observer::connect(target).await?, facts, write.as_deref()).await
            }
        }
    }
}

/// A bar that turns while the database works: nobody knows for how long.
fn working(what: &'static str) -> ProgressBar {
    let bar = spinner(what);
    bar.set_message("a table that is in use is waited for");
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Refuses a schema that is not at this program's version.
async fn missing(target: &Target) -> Result<(), Failure> {
    Ok(Observer::connect(target).await?.up_to_date().await?)
}

async fn listed(what: &str, names: &[String], observer: &Observer) -> Result<String, Failure> {
    if names.is_empty() {
        let current = observer.current().await?.unwrap_or(0);
        return Ok(format!("nothing to do: the database is at version {current}\n"));
    }
    let lines: Vec<String> = names.iter().map(|name| format!("{what} {name}\n")).collect();
    Ok(lines.concat())
}

async fn invalid(observer: &Observer) -> Result<String, Failure> {
    let line = |name| format!("the index {name} is invalid: reindex index concurrently companycam_photos.{name}\n");
    Ok(observer.invalid_indexes().await?.into_iter().map(line).collect())
}

async fn status(observer: &Observer) -> Result<String, Failure> {
    let applied = observer.applied().await?;
    let mut text = String::new();
    for (number, version) in (1..).zip(VERSIONS) {
        let line = match applied.iter().find(|applied| applied.number == number) {
            Some(applied) => format!("applied  {}  {}\n", applied.at.get(..19).unwrap_or(&applied.at), version.name),
            None => format!("missing  {:19}  {}\n", "", version.name),
        };
        text += &line;
    }
    for unknown in applied.iter().filter(|applied| applied.number as usize > VERSIONS.len()) {
        let _ =
            writeln!(text, "unknown  {}  V{:04}__{}: run a newer photometa", unknown.at, unknown.number, unknown.name);
    }
    // What is wrong with the history: an edited file, a gap, a newer program.
    if let Err(wrong) = observer.up_to_date().await
        && !matches!(wrong, MigrateError::Behind { .. })
    {
        let _ = writeln!(text, "{wrong}");
    }
    let _ = writeln!(text, "{}", hypertable::layout(observer.client()).await.map_err(MigrateError::from)?);
    Ok(text + &invalid(observer).await?)
}

/// SQL to be read; `migrate up` runs it and records it.
fn plan(versions: &[Planned]) -> String {
    if versions.is_empty() {
        return "-- nothing to do: every version is applied\n".to_owned();
    }
    let mut text = String::new();
    for Planned { name, statements } in versions {
        let _ = writeln!(
            text,
            "-- {name}: {} statements, one transaction; its locks are held to the end of it",
            statements.len()
        );
        for (number, PlannedStatement { text: sql, touched }) in (1..).zip(statements) {
            text.push('\n');
            match touched {
                None => {
                    let _ = writeln!(text, "-- statement {number}\n-- its locks are not known here: read it");
                }
                Some(touched) if touched.is_empty() => {}
                Some(touched) => {
                    let _ = writeln!(text, "-- statement {number}");
                    text.extend(touched.iter().map(lock));
                }
            }
            let _ = writeln!(text, "{sql};");
        }
        text.push('\n');
    }
    text
}

fn lock(touched: &Touched) -> String {
    format!("-- {touched}\n")
}

async fn described(observer: &Observer, facts: bool, write: Option<&Path>) -> Result<String, Failure> {
    observer.up_to_date().await?;
    let found = catalog::text(&observer.facts().await?);
    if facts {
        return Ok(found);
    }
    let description = describe::describe(observer.client()).await.map_err(MigrateError::from)?;
    let Some(folder) = write else {
        let describe::Description { diagram, dictionary, indexes } = description;
        return Ok(format!("{diagram}\n{dictionary}\n{indexes}"));
    };
    let page = folder.join("README.md");
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error| format!("{path}: {error}")
    };
    let text = std::fs::read_to_string(&page).map_err(at(&page))?;
    let text = description
        .written_into(&text)
        .map_err(|part| format!("{} lacks the marks of the generated {part}", page.display()))?;
    std::fs::write(&page, text).map_err(at(&page))?;
    let declared = folder.join("declared.txt");
    std::fs::write(&declared, found).map_err(at(&declared))?;
    Ok(format!("wrote {} and {}\n", page.display(), declared.display()))
}
