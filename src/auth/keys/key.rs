//! One key that tokens may be signed with. What kind of key it is decides its one algorithm.

use jsonwebtoken::{Algorithm, DecodingKey};
use spki::der::asn1::UintRef;
use spki::der::{Decode as _, Document, Reader as _, SliceReader};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::KeyError;

/// Shortest RSA modulus in bits: RFC 7518 says so, and ring verifies no shorter one.
const MIN_RSA_BITS: usize = 2048;
/// Longest one that ring verifies.
const MAX_RSA_BITS: usize = 8192;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A key, its name if it has one, and its algorithm.
#[derive(Debug)]
pub(in crate::auth) struct Key {
    /// What tokens call it.
    pub kid: Option<String>,
    /// The only one that it verifies.
    pub algorithm: Algorithm,
    /// The key itself.
    pub decoding: DecodingKey,
}

impl Key {
    fn new(algorithm: Algorithm, decoding: DecodingKey) -> Self {
        Self { kid: None, algorithm, decoding }
    }

    /// A shared secret.
    pub fn hs256(secret: &[u8]) -> Self {
        Self::new(Algorithm::HS256, DecodingKey::from_secret(secret))
    }

    /// An RSA key of its modulus and exponent, both big-endian.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        if bits < MIN_RSA_BITS {
            return Err(KeyError::new(format!("its RSA key has {bits} bits; it needs {MIN_RSA_BITS} at least")));
        }
        if bits > MAX_RSA_BITS {
            return Err(KeyError::new(format!("its RSA key has {bits} bits; {MAX_RSA_BITS} are the most")));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !odd(modulus) || !odd(exponent) || exponent == [1] || exponent.len() > 4 {
            return Err(KeyError::new("its RSA key has a modulus or an exponent that no RSA key has"));
        }
        Ok(Self::new(Algorithm::RS256, DecodingKey::from_rsa_raw_components(modulus, exponent)))
    }

    /// A P-256 key of its uncompressed point: 4, x, y.
    pub fn p256(point: &[u8]) -> Result<Self, KeyError> {
        if point.len() != 65 || point[0] != 4 {
            return Err(KeyError::new("its P-256 key is no uncompressed point of 32 bytes each"));
        }
        Ok(Self::new(Algorithm::ES256, DecodingKey::from_ec_der(point)))
    }

    /// An Ed25519 key of its 32 bytes.
    pub fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != 32 {
            return Err(KeyError::new("its Ed25519 key has another size than 32 bytes"));
        }
        Ok(Self::new(Algorithm::EdDSA, DecodingKey::from_ed_der(bytes)))
    }

    /// The one public key of a PEM file. Errors never show what is in it.
    pub fn from_pem(file: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(file).map_err(|_| KeyError::new("it is no PEM: it is no text"))?;
        match labels(text).as_slice() {
            labels if labels.iter().any(|label| label.contains("PRIVATE KEY")) => Err(KeyError::new(
                "it has a private key, which belongs to who signs; give the public one: openssl pkey -pubout",
            )),
            ["CERTIFICATE"] => {
                Err(KeyError::new("it has a certificate; give the key in it: openssl x509 -pubkey -noout"))
            }
            ["PUBLIC KEY"] => Self::from_spki(document(text)?.as_bytes()),
            ["RSA PUBLIC KEY"] => Self::from_pkcs1(document(text)?.as_bytes()),
            _ => Err(KeyError::new("it should have one section, -----BEGIN PUBLIC KEY-----")),
        }
    }

    fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let unreadable = |_| KeyError::new("its public key cannot be decoded");
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(unreadable)?;
        let key = info.subject_public_key.as_bytes().ok_or_else(|| KeyError::new("its public key is cut"))?;
        match info.algorithm.oids().map_err(|_| KeyError::new("its key is of a type that this server does not know"))? {
            (RSA, _) => Self::from_pkcs1(key),
            (EC, Some(P256)) => Self::p256(key),
            (ED25519, None) => Self::ed25519(key),
            _ => Err(KeyError::new("its key is of another type than RSA, P-256 or Ed25519")),
        }
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        let unreadable = |_| KeyError::new("its RSA key cannot be decoded");
        let mut reader = SliceReader::new(der).map_err(unreadable)?;
        let numbers = reader.sequence(|reader| Ok((UintRef::decode(reader)?, UintRef::decode(reader)?)));
        let (modulus, exponent) = numbers.map_err(unreadable)?;
        reader.finish(()).map_err(unreadable)?;
        Self::rsa(modulus.as_bytes(), exponent.as_bytes())
    }
}

fn document(text: &str) -> Result<Document, KeyError> {
    let (_, document) = Document::from_pem(text).map_err(|_| KeyError::new("it is no readable PEM"))?;
    Ok(document)
}

/// What the sections of a PEM file say they are.
fn labels(text: &str) -> Vec<&str> {
    let begun = text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN "));
    begun.filter_map(|line| line.strip_suffix("-----")).collect()
}

/// Some issuers write numbers with zeros before them, which ring does not take.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    &number[zeros..]
}
