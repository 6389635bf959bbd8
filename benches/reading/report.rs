//! What was measured.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::calls::Seen;
use super::comparison::{Bound, Line, Place, columns, form, median};
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
    /// Photos of the organizations of one shape.
    pub sizes: Vec<usize>,
    /// One for each question.
    pub groups: Vec<Group>,
    /// What each side did in each case.
    pub cases: Vec<Case>,
}

/// Comparisons that answer one question.
#[derive(Debug, Serialize, Deserialize)]
pub struct Group {
    /// What all of them measure.
    pub name: String,
    /// One for each case.
    pub lines: Vec<Line>,
}

/// What happened in one case.
#[derive(Debug, Serialize, Deserialize)]
pub struct Case {
    /// Its group.
    pub group: String,
    /// What was asked for.
    pub name: String,
    /// Photos of an answer, on average.
    pub photos: f64,
    /// The sides, medians of their rounds.
    pub sides: Vec<(String, Timing)>,
}

/// How often, and how soon.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Timing {
    /// Answers in a second.
    pub rate: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of latency in milliseconds.
    pub p99_ms: f64,
}

impl Timing {
    /// Of what callers saw in so long a time.
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
    pub fn of(seen: &Seen, duration: Duration) -> Self {
        Self {
            rate: seen.latencies.len() as f64 / duration.as_secs_f64(),
            p50_ms: seen.percentile_ms(50),
            p99_ms: seen.percentile_ms(99),
        }
    }

    /// The medians of rounds.
    pub fn middle(rounds: &[Self]) -> Self {
        let middle = |value: fn(&Self) -> f64| median(&rounds.iter().map(value).collect::<Vec<_>>());
        Self {
            rate: middle(|timing| timing.rate),
            p50_ms: middle(|timing| timing.p50_ms),
            p99_ms: middle(|timing| timing.p99_ms),
        }
    }
}

impl Group {
    /// Of several lines, the one that is nearest to what is not allowed, which names the others' number; few are told in
    /// full.
    pub fn summary(&self) -> Vec<Line> {
        if self.lines.len() <= 4 {
            return self.lines.clone();
        }
        let margin = |line: &Line| match line.bound {
            Bound::AtLeast(least) => line.result() / least,
            Bound::AtMost(most) => most / line.result(),
            Bound::Shown => f64::MAX,
        };
        let worst = self.lines.iter().min_by(|one, other| margin(one).total_cmp(&margin(other)));
        let kept = self.lines.iter().filter(|line| line.bound.holds(line.result())).count();
        let of = |line: &Line| Line {
            against: format!("{} (worst of {} cases, {kept} keep the bound)", line.against, self.lines.len()),
            ..line.clone()
        };
        worst.map(of).into_iter().collect()
    }
}

impl Report {
    /// Nothing yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            form: form(plan.quick, plan.rounds, plan.duration.as_secs_f64()),
            quick: plan.quick,
            place: Place::here(),
            sizes: plan.growth.to_vec(),
            groups: Vec::new(),
            cases: Vec::new(),
        }
    }

    /// Takes a comparison into a group.
    pub fn add(&mut self, group: &str, line: Line) {
        eprintln!("{}", line.cells().join(" | "));
        match self.groups.iter_mut().find(|found| found.name == group) {
            Some(found) => found.lines.push(line),
            None => self.groups.push(Group { name: group.to_owned(), lines: vec![line] }),
        }
    }

    /// Keeps what the sides of a case did.
    pub fn keep(&mut self, group: &str, name: &str, photos: f64, sides: &[(&str, &[Timing])]) {
        let sides: Vec<_> = sides.iter().map(|(side, rounds)| ((*side).to_owned(), Timing::middle(rounds))).collect();
        let told = sides.iter().map(|(side, Timing { rate, p50_ms, p99_ms })| {
            format!("{side} {rate:.0}/s, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms")
        });
        eprintln!("{group}, {name} ({photos:.0} photos): {}", told.collect::<Vec<_>>().join("; "));
        self.cases.push(Case { group: group.to_owned(), name: name.to_owned(), photos, sides });
    }

    /// All lines.
    pub fn lines(&self) -> Vec<Line> {
        self.groups.iter().flat_map(|group| group.lines.clone()).collect()
    }

    /// A few lines that stand for all.
    pub fn summary(&self) -> Vec<Line> {
        self.groups.iter().flat_map(Group::summary).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.\n{}.\n{}", self.form, self.place.told(), columns(&self.lines()))
    }
}
