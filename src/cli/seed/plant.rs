//! Puts the demo into a server, each thing by the role whose job it is. What is there already stays as it is,
//! even when somebody has changed it since.

use std::time::Duration;

use indicatif::ProgressBar;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

use super::Tally;
use super::demo::Company;
use crate::auth::Role;
use crate::auth::token::SigningKey;
use crate::cli::client::{Clients, item_status, refused, retry};
use crate::cli::{Failure, token};
use crate::config::{Credentials, Secret};
use crate::pb::{self, WriteOutcome};

/// Seeding takes seconds.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// One call through a clone of a client, repeated while that may help.
macro_rules! call {
    ($client:expr, $rpc:ident, $request:expr) => {
        retry(|| {
            let (mut client, request) = ($client.clone(), $request.clone());
            async move { client.$rpc(request).await }
        })
        .await
    };
}

/// Makes credentials and clients.
pub(super) struct Desk<'a> {
    pub(super) channel: Channel,
    pub(super) secret: &'a Secret,
    pub(super) credentials: &'a Credentials,
}

impl Desk<'_> {
    fn clients(&self, role: Role, organization: Option<Uuid>, subject: Uuid) -> Result<Clients, Failure> {
        let key = SigningKey::hs256(self.secret.reveal().as_bytes());
        let token = token::sign(&key, self.credentials, (role, organization, subject), TOKEN_LIFE)?;
        Clients::new(&self.channel, &Secret::from(token))
    }
}

/// Puts one company into the server.
pub(super) struct Plant<'a> {
    desk: &'a Desk<'a>,
    organization: Uuid,
    tally: &'a mut Tally,
    bar: &'a ProgressBar,
}

/// How many items a company is counted as.
pub(super) fn steps(company: &Company) -> usize {
    let Company {
        organization_id: _,
        organization: _,
        users,
        projects,
        members,
        photos,
        detections,
        ai_tags,
        user_tags,
        feedback,
    } = company;
    let tags = ai_tags
        .iter()
        .chain(user_tags.iter().map(|(_, request)| request))
        .map(|request| request.photo_ids.len() * request.tags.len());
    let memberships = members.iter().map(|request| request.user_ids.len());
    1 + users.len()
        + projects.len()
        + memberships.sum::<usize>()
        + photos.len()
        + detections.len()
        + tags.sum::<usize>()
        + feedback.len()
}

impl<'a> Plant<'a> {
    pub(super) fn new(desk: &'a Desk<'a>, organization: Uuid, tally: &'a mut Tally, bar: &'a ProgressBar) -> Self {
        Self { desk, organization, tally, bar }
    }

    /// Everything of a company. The last project is archived at the end: archived ones take no new photos.
    pub(super) async fn everything(mut self, company: &Company) -> Result<(), Failure> {
        self.organization(&company.organization).await?;
        let admin = self.desk.clients(Role::OrgAdmin, Some(self.organization), company.manager())?;
        for user in &company.users {
            self.user(&admin, user).await?;
        }
        for project in &company.projects {
            self.project(&admin, project).await?;
        }
        for members in &company.members {
            self.members(&admin, members).await?;
        }
        self.machines(company).await?;
        self.people(company).await?;
        match company.projects.last() {
            Some(project) => archive(&admin, &project.id).await,
            None => Ok(()),
        }
    }

    /// The organization, its first user and its first project.
    pub(super) async fn least(mut self, company: &Company) -> Result<(), Failure> {
        let (user, project) = (company.manager().to_string(), company.first_project().to_string());
        self.organization(&company.organization).await?;
        let admin = self.desk.clients(Role::OrgAdmin, Some(self.organization), company.manager())?;
        for manager in company.users.iter().filter(|found| found.id == user) {
            self.user(&admin, manager).await?;
        }
        for first in company.projects.iter().filter(|found| found.id == project) {
            self.project(&admin, first).await?;
        }
        self.members(&admin, &pb::AddProjectMembersRequest { project_id: project, user_ids: vec![user] }).await
    }

    /// What the upload service and the workers do.
    async fn machines(&mut self, company: &Company) -> Result<(), Failure> {
        let service = self.desk.clients(Role::Service, Some(self.organization), self.organization)?;
        let request = pb::BatchCreatePhotosRequest { photos: company.photos.clone(), partial: true };
        for item in call!(service.photos, batch_create_photos, request).map_err(refused)?.results {
            self.item(item.outcome(), item.status.as_ref())?;
        }
        let request = pb::BatchCreateDetectionsRequest { detections: company.detections.clone(), partial: true };
        for item in call!(service.detections, batch_create_detections, request).map_err(refused)?.results {
            self.item(item.outcome(), item.status.as_ref())?;
        }
        for request in &company.ai_tags {
            self.tags(&service, request).await?;
        }
        Ok(())
    }

