//! What a refused credential is told: each mistake has its own text, which says what to change and repeats nothing.

use std::time::{Duration, Instant};

use photometa::auth::token::{Expectations, Verifier};
use photometa::error::CredentialProblem::{self, Expired, Invalid};
use photometa::pb;
use photometa::pb::session_service_client::SessionServiceClient;
use serde_json::{Value, json};
use tonic::Code;

use super::{in_an_hour, signed};
use crate::harness::{A, App, SECRET, reason, token};

fn expected() -> Expectations {
    Expectations {
        issuer: Some("https://issuer.example".to_owned()),
        audience: Some("photometa".to_owned()),
        leeway: Duration::ZERO,
    }
}

fn payload() -> Value {
    json!({
        "sub": A.admin, "org": A.id, "role": "org_admin", "exp": in_an_hour(),
        "iss": "https://issuer.example", "aud": "photometa",
    })
}

/// The payload with another claim; null leaves it out.
fn with(claim: &str, value: Value) -> Value {
    let mut payload = payload();
    payload[claim] = value;
    payload.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    payload
}

async fn problem(expected: &Expectations, payload: &Value) -> Option<CredentialProblem> {
    let verifier = Verifier::hs256(SECRET, expected);
    verifier.verify([signed(payload).as_bytes()], Instant::now()).await.err()
}

#[tokio::test]
async fn verify_says_what_is_wrong_with_each_claim() {
    let number = "has a claim exp or nbf that is no number of seconds since 1970";
    let issuer = "comes from another issuer: its iss is not the one that this server expects";
    let audience = "is for another audience: its aud does not have the one that this server expects";
    for (claim, value, problem_expected) in [
        ("exp", json!(null), Invalid("lacks the claim exp, a number of seconds since 1970")),
        ("exp", json!("tomorrow"), Invalid("lacks the claim exp, a number of seconds since 1970")),
        ("exp", json!(1_700_000_000), Expired),
        ("exp", json!(1_700_000_000.5), Expired),
        ("nbf", json!("tomorrow"), Invalid(number)),
        ("nbf", json!(in_an_hour()), Invalid("is not valid yet: its nbf is in the future, or a clock is wrong")),
        ("iss", json!(null), Invalid("lacks the claim iss")),
        ("iss", json!("https://issuer.example/"), Invalid(issuer)),
        ("iss", json!(["https://other.example"]), Invalid(issuer)),
        ("aud", json!(null), Invalid("lacks the claim aud")),
        ("aud", json!("photometa-staging"), Invalid(audience)),
        ("aud", json!(["other", "another"]), Invalid(audience)),
        ("aud", json!([]), Invalid(audience)),
        ("sub", json!(null), Invalid("lacks the claim sub")),
        ("sub", json!("me"), Invalid("has a claim sub that is no UUID")),
        ("sub", json!(7), Invalid("has a claim sub that is no UUID")),
        ("org", json!(null), Invalid("lacks the claim org")),
        ("org", json!("'; reset role"), Invalid("has a claim org that is no UUID")),
        ("org", json!("00000000-0000-0000-0000-000000000000"), Invalid("has a nil claim org")),
        ("role", json!(null), Invalid("lacks the claim role")),
        (
            "role",
            json!("photometa_owner"),
            Invalid("has a claim role that is none of operator, org_admin, org_user and service"),
        ),
        ("role", json!("operator"), Invalid("has the role operator and a claim org; operators have none")),
    ] {
        assert_eq!(problem(&expected(), &with(claim, value.clone())).await, Some(problem_expected), "{claim} {value}");
    }
}

#[tokio::test]
async fn verify_accepts_claims_in_every_form_that_issuers_write() {
    for (claim, value) in [
        ("aud", json!(["other", "photometa"])),
        ("iss", json!("https://issuer.example")),
        ("exp", json!(4_102_444_800.75)),
        ("nbf", json!(1_700_000_000.5)),
        // A clock that runs ahead has issued it; when it is valid, it does not say.
        ("iat", json!(in_an_hour())),
        ("scope", json!("of no concern here")),
        ("sub", json!(A.admin.simple().to_string())),
    ] {
        assert_eq!(problem(&expected(), &with(claim, value.clone())).await, None, "{claim} {value}");
    }
    // Nobody asked for whom it is.
    assert_eq!(problem(&Expectations::default(), &with("aud", json!(["other"]))).await, None);
}

#[tokio::test]
async fn verify_allows_for_clocks_as_far_as_it_is_told_to() {
    let now = in_an_hour() - 3600;
    let minute = Expectations { leeway: Duration::from_secs(60), ..expected() };
    for (claim, near, far) in [("exp", now - 30, now - 90), ("nbf", now + 30, now + 90)] {
        assert_eq!(problem(&minute, &with(claim, json!(near))).await, None, "{claim}");
        assert!(problem(&minute, &with(claim, json!(far))).await.is_some(), "{claim}");
        assert!(problem(&expected(), &with(claim, json!(near))).await.is_some(), "{claim} without leeway");
    }
    // What is remembered is as long.
    let verifier = Verifier::hs256(SECRET, &minute);
    let late = signed(&with("exp", json!(now - 30)));
    for _ in 0..2 {
        assert!(verifier.verify([late.as_bytes()], Instant::now()).await.is_ok());
    }
}

#[tokio::test]
async fn calls_with_two_credentials_are_refused_whichever_comes_first() {
    let app = App::start().await;
    let good = format!("Bearer {}", token(A.as_admin()));
    for entries in [[good.as_str(), "Bearer other"], ["Bearer other", good.as_str()], [good.as_str(), good.as_str()]] {
        let mut request = tonic::Request::new(pb::WhoAmIRequest {});
        for entry in entries {
            request.metadata_mut().append("authorization", entry.parse().unwrap());
        }

        let status = SessionServiceClient::new(app.channel.clone()).who_am_i(request).await.unwrap_err();

        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CREDENTIAL_INVALID"));
        assert_eq!(status.message(), "the credential is sent more than once; send one entry authorization");
    }
}
