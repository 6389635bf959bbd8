//! Key sets behind a URL: keys come and go without a restart and without a lost call, outlive an outage, and are not
//! fetched more often or for longer than the issuer and this server bear.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use photometa::auth::token::{Keyring, Sources};
use photometa::error::CredentialProblem;
use photometa::pb;
use photometa::pb::session_service_client::SessionServiceClient;
use photometa::tls::Trust;
use serde_json::json;
use tonic::Code;

use super::issuer::{Answer, Issuer, Key, set, verifier, verify, why};
use crate::harness::{A, App, details, reason, token};
use crate::program::Folder;

const UNKNOWN: &str = "is signed with a key that this server does not have; its kid names none";

fn often(issuer: &Issuer) -> Sources {
    Sources { refresh: Duration::from_secs(1), ..issuer.sources() }
}

/// Waits until a verifier says something else than now.
macro_rules! until {
    ($condition:expr, $what:literal) => {
        let waiting = async {
            while !$condition {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect($what);
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_loses_no_call_while_keys_rotate() {
    let mut keys = vec![Arc::new(Key::p256("0"))];
    let issuer = Issuer::of(&[&keys[0]]).await;
    // Not refreshed meanwhile: only tokens with new names tell of new keys.
    let verifier = Arc::new(verifier(issuer.sources()).await);
    let (newest, ended) = (Arc::new(std::sync::RwLock::new(Arc::clone(&keys[0]))), Arc::new(AtomicBool::new(false)));
    let calls = Arc::new(AtomicU32::new(0));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (verifier, newest, ended) = (Arc::clone(&verifier), Arc::clone(&newest), Arc::clone(&ended));
            let calls = Arc::clone(&calls);
            tokio::spawn(async move {
                while !ended.load(Ordering::Relaxed) {
                    let key = Arc::clone(&newest.read().unwrap());
                    let found = verify(&verifier, &key.credential()).await;
                    assert!(found.is_ok(), "a call by the key {}: {found:?}", key.kid);
                    calls.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();

    for number in 1..=4 {
        tokio::time::sleep(Duration::from_millis(400 * number % 900)).await;
        keys.push(Arc::new(Key::p256(&number.to_string())));
        // As issuers do: published before it signs.
        issuer.has(&keys.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        *newest.write().unwrap() = Arc::clone(keys.last().unwrap());
    }
    until!(verify(&verifier, &keys[4].credential()).await.is_ok(), "the last key is known");
    ended.store(true, Ordering::Relaxed);

    for caller in callers {
        caller.await.unwrap();
    }
    assert!(calls.load(Ordering::Relaxed) > 50);
    assert!((2..=5).contains(&issuer.asked()), "at the start, and for new keys: {}", issuer.asked());
}

#[tokio::test]
async fn verify_refuses_a_key_that_was_taken_back_although_it_has_accepted_its_token() {
    let (gone, stays) = (Key::p256("gone"), Key::ed25519("stays"));
    let issuer = Issuer::of(&[&gone, &stays]).await;
    let verifier = verifier(often(&issuer)).await;
    let token = gone.credential();
    assert!(verify(&verifier, &token).await.is_ok());

    issuer.has(&[&stays]);

    until!(verify(&verifier, &token).await.is_err(), "the key is gone");
    assert_eq!(why(&verifier, &token).await, UNKNOWN);
    assert!(verify(&verifier, &stays.credential()).await.is_ok());
}

#[tokio::test]
async fn verify_keeps_its_keys_through_every_trouble_of_their_source() {
    let (key, other) = (Key::p256("key"), Key::p256("other"));
    let issuer = Issuer::of(&[&key]).await;
    let verifier = verifier(often(&issuer)).await;
    // Whatever it has beside it, only 200 is an answer.
    let body = set(&[&key, &other]).to_string();
    let otherwise = |status: &str| {
        Answer::Raw(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()))
    };
    for answer in [
        Answer::Nothing,
        otherwise("500 Internal Server Error"),
        otherwise("404 Not Found"),
        otherwise("302 Found\r\nlocation: /elsewhere"),
        Answer::Raw("SSH-2.0-OpenSSH\r\n".to_owned()),
        Answer::Document(json!({"keys": []})),
        Answer::Document(json!({"keys": [{"kty": "oct", "k": "AAAA"}]})),
        Answer::Document(json!("gone")),
        Answer::Endless,
    ] {
        issuer.answers(answer.clone());
        let asked = issuer.asked();

        until!(issuer.asked() > asked + 1, "it is asked again");

        // Not one that was accepted before, and remembered.
        assert!(verify(&verifier, &key.credential_named(Some("key"))).await.is_ok(), "{answer:?}");
        assert!(verify(&verifier, &key.credential_named(None)).await.is_ok(), "{answer:?}");
        let unknown = verify(&verifier, &other.credential()).await;
        assert!(matches!(unknown, Err(CredentialProblem::KeysUnavailable(_))), "{answer:?}: {unknown:?}");
    }

    issuer.has(&[&key, &other]);
    until!(verify(&verifier, &other.credential()).await.is_ok(), "it is read again");
}

#[tokio::test]
async fn verify_gives_up_on_a_source_that_answers_slowly() {
    let key = Key::p256("key");
    let issuer = Issuer::start(Answer::Slowly).await;
    let started = Instant::now();

    let verifier = verifier(issuer.sources()).await;

    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let asked = Instant::now();
    let found = verifier.verify([key.credential().as_bytes()], asked + Duration::from_millis(300)).await;
    assert!(matches!(found, Err(CredentialProblem::KeysUnavailable(_))), "{found:?}");
    assert!(asked.elapsed() < Duration::from_secs(1), "the call's deadline was 300 ms: {:?}", asked.elapsed());
    issuer.has(&[&key]);
    until!(verify(&verifier, &key.credential()).await.is_ok(), "it answers");
}

#[tokio::test]
async fn verify_asks_the_issuer_seldom_however_many_names_are_invented() {
    let key = Key::p256("key");
    let issuer = Issuer::of(&[&key]).await;
    let verifier = Arc::new(verifier(issuer.sources()).await);
    let started = Instant::now();

    let mut flood = Vec::new();
    for number in 0..500 {
        let (verifier, token) = (Arc::clone(&verifier), key.credential_named(Some(&format!("invented-{number}"))));
        flood.push(tokio::spawn(async move { verify(&verifier, &token).await }));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for call in flood {
        let refused = call.await.unwrap();
        let expected =
            matches!(refused, Err(CredentialProblem::Invalid(UNKNOWN) | CredentialProblem::KeysUnavailable(_)));
        assert!(expected, "{refused:?}");
    }

    // After the first, one second apart, then two, then four.
    let most = 2 + u32::try_from(started.elapsed().as_secs() / 2).unwrap();
    assert!((2..=most).contains(&issuer.asked()), "{} times in {:?}", issuer.asked(), started.elapsed());
    assert!(verify(&verifier, &key.credential_named(None)).await.is_ok());
}

#[tokio::test]
async fn verify_asks_once_for_a_name_that_is_wrong_and_says_so_each_time() {
    let key = Key::p256("key");
    let issuer = Issuer::of(&[&key]).await;
    let verifier = verifier(issuer.sources()).await;
    let wrong = key.credential_named(Some("wrong"));
    assert_eq!(why(&verifier, &wrong).await, UNKNOWN);
    let (asked, started) = (issuer.asked(), Instant::now());

    let mut calls = 0;
    loop {
        assert_eq!(why(&verifier, &wrong).await, UNKNOWN);
        // It may be asked again a second after the last time. Counted first: the clock may jump on a busy machine.
        let (asked, elapsed) = (issuer.asked(), started.elapsed());
        if elapsed > Duration::from_millis(800) {
            break;
        }
        assert_eq!(asked, 2);
        calls += 1;
    }

    assert!(asked == 2 && calls > 10, "asked {asked} times, and {calls} calls");
}

#[tokio::test]
async fn verify_decides_about_a_secrets_tokens_while_the_set_is_away() {
    let key = Key::p256("key");
    let issuer = Issuer::start(Answer::Nothing).await;
    let secret = b"the secret beside a set that is away, 32 bytes".to_vec();
    let verifier = verifier(Sources { secret: Some(secret), ..issuer.sources() }).await;

    // Which of them it is signed with, a token says by its algorithm.
    let foreign = format!("Bearer {}", token(A.as_admin()));
    assert_eq!(why(&verifier, &foreign).await, "has a wrong signature");
    let away = verify(&verifier, &key.credential_named(None)).await;
    assert!(matches!(away, Err(CredentialProblem::KeysUnavailable(_))), "{away:?}");
}

#[tokio::test]
async fn calls_are_unavailable_until_the_first_set_is_had_and_then_answered() {
    let key = Key::p256("key");
    let issuer = Issuer::start(Answer::Nothing).await;
    let app = App::start_trusting(verifier(often(&issuer)).await).await;
    let mut sessions = SessionServiceClient::new(app.with_authorization(&key.credential()));

    let status = sessions.who_am_i(pb::WhoAmIRequest {}).await.unwrap_err();

    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "KEYS_UNAVAILABLE"));
    let wait = details(&status).retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(10), "{wait:?}");
    issuer.has(&[&key]);
    until!(sessions.who_am_i(pb::WhoAmIRequest {}).await.is_ok(), "the set is had");
}

#[tokio::test]
async fn verify_reads_a_set_over_tls_from_whom_it_trusts_and_nobody_else() {
    let key = Key::p256("key");
    let folder = Folder::made("authorities");
    let (ours, theirs) = (folder.0.join("ours.pem"), folder.0.join("theirs.pem"));
    let issuer = Issuer::start_tls(Answer::Document(set(&[&key])), &ours).await;
    let _other = Issuer::start_tls(Answer::Document(set(&[&key])), &theirs).await;

    let trusting = verifier(Sources { trust: Trust::File(ours), ..issuer.sources() }).await;
    let doubting = verifier(Sources { trust: Trust::File(theirs), ..issuer.sources() }).await;

    assert!(verify(&trusting, &key.credential()).await.is_ok());
    let found = verify(&doubting, &key.credential()).await;
    assert!(matches!(found, Err(CredentialProblem::KeysUnavailable(_))), "{found:?}");
}

#[tokio::test]
async fn open_refuses_authorities_that_cannot_be_read() {
    let sources = Sources {
        jwks: Some("https://127.0.0.1:1/jwks.json".parse().unwrap()),
        trust: Trust::File("/nowhere/ca.pem".into()),
        ..Sources::default()
    };

    let said = Keyring::open(sources).await.unwrap_err().to_string();

    assert!(said.contains("/nowhere/ca.pem"), "{said}");
}
