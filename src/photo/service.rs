//! PhotoService: who, what, do, answer.

use std::collections::HashMap;

use futures_util::future::join;
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::model::{NewPhoto, Photo, View};
use super::{convert, list, query, write};
use crate::auth::{Caller, READERS, WRITERS};
use crate::batch::Batch;
use crate::db::{Access, Db, Tx};
use crate::error::{Error, Resource, Result, item_status};
use crate::group::Group;
use crate::id::PhotoId;
use crate::page::{MAX_BYTES, Pages};
use crate::pb::{self, photo_service_server::PhotoService};
use crate::{create, detection, etag, tag};

/// Most tags, and most detections, of a photo in view FULL.
const MAX_NESTED: usize = 100;

/// Serves photos.
#[derive(Debug)]
pub struct Service {
    db: Db,
    pages: Pages,
    group: Group<NewPhoto, (Photo, bool)>,
}

impl Service {
    /// Works on a database, and makes page tokens with `pages`.
    pub fn new(db: Db, pages: Pages) -> Self {
        let door = db.clone();
        let group = Group::new("photo", move |caller, items| {
            let door = door.clone();
            async move { create::each(&door, &caller, &items).await }
        });
        Self { db, pages, group }
    }
}

#[tonic::async_trait]
impl PhotoService for Service {
    async fn create_photo(
        &self,
        request: Request<pb::CreatePhotoRequest>,
    ) -> Result<Response<pb::CreatePhotoResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let request = request.into_inner();
        let bytes = request.encoded_len();
        let (photo, created) = self.group.store(&caller, convert::create(&caller, request)?, bytes).await?;
        Ok(Response::new(pb::CreatePhotoResponse {
            photo: Some(convert::to_pb(photo)),
            outcome: pb::WriteOutcome::of(created).into(),
        }))
    }

    async fn batch_create_photos(
        &self,
        request: Request<pb::BatchCreatePhotosRequest>,
    ) -> Result<Response<pb::BatchCreatePhotosResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let (items, partial) = convert::batch_create(&caller, request.into_inner())?;
        let batch = Batch::admit(items, partial)?;
        let stored = create::batch(&self.db, &caller, &batch).await?;
        Ok(Response::new(pb::BatchCreatePhotosResponse { results: batch.merge(stored).map(batch_result).collect() }))
    }

    async fn get_photo(&self, request: Request<pb::GetPhotoRequest>) -> Result<Response<pb::GetPhotoResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let (id, view) = convert::get(request.into_inner())?;
        let photo = self.read(&caller, &[id], view).await?.pop();
        let photo = photo.ok_or_else(|| Error::NotFound(Resource::Photo, id.to_string()))?;
        Ok(Response::new(pb::GetPhotoResponse { photo: Some(photo) }))
    }

    async fn batch_get_photos(
        &self,
        request: Request<pb::BatchGetPhotosRequest>,
    ) -> Result<Response<pb::BatchGetPhotosResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let (ids, view) = convert::batch_get(request.into_inner())?;
        let found = self.read(&caller, &ids, view).await?;
        let found: HashMap<String, pb::Photo> = found.into_iter().map(|photo| (photo.id.clone(), photo)).collect();
        let mut response = pb::BatchGetPhotosResponse::default();
        for id in ids.iter().map(ToString::to_string) {
            match found.get(&id) {
                Some(photo) => response.photos.push(photo.clone()),
                None => response.missing_ids.push(id),
            }
        }
        if prost::Message::encoded_len(&response) > MAX_BYTES {
            return Err(Error::invalid(
                "ids",
                "names photos that together pass 3.5 MiB in this view; ask for fewer, or for less of each",
            )
            .into());
        }
        Ok(Response::new(response))
    }

    async fn list_photos(
        &self,
        request: Request<pb::ListPhotosRequest>,
    ) -> Result<Response<pb::ListPhotosResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let convert::List { filter, order, view, mut page } =
            convert::list(&self.pages, &caller, request.into_inner())?;
        let (after, limit) = (page.after.take(), page.limit());
        let rows = self
            .db
            .scoped(&caller, Access::Read, async |tx| {
                let photos = list::list(&tx, &filter, order, view, after, limit).await?;
                let (keys, ids): (Vec<_>, Vec<_>) =
                    photos.iter().map(|photo| (photo.sort_key(order), photo.id)).unzip();
                let nested = match view {
                    View::Full if !ids.is_empty() => Nested::read(&tx, &ids).await?,
                    _ => Nested::default(),
                };
                Ok(keys.into_iter().zip(nested.put(photos)).collect::<Vec<_>>())
            })
            .await?;
        let (photos, next_page_token) = self.pages.cut(&page, rows, |(key, _)| *key, |(_, photo)| photo);
        Ok(Response::new(pb::ListPhotosResponse { photos, next_page_token }))
    }

    async fn update_photo(
        &self,
        request: Request<pb::UpdatePhotoRequest>,
    ) -> Result<Response<pb::UpdatePhotoResponse>, Status> {
        let caller = Caller::of(&request, WRITERS)?;
        let change = convert::update(request.into_inner())?;
        let photo = self
            .db
            .scoped(&caller, Access::Write, async |tx| {
                let stored = lock(&tx, change.id, &change.etag).await?;
                if change.paths.is_empty() {
                    return Ok(stored);
                }
                write::update(&tx, &write::apply(stored, &change)).await
            })
            .await?;
        Ok(Response::new(pb::UpdatePhotoResponse { photo: Some(convert::to_pb(photo)) }))
    }

    async fn delete_photo(
        &self,
        request: Request<pb::DeletePhotoRequest>,
    ) -> Result<Response<pb::DeletePhotoResponse>, Status> {
        let caller = Caller::of(&request, WRITERS)?;
        let (id, etag) = convert::delete(request.into_inner())?;
        let deleted = self
            .db
            .scoped(&caller, Access::Write, async |tx| {
                lock(&tx, id, &etag).await?;
                write::delete(&tx, id).await
            })
            .await?;
        Ok(Response::new(pb::DeletePhotoResponse {
            s3_key: deleted.s3_key,
            detections_deleted: deleted.detections,
            tags_deleted: deleted.tags,
            feedback_deleted: deleted.feedback,
        }))
    }
}

