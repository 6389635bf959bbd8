//! Statistics between the wire and the model, with the field rules.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use prost::Message as _;

use super::calendar::{self, Unit};
use super::model::{Cell, Grouping, Keys, MAX_CELLS, Numbers, Report, groups};
use crate::check::{At, Violations, to_pb_time};
use crate::detection::convert::{shown_duration, shown_type};
use crate::error::{Error, Result};
use crate::page::MAX_BYTES;
use crate::{MAX_BATCH, pb};

/// Most buckets of a report.
const MAX_BUCKETS: usize = 2000;

/// Reads GetDetectionStats.
pub(in crate::detection) fn read(request: pb::GetDetectionStatsRequest) -> Result<Report> {
    let pb::GetDetectionStatsRequest { time, bucket, time_zone, group_by, project_ids } = request;
    let mut checks = Violations::new();
    let range = range(&mut checks, &At::REQUEST.field("time"), time.unwrap_or_default());
    let bucket_at = At::REQUEST.field("bucket");
    let unit = unit(checks.known(&bucket_at, bucket));
    let zone = zone(&mut checks, &At::REQUEST.field("time_zone"), &time_zone);
    let grouping = grouping(&mut checks, &group_by);
    let project_ids = checks.ids(&At::REQUEST, "project_ids", &project_ids, 0..=MAX_BATCH);
    let mut starts = Vec::new();
    if let Some(((range, unit), zone)) = range.zip(unit).zip(zone) {
        match calendar::cut(&zone, unit, range, MAX_BUCKETS) {
            Ok(found) => starts = found,
            Err(count) => checks.refuse(
                &bucket_at,
                format!("cuts time into {count}; {MAX_BUCKETS} are allowed: choose a longer one, or a shorter time"),
            ),
        }
    }
    checks.finish()?;
    let end = range.map(|(_, end)| end).unwrap_or_default();
    Ok(Report { starts, end, grouping, project_ids })
}

/// Reads a range of which neither end may be absent.
fn range(checks: &mut Violations, at: &At<'_>, range: pb::TimeRange) -> Option<(Timestamp, Timestamp)> {
    let missing = [("start", range.start.is_none()), ("end", range.end.is_none())];
    for (name, _) in missing.into_iter().filter(|(_, missing)| *missing) {
        checks.refuse(&at.field(name), "is required");
    }
    if missing.iter().all(|(_, missing)| *missing) {
        return None;
    }
    let (start, end) = checks.time_range(at, Some(range));
    start.zip(end).filter(|(start, end)| start < end)
}

fn unit(bucket: pb::StatsBucket) -> Option<Unit> {
    match bucket {
        pb::StatsBucket::Unspecified => None,
        pb::StatsBucket::Hour => Some(Unit::Hour),
        pb::StatsBucket::Day => Some(Unit::Day),
        pb::StatsBucket::Week => Some(Unit::Week),
        pb::StatsBucket::Month => Some(Unit::Month),
    }
}

fn zone(checks: &mut Violations, at: &At<'_>, name: &str) -> Option<TimeZone> {
    if name.is_empty() {
        return Some(TimeZone::UTC);
    }
    let zone = calendar::zone(name);
    if zone.is_none() {
        checks.refuse(at, "is no time zone of the IANA database such as Europe/Berlin");
    }
    zone
}

fn grouping(checks: &mut Violations, group_by: &[i32]) -> Grouping {
    let mut grouping = Grouping::default();
    if !checks.count(&At::REQUEST.field("group_by"), group_by.len(), 0..=3) {
        return grouping;
    }
    for (index, number) in group_by.iter().enumerate() {
        let at = At::REQUEST.item("group_by", index);
        let key = match checks.known(&at, *number) {
            pb::StatsGroup::Unspecified => continue,
            pb::StatsGroup::Type => &mut grouping.detection_type,
            pb::StatsGroup::ModelVersion => &mut grouping.model_version,
            pb::StatsGroup::Project => &mut grouping.project,
        };
        if std::mem::replace(key, true) {
            checks.refuse(&at, "repeats another one");
        }
    }
    grouping
}

/// Shows a report: every group in every bucket.
///
/// # Errors
/// [`Error::Invalid`] when that is too much for one response, which only the detections show.
pub(in crate::detection) fn answer(report: &Report, cells: Vec<Cell>) -> Result<pb::GetDetectionStatsResponse> {
    let (groups, buckets) = (groups(report.grouping, &cells), report.starts.len());
    if cells.len() > MAX_CELLS || groups.len() * buckets > MAX_CELLS {
        let more = if cells.len() > MAX_CELLS { " or more" } else { "" };
        let groups = groups.len();
        return Err(too_much(format!(
            "finds {groups} groups{more} in {buckets} buckets; {MAX_CELLS} are allowed in all"
        )));
    }
    let mut numbers: BTreeMap<Keys, Vec<Numbers>> =
        groups.into_iter().map(|keys| (keys, vec![Numbers::default(); buckets])).collect();
    for cell in cells {
        if let Some(number) = numbers.get_mut(&cell.keys).and_then(|column| column.get_mut(cell.bucket)) {
            *number = cell.numbers;
        }
    }
    let shown = report.buckets().enumerate().map(|(index, (start, end))| pb::DetectionStatsBucket {
        start: Some(to_pb_time(start)),
        end: Some(to_pb_time(end)),
        groups: numbers.iter().map(|(keys, column)| show(keys, &column[index])).collect(),
    });
    let answer = pb::GetDetectionStatsResponse { buckets: shown.collect() };
    let bytes = answer.encoded_len();
    if bytes > MAX_BYTES {
        return Err(too_much(format!("takes {bytes} bytes to answer; {MAX_BYTES} are allowed")));
    }
    Ok(answer)
}

fn too_much(problem: String) -> Error {
    let change = ": group by less, name some project_ids, or choose a longer bucket or a shorter time";
    Error::invalid("group_by", problem + change)
}

fn show(keys: &Keys, numbers: &Numbers) -> pb::DetectionStats {
    let Keys { detection_type, model_version, project_id } = keys;
    let Numbers { count, objects, mean_confidence, processing_time_ms, confirmed, corrected, rejected, .. } = *numbers;
    let Numbers { accepted, moved_objects, mean_iou, .. } = *numbers;
    let reviewed = confirmed + corrected + rejected;
    #[expect(clippy::cast_precision_loss, reason = "numbers of rows")]
    let acceptance_rate = (reviewed > 0).then(|| accepted as f64 / reviewed as f64);
    let [p50, p95] = processing_time_ms.map_or([None; 2], |times| times.map(|time| Some(shown_duration(time))));
    pb::DetectionStats {
        keys: Some(pb::DetectionStatsKeys {
            detection_type: detection_type.as_deref().map(shown_type).unwrap_or_default().into(),
            model_version: model_version.clone(),
            project_id: project_id.map(|id| id.to_string()),
        }),
        count,
        objects,
        mean_confidence,
        p50_processing_time: p50,
        p95_processing_time: p95,
        confirmed,
        corrected,
        rejected,
        acceptance_rate,
        moved_objects,
        mean_iou,
    }
}
