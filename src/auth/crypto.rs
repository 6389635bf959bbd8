//! What jsonwebtoken computes with: ring, which is in the program anyway; its own backends bring 40 packages or cmake.
//! A key of one family never meets an algorithm of another, whatever a token's header says.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use ring::{hmac, signature as ring_signature};
use signature::{Signer, Verifier};

/// Lets jsonwebtoken compute with ring.
pub(super) fn install() {
    static RING: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| {
            Ok(Box::new(Signing { algorithm: *algorithm, key: PrivateKey::of(*algorithm, key)? }))
        },
        verifier_factory: |algorithm, key| {
            Ok(Box::new(Verifying { algorithm: *algorithm, key: PublicKey::of(*algorithm, key)? }))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    // An error says that it is installed already, which is as good.
    let _ = RING.install_default();
}

enum PublicKey {
    Hmac(hmac::Key),
    Rsa(PublicKeyComponents<Vec<u8>>),
    Other(UnparsedPublicKey<Vec<u8>>),
}

impl PublicKey {
    fn of(algorithm: Algorithm, key: &DecodingKey) -> Result<Self> {
        let bytes = || key.try_get_as_bytes().map(<[u8]>::to_vec);
        match (algorithm, key.family(), key.kind()) {
            (Algorithm::HS256, AlgorithmFamily::Hmac, _) => {
                Ok(Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, key.try_get_as_bytes()?)))
            }
            (Algorithm::RS256, AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                Ok(Self::Rsa(PublicKeyComponents { n: n.clone(), e: e.clone() }))
            }
            (Algorithm::ES256, AlgorithmFamily::Ec, _) => {
                Ok(Self::Other(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes()?)))
            }
            (Algorithm::EdDSA, AlgorithmFamily::Ed, _) => Ok(Self::Other(UnparsedPublicKey::new(&ED25519, bytes()?))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }
}

struct Verifying {
    algorithm: Algorithm,
    key: PublicKey,
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let verified = match &self.key {
            PublicKey::Hmac(key) => hmac::verify(key, message, signature),
            PublicKey::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            PublicKey::Other(key) => key.verify(message, signature),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

enum PrivateKey {
    Hmac(hmac::Key),
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    fn of(algorithm: Algorithm, key: &EncodingKey) -> Result<Self> {
        let bytes = key.as_bytes();
        let unfit = |_| Error::from(ErrorKind::InvalidKeyFormat);
        match algorithm {
            Algorithm::HS256 => Ok(Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, bytes))),
            Algorithm::RS256 => rsa(bytes).map(Self::Rsa).map_err(unfit),
            Algorithm::ES256 => p256(bytes).map(Self::P256).map_err(unfit),
            Algorithm::EdDSA => ed25519(bytes).map(Self::Ed25519).map_err(unfit),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }
}

/// An RSA key pair of PKCS #8 or PKCS #1.
pub(super) fn rsa(der: &[u8]) -> std::result::Result<RsaKeyPair, ring::error::KeyRejected> {
    RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der))
}

/// A P-256 key pair of PKCS #8.
pub(super) fn p256(der: &[u8]) -> std::result::Result<EcdsaKeyPair, ring::error::KeyRejected> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new())
}

/// An Ed25519 key pair of PKCS #8, which need not repeat its public key: openssl's do not.
pub(super) fn ed25519(der: &[u8]) -> std::result::Result<Ed25519KeyPair, ring::error::KeyRejected> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
}

struct Signing {
    algorithm: Algorithm,
    key: PrivateKey,
}

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let failed = |_| signature::Error::new();
        match &self.key {
            PrivateKey::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            PrivateKey::Rsa(key) => {
                let mut signed = vec![0; key.public().modulus_len()];
                let padding: &dyn ring_signature::RsaEncoding = &RSA_PKCS1_SHA256;
                key.sign(padding, &SystemRandom::new(), message, &mut signed).map_err(failed)?;
                Ok(signed)
            }
            PrivateKey::P256(key) => {
                key.sign(&SystemRandom::new(), message).map(|signed| signed.as_ref().to_vec()).map_err(failed)
            }
            PrivateKey::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
