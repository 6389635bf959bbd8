//! Claims between the wire and the model, with the field rules.

use std::time::Duration;

use crate::check::{At, Violations, each_once};
use crate::detection::convert::read_queue;
use crate::detection::model::Claim;
use crate::error::Result;
use crate::id::DetectionId;
use crate::{MAX_BATCH, pb};

/// Most detections of one call.
const MAX_COUNT: i32 = 200;
/// How many when it is not said.
const DEFAULT_COUNT: usize = 10;
/// Shortest and longest claim.
const DURATIONS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// How long when it is not said.
const DEFAULT_DURATION: Duration = Duration::from_secs(15 * 60);

/// Reads ClaimPendingDetections.
pub(in crate::detection) fn claim(request: pb::ClaimPendingDetectionsRequest) -> Result<Claim> {
    let pb::ClaimPendingDetectionsRequest { project_ids, types, strategy, count, duration } = request;
    let mut checks = Violations::new();
    let queue = read_queue(&mut checks, &project_ids, &types, strategy);
    let count = checks.within(&At::REQUEST.field("count"), Some(count), 0..=MAX_COUNT);
    let count = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let duration_at = At::REQUEST.field("duration");
    let duration = duration.and_then(|given| checks.duration(&duration_at, given, DURATIONS, "1 second to 1 day"));
    checks.finish()?;
    Ok(Claim { queue, count: count.unwrap_or(DEFAULT_COUNT), duration: duration.unwrap_or(DEFAULT_DURATION) })
}

/// Reads ReleaseClaimedDetections.
pub(in crate::detection) fn release(request: pb::ReleaseClaimedDetectionsRequest) -> Result<Vec<DetectionId>> {
    let pb::ReleaseClaimedDetectionsRequest { ids } = request;
    let mut checks = Violations::new();
    let ids = each_once(checks.ids(&At::REQUEST, "ids", &ids, 0..=MAX_BATCH));
    checks.finish()?;
    Ok(ids)
}
