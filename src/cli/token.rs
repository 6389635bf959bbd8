//! `photometa token`: a development credential, alone on standard output.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::{Failure, Misuse, print, print_json, secret};
use crate::auth::Role;
use crate::auth::token::{Claims, SigningKey};
use crate::config::{Credentials, Database};

/// Longest time that a credential may be valid: ten years.
const MAX_TTL: Duration = Duration::from_secs(10 * 31_557_600);

fn ttl(value: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(value).map_err(|error| error.to_string())?;
    if !(Duration::from_secs(1)..=MAX_TTL).contains(&ttl) {
        return Err("it should be between 1s and 10years".to_owned());
    }
    Ok(ttl)
}

/// Prints a credential signed with the configured secret, or with the data folder's, or with a private key.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
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
    #[arg(long, default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// PEM file of the private key to sign with: RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA).
    #[arg(long)]
    key: Option<PathBuf>,
    /// Name of the private key in the key set of its public keys.
    #[arg(long, requires = "key")]
    kid: Option<String>,
    /// Print one JSON document, with what it is good for.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed {
    token: String,
    role: &'static str,
    organization: Option<Uuid>,
    subject: Uuid,
    /// How long it is valid from now.
    seconds: u64,
}

/// What `token --help` ends with.
const EXAMPLES: &str = "\
Examples:
  export PHOTOMETA_TOKEN=$(photometa token --role service --org UUID)
  photometa token --role org_user --org UUID --sub UUID --ttl 10m
      A person's; the UUID is that of a user, as CreateUser answered it.
  photometa token --key key.pem --kid 2026 --role operator
      Signed with a private key, for servers that have its public key or key set.";

impl Token {
    pub(super) fn run(self, database: &Database, credentials: &Credentials) -> Result<(), Failure> {
        let Self { role, org, sub, ttl, key, kid, json } = self;
        match (role, org) {
            (Role::Operator, Some(_)) => {
                return Err(Misuse("operators belong to no organization; leave --org out".to_owned()).into());
            }
            (Role::OrgAdmin | Role::OrgUser | Role::Service, None) => {
                return Err(Misuse(format!("the role {} needs --org UUID", role.name())).into());
            }
            _ => {}
        }
        let key = match key {
            Some(file) => SigningKey::from_pem_file(&file)?.named(kid),
            None => SigningKey::hs256(secret::find(database, credentials)?.reveal().as_bytes()),
        };
        let subject = sub.unwrap_or_else(Uuid::now_v7);
        let token = sign(&key, credentials, (role, org, subject), ttl)?;
        if json {
            let (role, seconds) = (role.name(), ttl.as_secs());
            return print_json(&Printed { token, role, organization: org, subject, seconds });
        }
        print(&format!("{token}\n"))
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
