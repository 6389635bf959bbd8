//! What can go wrong, and the only place that turns it into a gRPC status. A variant exists where a client
//! program should behave differently; the reasons are those of `proto/photometa/v1/error_reason.proto`.

mod driver;
mod planned;
mod reason;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio_postgres::error::SqlState;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt as _};

use crate::chance;
use crate::pb::ErrorReason;
use crate::seldom::Seldom;
use driver::is_race;
pub use driver::lost;
use planned::SILENT;
pub use planned::is_planned;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "photometa.v1";
/// Most bytes of one text of a status.
const MAX_TEXT: usize = 512;
/// Most bytes of a status's violations.
const MAX_TOLD: usize = 3 * 1024;
/// In an outage each call could have a line.
static UNREACHED: Seldom = Seldom::new();

/// One broken field rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Proto path from the request, such as `detections[3].results.objects[0].box.width`.
    pub path: String,
    /// What the rule asks for, to be read after the path.
    pub problem: String,
}

/// The kinds of things that can be missing or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Resource {
    Organization,
    User,
    Project,
    Photo,
    Detection,
    Feedback,
}

/// What is wrong with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialProblem {
    /// There is none.
    Missing,
    /// It cannot be read or verified, or lacks a claim; the text says which.
    Invalid(&'static str),
    /// Its `exp` has passed.
    Expired,
    /// The key that has signed it may be one that this server cannot have now; it may ask again after this time.
    KeysUnavailable(Duration),
}

/// States that forbid a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// The project takes no new photos.
    ProjectArchived,
    /// The organization still has users or projects.
    OrganizationNotEmpty,
    /// The project still has photos.
    ProjectNotEmpty,
    /// Photos refer to the user.
    UserInUse,
    /// People gave feedback on the detection.
    DetectionReviewed,
}

/// What can go wrong.
#[derive(Debug, Clone)]
pub enum Error {
    /// Field rules are broken: all of them, at once.
    Invalid(Vec<Violation>),
    /// The token in this field is refused; the text says why.
    PageToken(&'static str, &'static str),
    /// The bytes are no message of the RPC.
    Malformed(String),
    /// The message is larger than the server accepts.
    TooLarge,
    /// The caller cannot be identified.
    Credential(CredentialProblem),
    /// The role may not do this.
    RoleNotAllowed {
        /// The caller's role.
        role: &'static str,
        /// Full name of the RPC.
        rpc: String,
    },
    /// Absent, or another organization's: nobody can tell which.
    NotFound(Resource, String),
    /// The id or natural key is taken with other content.
    AlreadyExists(Resource, String),
    /// The resource changed since its etag was read.
    StaleEtag(Resource, String),
    /// Another change came in between.
    ConcurrentChange,
    /// A state forbids the change of the named subject.
    Precondition(Precondition, String),
    /// The pool or a queue is full.
    Overloaded,
    /// The database cannot be reached.
    DatabaseUnavailable(String),
    /// The schema is not at the version that this server knows.
    SchemaPending,
    /// The connection has reached its age, or the server is shutting down.
    Draining,
    /// The caller's deadline or the server's own limit has passed.
    Deadline,
    /// A stream's client did this for too long: "sent nothing", or "read nothing".
    Idle(&'static str),
    /// There is no such RPC.
    RpcNotFound,
    /// The driver's error, raw: classified when it becomes a status.
    Database(Arc<tokio_postgres::Error>),
    /// A bug of ours. The text is logged and never sent.
    Internal(String),
}

impl Error {
    /// Makes the error of one broken field rule.
    pub fn invalid(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation { path: path.into(), problem: problem.into() }])
    }

    /// The meaning of a refusal that tonic itself made; none of one that has details, which is ours.
    pub fn of_tonic(status: &Status) -> Option<Self> {
        match status.code() {
            _ if !status.details().is_empty() => None,
            // The second is what a compressed message says when it has become too large.
            Code::OutOfRange | Code::ResourceExhausted => Some(Self::TooLarge),
            Code::Cancelled | Code::DeadlineExceeded => Some(Self::Deadline),
            Code::Unimplemented if status.message().is_empty() => Some(Self::RpcNotFound),
            // A compression we do not know, no message at all, a broken frame.
            Code::Unimplemented | Code::Internal | Code::InvalidArgument => {
                Some(Self::Malformed(status.message().to_owned()))
            }
            _ => None,
        }
    }

    /// Tells whether the same transaction may answer otherwise when it is run again. Writes read what they refer
    /// to first: a foreign key without a meaning of its own only fails when that was deleted in between.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.code().is_some_and(is_race))
    }

    /// Tells whether the connection was lost, could not be made, or leads to a server that is of no use any more: on
    /// another one the same transaction may succeed.
    pub fn is_lost(&self) -> bool {
        matches!(self.clone().classified(), Self::DatabaseUnavailable(_))
    }

    /// Tells whether the request is not at fault, and may succeed when it is made again.
    pub fn is_trouble(&self) -> bool {
        matches!(self, Self::Overloaded | Self::DatabaseUnavailable(_) | Self::Deadline | Self::ConcurrentChange)
    }

    /// Resolves a driver's error to the variant whose meaning it has; other variants stay as they are.
    pub fn classified(self) -> Self {
        let Self::Database(error) = self else { return self };
        let state = error.code().cloned();
        if state == Some(SqlState::QUERY_CANCELED) {
            return Self::Deadline;
        }
        if state.is_some_and(|state| is_race(&state) || state == SqlState::LOCK_NOT_AVAILABLE) {
            return Self::ConcurrentChange;
        }
        if let Some(why) = lost(&error) {
            return Self::DatabaseUnavailable(why);
        }
        Self::Internal(format!("{error:?}"))
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// Gives a constraint's violation its meaning for the client.
pub trait OnConstraint<T> {
    /// Replaces a violation of the named constraint by `meaning`; other errors pass unchanged.
    fn on_constraint(self, name: &str, meaning: impl FnOnce() -> Error) -> Result<T>;
}

impl<T> OnConstraint<T> for Result<T> {
    fn on_constraint(self, name: &str, meaning: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(|error| match &error {
            Error::Database(cause) if cause.as_db_error().and_then(|cause| cause.constraint()) == Some(name) => {
                meaning()
            }
            _ => error,
        })
    }
}

/// The wire name of a reason: the enum value without its prefix.
fn reason_name(reason: ErrorReason) -> &'static str {
    reason.as_str_name().trim_start_matches("ERROR_REASON_")
}

