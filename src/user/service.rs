//! `UserService`: who, what, do, answer.

use tonic::{Request, Response, Status};

use super::model::User;
use super::{convert, query};
use crate::auth::{ADMINS, Caller, READERS};
use crate::db::{Access, Db};
use crate::page::Pages;
use crate::pb::{self, user_service_server::UserService};

/// Serves users.
#[derive(Debug)]
pub struct Service {
    /// The door to the database.
    pub db: Db,
    /// Makes page tokens.
    pub pages: Pages,
}

#[tonic::async_trait]
impl UserService for Service {
    async fn create_user(
        &self,
        request: Request<pb::CreateUserRequest>,
    ) -> Result<Response<pb::CreateUserResponse>, Status> {
        let caller = Caller::of(&request, ADMINS)?;
        let new = convert::create(request.into_inner())?;
        let (user, created) = self.db.scoped(&caller, Access::Write, async |tx| query::insert(&tx, &new).await).await?;
        let user = Some(convert::to_pb(user));
        Ok(Response::new(pb::CreateUserResponse { user, outcome: convert::outcome(created).into() }))
    }

    async fn get_user(&self, request: Request<pb::GetUserRequest>) -> Result<Response<pb::GetUserResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let id = convert::get(request.into_inner())?;
        let user = self.db.once(&caller, Access::Read, async |tx| query::get(&tx, id).await).await?;
        Ok(Response::new(pb::GetUserResponse { user: Some(convert::to_pb(user)) }))
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        let caller = Caller::of(&request, READERS)?;
        let page = convert::list(&self.pages, &caller, request.into_inner())?;
        let rows = self
            .db
            .once(&caller, Access::Read, async |tx| query::list(&tx, page.after.clone(), page.limit()).await)
            .await?;
        let (users, next_page_token) = self.pages.cut(&page, rows, User::sort_key, convert::to_pb);
        Ok(Response::new(pb::ListUsersResponse { users, next_page_token }))
    }

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::UpdateUserResponse>, Status> {
        let caller = Caller::of(&request, ADMINS)?;
        let change = convert::update(request.into_inner())?;
        let user = self.db.once(&caller, Access::Write, async |tx| query::update(&tx, &change).await).await?;
        Ok(Response::new(pb::UpdateUserResponse { user: Some(convert::to_pb(user)) }))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        let caller = Caller::of(&request, ADMINS)?;
        let id = convert::delete(request.into_inner())?;
        self.db.once(&caller, Access::Write, async |tx| query::delete(&tx, id).await).await?;
        Ok(Response::new(pb::DeleteUserResponse {}))
    }
}
