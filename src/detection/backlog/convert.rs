//! Backlogs between the wire and the model, with the field rules.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Backlog, DEFAULT_WINDOW};
use crate::check::{At, Violations, to_pb_time};
use crate::detection::convert::shown_type;
use crate::error::Result;
use crate::pb;

/// Shortest and longest window.
const WINDOWS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(90 * 24 * 60 * 60);

/// Reads GetModelBacklogs: how far back.
pub(in crate::detection) fn read(request: pb::GetModelBacklogsRequest) -> Result<Duration> {
    let pb::GetModelBacklogsRequest { window } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("window");
    let window = window.and_then(|given| checks.duration(&at, given, WINDOWS, "1 minute to 90 days"));
    checks.finish()?;
    Ok(window.unwrap_or(DEFAULT_WINDOW))
}

/// Shows backlogs.
pub(in crate::detection) fn answer(backlogs: Vec<Backlog>) -> pb::GetModelBacklogsResponse {
    let shown =
        backlogs.into_iter().map(|Backlog { detection_type, model_version, photos, oldest, .. }| pb::ModelBacklog {
            detection_type: shown_type(&detection_type).into(),
            model_version,
            photo_count: photos,
            oldest_create_time: oldest.map(to_pb_time),
        });
    pb::GetModelBacklogsResponse { backlogs: shown.collect() }
}
