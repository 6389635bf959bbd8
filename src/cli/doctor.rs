//! `photometa doctor`: is the database fit to keep tenants apart and to serve? Exit status 0 when nothing failed.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use clap::Args;
use serde::Serialize;

use super::database::{Reached, standby};
use super::{Failure, print, print_json};
use crate::config::{Database, colours};
use crate::db::doctor::{Finding, State, examine, examine_standby};

/// Examines the database with the rights of the service's own login. Changes nothing.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print one JSON document instead of lines for people.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    /// Whether nothing failed.
    ok: bool,
    failed: usize,
    warnings: usize,
    findings: &'a [Finding],
}

impl Doctor {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        let deployment = database.deployment();
        let found = async {
            Reached::expect(database)?;
            let standby = standby(database)?;
            Ok::<_, Failure>((Reached::find(database).await?, standby))
        };
        let findings = match found.await {
            Ok((reached, standby)) => {
                let mut findings = examine(&reached.app, deployment).await;
                if let Some(standby) = &standby {
                    findings.extend(examine_standby(&standby.target, deployment).await);
                }
                reached.leave().await?;
                findings
            }
            // Programs that read the report get one all the same.
            Err(failure) => vec![Finding::unreachable(failure.to_string())],
        };
        let count = |state| findings.iter().filter(|finding| finding.state == state).count();
        let (failed, warnings) = (count(State::Failed), count(State::Warning));
        if self.json {
            let report = Report { ok: failed == 0, failed, warnings, findings: &findings };
            print_json(&report)?;
        } else {
            print(&lines(&findings, colours(std::io::stdout().is_terminal())))?;
        }
        if failed > 0 {
            return Err(format!("{failed} of {} findings must be mended", findings.len()).into());
        }
        Ok(())
    }
}

fn lines(findings: &[Finding], colours: bool) -> String {
    let mut text = String::new();
    for Finding { check, state, message, fix } in findings {
        let (word, colour) = match state {
            State::Ok => ("ok", 32),
            State::Skipped => ("skipped", 36),
            State::Warning => ("warning", 33),
            State::Failed => ("failed", 31),
        };
        let word = if colours { format!("\x1b[{colour}m{word:8}\x1b[0m") } else { format!("{word:8}") };
        let _ = writeln!(text, "{word} {check:16} {message}");
        if let Some(fix) = fix {
            let _ = writeln!(text, "{:25} → {fix}", "");
        }
    }
    text
}
