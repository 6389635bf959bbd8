//! Training data as plain data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::split::Split;
use crate::detection::{Corrections, Filter, Results};
use crate::geometry::Picture;
use crate::id::{DetectionId, PhotoId, ProjectId};

/// What is exported, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    /// One COCO document, or a line for each photo.
    pub(crate) coco: bool,
    /// Which detections; its `user_confirmed` is looked at apart.
    pub(crate) filter: Filter,
    /// Whether the newest verdict confirms, if that is asked for.
    pub(crate) user_confirmed: Option<bool>,
    /// With one of these verdicts.
    pub(crate) verdicts: Vec<&'static str>,
    /// Those without a verdict too.
    pub(crate) unreviewed: bool,
    /// What pixels are of.
    pub(crate) frame: Picture,
    /// How data are split.
    pub(crate) split: Option<Split>,
}

impl Plan {
    /// Whether what is not there is told as well.
    pub(crate) fn negatives(&self) -> bool {
        self.verdicts.contains(&REJECT)
    }

    /// Whether a detection with this newest verdict is exported.
    pub(crate) fn wants(&self, verdict: Option<&str>) -> bool {
        let confirmed = verdict.is_some_and(|verdict| verdict != REJECT);
        self.user_confirmed.is_none_or(|wanted| wanted == confirmed)
            && verdict.map_or(self.unreviewed, |verdict| self.verdicts.contains(&verdict))
    }
}

/// The verdict of what is not there.
pub(crate) const REJECT: &str = "reject";

/// A photo of an export.
#[derive(Debug, Clone)]
pub(crate) struct Photo {
    pub(crate) id: PhotoId,
    pub(crate) project_id: ProjectId,
    pub(crate) s3_key: String,
    pub(crate) s3_url: String,
    /// Pixels per row and rows of the stored image, when both are known.
    pub(crate) size: Option<(i32, i32)>,
    /// EXIF's; 1 when unknown.
    pub(crate) orientation: i16,
    pub(crate) captured_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) version: i32,
}

/// A detection of an export, as it stood at its moment.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: DetectionId,
    pub(crate) photo_id: PhotoId,
    pub(crate) detection_type: String,
    pub(crate) model_version: String,
    pub(crate) created_at: Timestamp,
    /// When it last changed: later than the moment, where that must be looked up.
    pub(crate) updated_at: Timestamp,
    /// The newest verdict that stands.
    pub(crate) verdict: Option<String>,
    /// What the model saw; empty where only photos are of interest.
    pub(crate) results: Results,
    /// The corrections that stand.
    pub(crate) corrections: Corrections,
}

impl Found {
    /// Where it stands.
    pub(crate) fn place(&self) -> Inner {
        (self.photo_id, self.created_at.as_microsecond(), self.id)
    }
}

/// What a pass over the rows is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// COCO's images.
    Images,
    /// COCO's annotations, or all of JSON Lines.
    Objects,
    /// COCO's list of what is not there.
    Negatives,
    /// COCO's categories.
    Categories,
    /// Nothing is left.
    End,
}

/// Where a photo stands: microseconds since 1970, then the id.
pub(crate) type Key = (i64, PhotoId);
/// Where a detection stands: its photo, microseconds since 1970, then the id.
pub(crate) type Inner = (PhotoId, i64, DetectionId);

/// How far an export is: all that is needed to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The moment, in microseconds since 1970.
    pub(crate) as_of: i64,
    /// Where PostgreSQL's log was then, when there is a standby.
    pub(crate) lsn: Option<String>,
    pub(crate) stage: Stage,
    /// The last photo that is done.
    pub(crate) photo: Option<Key>,
    /// The last detection that is done of a photo behind it.
    pub(crate) detection: Option<Inner>,
    /// Something of that photo is written: it is counted, and its line has begun.
    pub(crate) open: bool,
    /// The number of the image in this pass.
    pub(crate) image: i64,
    /// Sums over what the first pass saw, and this one.
    pub(crate) sums: (u64, u64),
    pub(crate) counts: Counts,
    /// The first and last of each run of numbers that were given to labels since the moment and are in this export.
    pub(crate) late: Vec<(i32, i32)>,
}

/// What was written and left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) images: i64,
    pub(crate) annotations: i64,
    pub(crate) negatives: i64,
    pub(crate) skipped_photos: i64,
    pub(crate) skipped_objects: i64,
}

impl Cursor {
    /// The beginning of an export of the moment `as_of`.
    pub(crate) fn begin(plan: &Plan, as_of: Timestamp, lsn: Option<String>) -> Self {
        Self {
            as_of: as_of.as_microsecond(),
            lsn,
            stage: if plan.coco { Stage::Images } else { Stage::Objects },
            photo: None,
            detection: None,
            open: false,
            image: 0,
            sums: (0, 0),
            counts: Counts::default(),
            late: Vec::new(),
        }
    }

    /// The moment.
    pub(crate) fn moment(&self) -> Timestamp {
        Timestamp::from_microsecond(self.as_of).unwrap_or_default()
    }

    /// The beginning of another pass.
    pub(crate) fn enter(&mut self, stage: Stage) {
        (self.stage, self.photo, self.detection, self.open, self.image) = (stage, None, None, false, 0);
        self.sums.1 = 0;
    }
}

/// A label's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Category {
    pub(crate) id: Option<i32>,
    pub(crate) name: String,
    pub(crate) supercategory: String,
    /// When it got its number; none before.
    pub(crate) created_at: Option<Timestamp>,
}

/// The numbers of labels, by label.
pub(crate) type Labels = BTreeMap<String, Category>;

/// What is not in an export, and why.
#[derive(Debug)]
pub(crate) enum Skipped {
    /// A photo whose width and height are not known.
    Photo(PhotoId),
    /// An object without a place.
    Object(PhotoId, DetectionId, String),
}
