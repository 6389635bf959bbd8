//! The rows that are written straight to PostgreSQL: what the service makes of [`content`](super::content)'s messages.

use jiff::Timestamp;
use photometa::auth::Role;
use photometa::detection::INSERT;
use serde::Serialize;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::content::{MODEL, OBJECTS, PROCESSING_TIME_MS, photo_id};

/// The demo's first organization and project, which `serve` makes.
pub const ORGANIZATION: &str = "de300101-0000-8000-8000-000000000001";
/// See [`ORGANIZATION`].
pub const PROJECT: &str = "de300301-0000-8000-8000-000000000001";
/// As whom the service stores.
pub const ROLE: &str = "service";

/// Type of every detection, as it is stored.
pub const DETECTION_TYPE: &str = "damage";

/// The service's statement.
pub fn insert() -> &'static str {
    INSERT.of(Role::Service)
}

/// The statements with which the service's transaction takes its caller's role and organization: keep them like
/// `context` in src/db/tx.rs.
pub fn context() -> [String; 5] {
    [
        "set local role org_service".to_owned(),
        format!("set local app.org_id = '{ORGANIZATION}'"),
        format!("set local app.user_id = '{ORGANIZATION}'"),
        "set local statement_timeout = 30000".to_owned(),
        "set local plan_cache_mode = force_generic_plan".to_owned(),
    ]
}

/// What a model saw, as it is stored.
#[derive(Debug, Serialize)]
pub struct Results {
    objects: [Object; OBJECTS.len()],
}

#[derive(Debug, Serialize)]
struct Object {
    object_id: &'static str,
    label: &'static str,
    confidence: f64,
    r#box: Rectangle,
}

#[derive(Debug, Serialize)]
struct Rectangle {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Results {
    /// What every detection says.
    pub fn new() -> Self {
        let objects = OBJECTS.map(|(object_id, label, confidence, [x, y, width, height])| Object {
            object_id,
            label,
            confidence,
            r#box: Rectangle { x, y, width, height },
        });
        Self { objects }
    }
}

/// The highest confidence of the objects, as the service stores it.
pub fn confidence() -> f64 {
    OBJECTS.iter().map(|object| object.2).fold(0.0, f64::max)
}

/// Rows, one array for each parameter of the service's statement.
#[derive(Debug, Default)]
pub struct Batch {
    /// In order of time.
    pub ids: Vec<Uuid>,
    /// The photos.
    pub photos: Vec<Uuid>,
    /// Types.
    pub types: Vec<&'static str>,
    /// Models.
    pub models: Vec<&'static str>,
    /// None has one.
    pub runs: Vec<Option<&'static str>>,
    /// What the models saw.
    pub results: Vec<Json<Results>>,
    /// Of the surest object.
    pub confidences: Vec<f64>,
    /// Milliseconds.
    pub processing_times: Vec<i32>,
    /// Any bytes: the service hashes the message here.
    pub digests: Vec<Vec<u8>>,
    /// When they were stored.
    pub at: Timestamp,
}

impl Batch {
    /// New rows on these photos.
    pub fn new(photos: impl Iterator<Item = usize>) -> Self {
        let mut batch = Self { at: Timestamp::now(), ..Self::default() };
        for photo in photos {
            let id = Uuid::now_v7();
            batch.ids.push(id);
            batch.photos.push(photo_id(photo));
            batch.types.push(DETECTION_TYPE);
            batch.models.push(MODEL);
            batch.runs.push(None);
            batch.results.push(Json(Results::new()));
            batch.confidences.push(confidence());
            batch.processing_times.push(PROCESSING_TIME_MS);
            batch.digests.push(id.as_bytes().to_vec());
        }
        batch
    }
}

/// The photos of one writer, over and over: writers do not meet on a photo, as workers with a queue do not.
#[derive(Debug)]
pub struct Walk {
    first: usize,
    photos: usize,
    steps: usize,
}

impl Walk {
    /// The share of one of `writers` in so many photos.
    pub fn of(writer: usize, writers: usize, photos: usize) -> Self {
        let share = photos / writers;
        Self { first: writer * share, photos: share, steps: 0 }
    }

    /// The next photos.
    pub fn next(&mut self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let (first, photos, begin) = (self.first, self.photos, self.steps);
        self.steps += count;
        (begin..begin + count).map(move |step| first + step % photos)
    }
}
