//! What was measured, and the table that says it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::plan::Plan;

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Which form of the benchmark this is.
    pub form: String,
    /// The quick form.
    pub quick: bool,
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
    /// One for each comparison.
    pub lines: Vec<Line>,
    /// Seconds, and mebibytes of the service.
    pub memory: Vec<(f64, f64)>,
    /// Rates on growing tables.
    pub growth: Vec<Point>,
}

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

/// Rates at one size of the table, measured in turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Point {
    /// Rows stored in the larger table.
    pub rows: usize,
    /// Rows per second on the smaller one.
    pub few: f64,
    /// Rows per second on the larger one.
    pub many: f64,
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
pub const HEADS: [&str; 7] = ["measure", "photometa", "the other", "result", "rounds", "required", "kept"];

/// The value in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Report {
    /// Nothing yet.
    pub fn new(plan: &Plan) -> Self {
        let seconds = plan.duration.as_secs_f64();
        let (name, hint) =
            if plan.quick { ("Quick form", ": impressions, not to be quoted") } else { ("Full form", "") };
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
        Self {
            form: format!("{name}{hint}; medians of {} rounds of {seconds} s, each side in turn", plan.rounds),
            quick: plan.quick,
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            processor: processor.unwrap_or("unknown").to_owned(),
            postgresql: String::new(),
            lines: Vec::new(),
            memory: Vec::new(),
            growth: Vec::new(),
        }
    }

    /// Takes a comparison in, and says how it went.
    pub fn add(&mut self, line: Line) {
        eprintln!("{}", line.cells().join(" | "));
        self.lines.push(line);
    }

    /// Where it was measured.
    pub fn machine(&self) -> String {
        let Self { date, version, processors, processor, postgresql, .. } = self;
        format!(
            "{date}, photometa {version}, PostgreSQL {postgresql} with fsync and synchronous_commit, {processors} \
             processors ({processor}) that client, service and PostgreSQL share"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}.\n{}.", self.form, self.machine())?;
        let rows: Vec<[String; 7]> =
            std::iter::once(HEADS.map(str::to_owned)).chain(self.lines.iter().map(Line::cells)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        for row in &rows {
            let cells: Vec<String> =
                row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column))).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}
