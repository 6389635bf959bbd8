//! Feedback: what people say of detections. Append-only, an answer is taken back by another one. What the answers come to
//! shows on their detection, and what the model said stays as it was.

mod convert;
mod edit;
mod fold;
mod model;
mod new;
mod query;
mod record;
mod service;

pub(crate) use fold::fold;
pub(crate) use query::answers;
pub use service::Service;
