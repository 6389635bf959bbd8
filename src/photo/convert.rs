//! Photos between the wire and the model, with the field rules.

use prost_types::FieldMask;
use serde_json::Value;

use super::model::{Change, Fields, Filter, NewPhoto, Order, Photo, SortKey, View};
use super::{exif, filter};
use crate::auth::{Caller, Role};
use crate::check::{At, Violations, to_pb_time};
use crate::error::Result;
use crate::id::PhotoId;
use crate::page::{PageRequest, Pages};
use crate::{MAX_BATCH, digest, etag, json, pb};

/// Largest EXIF in bytes of compact JSON.
pub(crate) const MAX_EXIF_BYTES: usize = 64 * 1024;
/// Most pixels in a row or column.
const MAX_PIXELS: i32 = 1_000_000;

const MUTABLE: &[&str] = &[
    "s3_url",
    "file_size_bytes",
    "mime_type",
    "width",
    "height",
    "exif_data",
    "capture_time",
    "latitude",
    "longitude",
    "orientation",
    "upload_time",
];
const IMMUTABLE: &[&str] = &[
    "id",
    "organization_id",
    "project_id",
    "user_id",
    "s3_key",
    "create_time",
    "update_time",
    "etag",
    "tags",
    "tags_truncated",
    "detections",
    "detections_truncated",
];

/// Reads CreatePhoto.
pub(super) fn create(caller: &Caller, request: pb::CreatePhotoRequest) -> Result<NewPhoto> {
    let pb::CreatePhotoRequest { photo } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("photo");
    let photo = checks.required(&at, photo);
    let photo = new_photo(&mut checks, &at, caller, photo);
    checks.finish()?;
    Ok(photo)
}

/// Reads BatchCreatePhotos: each item on its own, with its place in the request in the violations.
pub(super) fn batch_create(
    caller: &Caller,
    request: pb::BatchCreatePhotosRequest,
) -> Result<(Vec<Result<NewPhoto>>, bool)> {
    let pb::BatchCreatePhotosRequest { photos, partial } = request;
    let mut checks = Violations::new();
    checks.count(&At::REQUEST.field("photos"), photos.len(), 1..=MAX_BATCH);
    checks.finish()?;
    let items = photos.into_iter().enumerate().map(|(index, photo)| {
        let mut checks = Violations::new();
        let photo = new_photo(&mut checks, &At::REQUEST.item("photos", index), caller, photo);
        checks.finish().map(|()| photo)
    });
    Ok((items.collect(), partial))
}

fn new_photo(checks: &mut Violations, at: &At<'_>, caller: &Caller, mut photo: pb::Photo) -> NewPhoto {
    let id = checks.optional_id::<PhotoId>(&at.field("id"), &std::mem::take(&mut photo.id));
    let project_id = checks.id(&at.field("project_id"), &photo.project_id);
    let user_id = checks.optional_id(&at.field("user_id"), &photo.user_id);
    if caller.role == Role::OrgUser && user_id.is_some_and(|user_id| Some(user_id) != caller.person()) {
        checks.refuse(&at.field("user_id"), "is another person; people register their own photos");
    }
    // Output only.
    photo.organization_id.clear();
    photo.etag.clear();
    (photo.create_time, photo.update_time) = (None, None);
    (photo.tags, photo.tags_truncated) = (Vec::new(), false);
    (photo.detections, photo.detections_truncated) = (Vec::new(), false);
    let content_digest = digest::of(&photo);
    let s3_key = checks.text(&at.field("s3_key"), std::mem::take(&mut photo.s3_key), 1..=500);
    let mut fields = fields(checks, at, photo);
    complete_from_exif(&mut fields);
    NewPhoto {
        id_chosen: id.is_some(),
        id: id.unwrap_or_else(PhotoId::make),
        project_id,
        user_id,
        s3_key,
        fields,
        content_digest,
    }
}