fn status(code: Code, reason: ErrorReason, message: impl Into<String>, mut details: ErrorDetails) -> Status {
    let metadata = details.error_info().map(|info| info.metadata.clone()).unwrap_or_default();
    details.set_error_info(reason_name(reason), DOMAIN, metadata);
    Status::with_error_details(code, shortened(message.into()), details)
}

/// Statuses travel in HTTP/2 headers, of which many peers take 8 KiB: what callers sent is repeated in part only.
fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

/// As many violations as fit; the message counts them all.
fn told(violations: Vec<Violation>) -> ErrorDetails {
    let mut bytes = 0;
    let fields = violations
        .into_iter()
        .map(|violation| FieldViolation::new(shortened(violation.path), shortened(violation.problem)));
    let fields = fields.take_while(|field| {
        bytes += field.field.len() + field.description.len() + 8;
        bytes <= MAX_TOLD
    });
    ErrorDetails::with_bad_request(fields.collect::<Vec<_>>())
}

/// The status of what may succeed when it is tried again after some time: half of it to one and a half, by chance, so that
/// those who were refused together do not come back together.
fn later(code: Code, reason: ErrorReason, message: &str, milliseconds: u64) -> Status {
    let wait = Duration::from_millis(milliseconds).mul_f64(0.5 + chance::fraction());
    let details = ErrorDetails::with_retry_info(Some(wait));
    status(code, reason, message, details)
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let plain = ErrorDetails::new;
        match error.classified() {
            Error::Invalid(violations) => {
                let message = match violations.as_slice() {
                    [only] => format!("{} {}", only.path, only.problem),
                    [first, rest @ ..] => {
                        format!("{} {}, and {} more; see the details", first.path, first.problem, rest.len())
                    }
                    [] => "the request breaks a rule".to_owned(),
                };
                status(Code::InvalidArgument, ErrorReason::InvalidFields, message, told(violations))
            }
            Error::PageToken(field, problem) => {
                let message = format!("{field} {problem}; start again without one");
                status(Code::InvalidArgument, ErrorReason::InvalidPageToken, message, plain())
            }
            Error::Malformed(problem) => {
                let message = format!("the bytes are no message of this rpc: {problem}");
                status(Code::InvalidArgument, ErrorReason::MalformedMessage, message, plain())
            }
            Error::TooLarge => {
                let message = format!(
                    "the message is larger than {} bytes, or has far more items than fit there; send less at a time",
                    crate::MAX_REQUEST_BYTES
                );
                status(Code::InvalidArgument, ErrorReason::MessageTooLarge, message, plain())
            }
            Error::Credential(problem) => unidentified(problem),
            Error::RoleNotAllowed { role, rpc } => {
                let message = format!("the role {role} may not do this");
                let metadata = HashMap::from([("role".to_owned(), role.to_owned()), ("rpc".to_owned(), rpc)]);
                let details = ErrorDetails::with_error_info("", DOMAIN, metadata);
                status(Code::PermissionDenied, ErrorReason::RoleNotAllowed, message, details)
            }
            Error::NotFound(resource, id) => {
                let message = format!("there is no {} {id}", resource.name());
                let details = ErrorDetails::with_resource_info(format!("photometa.v1.{resource:?}"), id, "", "");
                status(Code::NotFound, resource.not_found(), message, details)
            }
            Error::AlreadyExists(resource, id) => {
                let message = format!(
                    "the {} {id} exists with other content; choose another id or key, or send the same content",
                    resource.name()
                );
                let details = ErrorDetails::with_resource_info(format!("photometa.v1.{resource:?}"), id, "", "");
                status(Code::AlreadyExists, resource.already_exists(), message, details)
            }
            Error::StaleEtag(resource, id) => {
                let message =
                    format!("the {} {id} has changed since its etag was read; read it again", resource.name());
                let details = ErrorDetails::with_resource_info(format!("photometa.v1.{resource:?}"), id, "", "");
                status(Code::Aborted, ErrorReason::StaleEtag, message, details)
            }
            Error::ConcurrentChange => {
                later(Code::Aborted, ErrorReason::ConcurrentChange, "another change came in between; retry", 50)
            }
            Error::Precondition(precondition, subject) => {
                let (reason, message) = precondition.told();
                let violation = PreconditionViolation::new(reason_name(reason), subject, message);
                let details = ErrorDetails::with_precondition_failure(vec![violation]);
                status(Code::FailedPrecondition, reason, message, details)
            }
            Error::Overloaded => {
                let message = "the server is at its limit; retry later";
                later(Code::ResourceExhausted, ErrorReason::Overloaded, message, 200)
            }
            Error::DatabaseUnavailable(cause) => {
                if let Some(times) = UNREACHED.again() {
                    tracing::warn!(%cause, others = times - 1, "the database cannot be reached");
                }
                tracing::debug!(%cause, "the database cannot be reached");
                let message = "the database cannot be reached; retry later";
                later(Code::Unavailable, ErrorReason::DatabaseUnavailable, message, 500)
            }
            Error::SchemaPending => {
                later(Code::Unavailable, ErrorReason::DatabaseUnavailable, "the schema is not ready; retry later", 1000)
            }
            Error::Draining => {
                let message =
                    "this connection ends, because it is old or the server shuts down; call again, on another one";
                later(Code::Unavailable, ErrorReason::Draining, message, 100)
            }
            Error::Deadline => status(
                Code::DeadlineExceeded,
                ErrorReason::DeadlineExceeded,
                "the deadline has passed; a write may have happened: repeat it with the same id or natural key",
                plain(),
            ),
            Error::Idle(what) => status(
                Code::DeadlineExceeded,
                ErrorReason::DeadlineExceeded,
                format!("the client {what} for too long; open another stream and go on where this one ended"),
                ErrorDetails::with_error_info("", "", [(SILENT.to_owned(), what.to_owned())]),
            ),
            Error::RpcNotFound => {
                status(Code::Unimplemented, ErrorReason::RpcNotFound, "this server has no such rpc", plain())
            }
            Error::Database(error) => internal(&format!("{error:?}")),
            Error::Internal(cause) => internal(&cause),
        }
    }
}

fn unidentified(problem: CredentialProblem) -> Status {
    let (reason, message) = match problem {
        CredentialProblem::Missing => (
            ErrorReason::CredentialMissing,
            "no credential; send the metadata `authorization: Bearer <JWT>`".to_owned(),
        ),
        CredentialProblem::Invalid(why) => (ErrorReason::CredentialInvalid, format!("the credential {why}")),
        CredentialProblem::Expired => {
            (ErrorReason::CredentialExpired, "the credential has expired; get a new one".to_owned())
        }
        CredentialProblem::KeysUnavailable(wait) => {
            let message = "the key that signed the credential cannot be looked up now; retry later";
            let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            return later(Code::Unavailable, ErrorReason::KeysUnavailable, message, milliseconds);
        }
    };
    status(Code::Unauthenticated, reason, message, ErrorDetails::new())
}

fn internal(cause: &str) -> Status {
    tracing::error!(cause, "internal error");
    status(
        Code::Internal,
        ErrorReason::Internal,
        "internal error; quote the x-request-id of this answer",
        ErrorDetails::new(),
    )
}

/// Turns an error into the status of one item of a batch.
pub fn item_status(error: Error) -> tonic_types::Status {
    let status = Status::from(error);
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
