//! What is told of a flight: statements that are sent without waiting for one another, with the opening before the first
//! one and the end behind the last. A transaction whose length is known is one flight; in any other, each statement is,
//! and so is its end.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use opentelemetry::KeyValue;
use tracing::Span;

use crate::error::{Error, Result};
use crate::telemetry::trace::{self, Peer};
use crate::telemetry::{ERROR_TYPE, metrics};

/// Why a flight has failed that nobody waits for any more.
const CANCELLED: &str = "cancelled";
/// The same of one whose connection was lost.
const CONNECTION: &str = "connection";
/// What has failed before it was sent.
const OTHER: &str = "_OTHER";

/// A flight until its last answer, or until nobody waits for it: then this is dropped.
#[derive(Debug)]
pub(super) struct Flight {
    started: Instant,
    summary: Cow<'static, str>,
    span: Span,
    /// Statements without an answer.
    open: AtomicUsize,
    failed: OnceLock<Failed>,
}

#[derive(Debug)]
struct Failed {
    class: Cow<'static, str>,
    sqlstate: bool,
}

impl Flight {
    /// Begins one of so many statements, named after the first of them.
    pub(super) fn begin(peer: &Peer, statement: &'static str, statements: usize) -> Self {
        let name = statement.strip_prefix("photometa::").unwrap_or(statement);
        let summary = if statements > 1 { Cow::from(format!("BATCH {name}")) } else { Cow::from(name) };
        let span = trace::flight(peer, &summary, statements);
        Self { started: Instant::now(), summary, span, open: AtomicUsize::new(statements), failed: OnceLock::new() }
    }

    /// One of its statements was answered.
    pub(super) fn answered<T>(&self, outcome: &Result<T>) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = outcome {
            // The first: the others follow from it.
            self.failed.get_or_init(|| Failed::by(error));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let failed = self.failed.take();
        let left = *self.open.get_mut() > 0;
        let failed = failed.or_else(|| left.then_some(Failed { class: CANCELLED.into(), sqlstate: false }));
        let mut labels = vec![
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.query.summary", std::mem::take(&mut self.summary)),
        ];
        if let Some(Failed { class, sqlstate }) = failed {
            trace::flight_failed(&self.span, &class, sqlstate);
            labels.push(KeyValue::new(ERROR_TYPE, class));
        }
        metrics().operation_duration.record(self.started.elapsed().as_secs_f64(), &labels);
    }
}

impl Failed {
    fn by(error: &Error) -> Self {
        match error {
            Error::Database(error) => match error.code() {
                Some(state) => Self { class: state.code().to_owned().into(), sqlstate: true },
                None if error.is_closed() || crate::error::lost(error).is_some() => {
                    Self { class: CONNECTION.into(), sqlstate: false }
                }
                None => Self { class: OTHER.into(), sqlstate: false },
            },
            _ => Self { class: OTHER.into(), sqlstate: false },
        }
    }
}
