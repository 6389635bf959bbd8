//! JSON Web Tokens: HS256 with a shared secret. Which keys a server trusts is [`Verifier`]'s own business;
//! what a token says becomes [`Claims`] in one place, whatever signed it.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, get_current_timestamp};
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Role;
use super::verified::{Fingerprint, Verified};
use crate::error::CredentialProblem;

/// Shortest HS256 secret in bytes that is worth the name: RFC 7518 asks for the size of the hash.
pub const MIN_SECRET_BYTES: usize = 32;
/// Longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// The person or service account.
    pub sub: Uuid,
    /// The organization; absent for operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<Uuid>,
    /// What it may do.
    pub role: Role,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
    /// Who issued it; checked when the server is configured to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// For whom; checked when the server is configured to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
}

/// What a server accepts besides the signature.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// Required `iss`.
    pub issuer: Option<String>,
    /// Required `aud`.
    pub audience: Option<String>,
}

/// Verifies tokens, and remembers those that it has verified.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
    verified: Verified,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// Trusts tokens signed with a shared secret, HS256 and nothing else.
    pub fn hs256(secret: &[u8], expected: &Expectations) -> Self {
        install_crypto();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "sub"]);
        if let Some(issuer) = &expected.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        match &expected.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.required_spec_claims.insert("aud".to_owned());
            }
            None => validation.validate_aud = false,
        }
        Self { key: DecodingKey::from_secret(secret), validation, verified: Verified::default() }
    }

    /// Reads the value of an `authorization` metadata entry.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn verify(&self, authorization: Option<&[u8]>) -> Result<Claims, CredentialProblem> {
        let authorization = authorization.ok_or(CredentialProblem::Missing)?;
        let token = bearer(authorization).ok_or(CredentialProblem::Invalid("is not of the form `Bearer <JWT>`"))?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(CredentialProblem::Invalid("is longer than 8 KiB"));
        }
        let now = get_current_timestamp();
        let fingerprint = Fingerprint::of(token);
        if let Some(claims) = self.verified.get(&fingerprint) {
            return if claims.exp < now { Err(CredentialProblem::Expired) } else { Ok(claims) };
        }
        let claims = self.read(token)?;
        self.verified.keep(fingerprint, claims.clone(), now);
        Ok(claims)
    }

    fn read(&self, token: &[u8]) -> Result<Claims, CredentialProblem> {
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).map_err(|error| problem(&error))?.claims;
        match (claims.role, claims.org) {
            (Role::Operator, Some(_)) => {
                Err(CredentialProblem::Invalid("has the role operator and a claim org; operators have none"))
            }
            (Role::Operator, None) => Ok(claims),
            (_, None) => Err(CredentialProblem::Invalid("lacks the claim org")),
            (_, Some(org)) if org.is_nil() => Err(CredentialProblem::Invalid("has a nil claim org")),
            (_, Some(_)) => Ok(claims),
        }
    }
}

/// The token of a `Bearer` credential; the scheme's case does not matter (RFC 9110).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

fn problem(error: &JwtError) -> CredentialProblem {
    CredentialProblem::Invalid(match error.kind() {
        ErrorKind::ExpiredSignature => return CredentialProblem::Expired,
        ErrorKind::InvalidSignature => "has a wrong signature",
        ErrorKind::InvalidAlgorithm => "is signed with an algorithm that this server does not accept",
        ErrorKind::InvalidIssuer => "comes from another issuer",
        ErrorKind::InvalidAudience => "is for another audience",
        ErrorKind::ImmatureSignature => "is not valid yet",
        ErrorKind::MissingRequiredClaim(_) => "lacks one of the claims sub, exp, iss, aud",
        ErrorKind::Json(_) => {
            "has claims that cannot be read: sub and org are UUIDs, role is operator, org_admin, org_user or service, exp is a number"
        }
        _ => "is no readable JSON Web Token",
    })
}

/// Signs a token with a shared secret, for development and tests.
///
/// # Errors
/// When the claims cannot be encoded.
pub fn sign_hs256(claims: &Claims, secret: &[u8]) -> Result<String, JwtError> {
    install_crypto();
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret))
}

/// Lets jsonwebtoken compute with ring, which is in the program anyway; its own backends bring 40 packages or cmake.
fn install_crypto() {
    static RING: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| match algorithm {
            Algorithm::HS256 => Ok(Box::new(Hs256::new(key.as_bytes()))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        },
        verifier_factory: |algorithm, key| match algorithm {
            Algorithm::HS256 => Ok(Box::new(Hs256::new(key.try_get_as_bytes()?))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    // An error says that it is installed already, which is as good.
    let _ = RING.install_default();
}

struct Hs256(hmac::Key);

impl Hs256 {
    fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl signature::Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl signature::Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, tag).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
