//! What every client command shares: the credential, the words for a refusal and the progress bar. The connection is in
//! [`reach`], and when a call is worth repeating in [`retry`].

mod reach;
mod retry;
mod way;

use std::error::Error as _;
use std::fmt::{self, Write as _};
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

pub(super) use reach::{connect, inside};
pub(super) use retry::{pause, retry};

use reach::root_cause;

use super::Failure;
use crate::config::{self, Secret};
use crate::pb;
use crate::pb::detection_service_client::DetectionServiceClient;
use crate::pb::feedback_service_client::FeedbackServiceClient;
use crate::pb::organization_service_client::OrganizationServiceClient;
use crate::pb::photo_service_client::PhotoServiceClient;
use crate::pb::project_service_client::ProjectServiceClient;
use crate::pb::session_service_client::SessionServiceClient;
use crate::pb::tag_service_client::TagServiceClient;
use crate::pb::user_service_client::UserServiceClient;

/// Longest time one attempt of one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What a detection is of, as commands spell it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    Damage,
    Material,
    Volume,
}

impl From<Kind> for pb::DetectionType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Damage => Self::Damage,
            Kind::Material => Self::Material,
            Kind::Volume => Self::Volume,
        }
    }
}

/// A connection that carries a credential, and a deadline with every call that has one.
pub(super) type Session = InterceptedService<Channel, Bearer>;

/// The services, as one credential sees them. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    pub(super) detections: DetectionServiceClient<Session>,
    /// For the stream of training data, which takes as long as it takes.
    pub(super) exports: FeedbackServiceClient<Session>,
    pub(super) feedback: FeedbackServiceClient<Session>,
    pub(super) organizations: OrganizationServiceClient<Session>,
    pub(super) photos: PhotoServiceClient<Session>,
    pub(super) projects: ProjectServiceClient<Session>,
    pub(super) session: SessionServiceClient<Session>,
    pub(super) tags: TagServiceClient<Session>,
    pub(super) users: UserServiceClient<Session>,
}

impl Clients {
    /// Connects as the owner of the credential in a command's settings.
    ///
    /// # Errors
    /// When there is none, or nobody answers.
    pub(super) async fn of(settings: config::Client) -> Result<Self, Failure> {
        let token = settings.token.as_ref().ok_or(
            "there is no credential; set PHOTOMETA_TOKEN to what `photometa token --role service --org UUID` prints",
        )?;
        Self::new(&connect(&settings).await?, token)
    }

    /// Calls through `channel` as the owner of `token`.
    ///
    /// # Errors
    /// When the token cannot stand in a header.
    pub(super) fn new(channel: &Channel, token: &Secret) -> Result<Self, Failure> {
        let mut header: MetadataValue<Ascii> = format!("Bearer {}", token.reveal().trim())
            .parse()
            .map_err(|_| "the token contains characters that no token has; see PHOTOMETA_TOKEN or --token")?;
        header.set_sensitive(true);
        let stream = InterceptedService::new(channel.clone(), Bearer { header: header.clone(), timeout: None });
        let session = InterceptedService::new(channel.clone(), Bearer { header, timeout: Some(CALL_TIMEOUT) });
        Ok(Self {
            detections: DetectionServiceClient::new(session.clone()),
            exports: FeedbackServiceClient::new(stream),
            feedback: FeedbackServiceClient::new(session.clone()),
            organizations: OrganizationServiceClient::new(session.clone()),
            photos: PhotoServiceClient::new(session.clone()),
            projects: ProjectServiceClient::new(session.clone()),
            session: SessionServiceClient::new(session.clone()),
            tags: TagServiceClient::new(session.clone()),
            users: UserServiceClient::new(session),
        })
    }
}

/// Puts the credential and the deadline into a call's metadata.
#[derive(Debug, Clone)]
pub(super) struct Bearer {
    header: MetadataValue<Ascii>,
    timeout: Option<Duration>,
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.header.clone());
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        Ok(request)
    }
}

/// A refusal as a command's failure.
pub(super) fn refused(status: Status) -> Failure {
    Refused(status).into()
}

/// What a server has refused, in words.
#[derive(Debug)]
pub(super) struct Refused(Status);

impl Refused {
    /// Whether it did not know who was calling.
    pub(super) fn is_stranger(&self) -> bool {
        self.0.code() == Code::Unauthenticated
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.0))
    }
}

impl std::error::Error for Refused {}

/// A refusal in words: the message, its reason, and every broken field rule when there is more than one.
pub(super) fn describe(status: &Status) -> String {
    let details = status.get_error_details();
    let mut text = match (details.error_info(), status.source()) {
        (Some(info), _) => format!("{} ({})", status.message(), info.reason),
        (None, Some(source)) => format!("the connection failed ({})", root_cause(source)),
        (None, None) if status.message().is_empty() => status.code().description().to_owned(),
        (None, None) => format!("{} ({:?})", status.message(), status.code()),
    };
    let violations = details.bad_request().map(|request| request.field_violations.as_slice()).unwrap_or_default();
    if violations.len() > 1 {
        for violation in violations {
            let _ = write!(text, "\n  {} {}", violation.field, violation.description);
        }
    }
    text
}

/// The status of one item of a batch, as if the item had been called alone.
pub(super) fn item_status(status: &tonic_types::Status) -> Status {
    let details = prost::Message::encode_to_vec(status);
    Status::with_details(Code::from(status.code), status.message.clone(), details.into())
}

/// Asks whether there are such projects.
///
/// # Errors
/// The refusal of the first one that is not there, or cannot be seen.
pub(super) async fn look_for_projects(clients: &Clients, projects: &[Uuid]) -> Result<(), Failure> {
    for id in projects {
        let found = retry(|| {
            let mut projects = clients.projects.clone();
            async move { projects.get_project(pb::GetProjectRequest { id: id.to_string() }).await }
        });
        found.await.map_err(refused)?;
    }
    Ok(())
}

/// A progress bar on standard error; hidden when that is no terminal.
pub(super) fn progress(what: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:12} {bar:40} {pos}/{len}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_prefix(what)
}

/// The same for what has no known length: turns, and shows what it is told.
pub(super) fn spinner(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:12} {spinner} {msg}, {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style).with_prefix(what)
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    #[test]
    fn describe_lists_every_violation() {
        let fields =
            ["width", "height"].map(|name| FieldViolation::new(format!("photo.{name}"), "is 0; 1 to 10 is allowed"));
        let mut details = ErrorDetails::with_bad_request(fields.to_vec());
        details.set_error_info("INVALID_FIELDS", "photometa.v1", std::collections::HashMap::new());
        let status = Status::with_error_details(Code::InvalidArgument, "photo.width is 0, and 1 more", details);

        let text = describe(&status);

        assert!(text.starts_with("photo.width is 0, and 1 more (INVALID_FIELDS)\n  photo.width is 0;"), "{text}");
        assert!(text.ends_with("\n  photo.height is 0; 1 to 10 is allowed"), "{text}");
    }
}
