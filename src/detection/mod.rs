//! Detections: one row is one run of one model on one photo. What the model said never changes; people's
//! feedback shows beside it. A run that found nothing is a result too.

/// The columns of a detection but its results, of a table or query `d`.
macro_rules! columns {
    () => {
        "d.id, d.project_id, d.photo_id, d.detection_type, d.model_version, d.run_id, d.confidence, d.processing_time_ms,
         d.created_at, d.updated_at, d.user_confirmed, d.user_feedback, d.version"
    };
}

mod backlog;
mod claim;
mod convert;
pub(crate) mod correction;
mod ingest;
mod list;
mod model;
pub(crate) mod object;
mod query;
mod rollback;
mod service;
mod stats;
mod store;
mod write;

use std::collections::HashMap;

pub use backlog::{Backlogs, Waiting};
pub(crate) use convert::{MAX_OBJECTS, MAX_RESULTS_BYTES, filter as read_filter, to_pb, type_name, type_names};
pub(crate) use correction::{Corrections, Edit};
pub(crate) use ingest::{WINDOW_BYTES, WINDOW_ITEMS};
pub(crate) use list::narrow_on_photos;
pub(crate) use model::{Detection, Filter, Object, Polygon as Outline, Results};
pub(crate) use query::{corrections_at, lock_all, results_at};
pub use service::Service;
// Public so that the benchmarks give PostgreSQL this very statement.
#[doc(hidden)]
pub use write::INSERT;
pub(crate) use write::{Reviewed, review};

use crate::db::Tx;
use crate::error::Result;
use crate::id::PhotoId;
use crate::pb;

/// Reads the oldest `most` detections of each photo, in full.
pub(crate) async fn of_photos(tx: &Tx, ids: &[PhotoId], most: usize) -> Result<HashMap<PhotoId, Vec<pb::Detection>>> {
    let mut found: HashMap<PhotoId, Vec<pb::Detection>> = HashMap::new();
    for detection in query::of_photos(tx, ids, most).await? {
        found.entry(detection.photo_id).or_default().push(to_pb(detection, true));
    }
    Ok(found)
}
