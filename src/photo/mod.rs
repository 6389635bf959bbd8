//! Photos: what the upload service registers. A photo belongs to one project for good, its `s3_key` is unique
//! within the organization, and everything else about it may change; what EXIF says fills what the caller
//! leaves out.

mod convert;
mod exif;
mod model;
mod query;
mod service;

pub(crate) use convert::MAX_EXIF_BYTES;
pub use service::Service;
