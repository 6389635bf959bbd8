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
    let duration = duration.map_or(DEFAULT_DURATION, |given| self::duration(&mut checks, &duration_at, given));
    checks.finish()?;
    Ok(Claim { queue, count: count.unwrap_or(DEFAULT_COUNT), duration })
}

fn duration(checks: &mut Violations, at: &At<'_>, given: prost_types::Duration) -> Duration {
    // prost's own conversion overflows with the lowest number of seconds.
    let nanos = u32::try_from(given.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let found = u64::try_from(given.seconds).ok().zip(nanos).map(|(seconds, nanos)| Duration::new(seconds, nanos));
    found.filter(|found| DURATIONS.contains(found)).unwrap_or_else(|| {
        checks.refuse(at, "is no duration of 1 second to 1 day");
        DEFAULT_DURATION
    })
}

/// Reads ReleaseClaimedDetections.
pub(in crate::detection) fn release(request: pb::ReleaseClaimedDetectionsRequest) -> Result<Vec<DetectionId>> {
    let pb::ReleaseClaimedDetectionsRequest { ids } = request;
    let mut checks = Violations::new();
    let ids = each_once(checks.ids(&At::REQUEST, "ids", &ids, 0..=MAX_BATCH));
    checks.finish()?;
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_takes_what_is_a_second_to_a_day() {
        let read = |seconds, nanos| {
            let mut checks = Violations::new();
            let found = duration(&mut checks, &At::REQUEST, prost_types::Duration { seconds, nanos });
            checks.is_empty().then_some(found)
        };

        assert_eq!(read(1, 0), Some(Duration::from_secs(1)));
        assert_eq!(read(86_399, 999_999_999), Some(Duration::new(86_399, 999_999_999)));
        for (seconds, nanos) in [
            (0, 999_999_999),
            (86_400, 1),
            (2, -1),
            (-1, 0),
            (1, 1_000_000_000),
            (i64::MIN, 0),
            (i64::MIN, i32::MIN),
            (i64::MAX, i32::MAX),
        ] {
            assert_eq!(read(seconds, nanos), None, "{seconds} s {nanos} ns");
        }
    }
}
