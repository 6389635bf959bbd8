//! The picture and the table in README.md, between two marks.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Failure;
use super::report::{HEADS, Report};

const BEGIN: &str = "<!-- begin generated ingest -->";
const END: &str = "<!-- end generated ingest -->";

/// Writes them between the marks.
///
/// # Errors
/// When the file or a mark is missing.
pub fn update(file: &Path, report: &Report) -> Result<(), Failure> {
    let text = fs::read_to_string(file)?;
    let missing = || format!("{} has no {BEGIN} … {END}", file.display());
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(fs::write(file, format!("{before}{BEGIN}\n{}{END}{after}", table(report)?))?)
}

fn table(report: &Report) -> Result<String, Failure> {
    let mut text = "![Results beside what is required of them](docs/ingest.svg)\n\n".to_owned();
    writeln!(text, "| {} |\n|{}", HEADS.join(" | "), "---|".repeat(HEADS.len()))?;
    for line in &report.lines {
        writeln!(text, "| {} |", line.cells().join(" | "))?;
    }
    writeln!(text, "\n{}. {}.", report.form, report.machine())?;
    Ok(text)
}