fn fields(checks: &mut Violations, at: &At<'_>, photo: pb::Photo) -> Fields {
    let pb::Photo {
        // Read by the callers of this function, or output only.
        id: _,
        organization_id: _,
        project_id: _,
        user_id: _,
        s3_key: _,
        create_time: _,
        update_time: _,
        etag: _,
        tags: _,
        tags_truncated: _,
        detections: _,
        detections_truncated: _,
        s3_url,
        file_size_bytes,
        mime_type,
        width,
        height,
        exif_data,
        capture_time,
        latitude,
        longitude,
        orientation,
        upload_time,
    } = photo;
    let exif_at = at.field("exif_data");
    if latitude.is_some() != longitude.is_some() {
        let missing = if latitude.is_none() { "latitude" } else { "longitude" };
        checks.refuse(&at.field(missing), "is required when the other coordinate is given");
    }
    Fields {
        s3_url: checks.text(&at.field("s3_url"), s3_url, 1..=2000),
        file_size_bytes: checks.within(&at.field("file_size_bytes"), file_size_bytes, 0..=i64::MAX),
        mime_type: checks.optional_text(&at.field("mime_type"), mime_type, 100),
        width: checks.within(&at.field("width"), width, 1..=MAX_PIXELS),
        height: checks.within(&at.field("height"), height, 1..=MAX_PIXELS),
        exif_data: exif_data.map(|exif| json::object(checks, &exif_at, exif, MAX_EXIF_BYTES)),
        captured_at: checks.time(&at.field("capture_time"), capture_time),
        latitude: checks.within(&at.field("latitude"), latitude, -90.0..=90.0),
        longitude: checks.within(&at.field("longitude"), longitude, -180.0..=180.0),
        orientation: checks
            .within(&at.field("orientation"), orientation, 1..=8)
            .and_then(|orientation| i16::try_from(orientation).ok()),
        uploaded_at: checks.time(&at.field("upload_time"), upload_time),
    }
}

/// Fills what the caller left out with what EXIF says.
fn complete_from_exif(fields: &mut Fields) {
    let Some(Value::Object(exif)) = &fields.exif_data else { return };
    fields.captured_at = fields.captured_at.or_else(|| exif::capture_time(exif));
    fields.orientation = fields.orientation.or_else(|| exif::orientation(exif));
    if fields.latitude.is_none() {
        (fields.latitude, fields.longitude) = exif::position(exif).unzip();
    }
}

/// Reads UpdatePhoto.
pub(super) fn update(request: pb::UpdatePhotoRequest) -> Result<Change> {
    let pb::UpdatePhotoRequest { photo, update_mask } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("photo");
    let mut photo = checks.required(&at, photo);
    let id = checks.id(&at.field("id"), &photo.id);
    let etag = std::mem::take(&mut photo.etag);
    let paths = changed_paths(&mut checks, update_mask, &photo);
    // The URL is required, so only a mask that names it may find it empty, and is then told so.
    let placeholder = photo.s3_url.is_empty() && !paths.contains(&"s3_url");
    if placeholder {
        photo.s3_url.push('-');
    }
    let (latitude, longitude) = (paths.contains(&"latitude"), paths.contains(&"longitude"));
    if latitude != longitude {
        checks
            .refuse(&At::REQUEST.field("update_mask"), "names one coordinate; latitude and longitude change together");
    }
    let fields = fields(&mut checks, &at, photo);
    checks.finish()?;
    Ok(Change { id, etag, fields, paths })
}

fn changed_paths(checks: &mut Violations, mask: Option<FieldMask>, photo: &pb::Photo) -> Vec<&'static str> {
    let at = At::REQUEST.field("update_mask");
    let set = |path: &str| match path {
        "s3_url" => !photo.s3_url.is_empty(),
        "file_size_bytes" => photo.file_size_bytes.is_some(),
        "mime_type" => photo.mime_type.is_some(),
        "width" => photo.width.is_some(),
        "height" => photo.height.is_some(),
        "exif_data" => photo.exif_data.is_some(),
        "capture_time" => photo.capture_time.is_some(),
        "latitude" => photo.latitude.is_some(),
        "longitude" => photo.longitude.is_some(),
        "orientation" => photo.orientation.is_some(),
        "upload_time" => photo.upload_time.is_some(),
        _ => false,
    };
    let Some(paths) = checks.mask(&at, mask, MUTABLE, IMMUTABLE) else {
        return MUTABLE.iter().copied().filter(|path| set(path)).collect();
    };
    if paths.contains(&"upload_time") && photo.upload_time.is_none() {
        checks.refuse(&At::REQUEST.field("photo").field("upload_time"), "is required and cannot be cleared");
    }
    paths
}

