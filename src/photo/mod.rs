//! Photos: what the upload service registers. A photo belongs to one project for good, its `s3_key` is unique
//! within the organization, and everything else about it may change; what EXIF says fills what the caller
//! leaves out.

/// The columns of a photo but its EXIF, of a table or query `p`.
macro_rules! columns {
    () => {
        "p.organization_id, p.id, p.project_id, p.user_id, p.s3_url, p.s3_key, p.file_size_bytes, p.mime_type, p.width, p.height,
         p.captured_at, p.latitude, p.longitude, p.orientation, p.uploaded_at, p.created_at, p.updated_at, p.version"
    };
}

mod convert;
mod exif;
mod filter;
mod list;
mod model;
mod narrow;
mod query;
mod service;
mod store;
mod write;

pub(crate) use convert::MAX_EXIF_BYTES;
pub use service::Service;
