//! Settings of credentials.

use clap::Args;

use super::Secret;
use crate::auth::token::Expectations;

/// Reads an HS256 secret. A short one is used, and complained of at every start.
fn jwt_secret(value: &str) -> Result<Secret, String> {
    if value.is_empty() {
        return Err("the secret is empty; make one with: openssl rand -hex 32".to_owned());
    }
    Ok(Secret::from(value.to_owned()))
}

/// Whose tokens are accepted.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Credentials")]
pub struct Credentials {
    /// Secret of HS256 tokens; it should have at least 32 bytes. With the private PostgreSQL, one is made in the data folder.
    #[arg(long, env = "PHOTOMETA_JWT_SECRET", hide_env_values = true, value_parser = jwt_secret, global = true)]
    pub jwt_secret: Option<Secret>,

    /// Required `iss` of tokens.
    #[arg(long, env = "PHOTOMETA_JWT_ISSUER", global = true)]
    pub jwt_issuer: Option<String>,

    /// Required `aud` of tokens.
    #[arg(long, env = "PHOTOMETA_JWT_AUDIENCE", global = true)]
    pub jwt_audience: Option<String>,
}

impl Credentials {
    /// What tokens must say.
    pub fn expectations(&self) -> Expectations {
        Expectations { issuer: self.jwt_issuer.clone(), audience: self.jwt_audience.clone() }
    }
}
