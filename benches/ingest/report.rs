//! What was measured.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::comparison::{Line, Place, columns, form};
use super::plan::Plan;

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Which form of the benchmark this is.
    pub form: String,
    /// The quick form.
    pub quick: bool,
    /// Where it was measured.
    #[serde(flatten)]
    pub place: Place,
    /// One for each comparison.
    pub lines: Vec<Line>,
    /// Seconds, and mebibytes of the service.
    pub memory: Vec<(f64, f64)>,
    /// Rates on growing tables.
    pub growth: Vec<Point>,
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

impl Report {
    /// Nothing yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            form: form(plan.quick, plan.rounds, plan.duration.as_secs_f64()),
            quick: plan.quick,
            place: Place::here(),
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
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.\n{}.\n{}", self.form, self.place.told(), columns(&self.lines))
    }
}
