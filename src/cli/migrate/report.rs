//! What `migrate … --json` prints.

use serde::Serialize;
use serde_json::json;

use crate::cli::Failure;
use crate::db::hypertable;
use crate::db::migrate::{MigrateError, Observer, Planned, VERSIONS, newest};

#[derive(Serialize)]
struct Status {
    /// Version of the database; 0 before the first.
    version: u32,
    /// Version that this program serves.
    newest: u32,
    up_to_date: bool,
    /// What is wrong with the history: an edited file, a gap, versions of a newer program.
    problem: Option<String>,
    versions: Vec<Version>,
    /// How detection_events is stored.
    layout: String,
    invalid_indexes: Vec<String>,
}

#[derive(Serialize)]
struct Version {
    number: u32,
    name: String,
    /// RFC 3339; null when it is not applied.
    applied_at: Option<String>,
    /// Whether this program has it.
    known: bool,
}

/// Where the schema is.
pub(super) async fn status(observer: &Observer) -> Result<String, Failure> {
    let applied = observer.applied().await?;
    let known = (1..).zip(VERSIONS).map(|(number, version)| {
        let at = applied.iter().find(|applied| applied.number == number).map(|applied| applied.at.clone());
        Version { number, name: version.name.to_owned(), applied_at: at, known: true }
    });
    let unknown = applied.iter().filter(|applied| applied.number > newest()).map(|applied| Version {
        number: applied.number,
        name: format!("V{:04}__{}", applied.number, applied.name),
        applied_at: Some(applied.at.clone()),
        known: false,
    });
    let standing = observer.up_to_date().await;
    text(&Status {
        version: applied.last().map_or(0, |applied| applied.number),
        newest: newest(),
        up_to_date: standing.is_ok(),
        problem: standing
            .err()
            .filter(|wrong| !matches!(wrong, MigrateError::Behind { .. }))
            .map(|wrong| wrong.to_string()),
        versions: known.chain(unknown).collect(),
        layout: hypertable::layout(observer.client()).await.map_err(MigrateError::from)?.to_string(),
        invalid_indexes: observer.invalid_indexes().await?,
    })
}

/// What a step did, under the name of what it did.
pub(super) async fn moved(what: &str, names: &[String], observer: &Observer) -> Result<String, Failure> {
    let version = observer.current().await?.unwrap_or(0);
    text(&json!({ what: names, "version": version, "invalid_indexes": observer.invalid_indexes().await? }))
}

/// What the missing versions would do; `locks` is null where somebody has to read the statement to know.
pub(super) fn plan(versions: &[Planned]) -> Result<String, Failure> {
    let versions: Vec<_> = versions
        .iter()
        .map(|Planned { name, statements }| {
            let statements = statements.iter().map(|statement| {
                let locks = statement.touched.as_ref();
                let locks = locks.map(|touched| touched.iter().map(ToString::to_string).collect::<Vec<_>>());
                json!({ "sql": statement.text, "locks": locks })
            });
            json!({ "name": name, "statements": statements.collect::<Vec<_>>() })
        })
        .collect();
    text(&json!({ "versions": versions }))
}

fn text(document: &impl Serialize) -> Result<String, Failure> {
    Ok(format!("{}\n", serde_json::to_string_pretty(document)?))
}
