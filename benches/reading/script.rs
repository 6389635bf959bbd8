//! pgbench's side: scripts of what the service was seen to say.
//!
//! pgbench cannot bind a null, and one that stands in the text would be planned once and for all. So the scripts prepare
//! the very text themselves, once on each connection, and then say EXECUTE: PostgreSQL plans it as it does the service's.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::calls::Seen;
use super::capture::Transaction;
use super::report::Timing;
use super::server::Server;
use super::{Failure, pgbench};

/// How a transaction's statements travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One round trip for each.
    Plain,
    /// All in one round trip: the least that the transaction can cost a client.
    Pipelined,
}

/// Scripts of one case in a folder of their own.
#[derive(Debug)]
pub struct Scripts {
    folder: PathBuf,
    files: Vec<PathBuf>,
    statements: usize,
}

impl Drop for Scripts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Scripts {
    /// Writes a script for each transaction.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(server: &Server, form: Form, transactions: &[Transaction]) -> Result<Self, Failure> {
        let folder = server.folder().join(format!("pgbench-{form:?}"));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        let mut scripts = Self { folder, files: Vec::new(), statements: 0 };
        let mut texts: Vec<&str> = Vec::new();
        for (number, transaction) in transactions.iter().enumerate() {
            let script = script(form, transaction, &mut texts)?;
            let file = scripts.folder.join(format!("{number}.sql"));
            fs::write(&file, script)?;
            scripts.files.push(file);
        }
        scripts.statements = texts.len();
        Ok(scripts)
    }

    /// Runs them in any order from so many clients.
    ///
    /// # Errors
    /// When pgbench fails.
    pub async fn run(
        &self,
        server: &Server,
        clients: usize,
        warmup: Duration,
        duration: Duration,
    ) -> Result<Timing, Failure> {
        let logs = self.folder.join("log");
        fs::create_dir_all(&logs)?;
        let mut arguments = vec!["--log".to_owned(), format!("--log-prefix={}", logs.join("log").display())];
        arguments.extend((0..self.statements).map(|number| format!("--define=prepared{number}=0")));
        // It counts in whole seconds.
        let whole = Duration::from_secs((warmup + duration).as_millis().div_ceil(1000).try_into()?);
        pgbench::run(server, &self.files, clients, whole, &arguments).await?;
        let timing = timing(&logs, duration);
        fs::remove_dir_all(&logs)?;
        timing
    }
}

fn script<'a>(form: Form, transaction: &'a Transaction, texts: &mut Vec<&'a str>) -> Result<String, Failure> {
    let (mut prepare, mut execute) = (String::new(), String::new());
    for statement in &transaction.statements {
        let number = texts.iter().position(|text| *text == statement.text).unwrap_or_else(|| {
            texts.push(&statement.text);
            texts.len() - 1
        });
        let text = &statement.text;
        write!(
            prepare,
            "\\if :prepared{number} = 0\nprepare statement{number} as {text};\n\\set prepared{number} 1\n\\endif\n"
        )?;
        writeln!(execute, "execute statement{number} ({});", statement.values.join(", "))?;
    }
    let opening = transaction.opening.join(";\n");
    let transaction = format!("{opening};\n{execute}commit;\n");
    Ok(match form {
        Form::Plain => format!("{prepare}{transaction}"),
        Form::Pipelined => format!("{prepare}\\startpipeline\n{transaction}\\endpipeline\n"),
    })
}

/// What pgbench's logs say of the last part of a run: a line for each transaction, with its latency in microseconds as the
/// third word and its end as the last two.
fn timing(logs: &Path, duration: Duration) -> Result<Timing, Failure> {
    let mut seen: Vec<(Duration, Duration)> = Vec::new();
    for log in fs::read_dir(logs)? {
        for line in fs::read_to_string(log?.path())?.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let word = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
            let (Some(latency), Some(seconds), Some(micros)) = (word(2), word(4), word(5)) else {
                return Err(format!("pgbench logged {line}").into());
            };
            seen.push((Duration::from_secs(seconds) + Duration::from_micros(micros), Duration::from_micros(latency)));
        }
    }
    let end = seen.iter().map(|(at, _)| *at).max().ok_or("pgbench logged nothing")?;
    let mut latencies: Vec<Duration> =
        seen.into_iter().filter(|(at, _)| *at + duration > end).map(|(_, latency)| latency).collect();
    latencies.sort_unstable();
    Ok(Timing::of(&Seen { latencies, ..Seen::default() }, duration))
}
