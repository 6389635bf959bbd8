//! What does the service say to PostgreSQL when it reads? PostgreSQL's log tells: statements and their parameters.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::Failure;
use super::reader::{Read, Reader};
use super::server::Server;

/// For PostgreSQL's processes to hear of a setting.
const HEARD: Duration = Duration::from_millis(100);
const ATTEMPTS: usize = 40;

/// A transaction that only reads.
#[derive(Debug)]
pub struct Transaction {
    /// From BEGIN to the last SET LOCAL.
    pub opening: Vec<String>,
    /// What it reads.
    pub statements: Vec<Statement>,
}

/// A prepared statement and its parameters.
#[derive(Debug)]
pub struct Statement {
    /// With `$1` and so on.
    pub text: String,
    /// As SQL literals.
    pub values: Vec<String>,
}

/// Makes each read once; answers what PostgreSQL was told, and how many photos came on average.
///
/// # Errors
/// When the service refuses, or the log does not show one whole transaction for each read.
#[expect(clippy::cast_precision_loss, reason = "counts of photos are far below 2^52")]
pub async fn capture(server: &Server, reader: &mut Reader, reads: &[Read]) -> Result<(Vec<Transaction>, f64), Failure> {
    let superuser = server.superuser().await?;
    let log = server.folder().join("data/postgres.log");
    for statement in ["alter system set log_statement = 'all'", "select pg_reload_conf()"] {
        superuser.batch_execute(statement).await?;
    }
    sleep(HEARD).await;
    let (mut transactions, mut photos) = (Vec::new(), 0);
    for read in reads {
        let before = File::open(&log)?.metadata()?.len();
        photos += reader.read(read).await?;
        let mut attempts = ATTEMPTS;
        transactions.push(loop {
            if let Some(transaction) = transaction(&since(&log, before)?) {
                break transaction;
            }
            attempts -= 1;
            if attempts == 0 {
                return Err(format!("{} shows no transaction for {read:?}", log.display()).into());
            }
            sleep(Duration::from_millis(10)).await;
        });
    }
    for statement in ["alter system reset log_statement", "select pg_reload_conf()"] {
        superuser.batch_execute(statement).await?;
    }
    sleep(HEARD).await;
    Ok((transactions, photos as f64 / reads.len() as f64))
}

fn since(log: &Path, before: u64) -> Result<String, Failure> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(before))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Finds the first whole transaction that only reads. Other connections may speak in between.
fn transaction(log: &str) -> Option<Transaction> {
    let mut found = None;
    for Entry { process, text } in entries(log) {
        if text == "LOG:  statement: begin read only" && found.is_none() {
            let opening = vec!["begin read only".to_owned()];
            found = Some((process, Transaction { opening, statements: Vec::new() }));
            continue;
        }
        let Some((_, transaction)) = found.as_mut().filter(|(its, _)| *its == process) else { continue };
        if text == "LOG:  statement: commit" {
            return found.map(|(_, transaction)| transaction);
        } else if let Some(context) = text.strip_prefix("LOG:  statement: ") {
            transaction.opening.extend(context.split("; ").map(str::to_owned));
        } else if let Some(execution) = text.strip_prefix("LOG:  execute ") {
            // The statement's name, which never has a colon, comes first.
            let (_, text) = execution.split_once(": ")?;
            transaction.statements.push(Statement { text: text.to_owned(), values: Vec::new() });
        } else if let Some(parameters) = text.strip_prefix("DETAIL:  parameters: ") {
            transaction.statements.last_mut()?.values = values(parameters);
        }
    }
    None
}

/// What a process of PostgreSQL says.
struct Entry<'a> {
    process: &'a str,
    text: String,
}

/// What stands behind time and process, with the lines that continue it.
fn entries(log: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for line in log.lines() {
        if let Some(more) = line.strip_prefix('\t') {
            if let Some(entry) = entries.last_mut() {
                entry.text.push('\n');
                entry.text.push_str(more);
            }
        } else if let Some((head, text)) = line.split_once("] ") {
            let process = head.rsplit('[').next().unwrap_or_default();
            entries.push(Entry { process, text: text.to_owned() });
        }
    }
    entries
}

/// The literals of `$1 = 'one', $2 = NULL`.
fn values(parameters: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = parameters.strip_prefix("$1 = ").unwrap_or_default();
    while !rest.is_empty() {
        let next = format!(", ${} = ", values.len() + 2);
        let (value, more) = rest.split_once(&next).unwrap_or((rest, ""));
        values.push(value.to_owned());
        rest = more;
    }
    values
}
