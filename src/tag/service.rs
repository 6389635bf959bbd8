//! `TagService`: who, what, do, answer.

use tonic::{Request, Response, Status};

use super::{convert, query};
use crate::auth::{Caller, READERS};
use crate::db::{Access, Db};
use crate::error::{Error, Resource, Result};
use crate::page::Pages;
use crate::pb::{self, tag_service_server::TagService};

/// Serves tags.
#[derive(Debug)]
pub struct Service {
    /// The door to the database.
    pub db: Db,
    /// Makes page tokens.
    pub pages: Pages,
}

#[tonic::async_trait]
impl TagService for Service {
    async fn add_tags(&self, request: Request<pb::AddTagsRequest>) -> Result<Response<pb::AddTagsResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let addition = convert::add(&caller, request.into_inner())?;
        let (written, tags) = self
            .db
            .scoped(&caller, Access::Write, async |tx| {
                Ok((query::add(&tx, &addition).await?, query::read_back(&tx, &addition).await?))
            })
            .await?;
        let unchanged = i32::try_from(tags.len()).unwrap_or(i32::MAX) - written.added - written.updated;
        let tags = tags.into_iter().map(convert::to_pb).collect();
        Ok(Response::new(pb::AddTagsResponse { tags, added: written.added, unchanged, updated: written.updated }))
    }

    async fn remove_tags(
        &self,
        request: Request<pb::RemoveTagsRequest>,
    ) -> Result<Response<pb::RemoveTagsResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let removal = convert::remove(&caller, request.into_inner())?;
        let removed = self.db.once(&caller, Access::Write, async |tx| query::remove(&tx, &removal).await).await?;
        Ok(Response::new(pb::RemoveTagsResponse { removed }))
    }

    async fn list_tags(&self, request: Request<pb::ListTagsRequest>) -> Result<Response<pb::ListTagsResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let photo_id = convert::list(request.into_inner())?;
        let tags = self.db.once(&caller, Access::Read, async |tx| query::list(&tx, photo_id).await).await?;
        let tags = tags.ok_or_else(|| Error::NotFound(Resource::Photo, photo_id.to_string()))?;
        Ok(Response::new(pb::ListTagsResponse { tags: tags.into_iter().map(convert::to_pb).collect() }))
    }

    async fn list_tag_counts(
        &self,
        request: Request<pb::ListTagCountsRequest>,
    ) -> Result<Response<pb::ListTagCountsResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let (filter, order, page) = convert::list_counts(&self.pages, &caller, request.into_inner())?;
        let counts = self
            .db
            .scoped(&caller, Access::Read, async |tx| {
                let counts = query::list_counts(&tx, &filter, order, page.after.as_ref(), page.limit()).await?;
                match filter.project_id {
                    Some(project_id) if counts.is_empty() => query::find_project(&tx, project_id).await?,
                    _ => {}
                }
                Ok(counts)
            })
            .await?;
        let (tag_counts, next_page_token) =
            self.pages.cut(&page, counts, super::model::TagCount::sort_key, convert::count_to_pb);
        Ok(Response::new(pb::ListTagCountsResponse { tag_counts, next_page_token }))
    }
}
