//! Public keys in files: each has one algorithm, and a token cannot talk it into another.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use photometa::auth::token::{Keyring, SigningKey, Sources, sign_hs256};
use serde_json::{Value, json};

use super::claims;
use super::issuer::{Key, set, vectors, verifier, verify, why};
use crate::harness::A;
use crate::program::Folder;

const SECRET: &[u8] = b"the secret of the tests of keys, 32 bytes and more";

fn pem(path: &Path) -> Sources {
    Sources { public_key: Some(path.to_owned()), ..Sources::default() }
}

fn written(folder: &Folder, text: &str) -> Sources {
    let path = folder.0.join("key.pem");
    fs::write(&path, text).unwrap();
    pem(&path)
}

/// Why a file is refused.
async fn refusal(sources: Sources) -> String {
    Keyring::open(sources).await.unwrap_err().to_string()
}

/// A token of this header and an administrator's claims, signed as HS256 with any bytes.
fn forged(header: &Value, secret: &[u8]) -> String {
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(serde_json::to_string(&claims(A.as_admin())).unwrap())
    );
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("Bearer {text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[tokio::test]
async fn verify_accepts_what_another_program_has_signed() {
    let known: Vec<Value> = serde_json::from_slice(&fs::read(vectors().join("pyjwt.json")).unwrap()).unwrap();
    assert_eq!(known.len(), 4);
    for vector in known {
        let sources = match vector["secret"].as_str() {
            Some(secret) => Sources { secret: Some(secret.into()), ..Sources::default() },
            None => pem(&vectors().join(format!("{}_test_only.pem", vector["file"].as_str().unwrap()))),
        };
        let verifier = verifier(sources).await;
        let token = format!("Bearer {}", vector["token"].as_str().unwrap());

        let found = verify(&verifier, &token).await.unwrap();

        assert_eq!((found.sub, found.org, found.exp), (A.admin, Some(A.id), 4_102_444_800), "{}", vector["algorithm"]);
        let (text, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[7] ^= 1;
        let changed = format!("{text}.{}", URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(why(&verifier, &changed).await, "has a wrong signature", "{}", vector["algorithm"]);
    }
}

#[tokio::test]
async fn verify_accepts_keys_of_every_form() {
    for (public, private) in [
        ("rsa_test_only.pem", "rsa_test_only.key.pem"),
        ("rsa_test_only.pkcs1.pem", "rsa_test_only.pkcs1.key.pem"),
        ("p256_test_only.pem", "p256_test_only.key.pem"),
        ("ed25519_test_only.pem", "ed25519_test_only.key.pem"),
    ] {
        let verifier = verifier(pem(&vectors().join(public))).await;
        let token = SigningKey::from_pem_file(&vectors().join(private)).unwrap().sign(&claims(A.as_admin())).unwrap();

        let found = verify(&verifier, &format!("Bearer {token}")).await;

        assert_eq!(found.map(|claims| claims.sub), Ok(A.admin), "{public}");
    }
}

#[tokio::test]
async fn verify_takes_no_other_algorithm_than_the_keys() {
    let (rsa, p256, ed25519) = (Key::rsa(), Key::p256("p256"), Key::ed25519("ed25519"));
    let folder = Folder::made("confused");
    for key in [&rsa, &p256, &ed25519] {
        let verifier = verifier(written(&folder, &key.pem)).await;
        // The public key is no secret: whoever has it must not be able to sign with it.
        let der = der_of(&key.pem);
        for secret in [key.pem.as_bytes(), key.pem.trim_end().as_bytes(), &der] {
            let refused = why(&verifier, &forged(&json!({"alg": "HS256"}), secret)).await;
            assert_eq!(refused, "is signed with an algorithm for which this server has no key", "{}", key.kid);
        }
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let forged = forged(&json!({"alg": algorithm}), key.pem.as_bytes());
            assert!(verify(&verifier, &forged).await.is_err(), "{algorithm} with {}", key.kid);
        }
        for other in [&rsa, &p256, &ed25519].into_iter().filter(|other| other.kid != key.kid) {
            assert_eq!(
                why(&verifier, &other.credential()).await,
                "is signed with an algorithm for which this server has no key"
            );
        }
        assert!(verify(&verifier, &key.credential()).await.is_ok(), "{}", key.kid);
    }
}

/// The DER in a PEM file.
fn der_of(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
}

#[tokio::test]
async fn verify_takes_a_secret_for_nothing_but_hs256() {
    let verifier = verifier(Sources { secret: Some(SECRET.to_vec()), ..Sources::default() }).await;

    for key in [Key::rsa(), Key::p256("p256"), Key::ed25519("ed25519")] {
        assert_eq!(
            why(&verifier, &key.credential()).await,
            "is signed with an algorithm for which this server has no key"
        );
    }
    for algorithm in ["RS256", "ES256", "EdDSA", "HS384", "HS512", "PS256", "none", "NONE", "", "hs256"] {
        assert!(verify(&verifier, &forged(&json!({"alg": algorithm}), SECRET)).await.is_err(), "{algorithm}");
    }
    assert!(verify(&verifier, &forged(&json!({"alg": "HS256"}), SECRET)).await.is_ok());
}

#[tokio::test]
async fn verify_looks_at_no_key_that_a_token_brings_along() {
    let (ours, theirs) = (Key::p256("ours"), Key::p256("theirs"));
    let folder = Folder::made("brought");
    let verifier = verifier(written(&folder, &ours.pem)).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_string(&claims(A.as_admin())).unwrap());
    for header in [
        json!({"alg": "ES256", "jwk": theirs.jwk}),
        json!({"alg": "ES256", "jku": url}),
        json!({"alg": "ES256", "x5u": url, "x5c": ["MIIB"]}),
    ] {
        let text = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
        for (key, expected) in [(&theirs, false), (&ours, true)] {
            let signature = key.signature(text.as_bytes());
            let token = format!("Bearer {text}.{}", URL_SAFE_NO_PAD.encode(signature));

            let found = verify(&verifier, &token).await;

            assert_eq!(found.is_ok(), expected, "{header} signed by {}", key.kid);
        }
    }
    assert!(listener.accept().is_err(), "somebody was asked for a key");
}

#[tokio::test]
async fn verify_refuses_headers_that_it_would_have_to_understand() {
    let verifier = verifier(Sources { secret: Some(SECRET.to_vec()), ..Sources::default() }).await;
    let said = async |header: Value| why(&verifier, &forged(&header, SECRET)).await;

    let crit = "has a header crit, of which this server knows nothing that it could ask for";
    assert_eq!(said(json!({"alg": "HS256", "crit": ["b64"], "b64": false})).await, crit);
    assert_eq!(said(json!({"alg": "HS256", "crit": []})).await, crit);
    assert_eq!(said(json!({"alg": "none"})).await, "is not signed: its alg is none");
    assert_eq!(said(json!({"alg": "HS256", "kid": 1})).await, "is no readable JSON Web Token");
    assert_eq!(said(json!({"typ": "JWT"})).await, "is no readable JSON Web Token");
    assert_eq!(said(json!([])).await, "is no readable JSON Web Token");
}

#[tokio::test]
async fn open_refuses_files_that_have_no_public_key_and_shows_nothing_of_them() {
    let folder = Folder::made("unfit");
    let file = |name: &str| fs::read_to_string(vectors().join(name)).unwrap();
    let private = file("rsa_test_only.key.pem");
    for (text, expected) in [
        (private.clone(), "has a private key"),
        (file("rsa_test_only.pkcs1.key.pem"), "has a private key"),
        (file("p256_test_only.key.pem"), "has a private key"),
        (format!("{}{private}", file("rsa_test_only.pem")), "has a private key"),
        (file("rsa_1024_test_only.pem"), "1024 bits; it needs 2048 at least"),
        (file("p384_test_only.pem"), "another type than RSA, P-256 or Ed25519"),
        (format!("{}{}", file("rsa_test_only.pem"), file("p256_test_only.pem")), "one section"),
        (private.replace("PRIVATE KEY", "CERTIFICATE"), "openssl x509"),
        (private.replace("PRIVATE KEY", "PUBLIC KEY"), "cannot be decoded"),
        (file("ed25519_test_only.pem").replace("PUBLIC KEY", "RSA PUBLIC KEY"), "cannot be decoded"),
        (String::new(), "one section"),
        ("a secret".to_owned(), "one section"),
    ] {
        let said = refusal(written(&folder, &text)).await;

        assert!(said.contains(expected) && said.contains("key.pem"), "{said}");
        let shown = text.lines().filter(|line| line.len() > 30).any(|line| said.contains(line));
        assert!(!shown && !said.contains("a secret"), "{said}");
    }
    assert!(refusal(pem(&folder.0.join("absent"))).await.contains("cannot be read"));
    assert!(refusal(pem(&folder.0)).await.contains("is no file"));
}

#[tokio::test]
async fn verify_follows_a_file_that_changes_and_keeps_its_key_when_that_breaks() {
    let (before, after) = (Key::p256("before"), Key::ed25519("after"));
    let folder = Folder::made("changing");
    let verifier = verifier(written(&folder, &before.pem)).await;
    assert!(verify(&verifier, &before.credential()).await.is_ok());

    written(&folder, "-----BEGIN");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(verify(&verifier, &before.credential()).await.is_ok(), "a broken file takes no key away");
    fs::remove_file(folder.0.join("key.pem")).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(verify(&verifier, &before.credential()).await.is_ok(), "nor does one that is gone");

    written(&folder, &after.pem);
    let followed = async {
        while verify(&verifier, &after.credential()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), followed).await.expect("the new key is taken");
    // It was accepted before, and remembered: that goes with its key.
    assert!(verify(&verifier, &before.credential()).await.is_err());
}

#[tokio::test]
async fn verify_accepts_every_source_that_there_is() {
    let (pem_key, set_key, stranger) = (Key::ed25519("pem"), Key::p256("set"), Key::p256("stranger"));
    let folder = Folder::made("sources");
    let jwks = folder.0.join("jwks.json");
    fs::write(&jwks, set(&[&set_key]).to_string()).unwrap();
    let sources = Sources {
        secret: Some(SECRET.to_vec()),
        jwks: Some(jwks.to_str().unwrap().parse().unwrap()),
        ..written(&folder, &pem_key.pem)
    };
    let verifier = verifier(sources).await;

    let by_secret = format!("Bearer {}", sign_hs256(&claims(A.as_admin()), SECRET).unwrap());
    for token in [by_secret, pem_key.credential(), pem_key.credential_named(None), set_key.credential()] {
        assert!(verify(&verifier, &token).await.is_ok(), "{token}");
    }
    assert!(verify(&verifier, &stranger.credential()).await.is_err());
    assert!(verify(&verifier, &stranger.credential_named(Some("set"))).await.is_err());
}
