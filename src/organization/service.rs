//! `OrganizationService`: who, what, do, answer.

use tonic::{Request, Response, Status};

use super::model::Organization;
use super::{convert, query};
use crate::auth::{Caller, OPERATORS};
use crate::db::{Access, Db};
use crate::page::Pages;
use crate::pb::{self, organization_service_server::OrganizationService};

/// Serves organizations.
#[derive(Debug)]
pub struct Service {
    /// The door to the database.
    pub db: Db,
    /// Makes page tokens.
    pub pages: Pages,
}

#[tonic::async_trait]
impl OrganizationService for Service {
    async fn create_organization(
        &self,
        request: Request<pb::CreateOrganizationRequest>,
    ) -> Result<Response<pb::CreateOrganizationResponse>, Status> {
        let caller = Caller::of(&request, OPERATORS)?;
        let new = convert::create(request.into_inner())?;
        let (organization, created) =
            self.db.scoped(&caller, Access::Write, async |tx| query::insert(&tx, &new).await).await?;
        let organization = Some(convert::to_pb(organization));
        Ok(Response::new(pb::CreateOrganizationResponse { organization, outcome: convert::outcome(created).into() }))
    }

    async fn get_organization(
        &self,
        request: Request<pb::GetOrganizationRequest>,
    ) -> Result<Response<pb::GetOrganizationResponse>, Status> {
        let caller = Caller::of(&request, OPERATORS)?;
        let id = convert::get(request.into_inner())?;
        let organization = self.db.once(&caller, Access::Read, async |tx| query::get(&tx, id).await).await?;
        Ok(Response::new(pb::GetOrganizationResponse { organization: Some(convert::to_pb(organization)) }))
    }

    async fn list_organizations(
        &self,
        request: Request<pb::ListOrganizationsRequest>,
    ) -> Result<Response<pb::ListOrganizationsResponse>, Status> {
        let caller = Caller::of(&request, OPERATORS)?;
        let page = convert::list(&self.pages, &caller, request.into_inner())?;
        let rows = self
            .db
            .once(&caller, Access::Read, async |tx| query::list(&tx, page.after.clone(), page.limit()).await)
            .await?;
        let (organizations, next_page_token) = self.pages.cut(&page, rows, Organization::sort_key, convert::to_pb);
        Ok(Response::new(pb::ListOrganizationsResponse { organizations, next_page_token }))
    }

    async fn delete_organization(
        &self,
        request: Request<pb::DeleteOrganizationRequest>,
    ) -> Result<Response<pb::DeleteOrganizationResponse>, Status> {
        let caller = Caller::of(&request, OPERATORS)?;
        let id = convert::delete(request.into_inner())?;
        self.db.once(&caller, Access::Write, async |tx| query::delete(&tx, id).await).await?;
        Ok(Response::new(pb::DeleteOrganizationResponse {}))
    }
}