/// Reads the id and etag of DeletePhoto.
pub(super) fn delete(request: pb::DeletePhotoRequest) -> Result<(PhotoId, String)> {
    let pb::DeletePhotoRequest { id, etag } = request;
    let mut checks = Violations::new();
    let id = checks.id(&At::REQUEST.field("id"), &id);
    checks.finish()?;
    Ok((id, etag))
}

/// Reads GetPhoto.
pub(super) fn get(request: pb::GetPhotoRequest) -> Result<(PhotoId, View)> {
    let pb::GetPhotoRequest { id, view } = request;
    let mut checks = Violations::new();
    let id = checks.id(&At::REQUEST.field("id"), &id);
    let view = self::view(&mut checks, view);
    checks.finish()?;
    Ok((id, view))
}

/// Reads BatchGetPhotos.
pub(super) fn batch_get(request: pb::BatchGetPhotosRequest) -> Result<(Vec<PhotoId>, View)> {
    let pb::BatchGetPhotosRequest { ids, view } = request;
    let mut checks = Violations::new();
    let ids = checks.ids(&At::REQUEST, "ids", &ids, 1..=MAX_BATCH);
    let view = self::view(&mut checks, view);
    checks.finish()?;
    Ok((ids, view))
}

fn view(checks: &mut Violations, view: i32) -> View {
    match checks.known_or_default(&At::REQUEST.field("view"), view) {
        pb::PhotoView::Unspecified | pb::PhotoView::Basic => View::Basic,
        pb::PhotoView::WithExif => View::WithExif,
        pb::PhotoView::Full => View::Full,
    }
}

/// What ListPhotos asks for.
#[derive(Debug)]
pub(super) struct List {
    pub(super) filter: Filter,
    pub(super) order: Order,
    pub(super) view: View,
    pub(super) page: PageRequest<SortKey>,
}

/// Reads ListPhotos.
pub(super) fn list(pages: &Pages, caller: &Caller, request: pb::ListPhotosRequest) -> Result<List> {
    let scope = pb::ListPhotosRequest { page_size: 0, page_token: String::new(), view: 0, ..request.clone() };
    let pb::ListPhotosRequest { filter, order_by, page_size, page_token, view } = request;
    let mut checks = Violations::new();
    let at = At::REQUEST.field("filter");
    let filter = filter::read(&mut checks, &at, filter.unwrap_or_default());
    let order = match order_by.split_whitespace().collect::<Vec<_>>().as_slice() {
        [] | ["create_time", "desc"] => Order::CreatedDescending,
        ["create_time"] | ["create_time", "asc"] => Order::CreatedAscending,
        ["capture_time", "desc"] => Order::CapturedDescending,
        ["capture_time"] | ["capture_time", "asc"] => Order::CapturedAscending,
        _ => {
            checks.refuse(
                &At::REQUEST.field("order_by"),
                "is none of create_time, create_time desc, capture_time, capture_time desc",
            );
            Order::CreatedDescending
        }
    };
    let view = self::view(&mut checks, view);
    let page = pages.read(&mut checks, caller, (page_size, &page_token), &scope)?;
    checks.finish()?;
    Ok(List { filter, order, view, page })
}

/// Shows a photo.
pub(super) fn to_pb(photo: Photo) -> pb::Photo {
    let Photo { organization_id, id, project_id, user_id, s3_key, fields, created_at, updated_at, version } = photo;
    pb::Photo {
        id: id.to_string(),
        organization_id: organization_id.to_string(),
        project_id: project_id.to_string(),
        user_id: user_id.map(|user_id| user_id.to_string()).unwrap_or_default(),
        s3_url: fields.s3_url,
        s3_key,
        file_size_bytes: fields.file_size_bytes,
        mime_type: fields.mime_type,
        width: fields.width,
        height: fields.height,
        exif_data: fields.exif_data.map(json::to_struct),
        capture_time: fields.captured_at.map(to_pb_time),
        latitude: fields.latitude,
        longitude: fields.longitude,
        orientation: fields.orientation.map(i32::from),
        upload_time: fields.uploaded_at.map(to_pb_time),
        create_time: Some(to_pb_time(created_at)),
        update_time: Some(to_pb_time(updated_at)),
        etag: etag::make(version, created_at),
        tags: Vec::new(),
        tags_truncated: false,
        detections: Vec::new(),
        detections_truncated: false,
    }
}
