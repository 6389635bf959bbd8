//! A closed loop: each caller makes its next call when its last one is answered. The measured window begins after a
//! warm-up, in which connections are made and statements prepared.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;

use super::Failure;
use super::cpu::{Used, Watch};

/// Pause of a caller that was refused, so that a server in trouble is not called in a tight loop.
const REFUSED: Duration = Duration::from_millis(10);

/// The measured part of a run.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// From here on answers count.
    pub begin: Instant,
    /// Until here.
    pub end: Instant,
}

impl Window {
    /// A window that opens after the warm-up.
    pub fn after(warmup: Duration, duration: Duration) -> Self {
        let begin = Instant::now() + warmup;
        Self { begin, end: begin + duration }
    }

    /// Processor time used while it is open.
    ///
    /// # Errors
    /// As [`Watch::read`].
    pub async fn watch(self, watch: Watch) -> std::io::Result<Used> {
        sleep_until(self.begin).await;
        let before = watch.read()?;
        sleep_until(self.end).await;
        Ok(watch.read()?.since(before))
    }
}

/// What the callers saw inside the window.
#[derive(Debug, Default)]
pub struct Seen {
    /// Of each answer, shortest first.
    pub latencies: Vec<Duration>,
    /// Calls that failed, the warm-up's too.
    pub errors: usize,
    /// One of their reasons.
    pub refusal: Option<Status>,
}

impl Seen {
    /// A percentile of the latencies in milliseconds; 0 without calls.
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let requests = self.latencies.len();
        let found = self.latencies.get((requests * percent / 100).min(requests.saturating_sub(1)));
        found.copied().unwrap_or_default().as_secs_f64() * 1000.0
    }
}

/// One caller: calls with the next number as soon as the last call is answered.
pub async fn caller(mut call: impl AsyncFnMut(usize) -> Result<(), Status>, mut number: usize, window: Window) -> Seen {
    let mut seen = Seen::default();
    loop {
        let started = Instant::now();
        let outcome = call(number).await;
        let finished = Instant::now();
        if finished >= window.end {
            return seen;
        }
        number += 1;
        match outcome {
            Ok(()) if finished >= window.begin => seen.latencies.push(finished - started),
            Ok(()) => {}
            Err(status) => {
                seen.errors += 1;
                seen.refusal.get_or_insert(status);
                sleep(REFUSED).await;
            }
        }
    }
}

/// Waits until the callers have seen the window close.
///
/// # Errors
/// When a watched process ends. Calls that fail are counted.
pub async fn gather(mut callers: JoinSet<Seen>, window: Window, watch: Watch) -> Result<(Seen, Used), Failure> {
    let used = window.watch(watch).await?;
    let mut all = Seen::default();
    while let Some(seen) = callers.join_next().await {
        let Seen { latencies, errors, refusal } = seen?;
        all.latencies.extend(latencies);
        all.errors += errors;
        all.refusal = all.refusal.or(refusal);
    }
    all.latencies.sort_unstable();
    Ok((all, used))
}
