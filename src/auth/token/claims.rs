//! What a token says of its bearer, and which of it is needed.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::super::Role;
use crate::error::CredentialProblem::{self, Invalid};

/// What a token says.
#[derive(Debug, Clone, Serialize)]
pub struct Claims {
    /// The person or service account.
    pub sub: Uuid,
    /// The organization; absent for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<Uuid>,
    /// What it may do.
    pub role: Role,
    /// The last second in which it is accepted, since 1970.
    pub exp: u64,
    /// Who issued it, when it is to be signed; when it was verified, this was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// For whom, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
}

/// The claims of a token whose signature and times are right, each as it came.
#[derive(Deserialize)]
pub(super) struct Said {
    sub: Option<Value>,
    org: Option<Value>,
    role: Option<Value>,
    exp: Option<Value>,
}

impl Said {
    /// The claims, if they are all there and can be read.
    ///
    /// # Errors
    /// Says what is wrong with the first one that is not.
    pub(super) fn checked(self, leeway: u64) -> Result<Claims, CredentialProblem> {
        let Self { sub, org, role, exp } = self;
        let exp = exp.as_ref().and_then(seconds).ok_or(Invalid("has a claim exp that is no number"))?;
        let sub = uuid(sub, "lacks the claim sub", "has a claim sub that is no UUID")?;
        let role = role.ok_or(Invalid("lacks the claim role"))?;
        let role = Role::deserialize(role)
            .map_err(|_| Invalid("has a claim role that is none of operator, org_admin, org_user and service"))?;
        let org = match (role, org) {
            (Role::Operator, None) => None,
            (Role::Operator, Some(_)) => {
                return Err(Invalid("has the role operator and a claim org; operators have none"));
            }
            (_, org) => Some(uuid(org, "lacks the claim org", "has a claim org that is no UUID")?),
        };
        if org.is_some_and(|org| org.is_nil()) {
            return Err(Invalid("has a nil claim org"));
        }
        Ok(Claims { sub, org, role, exp: exp.saturating_add(leeway), iss: None, aud: None })
    }
}

fn uuid(claim: Option<Value>, lacks: &'static str, unreadable: &'static str) -> Result<Uuid, CredentialProblem> {
    let claim = claim.ok_or(Invalid(lacks))?;
    claim.as_str().and_then(|text| text.parse().ok()).ok_or(Invalid(unreadable))
}

/// Seconds since 1970; some issuers write fractions.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn seconds(number: &Value) -> Option<u64> {
    let fraction = || number.as_f64().filter(|number| (0.0..1e18).contains(number)).map(|number| number as u64);
    number.as_u64().or_else(fraction)
}
