//! How much is generated and measured?

use std::time::Duration;

use clap::ValueEnum;

use super::turns::turns;

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// GetPhoto in view FULL against pgbench.
    Getphoto,
    /// ListPhotos with each filter against pgbench, and how far its slowest calls are from the usual one.
    Filters,
    /// A late page against the first one.
    Deep,
    /// A large organization against a small one.
    Growth,
    /// A member of some projects against an administrator.
    Member,
    /// Processor time of the service for a page with EXIF, against PostgreSQL's.
    Encode,
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
    /// How long each side of a comparison of rates is measured.
    pub duration: Duration,
    /// How long each side of a comparison of latencies is measured.
    pub short: Duration,
    /// Part of the million photos that is generated.
    pub scale: f64,
    /// Photos of the organizations that are compared, the smallest first.
    pub growth: [usize; 3],
    /// The late page's number, from 1.
    pub page: usize,
}

impl Plan {
    /// The form whose numbers may be quoted.
    pub fn full() -> Self {
        Self {
            quick: false,
            rounds: 3,
            warmup: Duration::from_millis(300),
            duration: Duration::from_millis(1200),
            short: Duration::from_millis(700),
            scale: 1.0,
            growth: [10_000, 100_000, 1_000_000],
            page: 1000,
        }
    }

    /// The same at small size.
    pub fn quick() -> Self {
        Self {
            quick: true,
            rounds: 1,
            warmup: Duration::from_millis(200),
            duration: Duration::from_millis(800),
            short: Duration::from_millis(300),
            scale: 0.05,
            growth: [2000, 10_000, 50_000],
            page: 50,
        }
    }

    /// The sides of a comparison, in the order in which they run.
    pub fn turns<T: Copy>(&self, sides: &[T]) -> Vec<T> {
        turns(self.rounds, sides)
    }
}