    /// What people do.
    async fn people(&mut self, company: &Company) -> Result<(), Failure> {
        for (person, request) in &company.user_tags {
            let person = self.desk.clients(Role::OrgUser, Some(self.organization), *person)?;
            self.tags(&person, request).await?;
        }
        for (person, feedback) in &company.feedback {
            let person = self.desk.clients(Role::OrgUser, Some(self.organization), *person)?;
            let request = pb::CreateFeedbackRequest { feedback: Some(feedback.clone()), detection_etag: String::new() };
            let answer = call!(person.feedback, create_feedback, request).map_err(refused)?;
            self.count(answer.outcome());
        }
        Ok(())
    }

    async fn organization(&mut self, organization: &pb::Organization) -> Result<(), Failure> {
        let operator = self.desk.clients(Role::Operator, None, self.organization)?;
        let request = pb::CreateOrganizationRequest { organization: Some(organization.clone()) };
        let answer = call!(operator.organizations, create_organization, request).map_err(refused)?;
        self.count(answer.outcome());
        Ok(())
    }

    async fn user(&mut self, admin: &Clients, user: &pb::User) -> Result<(), Failure> {
        let request = pb::CreateUserRequest { user: Some(user.clone()) };
        match call!(admin.users, create_user, request) {
            Ok(answer) => self.count(answer.outcome()),
            Err(status) => {
                let request = pb::GetUserRequest { id: user.id.clone() };
                self.changed(status, call!(admin.users, get_user, request).is_ok())?;
            }
        }
        Ok(())
    }

    async fn project(&mut self, admin: &Clients, project: &pb::Project) -> Result<(), Failure> {
        let request = pb::CreateProjectRequest { project: Some(project.clone()) };
        let status = match call!(admin.projects, create_project, request) {
            Ok(answer) => {
                self.count(answer.outcome());
                return Ok(());
            }
            Err(status) => status,
        };
        let request = pb::GetProjectRequest { id: project.id.clone() };
        let found = call!(admin.projects, get_project, request).ok().and_then(|answer| answer.project);
        // Archiving is this command's own doing.
        if let Some(found) = &found
            && found.name == project.name
            && found.description == project.description
        {
            self.count(WriteOutcome::Unchanged);
            return Ok(());
        }
        self.changed(status, found.is_some())
    }

    async fn members(&mut self, admin: &Clients, request: &pb::AddProjectMembersRequest) -> Result<(), Failure> {
        let added = call!(admin.projects, add_project_members, request).map_err(refused)?.added;
        let added = usize::try_from(added).unwrap_or_default();
        self.several(added, request.user_ids.len().saturating_sub(added));
        Ok(())
    }

    async fn tags(&mut self, clients: &Clients, request: &pb::AddTagsRequest) -> Result<(), Failure> {
        let answer = call!(clients.tags, add_tags, request).map_err(refused)?;
        let added = usize::try_from(answer.added).unwrap_or_default();
        self.several(added, (request.photo_ids.len() * request.tags.len()).saturating_sub(added));
        Ok(())
    }

    fn item(&mut self, outcome: WriteOutcome, status: Option<&tonic_types::Status>) -> Result<(), Failure> {
        match status {
            None => self.count(outcome),
            Some(status) => self.changed(item_status(status), true)?,
        }
        Ok(())
    }

    /// Accepts "exists with other content" for what is there under our id.
    fn changed(&mut self, status: Status, ours: bool) -> Result<(), Failure> {
        if status.code() != Code::AlreadyExists || !ours {
            return Err(refused(status));
        }
        self.tally.changed_since += 1;
        self.bar.inc(1);
        Ok(())
    }

    fn count(&mut self, outcome: WriteOutcome) {
        self.tally.count(outcome);
        self.bar.inc(1);
    }

    fn several(&mut self, created: usize, unchanged: usize) {
        self.tally.created += created;
        self.tally.unchanged += unchanged;
        self.bar.inc((created + unchanged) as u64);
    }
}

async fn archive(admin: &Clients, id: &str) -> Result<(), Failure> {
    let archived = pb::ProjectStatus::Archived.into();
    let project = pb::Project { id: id.to_owned(), status: archived, ..pb::Project::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["status".to_owned()] });
    let request = pb::UpdateProjectRequest { project: Some(project), update_mask };
    call!(admin.projects, update_project, request).map_err(refused)?;
    Ok(())
}
