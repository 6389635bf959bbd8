//! Settings of credentials.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Secret;
use crate::auth::token::{Expectations, KeyError, Sources};
use crate::tls::Trust;

/// Longest clock difference that makes sense: clocks that are further apart are wrong.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// Reads a secret. A short one is used, and complained of at every start.
fn secret(value: &str) -> Result<Secret, String> {
    if value.is_empty() {
        return Err("the secret is empty; make one with: openssl rand -hex 32".to_owned());
    }
    Ok(Secret::from(value.to_owned()))
}

fn leeway(value: &str) -> Result<Duration, String> {
    let leeway = humantime::parse_duration(value).map_err(|error| error.to_string())?;
    if leeway > MAX_LEEWAY {
        return Err("more than five minutes is no difference of clocks; set them right".to_owned());
    }
    Ok(leeway)
}

fn refresh(value: &str) -> Result<Duration, String> {
    let refresh = humantime::parse_duration(value).map_err(|error| error.to_string())?;
    if !(Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&refresh) {
        return Err("it should be between 1s and 24h: keys that were taken back are trusted until then".to_owned());
    }
    Ok(refresh)
}

/// Whose tokens are accepted: those signed with any of the keys.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Credentials")]
pub struct Credentials {
    /// Secret of HS256 tokens; it should have at least 32 bytes. With the private PostgreSQL, one is made in the data folder.
    #[arg(long, env = "PHOTOMETA_JWT_SECRET", hide_env_values = true, value_parser = secret, global = true)]
    pub jwt_secret: Option<Secret>,

    /// PEM file of the public key of RS256, ES256 or EdDSA tokens: RSA, P-256 or Ed25519. Read again when it changes.
    #[arg(long, env = "PHOTOMETA_JWT_PUBLIC_KEY", global = true)]
    pub jwt_public_key: Option<PathBuf>,

    /// JSON Web Key Set of the issuer of tokens: a file, or a URL (https; http only on this machine). Read again, so that
    /// keys change without a restart; kept while it cannot be read.
    // Read when it is needed: the command line shows what it cannot read, and a URL may have a password in it.
    #[arg(long, env = "PHOTOMETA_JWKS", hide_env_values = true, global = true)]
    pub jwks: Option<Secret>,

    /// PEM file of the certificate authorities to trust for the URL of the key set, instead of the system's.
    #[arg(long, env = "PHOTOMETA_JWKS_CA", global = true)]
    pub jwks_ca: Option<PathBuf>,

    /// How often the URL of the key set is asked again. A key that was taken back is trusted until then; a new one is
    /// asked for when the first token names it.
    #[arg(long, env = "PHOTOMETA_JWKS_REFRESH", default_value = "5m", value_parser = refresh, global = true)]
    pub jwks_refresh: Duration,

    /// Required `iss` of tokens.
    #[arg(long, env = "PHOTOMETA_JWT_ISSUER", global = true)]
    pub jwt_issuer: Option<String>,

    /// Required `aud` of tokens.
    #[arg(long, env = "PHOTOMETA_JWT_AUDIENCE", global = true)]
    pub jwt_audience: Option<String>,

    /// How far the clocks of issuers may be from this one's, in whole seconds: that much later a token expires, and that
    /// much earlier it is valid.
    #[arg(long, env = "PHOTOMETA_JWT_LEEWAY", default_value = "0s", value_parser = leeway, global = true)]
    pub jwt_leeway: Duration,

    /// Secret of page tokens, the same for all replicas. Without it they have the secret of HS256 tokens, or without that
    /// a new one at each start.
    #[arg(long, env = "PHOTOMETA_PAGE_SECRET", hide_env_values = true, value_parser = secret, global = true)]
    pub page_secret: Option<Secret>,
}

impl Credentials {
    /// What tokens must say.
    pub fn expectations(&self) -> Expectations {
        Expectations { issuer: self.jwt_issuer.clone(), audience: self.jwt_audience.clone(), leeway: self.jwt_leeway }
    }

    /// Tells whether there is any key.
    pub fn has_key(&self) -> bool {
        self.jwt_secret.is_some() || self.jwt_public_key.is_some() || self.jwks.is_some()
    }

    /// Where the keys are; `secret` is the configured one, or a development secret.
    ///
    /// # Errors
    /// When the place of the key set is none.
    pub fn sources(&self, secret: Option<&Secret>) -> Result<Sources, KeyError> {
        Ok(Sources {
            secret: secret.map(|secret| secret.reveal().as_bytes().to_vec()),
            public_key: self.jwt_public_key.clone(),
            jwks: self.jwks.as_ref().map(|jwks| jwks.reveal().parse()).transpose()?,
            trust: self.jwks_ca.clone().map_or(Trust::System, Trust::File),
            refresh: self.jwks_refresh,
        })
    }
}
