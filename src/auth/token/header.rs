//! What a token says of its signature. Keys that it brings along or points to (jwk, jku, x5c, x5u) are not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::CredentialProblem::{self, Invalid};

#[derive(Deserialize)]
struct Read {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

/// Which key has signed a token, and how, in its own words.
#[derive(Debug)]
pub(super) struct Header {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
}

impl Header {
    /// Reads the header of a token.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn read(token: &[u8]) -> Result<Self, CredentialProblem> {
        let unreadable = Invalid("is no readable JSON Web Token");
        let mut parts = token.split(|&byte| byte == b'.');
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(unreadable);
        };
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| unreadable)?;
        let Read { alg, kid, crit } = serde_json::from_slice(&header).map_err(|_| unreadable)?;
        if crit.is_some() {
            return Err(Invalid("has a header crit, of which this server knows nothing that it could ask for"));
        }
        let algorithm = match alg.as_str() {
            "HS256" => Algorithm::HS256,
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            none if none.eq_ignore_ascii_case("none") => return Err(Invalid("is not signed: its alg is none")),
            _ => {
                return Err(Invalid(
                    "is signed with an algorithm that this server does not accept; it takes RS256, ES256, EdDSA and HS256",
                ));
            }
        };
        Ok(Self { algorithm, kid })
    }
}
