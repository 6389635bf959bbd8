//! Comparisons, where they were measured, and the table that says it.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// What the service was asked to do.
    pub measure: String,
    /// What it is compared with.
    pub against: String,
    /// Of both figures.
    pub unit: Unit,
    /// Median of the service's rounds.
    pub ours: f64,
    /// Median of the other side's rounds.
    pub theirs: f64,
    /// What is required of the result.
    pub bound: Bound,
    /// Both sides of each round.
    pub rounds: Vec<(f64, f64)>,
}

/// What the figures of a line count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// More is better.
    CallsPerSecond,
    /// More is better.
    RowsPerSecond,
    /// Of latency.
    Milliseconds,
    /// Of processor time.
    Microseconds,
    /// Of memory: compared by their difference, all else by its quotient.
    Mebibytes,
}

/// What is required of a result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
    /// Nothing: it is shown for orientation.
    Shown,
}

impl Bound {
    /// Whether a result is as required.
    pub fn holds(self, result: f64) -> bool {
        match self {
            Self::AtLeast(least) => result >= least,
            Self::AtMost(most) => result <= most,
            Self::Shown => true,
        }
    }
}

impl Line {
    /// A comparison of both sides' rounds, without a requirement.
    pub fn of(measure: &str, against: &str, unit: Unit, ours: &[f64], theirs: &[f64]) -> Self {
        Self {
            measure: measure.to_owned(),
            against: against.to_owned(),
            unit,
            ours: median(ours),
            theirs: median(theirs),
            bound: Bound::Shown,
            rounds: ours.iter().copied().zip(theirs.iter().copied()).collect(),
        }
    }

    /// The service's figure beside the other.
    pub fn result(&self) -> f64 {
        self.compare((self.ours, self.theirs))
    }

    fn compare(&self, (ours, theirs): (f64, f64)) -> f64 {
        if self.unit == Unit::Mebibytes { ours - theirs } else { ours / theirs }
    }

    /// A result in words.
    pub fn told(&self, result: f64) -> String {
        if self.unit == Unit::Mebibytes { format!("{result:+.0} MiB") } else { format!("{result:.2} x") }
    }

    /// What is required, in words.
    pub fn required(&self) -> String {
        match self.bound {
            Bound::AtLeast(least) => format!("at least {}", self.told(least)),
            Bound::AtMost(most) => format!("at most {}", self.told(most)),
            Bound::Shown => "–".to_owned(),
        }
    }

    /// A figure with its unit.
    pub fn figure(&self, value: f64) -> String {
        match self.unit {
            Unit::CallsPerSecond => format!("{value:.0} calls/s"),
            Unit::RowsPerSecond => format!("{value:.0} rows/s"),
            Unit::Milliseconds => format!("{value:.2} ms"),
            Unit::Microseconds => format!("{value:.1} µs"),
            Unit::Mebibytes => format!("{value:.1} MiB"),
        }
    }

    /// The cells of its row.
    pub fn cells(&self) -> [String; 7] {
        let results = self.rounds.iter().map(|round| self.compare(*round));
        let (least, most) = (results.clone().fold(f64::MAX, f64::min), results.fold(f64::MIN, f64::max));
        let verdict = match self.bound {
            Bound::Shown => "",
            _ if self.bound.holds(self.result()) => "yes",
            _ => "no",
        };
        [
            format!("{}, against {}", self.measure, self.against),
            self.figure(self.ours),
            self.figure(self.theirs),
            self.told(self.result()),
            if self.rounds.len() > 1 { format!("{least:.2}–{most:.2}") } else { String::new() },
            self.required(),
            verdict.to_owned(),
        ]
    }
}

/// Heads of a line's cells.
const HEADS: [&str; 7] = ["measure", "photometa", "the other", "result", "rounds", "required", "kept"];

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Where and with what it was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    /// Day of the measurement.
    pub date: String,
    /// Version of the service.
    pub version: String,
    /// How many processors client, service and PostgreSQL share.
    pub processors: usize,
    /// Their name.
    pub processor: String,
    /// Version of PostgreSQL.
    pub postgresql: String,
}

impl Place {
    /// This machine, today; PostgreSQL is not yet known.
    pub fn here() -> Self {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
        Self {
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            processor: processor.unwrap_or("unknown").to_owned(),
            postgresql: String::new(),
        }
    }

    /// In words.
    pub fn told(&self) -> String {
        let Self { date, version, processors, processor, postgresql } = self;
        format!(
            "{date}, photometa {version}, PostgreSQL {postgresql} with fsync and synchronous_commit, {processors} \
             processors ({processor}) that client, service and PostgreSQL share"
        )
    }
}

/// What a form of a benchmark is called.
pub fn form(quick: bool, rounds: usize, seconds: f64) -> String {
    let (name, hint) = if quick { ("Quick form", ": impressions, not to be quoted") } else { ("Full form", "") };
    let rounds = if rounds == 1 { "one round".to_owned() } else { format!("medians of {rounds} rounds") };
    format!("{name}{hint}; {rounds} of {seconds} s, each side in turn")
}

/// Lines as a table for people at a terminal.
pub fn columns(lines: &[Line]) -> String {
    let rows: Vec<[String; 7]> =
        std::iter::once(HEADS.map(str::to_owned)).chain(lines.iter().map(Line::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// Lines as a table in Markdown.
pub fn markdown(lines: &[Line]) -> String {
    let mut text = format!("| {} |\n|{}\n", HEADS.join(" | "), "---|".repeat(HEADS.len()));
    for line in lines {
        let _ = writeln!(text, "| {} |", line.cells().join(" | "));
    }
    text
}
