//! Logs: to standard error, pretty on a terminal and JSON elsewhere, filtered by `RUST_LOG`. Panics are among them, with
//! the call they happened in.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::panics;

/// Starts logging.
pub fn start() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,refinery_core=warn,deadpool=error"));
    let terminal = std::io::stderr().is_terminal();
    let (pretty, json) = if terminal {
        (Some(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false)), None)
    } else {
        (None, Some(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).json()))
    };
    // A second start keeps the first.
    if tracing_subscriber::registry().with(filter).with(pretty).with(json).try_init().is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let stack = Backtrace::capture();
            let stack = (stack.status() == BacktraceStatus::Captured).then(|| stack.to_string());
            tracing::error!(place, words = panics::words(panic.payload()), stack, "panicked");
        }));
    }
}
