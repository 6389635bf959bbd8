//! Key sets: which of their keys count, which key a token's kid names, and what is no set at all.

use std::fs;

use photometa::auth::token::{Keyring, Sources, Verifier};
use serde_json::{Value, json};

use super::issuer::{Key, set, vectors, verifier, verify, why};
use crate::program::Folder;

fn file(folder: &Folder, text: &str) -> Sources {
    let path = folder.0.join("jwks.json");
    fs::write(&path, text).unwrap();
    Sources { jwks: Some(path.to_str().unwrap().parse().unwrap()), ..Sources::default() }
}

/// A verifier of a set, and its folder.
async fn of(document: &Value) -> (Verifier, Folder) {
    let folder = Folder::made("set");
    (verifier(file(&folder, &document.to_string())).await, folder)
}

#[tokio::test]
async fn verify_tries_no_key_but_the_one_that_is_named() {
    let (one, two) = (Key::p256("one"), Key::p256("two"));
    let (verifier, _folder) = of(&set(&[&one, &two])).await;

    assert!(verify(&verifier, &one.credential()).await.is_ok());
    assert!(verify(&verifier, &two.credential()).await.is_ok());
    assert_eq!(why(&verifier, &one.credential_named(Some("two"))).await, "has a wrong signature");
    assert_eq!(
        why(&verifier, &one.credential_named(Some("three"))).await,
        "is signed with a key that this server does not have; its kid names none"
    );
    // As in a rotation without kids.
    assert!(verify(&verifier, &one.credential_named(None)).await.is_ok());
    assert!(verify(&verifier, &two.credential_named(None)).await.is_ok());
}

#[tokio::test]
async fn verify_takes_a_named_key_for_its_own_algorithm_only() {
    let (one, two) = (Key::p256("one"), Key::ed25519("two"));
    let (verifier, _folder) = of(&set(&[&one, &two])).await;

    assert_eq!(
        why(&verifier, &one.credential_named(Some("two"))).await,
        "says another algorithm than that of the key that its kid names"
    );
}

#[tokio::test]
async fn verify_tries_four_keys_for_a_token_without_kid_and_no_more() {
    let keys: Vec<_> = (0..5).map(|number| Key::p256(&number.to_string())).collect();
    let (four, _four) = of(&set(&keys[..4].iter().collect::<Vec<_>>())).await;
    let (five, _five) = of(&set(&keys.iter().collect::<Vec<_>>())).await;

    assert!(verify(&four, &keys[3].credential_named(None)).await.is_ok());
    assert_eq!(
        why(&five, &keys[3].credential_named(None)).await,
        "has no kid, and this server has too many keys to try; have its issuer send one"
    );
    assert!(verify(&five, &keys[4].credential()).await.is_ok());
}

#[tokio::test]
async fn verify_leaves_out_keys_that_are_not_for_it_or_that_nobody_should_trust() {
    let good = Key::p256("good");
    for (member, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("key_ops", json!([])),
        ("alg", json!("ES384")),
        ("alg", json!("HS256")),
        ("alg", json!("Ed25519")),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("kty", json!("oct")),
        ("kty", json!("XYZ")),
        ("x", json!("AAAA")),
        ("x", json!("not base64!")),
        ("x", json!(5)),
        // The private part.
        ("d", json!("AAAA")),
    ] {
        let bad = Key::p256("bad");
        let mut document = set(&[&bad, &good]);
        document["keys"][0][member] = value.clone();
        let (verifier, _folder) = of(&document).await;

        assert!(verify(&verifier, &good.credential()).await.is_ok(), "the rest of a set with {member} {value}");
        assert!(verify(&verifier, &bad.credential()).await.is_err(), "{member} {value}");
        assert!(verify(&verifier, &bad.credential_named(None)).await.is_err(), "{member} {value}");
    }
    for (member, value) in [("use", json!("sig")), ("key_ops", json!(["verify"])), ("alg", json!("ES256"))] {
        let mut document = set(&[&good]);
        document["keys"][0][member] = value;
        assert!(verify(&of(&document).await.0, &good.credential()).await.is_ok(), "{member}");
    }
}

#[tokio::test]
async fn verify_reads_rsa_keys_of_2048_bits_and_more() {
    let rsa = Key::rsa();
    assert!(verify(&of(&set(&[&rsa])).await.0, &rsa.credential()).await.is_ok());

    let good = Key::ed25519("good");
    let mut document = set(&[&rsa, &good]);
    let modulus = document["keys"][0]["n"].as_str().unwrap().to_owned();
    document["keys"][0]["n"] = json!(modulus[..200]);
    let (verifier, _folder) = of(&document).await;
    assert!(verify(&verifier, &rsa.credential()).await.is_err());
    assert!(verify(&verifier, &good.credential()).await.is_ok());
}

#[tokio::test]
async fn verify_tries_both_keys_of_one_name() {
    let (one, two) = (Key::p256("twin"), Key::p256("twin"));
    let (verifier, _folder) = of(&set(&[&one, &two])).await;

    assert!(verify(&verifier, &one.credential()).await.is_ok());
    assert!(verify(&verifier, &two.credential()).await.is_ok());
}

#[tokio::test]
async fn open_refuses_a_file_without_a_set_of_keys() {
    let folder = Folder::made("no-set");
    let many: Vec<_> = (0..65).map(|_| json!({"kty": "oct"})).collect();
    for (text, expected) in [
        (String::new(), "no JSON Web Key Set"),
        ("[]".to_owned(), "no JSON Web Key Set"),
        ("{}".to_owned(), "no JSON Web Key Set"),
        (r#"{"keys": {}}"#.to_owned(), "no JSON Web Key Set"),
        (r#"{"keys": []}"#.to_owned(), "no key that verifies signatures"),
        (r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0LWJ5dGVz", "kid": "leak"}]}"#.to_owned(), "it is a shared secret"),
        (json!({"keys": many}).to_string(), "65 keys"),
        ("x".repeat(2 << 20), "longer than 1048576 bytes"),
        (fs::read_to_string(vectors().join("rsa_test_only.pem")).unwrap(), "no JSON Web Key Set"),
    ] {
        let said = Keyring::open(file(&folder, &text)).await.unwrap_err().to_string();

        assert!(said.contains(expected) && said.contains("jwks.json"), "{said}");
        assert!(!said.contains("c2VjcmV0LWJ5dGVz"), "{said}");
    }
}