impl Service {
    async fn read(&self, caller: &Caller, ids: &[PhotoId], view: View) -> Result<Vec<pb::Photo>> {
        if view != View::Full {
            let photos = self.db.once(caller, Access::Read, async |tx| query::get(&tx, ids, view).await).await?;
            return Ok(photos.into_iter().map(convert::to_pb).collect());
        }
        let work = async |tx: Tx| {
            // To the end, even if one of them fails: what is dropped on its way costs the connection.
            let (photos, nested) = join(query::get(&tx, ids, view), Nested::read(&tx, ids)).await;
            Ok((photos?, nested?))
        };
        let (photos, nested) = self.db.together(caller, Access::Read, 1 + Nested::STATEMENTS, work).await?;
        Ok(nested.put(photos))
    }
}

async fn lock(tx: &Tx, id: PhotoId, etag: &str) -> Result<Photo> {
    let photo = query::lock(tx, id).await?.ok_or_else(|| Error::NotFound(Resource::Photo, id.to_string()))?;
    if etag::is_stale(etag, photo.version, photo.created_at) {
        return Err(Error::StaleEtag(Resource::Photo, id.to_string()));
    }
    Ok(photo)
}

/// What view FULL shows inside of photos.
#[derive(Default)]
struct Nested {
    tags: HashMap<PhotoId, Vec<pb::Tag>>,
    detections: HashMap<PhotoId, Vec<pb::Detection>>,
}

impl Nested {
    /// Statements of [`Nested::read`].
    const STATEMENTS: usize = 2;

    /// Reads it in one flight; a photo that is not there has none.
    async fn read(tx: &Tx, ids: &[PhotoId]) -> Result<Self> {
        let most = MAX_NESTED + 1;
        let (tags, detections) = join(tag::of_photos(tx, ids, most), detection::of_photos(tx, ids, most)).await;
        Ok(Self { tags: tags?, detections: detections? })
    }

    /// Shows photos with it.
    fn put(mut self, photos: Vec<Photo>) -> Vec<pb::Photo> {
        photos.into_iter().map(|photo| self.put_into(photo.id, convert::to_pb(photo))).collect()
    }

    fn put_into(&mut self, id: PhotoId, mut photo: pb::Photo) -> pb::Photo {
        photo.tags = self.tags.remove(&id).unwrap_or_default();
        photo.tags_truncated = photo.tags.len() > MAX_NESTED;
        photo.tags.truncate(MAX_NESTED);
        let all = self.detections.remove(&id).unwrap_or_default();
        let found = all.len();
        let mut bytes = 0;
        photo.detections = all
            .into_iter()
            .take(MAX_NESTED)
            .take_while(|detection| {
                bytes += prost::Message::encoded_len(detection);
                bytes <= MAX_BYTES / 2
            })
            .collect();
        photo.detections_truncated = photo.detections.len() < found;
        photo
    }
}

fn batch_result(outcome: Result<(Photo, bool)>) -> pb::BatchCreatePhotosResult {
    match outcome {
        Ok((photo, created)) => {
            let photo = pb::Photo { exif_data: None, ..convert::to_pb(photo) };
            pb::BatchCreatePhotosResult {
                photo: Some(photo),
                outcome: pb::WriteOutcome::of(created).into(),
                status: None,
            }
        }
        Err(error) => pb::BatchCreatePhotosResult { photo: None, outcome: 0, status: Some(item_status(error)) },
    }
}
