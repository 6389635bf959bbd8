//! `ProjectService`: who, what, do, answer.

use tonic::{Request, Response, Status};

use super::model::Project;
use super::{convert, member, query};
use crate::auth::{ADMINS, Caller, PEOPLE, READERS};
use crate::db::{Access, Db};
use crate::page::Pages;
use crate::pb::{self, project_service_server::ProjectService};

/// Serves projects.
#[derive(Debug)]
pub struct Service {
    /// The door to the database.
    pub db: Db,
    /// Makes page tokens.
    pub pages: Pages,
}

#[tonic::async_trait]
impl ProjectService for Service {
    async fn create_project(
        &self,
        request: Request<pb::CreateProjectRequest>,
    ) -> Result<Response<pb::CreateProjectResponse>, Status> {
        let caller = Caller::of(&request, ADMINS)?;
        let new = convert::create(request.into_inner())?;
        let (project, created) =
            self.db.scoped(&caller, Access::Write, async |tx| query::insert(&tx, &new).await).await?;
        let project = Some(convert::to_pb(project));
        Ok(Response::new(pb::CreateProjectResponse { project, outcome: convert::outcome(created).into() }))
    }

    async fn get_project(
        &self,
        request: Request<pb::GetProjectRequest>,
    ) -> Result<Response<pb::GetProjectResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let id = convert::get(request.into_inner())?;
        let project = self.db.once(&caller, Access::Read, async |tx| query::get(&tx, id).await).await?;
        Ok(Response::new(pb::GetProjectResponse { project: Some(convert::to_pb(project)) }))
    }

    async fn list_projects(
        &self,
        request: Request<pb::ListProjectsRequest>,
    ) -> Result<Response<pb::ListProjectsResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let (statuses, page) = convert::list(&self.pages, &caller, request.into_inner())?;
        let rows = self
            .db
            .once(&caller, Access::Read, async |tx| query::list(&tx, &statuses, page.after.clone(), page.limit()).await)
            .await?;
        let (projects, next_page_token) = self.pages.cut(&page, rows, Project::sort_key, convert::to_pb);
        Ok(Response::new(pb::ListProjectsResponse { projects, next_page_token }))
    }

    async fn update_project(
        &self,
        request: Request<pb::UpdateProjectRequest>,
    ) -> Result<Response<pb::UpdateProjectResponse>, Status> {
        let caller = Caller::of(&request, ADMINS)?;
        let change = convert::update(request.into_inner())?;
        let project = self.db.once(&caller, Access::Write, async |tx| query::update(&tx, &change).await).await?;
        Ok(Response::new(pb::UpdateProjectResponse { project: Some(convert::to_pb(project)) }))
    }

    async fn delete_project(
        &self,
        request: Request<pb::DeleteProjectRequest>,
    ) -> Result<Response<pb::DeleteProjectResponse>, Status> {
        let caller = Caller::of(&request, ADMINS)?;
        let id = convert::delete(request.into_inner())?;
        self.db.once(&caller, Access::Write, async |tx| query::delete(&tx, id).await).await?;
        Ok(Response::new(pb::DeleteProjectResponse {}))
    }

    async fn add_project_members(
        &self,
        request: Request<pb::AddProjectMembersRequest>,
    ) -> Result<Response<pb::AddProjectMembersResponse>, Status> {
        let caller = Caller::of(&request, ADMINS)?;
        let membership = convert::add_members(request.into_inner())?;
        let added = self.db.once(&caller, Access::Write, async |tx| member::add(&tx, &membership).await).await?;
        Ok(Response::new(pb::AddProjectMembersResponse { added }))
    }

    async fn remove_project_members(
        &self,
        request: Request<pb::RemoveProjectMembersRequest>,
    ) -> Result<Response<pb::RemoveProjectMembersResponse>, Status> {
        let caller = Caller::of(&request, ADMINS)?;
        let membership = convert::remove_members(request.into_inner())?;
        let removed = self.db.once(&caller, Access::Write, async |tx| member::remove(&tx, &membership).await).await?;
        Ok(Response::new(pb::RemoveProjectMembersResponse { removed }))
    }

    async fn list_project_members(
        &self,
        request: Request<pb::ListProjectMembersRequest>,
    ) -> Result<Response<pb::ListProjectMembersResponse>, Status> {
        let caller = Caller::of(&request, PEOPLE)?;
        let (project_id, page) = convert::list_members(&self.pages, &caller, request.into_inner())?;
        let rows = self
            .db
            .once(&caller, Access::Read, async |tx| member::list(&tx, project_id, page.after, page.limit()).await)
            .await?;
        let (members, next_page_token) = self.pages.cut(&page, rows, |member| member.user_id, convert::member_to_pb);
        Ok(Response::new(pb::ListProjectMembersResponse { members, next_page_token }))
    }
}
