//! `photometa token`: a development credential, alone on standard output.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use uuid::Uuid;

use super::{Failure, secret};
use crate::auth::Role;
use crate::auth::token::{Claims, SigningKey};
use crate::config::{Credentials, Database};

/// Prints a credential signed with the configured secret, or with the data folder's, or with a private key.
#[derive(Debug, Args)]
pub(super) struct Token {
    /// What it may do.
    #[arg(long, value_enum)]
    role: Role,
    /// Organization (every role but operator).
    #[arg(long)]
    org: Option<Uuid>,
    /// Person or service account [default: a new UUID].
    #[arg(long)]
    sub: Option<Uuid>,
    /// How long it is valid.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// PEM file of the private key to sign with: RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA).
    #[arg(long)]
    key: Option<PathBuf>,
    /// Name of the private key in the key set of its public keys.
    #[arg(long, requires = "key")]
    kid: Option<String>,
}

impl Token {
    #[expect(clippy::print_stdout, reason = "the credential is this command's output")]
    pub(super) fn run(self, database: &Database, credentials: &Credentials) -> Result<(), Failure> {
        let Self { role, org, sub, ttl, key, kid } = self;
        match (role, org) {
            (Role::Operator, Some(_)) => return Err("operators belong to no organization; leave --org out".into()),
            (Role::OrgAdmin | Role::OrgUser | Role::Service, None) => {
                return Err(format!("the role {} needs --org UUID", role.name()).into());
            }
            _ => {}
        }
        let key = match key {
            Some(file) => SigningKey::from_pem_file(&file)?.named(kid),
            None => SigningKey::hs256(secret::find(database, credentials)?.reveal().as_bytes()),
        };
        println!("{}", sign(&key, credentials, (role, org, sub.unwrap_or_else(Uuid::now_v7)), ttl)?);
        Ok(())
    }
}

/// Signs a credential for a role, organization and subject.
pub(super) fn sign(
    key: &SigningKey,
    credentials: &Credentials,
    (role, org, sub): (Role, Option<Uuid>, Uuid),
    ttl: Duration,
) -> Result<String, Failure> {
    let exp = SystemTime::now().duration_since(UNIX_EPOCH)?.saturating_add(ttl).as_secs();
    let expected = credentials.expectations();
    let claims = Claims { sub, org, role, exp, iss: expected.issuer, aud: expected.audience };
    Ok(key.sign(&claims)?)
}
