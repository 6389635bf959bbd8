//! Backlogs: what each model has not seen yet. A model that has a result on a recent photo is one that is used, and each
//! recent photo without a result of it waits for it.

mod convert;
mod query;
mod watch;

use std::time::Duration;

use jiff::Timestamp;

pub(super) use self::convert::{answer, read};
pub(super) use self::query::backlogs;
pub use self::watch::{Backlogs, Waiting};

/// How far back it is looked when nobody says how far.
const DEFAULT_WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What one model has not seen yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backlog {
    /// damage, material or volume.
    detection_type: String,
    /// The model and its version.
    model_version: String,
    /// Photos without a result of it.
    photos: i64,
    /// When the oldest of them was created.
    oldest: Option<Timestamp>,
    /// When its newest result was stored.
    newest_result: Timestamp,
}
