//! Who asks: the bearer token becomes a [`Caller`] once, before any handler runs, and handlers take the
//! organization from it alone. How a token is verified is in [`token`], and with which keys in [`keys`].

mod crypto;
mod keys;
mod sign;
pub mod token;
mod verified;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use tonic::Request;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::error::{CredentialProblem, Error, Result};
use crate::id::{OrganizationId, UserId};
use crate::lsn::{self, Lsn, Written};

/// What a credential may do. Each becomes a PostgreSQL role inside the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Role {
    /// Platform staff and provisioning jobs: organizations only.
    Operator,
    /// An organization's administrators: everything inside it.
    OrgAdmin,
    /// People: what belongs to the projects they are members of.
    OrgUser,
    /// Upload service and detection workers: the whole organization, without feedback and membership.
    Service,
}

/// Roles that read inside an organization.
pub const READERS: &[Role] = &[Role::OrgAdmin, Role::OrgUser, Role::Service];
/// Roles that write what machines write.
pub const WRITERS: &[Role] = &[Role::OrgAdmin, Role::Service];
/// People.
pub const PEOPLE: &[Role] = &[Role::OrgAdmin, Role::OrgUser];
/// Administrators of an organization.
pub const ADMINS: &[Role] = &[Role::OrgAdmin];
/// Operators.
pub const OPERATORS: &[Role] = &[Role::Operator];
/// Everybody with a credential.
pub const EVERYONE: &[Role] = &[Role::Operator, Role::OrgAdmin, Role::OrgUser, Role::Service];

impl Role {
    /// The name in tokens and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::OrgAdmin => "org_admin",
            Self::OrgUser => "org_user",
            Self::Service => "service",
        }
    }

    /// Tells whether the role is a person's: its subject is a user.
    pub fn is_person(self) -> bool {
        matches!(self, Self::OrgAdmin | Self::OrgUser)
    }
}

/// One authenticated call: who asks, for which organization, and until when.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant; nil for operators, which matches no row.
    pub organization: OrganizationId,
    /// The person or service account.
    pub subject: Uuid,
    /// What it may do.
    pub role: Role,
    /// Full name of the RPC, such as `photometa.v1.PhotoService/GetPhoto`.
    pub rpc: String,
    /// When the answer is too late.
    pub deadline: Instant,
    /// What bounds it when it is a stream.
    pub term: Term,
    /// What the caller has seen of the database's log: a read must not show less.
    pub after: Option<Lsn>,
    /// Where the call's own commits are in it.
    pub written: Written,
}

/// What bounds a call that goes on for longer than one answer takes.
#[derive(Debug, Clone, Copy)]
pub struct Term {
    /// Longest time of one piece of work.
    pub longest: Duration,
    /// The caller's own deadline, if it has one.
    pub asked: Option<Instant>,
    /// It is a stream: each piece of its work has a deadline of its own.
    pub streams: bool,
    /// When the credential ends; none in a future that this machine's clock cannot tell.
    pub expires: Option<Instant>,
    /// When its connection ends with what still runs, or a little earlier; none for those that do not end.
    pub ends: Option<Instant>,
}

/// What the server's layer found in the metadata; the handler decides when to complain of it.
#[derive(Debug, Clone)]
pub struct Credential(pub Result<Caller, CredentialProblem>);

impl Caller {
    /// Answers who sent the request, if its role is among `allowed`, and what they have seen.
    ///
    /// # Errors
    /// [`Error::Credential`] without a valid credential, [`Error::RoleNotAllowed`] for other roles, and
    /// [`Error::Invalid`] when what they have seen cannot be read.
    pub fn of<T>(request: &Request<T>, allowed: &[Role]) -> Result<Self> {
        let Some(Credential(found)) = request.extensions().get::<Credential>() else {
            return Err(Error::Internal("the authentication layer did not run".to_owned()));
        };
        let caller = found.clone().map_err(Error::Credential)?;
        caller.require(allowed)?;
        Ok(Self { after: seen(request.metadata())?, ..caller })
    }

    /// Refuses roles that are not among `allowed`.
    ///
    /// # Errors
    /// [`Error::RoleNotAllowed`].
    pub fn require(&self, allowed: &[Role]) -> Result<()> {
        if allowed.contains(&self.role) {
            return Ok(());
        }
        Err(Error::RoleNotAllowed { role: self.role.name(), rpc: self.rpc.clone() })
    }

    /// The caller as a user of the organization, if it is a person.
    pub fn person(&self) -> Option<UserId> {
        self.role.is_person().then_some(UserId(self.subject))
    }

    /// The same caller, whose call is a stream.
    pub fn streaming(self) -> Self {
        Self { term: Term { streams: true, ..self.term }, ..self }
    }

    /// The same caller in a piece of work that it may share with others: where its commits are, is told apart.
    pub fn apart(&self) -> Self {
        Self { written: Written::default(), ..self.clone() }
    }

    /// The same caller at the next piece of work.
    pub fn in_time(&self) -> Cow<'_, Self> {
        if !self.term.streams {
            return Cow::Borrowed(self);
        }
        let longest = Instant::now() + self.term.longest;
        Cow::Owned(Self { deadline: self.term.asked.map_or(longest, |asked| asked.min(longest)), ..self.clone() })
    }

    /// The time that is left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// The highest position in the metadata: who has talked to several may send several.
fn seen(metadata: &MetadataMap) -> Result<Option<Lsn>> {
    let positions = metadata.get_all(lsn::HEADER).iter();
    let positions = positions.map(|position| position.to_str().ok().and_then(|text| text.parse().ok()));
    positions.collect::<Option<Vec<Lsn>>>().map(|positions| positions.into_iter().max()).ok_or_else(|| {
        Error::invalid(lsn::HEADER, "is no position in the log; send it as an answer had it, such as 16/B374D848")
    })
}
