//! Photos as plain data.

use jiff::Timestamp;
use serde_json::Value;

use crate::id::{OrganizationId, PhotoId, ProjectId, UserId};

/// A photo to be registered.
#[derive(Debug, Clone)]
pub struct NewPhoto {
    /// Chosen by the client, or made.
    pub id: PhotoId,
    /// The client chose the id: a repeated call must name the same.
    pub id_chosen: bool,
    /// The building site.
    pub project_id: ProjectId,
    /// Who took it; `None` means the caller, if the caller is a user.
    pub user_id: Option<UserId>,
    /// Key in the object store.
    pub s3_key: String,
    /// What may change later.
    pub fields: Fields,
    /// Tells a repeated call from a conflicting one.
    pub content_digest: [u8; 16],
}

impl NewPhoto {
    /// The photo that it has become.
    pub fn stored(&self, organization_id: OrganizationId, user_id: Option<UserId>, at: Timestamp) -> Photo {
        let mut fields = self.fields.clone();
        fields.uploaded_at.get_or_insert(at);
        Photo {
            organization_id,
            id: self.id,
            project_id: self.project_id,
            user_id,
            s3_key: self.s3_key.clone(),
            fields,
            created_at: at,
            updated_at: at,
            version: 1,
        }
    }
}

/// The mutable fields.
#[derive(Debug, Clone)]
pub struct Fields {
    /// Where the picture is.
    pub s3_url: String,
    /// Size of the picture in bytes.
    pub file_size_bytes: Option<i64>,
    /// Media type.
    pub mime_type: Option<String>,
    /// Pixels per row of the stored image.
    pub width: Option<i32>,
    /// Rows of the stored image.
    pub height: Option<i32>,
    /// EXIF, a JSON object; not read in view BASIC.
    pub exif_data: Option<Value>,
    /// When it was taken.
    pub captured_at: Option<Timestamp>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// EXIF orientation, 1 to 8.
    pub orientation: Option<i16>,
    /// When the upload finished; `None` means now, or no change.
    pub uploaded_at: Option<Timestamp>,
}

/// A registered photo.
#[derive(Debug, Clone)]
pub struct Photo {
    /// Tenant.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: PhotoId,
    /// The building site.
    pub project_id: ProjectId,
    /// Who took it.
    pub user_id: Option<UserId>,
    /// Key in the object store.
    pub s3_key: String,
    /// What may change.
    pub fields: Fields,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts changes.
    pub version: i32,
}

/// A change of mutable fields: for each path, whether it is in the mask.
#[derive(Debug)]
pub struct Change {
    /// Which photo.
    pub id: PhotoId,
    /// The etag the caller saw; may be empty.
    pub etag: String,
    /// The new values.
    pub fields: Fields,
    /// Paths to change.
    pub paths: Vec<&'static str>,
}

/// Which photos a list shows.
#[derive(Debug)]
pub struct Filter {
    /// In one of these projects; empty means all.
    pub project_ids: Vec<ProjectId>,
    /// Taken by one of these people; empty means all.
    pub user_ids: Vec<UserId>,
    /// Registered from, and before.
    pub created: (Option<Timestamp>, Option<Timestamp>),
    /// Taken from, and before.
    pub captured: (Option<Timestamp>, Option<Timestamp>),
    /// Uploaded from, and before.
    pub uploaded: (Option<Timestamp>, Option<Timestamp>),
    /// Start of the key; empty means any.
    pub s3_key_prefix: String,
    /// With all of these tags, folded and each once.
    pub tags_all: Vec<String>,
    /// With one of these tags; empty means whatever tags.
    pub tags_any: Vec<String>,
    /// With none of these tags.
    pub tags_none: Vec<String>,
    /// With such a detection.
    pub detection: Option<Seen>,
    /// Without a detection of this type by this model.
    pub without_detection: Option<(&'static str, String)>,
    /// Taken within this box.
    pub geo_box: Option<GeoBox>,
}

/// What a detection on a photo is like.
#[derive(Debug)]
pub struct Seen {
    /// Of one of these types; empty means all.
    pub types: Vec<&'static str>,
    /// By one of these models; empty means all.
    pub model_versions: Vec<String>,
    /// At least this sure.
    pub min_confidence: Option<f64>,
    /// With one of these labels; empty means any or none.
    pub labels: Vec<String>,
    /// Whether confirmed.
    pub user_confirmed: Option<bool>,
}

/// A box on the map, in degrees; its sides belong to it.
#[derive(Debug, Clone, Copy)]
pub struct GeoBox {
    /// Southern side.
    pub south: f64,
    /// Western side.
    pub west: f64,
    /// Northern side.
    pub north: f64,
    /// Eastern side; below `west` when the box crosses the 180th meridian.
    pub east: f64,
}

/// How a list is sorted; ties by id, in the same direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    CreatedDescending,
    /// Oldest first.
    CreatedAscending,
    /// Last taken first, photos without a capture time last.
    CapturedDescending,
    /// First taken first, photos without a capture time before them.
    CapturedAscending,
}

/// Sort key of a photo in a list: microseconds since 1970 (`None`: no capture time), then the id.
pub type SortKey = (Option<i64>, PhotoId);

impl Photo {
    /// Where the photo stands in a list of this order.
    pub fn sort_key(&self, order: Order) -> SortKey {
        let time = match order {
            Order::CreatedDescending | Order::CreatedAscending => Some(self.created_at),
            Order::CapturedDescending | Order::CapturedAscending => self.fields.captured_at,
        };
        (time.map(Timestamp::as_microsecond), self.id)
    }
}

/// How much of a photo is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Everything but EXIF.
    Basic,
    /// With EXIF.
    WithExif,
    /// With EXIF, tags and detections.
    Full,
}

/// What went with a deleted photo.
#[derive(Debug)]
pub struct Deleted {
    /// Key of the object that may now go.
    pub s3_key: String,
    /// Number of detections.
    pub detections: i64,
    /// Number of tags.
    pub tags: i64,
    /// Number of verdicts.
    pub feedback: i64,
}
