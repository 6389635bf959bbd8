//! Statistics as plain data.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::id::ProjectId;

/// Most groups of all buckets together.
pub const MAX_CELLS: usize = 10_000;

/// What is asked for.
#[derive(Debug)]
pub struct Report {
    /// The first instant of each bucket, ascending. A bucket ends where the next one starts.
    pub starts: Vec<Timestamp>,
    /// The first instant after the last bucket.
    pub end: Timestamp,
    /// What detections are grouped by.
    pub grouping: Grouping,
    /// In one of these projects; empty means all.
    pub project_ids: Vec<ProjectId>,
}

impl Report {
    /// The buckets, each from its first instant to the first one after it.
    pub fn buckets(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let ends = self.starts.iter().skip(1).chain([&self.end]);
        self.starts.iter().copied().zip(ends.copied())
    }
}

/// Which keys tell groups apart; none of them makes one group.
#[derive(Debug, Clone, Copy, Default)]
pub struct Grouping {
    /// The detection's type.
    pub detection_type: bool,
    /// Its model and version.
    pub model_version: bool,
    /// Its project.
    pub project: bool,
}

/// What the detections of a group have in common: the keys that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keys {
    /// damage, material or volume.
    pub detection_type: Option<String>,
    /// The model and its version.
    pub model_version: Option<String>,
    /// The project.
    pub project_id: Option<ProjectId>,
}

/// What is told of the detections of a group in a bucket.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers {
    /// Detections.
    pub count: i64,
    /// Objects of all of them.
    pub objects: i64,
    /// 0 to 1, of those that have one.
    pub mean_confidence: Option<f64>,
    /// Milliseconds: the 50th and the 95th percentile of those that have one.
    pub processing_time_ms: Option<[i32; 2]>,
    /// Newest verdicts: confirm.
    pub confirmed: i64,
    /// Newest verdicts: correct.
    pub corrected: i64,
    /// Newest verdicts: reject.
    pub rejected: i64,
    /// Confirmed as the model had them.
    pub accepted: i64,
    /// Objects that people moved.
    pub moved_objects: i64,
    /// Mean overlap of those, before and after.
    pub mean_iou: Option<f64>,
}

/// A group in a bucket, where there is any detection.
#[derive(Debug)]
pub struct Cell {
    /// Which bucket, from 0 on.
    pub bucket: usize,
    /// Which group.
    pub keys: Keys,
    /// What is told of it.
    pub numbers: Numbers,
}

/// The groups that the cells show; the one of everything is there without a cell too.
pub fn groups(grouping: Grouping, cells: &[Cell]) -> BTreeSet<Keys> {
    let mut groups: BTreeSet<Keys> = cells.iter().map(|cell| cell.keys.clone()).collect();
    if !(grouping.detection_type || grouping.model_version || grouping.project) {
        groups.insert(Keys::default());
    }
    groups
}
