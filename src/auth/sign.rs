//! Signing of tokens, for development and tests: what is verified in production, others sign.

use std::path::Path;

use jsonwebtoken::errors::Error as JwtError;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivateKeyDer;

use super::crypto;
use super::token::Claims;
use crate::tls::{TlsError, private_key};

/// A key that signs tokens.
#[derive(Debug, Clone)]
pub struct SigningKey {
    header: Header,
    key: EncodingKey,
}

impl SigningKey {
    fn new(algorithm: Algorithm, key: EncodingKey) -> Self {
        crypto::install();
        Self { header: Header::new(algorithm), key }
    }

    /// A shared secret: HS256.
    pub fn hs256(secret: &[u8]) -> Self {
        Self::new(Algorithm::HS256, EncodingKey::from_secret(secret))
    }

    /// The private key of a PEM file; its type decides between RS256, ES256 and EdDSA.
    ///
    /// # Errors
    /// When the file cannot be read or has no such key.
    pub fn from_pem_file(path: &Path) -> Result<Self, TlsError> {
        let key = private_key(path)?;
        let der = key.secret_der();
        match &key {
            PrivateKeyDer::Sec1(_) => {
                Err(TlsError::file(path, "has an EC PRIVATE KEY; convert it: openssl pkcs8 -topk8 -nodes"))
            }
            _ if crypto::p256(der).is_ok() => Ok(Self::new(Algorithm::ES256, EncodingKey::from_ec_der(der))),
            _ if crypto::ed25519(der).is_ok() => Ok(Self::new(Algorithm::EdDSA, EncodingKey::from_ed_der(der))),
            _ if crypto::rsa(der).is_ok() => Ok(Self::new(Algorithm::RS256, EncodingKey::from_rsa_der(der))),
            _ => Err(TlsError::file(path, "has a private key of another type than RSA of 2048 bits, P-256 or Ed25519")),
        }
    }

    /// Names the key in the tokens.
    pub fn named(mut self, kid: Option<String>) -> Self {
        self.header.kid = kid;
        self
    }

    /// Signs a token.
    ///
    /// # Errors
    /// When the claims cannot be encoded.
    pub fn sign(&self, claims: &Claims) -> Result<String, JwtError> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
    }
}

/// Signs a token with a shared secret.
///
/// # Errors
/// When the claims cannot be encoded.
pub fn sign_hs256(claims: &Claims, secret: &[u8]) -> Result<String, JwtError> {
    SigningKey::hs256(secret).sign(claims)
}
