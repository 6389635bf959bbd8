//! JSON Web Key Sets (RFC 7517): which of their keys are for signatures of tokens, and why the others are left out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;

use super::KeyError;
use super::key::Key;

/// Most keys of a set.
const MOST: usize = 64;
/// Members that only private keys have.
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// What is in a set.
#[derive(Debug)]
pub(super) struct Found {
    /// Keys that verify tokens.
    pub keys: Vec<Key>,
    /// What its issuer should know of the rest.
    pub complaints: Vec<String>,
}

/// Reads a set.
///
/// # Errors
/// When it is none, has too many keys, or none that is of use.
pub(super) fn read(bytes: &[u8]) -> Result<Found, KeyError> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|_| KeyError::new("it is no JSON Web Key Set: an object with an array `keys`"))?;
    if document.keys.len() > MOST {
        return Err(KeyError::new(format!("it has {} keys; {MOST} are the most", document.keys.len())));
    }
    let mut found = Found { keys: Vec::new(), complaints: Vec::new() };
    for value in document.keys {
        let kid = value.get("kid").and_then(Value::as_str).map(str::to_owned);
        match key(value) {
            Ok(Some(key)) => {
                let twin = |other: &Key| kid.is_some() && other.kid == kid && other.algorithm == key.algorithm;
                if found.keys.iter().any(twin) {
                    found.complaints.push(named(kid.as_deref(), "shares its kid with another one; both are tried"));
                }
                found.keys.push(Key { kid, ..key });
            }
            Ok(None) => {}
            Err(error) => found.complaints.push(named(kid.as_deref(), &format!("is left out: {error}"))),
        }
    }
    if found.keys.is_empty() {
        let why = found.complaints.first().map(|first| format!("; {first}")).unwrap_or_default();
        return Err(KeyError::new(format!("it has no key that verifies signatures of tokens{why}")));
    }
    Ok(found)
}

fn named(kid: Option<&str>, what: &str) -> String {
    match kid {
        Some(kid) => format!("the key {:?} {what}", kid.chars().take(64).collect::<String>()),
        None => format!("a key without kid {what}"),
    }
}

/// A key of a set; none when it is not for signatures.
fn key(value: Value) -> Result<Option<Key>, KeyError> {
    if value.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err(KeyError::new("it is a shared secret, which whoever reads the set may now sign with; replace it"));
    }
    if PRIVATE.iter().any(|member| value.get(member).is_some()) {
        return Err(KeyError::new(
            "it shows its private part, which whoever reads the set may now sign with; replace it",
        ));
    }
    let jwk: Jwk = serde_json::from_value(value).map_err(|_| KeyError::new("it cannot be read"))?;
    let verifies = |operations: &Vec<KeyOperations>| operations.contains(&KeyOperations::Verify);
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
        && jwk.common.key_operations.as_ref().is_none_or(verifies);
    if !for_signatures {
        return Ok(None);
    }
    let key = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => Key::rsa(&decoded(&rsa.n)?, &decoded(&rsa.e)?)?,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            let (x, y) = (decoded(&ec.x)?, decoded(&ec.y)?);
            if x.len() != 32 || y.len() != 32 {
                return Err(KeyError::new("its x and y are not of 32 bytes each"));
            }
            Key::p256(&[&[4], x.as_slice(), y.as_slice()].concat())?
        }
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
            Key::ed25519(&decoded(&okp.x)?)?
        }
        _ => return Err(KeyError::new("it is of another type than RSA, P-256 or Ed25519")),
    };
    match jwk.common.key_algorithm {
        Some(algorithm) if algorithm != KeyAlgorithm::from(key.algorithm) => Err(KeyError::new(format!(
            "its alg is not the one that this server takes of its type, {:?}",
            key.algorithm
        ))),
        _ => Ok(Some(key)),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::new("a number of it is no base64url"))
}
