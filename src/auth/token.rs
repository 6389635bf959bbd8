//! JSON Web Tokens: from the `authorization` of a call to what the token says, as [`Claims`], whatever signed it. Which
//! keys are trusted is in [`keys`](super::keys); each of them has one algorithm, and a token cannot choose another.

mod claims;
mod header;

use std::time::{Duration, Instant};

use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Algorithm, Validation, get_current_timestamp};

pub use self::claims::Claims;
use self::claims::Said;
use self::header::Header;
use super::crypto;
pub use super::keys::{KeyError, Keyring, Place, Sources};
pub use super::sign::{SigningKey, sign_hs256};
use super::verified::Fingerprint;
use crate::error::CredentialProblem::{self, Expired, Invalid};

/// Shortest HS256 secret in bytes that is worth the name: RFC 7518 asks for the size of the hash.
pub const MIN_SECRET_BYTES: usize = 32;
/// Longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Most keys that a token without a kid is tried with: each costs up to a millisecond of whoever sends garbage.
const MOST_TRIED: usize = 4;
/// What a key may have signed a token with.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// What a server accepts besides the signature.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// Required `iss`.
    pub issuer: Option<String>,
    /// Required `aud`, alone or among others.
    pub audience: Option<String>,
    /// How far the clocks of issuers may be from this one's, for `exp` and `nbf`.
    pub leeway: Duration,
}

impl Expectations {
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp"]);
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.required_spec_claims.insert("aud".to_owned());
            }
            None => validation.validate_aud = false,
        }
        validation
    }
}

/// Verifies tokens, and remembers those that it has verified.
pub struct Verifier {
    keys: Keyring,
    validations: Vec<Validation>,
    leeway: u64,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

/// Why a token is not accepted.
enum Refusal {
    /// It is not going to be.
    Final(CredentialProblem),
    /// The key that has signed it may come, by this name if it has one.
    Unknown(Option<String>),
}

impl From<CredentialProblem> for Refusal {
    fn from(problem: CredentialProblem) -> Self {
        Self::Final(problem)
    }
}

impl Verifier {
    /// Trusts tokens signed with these keys.
    pub fn new(keys: Keyring, expected: &Expectations) -> Self {
        crypto::install();
        let validations = ALGORITHMS.map(|algorithm| expected.validation(algorithm)).to_vec();
        Self { keys, validations, leeway: expected.leeway.as_secs() }
    }

    /// Trusts tokens signed with a shared secret, HS256 and nothing else.
    pub fn hs256(secret: &[u8], expected: &Expectations) -> Self {
        Self::new(Keyring::secret(secret), expected)
    }

    /// Reads the values of a call's `authorization` entries. Waits, until `deadline` at the latest, only for a key that
    /// is new.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub async fn verify<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a [u8]>,
        deadline: Instant,
    ) -> Result<Claims, CredentialProblem> {
        let token = only(entries)?;
        let kid = match self.attempt(token) {
            Ok(claims) => return Ok(claims),
            Err(Refusal::Final(problem)) => return Err(problem),
            Err(Refusal::Unknown(kid)) => kid,
        };
        self.keys.learn(kid.as_deref(), deadline).await.map_err(CredentialProblem::KeysUnavailable)?;
        self.attempt(token).map_err(|refusal| match refusal {
            Refusal::Final(problem) => problem,
            Refusal::Unknown(_) => Invalid("is signed with a key that this server does not have; its kid names none"),
        })
    }

    fn attempt(&self, token: &[u8]) -> Result<Claims, Refusal> {
        let now = get_current_timestamp();
        let fingerprint = Fingerprint::of(token);
        let set = self.keys.current();
        if let Some(claims) = set.verified.get(&fingerprint) {
            return if claims.exp < now { Err(Expired.into()) } else { Ok(claims) };
        }
        let header = Header::read(token)?;
        let kid = header.kid.as_deref();
        let candidates = set.candidates(kid, header.algorithm);
        if candidates.len() > MOST_TRIED {
            return Err(
                Invalid("has no kid, and this server has too many keys to try; have its issuer send one").into()
            );
        }
        let validation = self.validations.iter().find(|validation| validation.algorithms == [header.algorithm]);
        let validation = validation.ok_or(Invalid("is signed with an algorithm that this server does not accept"))?;
        for key in &candidates {
            match jsonwebtoken::decode::<Said>(token, &key.decoding, validation) {
                Ok(said) => {
                    let claims = said.claims.checked(self.leeway)?;
                    set.verified.keep(fingerprint, claims.clone(), now);
                    return Ok(claims);
                }
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
                Err(error) => return Err(problem(&error).into()),
            }
        }
        // Sets are public: their keys are never shared secrets.
        if header.algorithm != Algorithm::HS256 && self.keys.may_learn(&set, kid) {
            return Err(Refusal::Unknown(header.kid));
        }
        Err(Refusal::Final(Invalid(match kid {
            _ if !candidates.is_empty() => "has a wrong signature",
            Some(kid) if set.knows(kid) => "says another algorithm than that of the key that its kid names",
            _ => "is signed with an algorithm for which this server has no key",
        })))
    }
}

/// The token of the one entry there should be.
fn only<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<&'a [u8], CredentialProblem> {
    let mut entries = entries.into_iter();
    let entry = entries.next().ok_or(CredentialProblem::Missing)?;
    if entries.next().is_some() {
        return Err(Invalid("is sent more than once; send one entry authorization"));
    }
    let token = bearer(entry).ok_or(Invalid("is not of the form `Bearer <JWT>`"))?;
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Invalid("is longer than 8 KiB"));
    }
    Ok(token)
}

/// The token of a `Bearer` credential; the scheme's case does not matter (RFC 9110).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

fn problem(error: &JwtError) -> CredentialProblem {
    Invalid(match error.kind() {
        ErrorKind::ExpiredSignature => return Expired,
        ErrorKind::InvalidIssuer => "comes from another issuer: its iss is not the one that this server expects",
        ErrorKind::InvalidAudience => "is for another audience: its aud does not have the one that this server expects",
        ErrorKind::ImmatureSignature => "is not valid yet: its nbf is in the future, or a clock is wrong",
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "exp" => "lacks the claim exp, a number of seconds since 1970",
            "iss" => "lacks the claim iss",
            _ => "lacks the claim aud",
        },
        ErrorKind::InvalidClaimFormat(_) => "has a claim exp or nbf that is no number of seconds since 1970",
        ErrorKind::Json(_) => "has a header or claims that are no JSON object, or one of them twice",
        _ => "is no readable JSON Web Token",
    })
}
