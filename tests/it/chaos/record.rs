//! What the callers and the faults say of a run: when it ends, when a call may take longer, and how often what happened.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tonic::Status;
use tonic_types::StatusExt as _;

/// Shared by everybody.
#[derive(Clone)]
pub struct Record(Arc<Shared>);

struct Shared {
    slack: Duration,
    over: AtomicBool,
    calls: AtomicU64,
    acknowledged: AtomicU64,
    reads: AtomicU64,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// When a part that no server can answer for was down: the line to the callers, or the service itself.
    excuses: Vec<(Instant, Option<Instant>)>,
    faults: BTreeMap<String, u32>,
    refusals: BTreeMap<String, u64>,
    /// From the end of a fault to the next answer.
    recoveries: Vec<Duration>,
    healed: Option<Instant>,
}

impl Record {
    pub fn new(slack: Duration) -> Self {
        let [calls, acknowledged, reads] = std::array::from_fn(|_| AtomicU64::new(0));
        Self(Arc::new(Shared {
            slack,
            over: AtomicBool::new(false),
            calls,
            acknowledged,
            reads,
            counts: Mutex::default(),
        }))
    }

    /// How much longer than its deadline a call may take.
    pub fn slack(&self) -> Duration {
        self.0.slack
    }

    /// Tells the callers to end.
    pub fn stop(&self) {
        self.0.over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }

    /// Begins a time in which the server cannot be blamed for what takes long.
    pub fn excuse(&self) {
        self.0.counts.lock().unwrap().excuses.push((Instant::now(), None));
    }

    /// Takes down that a fault has ended.
    pub fn healed(&self, fault: &str) {
        let mut counts = self.0.counts.lock().unwrap();
        let now = Instant::now();
        if let Some((_, end @ None)) = counts.excuses.last_mut() {
            *end = Some(now);
        }
        counts.healed = Some(now);
        *counts.faults.entry(fault.to_owned()).or_default() += 1;
    }

    /// Whether the server could not be blamed at some time since then. What it was told meanwhile it had to catch up with.
    pub fn is_excused(&self, since: Instant) -> bool {
        let counts = self.0.counts.lock().unwrap();
        counts.excuses.iter().any(|(_, end)| end.is_none_or(|end| end + self.0.slack >= since))
    }

    pub fn called(&self) {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes down an answer.
    pub fn answered(&self) {
        let mut counts = self.0.counts.lock().unwrap();
        if let Some(healed) = counts.healed.take() {
            counts.recoveries.push(healed.elapsed());
        }
    }

    /// Takes down a write that was acknowledged.
    pub fn wrote(&self) {
        self.0.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes down a read that has shown what it should.
    pub fn read(&self) {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused(&self, status: &Status) {
        let reason = status.get_details_error_info().map_or_else(|| "no answer".to_owned(), |info| info.reason);
        let mut counts = self.0.counts.lock().unwrap();
        *counts.refusals.entry(format!("{:?} {reason}", status.code())).or_default() += 1;
    }

    pub fn acknowledged(&self) -> u64 {
        self.0.acknowledged.load(Ordering::Relaxed)
    }

    /// What there is to say of it.
    pub fn summary(&self) -> String {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let mut counts = self.0.counts.lock().unwrap();
        let mut text = format!(
            "{} calls, {} writes acknowledged, {} reads compared\nfaults: {:?}\nrefusals: {:?}",
            count(&self.0.calls),
            count(&self.0.acknowledged),
            count(&self.0.reads),
            counts.faults,
            counts.refusals
        );
        counts.recoveries.sort();
        if let Some(last) = counts.recoveries.len().checked_sub(1) {
            let at = |percent: usize| counts.recoveries[last * percent / 100];
            let _ =
                write!(text, "\nfirst answer after a fault: p50 {:?}, p95 {:?}, longest {:?}", at(50), at(95), at(100));
        }
        text
    }
}
