//! What an organization holds, as it was created: times in microseconds since 1970.

use photometa::auth::Role;
use photometa::pb;
use uuid::Uuid;

use crate::harness::{Organization, Who};

/// An organization's rows.
#[derive(Clone)]
pub struct World {
    /// Whose they are.
    pub organization: Organization,
    /// Its projects.
    pub projects: Vec<Uuid>,
    /// Its people.
    pub people: Vec<Uuid>,
    /// Who belongs to which project.
    pub members: Vec<(Uuid, Uuid)>,
    /// Its photos.
    pub photos: Vec<Photo>,
    /// What models saw on them.
    pub detections: Vec<Detection>,
    /// What people said of that, in this order.
    pub feedback: Vec<Feedback>,
}

impl World {
    /// Whether somebody sees what belongs to a project.
    pub fn shows(&self, who: Who, project: Uuid) -> bool {
        who.role != Role::OrgUser || self.members.contains(&(who.subject, project))
    }

    /// The detections on a photo.
    pub fn detections_on(&self, photo: Uuid) -> impl Iterator<Item = &Detection> {
        self.detections.iter().filter(move |detection| detection.photo == photo)
    }
}

/// A photo.
#[derive(Clone, Debug)]
pub struct Photo {
    /// Identity.
    pub id: Uuid,
    /// Where it belongs.
    pub project: Uuid,
    /// Who took it.
    pub user: Option<Uuid>,
    /// Its key.
    pub s3_key: String,
    /// When it was registered.
    pub created: i64,
    /// When it was taken.
    pub captured: Option<i64>,
    /// When it was uploaded.
    pub uploaded: i64,
    /// Degrees north and east.
    pub place: Option<(f64, f64)>,
    /// Its tags: the words as they were first written, and whether a model wrote them.
    pub tags: Vec<(String, bool)>,
}

impl Photo {
    /// Whether it carries a tag, written in any case.
    pub fn carries(&self, tag: &str) -> bool {
        self.tags.iter().any(|(own, _)| folded(own) == folded(tag))
    }
}

/// What a model saw.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Identity.
    pub id: Uuid,
    /// The photo.
    pub photo: Uuid,
    /// The photo's project.
    pub project: Uuid,
    /// What was looked for.
    pub kind: pb::DetectionType,
    /// Who looked.
    pub model: String,
    /// How sure it is.
    pub confidence: Option<f64>,
    /// The labels of its objects.
    pub labels: Vec<String>,
    /// When it was stored.
    pub created: i64,
    /// The newest verdict.
    pub verdict: Option<pb::Verdict>,
}

impl Detection {
    /// Whether the newest verdict confirms it.
    pub fn is_confirmed(&self) -> bool {
        matches!(self.verdict, Some(pb::Verdict::Confirm | pb::Verdict::Correct))
    }
}

/// What somebody said of a detection.
#[derive(Clone, Debug)]
pub struct Feedback {
    /// Identity.
    pub id: Uuid,
    /// The detection.
    pub detection: Uuid,
    /// Its photo.
    pub photo: Uuid,
    /// Its project.
    pub project: Uuid,
    /// Who said so.
    pub user: Uuid,
    /// What they said.
    pub verdict: pb::Verdict,
    /// When.
    pub created: i64,
}

/// A tag as it is compared.
pub fn folded(tag: &str) -> String {
    tag.trim().to_lowercase()
}

/// A time as messages have it.
pub fn time(micros: i64) -> prost_types::Timestamp {
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1000).unwrap();
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}
