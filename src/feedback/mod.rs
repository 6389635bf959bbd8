//! Feedback: what people say of detections. Append-only; the newest verdict shows on its detection, and what
//! the model said stays as it was.

mod convert;
mod edit;
mod model;
mod query;
mod service;

pub(crate) use edit::edits_from_json;
pub use service::Service;
