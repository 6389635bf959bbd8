//! How much is measured, and in which order?

use std::time::Duration;

use clap::ValueEnum;

use super::turns::turns;

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// CreateDetection against pgbench and against the same transaction in one flight.
    Unary,
    /// IngestDetections against unnest and COPY, and the processor time of its rows.
    Stream,
    /// The service's memory before a slow database.
    Memory,
    /// IngestDetections on few and on many rows.
    Growth,
}

/// Sizes of a run.
#[derive(Debug)]
pub struct Plan {
    /// The quick form: its numbers are impressions.
    pub quick: bool,
    /// How often each side is measured; odd, so that there is one in the middle.
    pub rounds: usize,
    /// How long each side runs before it is measured.
    pub warmup: Duration,
    /// How long each side is measured.
    pub duration: Duration,
    /// How long the service's memory is watched.
    pub memory: Duration,
    /// Rows that the smaller table has.
    pub few: usize,
    /// Rows that the larger table has, one after the other. The last one counts.
    pub many: &'static [usize],
}

impl Plan {
    /// The form whose numbers may be quoted.
    pub fn full() -> Self {
        Self {
            quick: false,
            rounds: 5,
            warmup: Duration::from_secs(2),
            duration: Duration::from_secs(10),
            memory: Duration::from_secs(600),
            few: 50_000,
            many: &[500_000, 1_000_000, 2_000_000, 5_000_000],
        }
    }

    /// The same at small size.
    pub fn quick() -> Self {
        Self {
            quick: true,
            rounds: 3,
            warmup: Duration::from_millis(500),
            duration: Duration::from_secs(2),
            memory: Duration::from_secs(30),
            few: 50_000,
            many: &[200_000, 500_000],
        }
    }

    /// The sides of a comparison, in the order in which they run.
    pub fn turns<T: Copy>(&self, sides: &[T]) -> Vec<T> {
        turns(self.rounds, sides)
    }
}
