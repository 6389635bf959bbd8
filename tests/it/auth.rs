//! Who may call what, over every RPC of the contract: without a right credential nobody, and with one the role's.

mod issuer;
mod keys;
mod rotation;
mod said;
mod secrets;
mod sets;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use photometa::auth::Role;
use photometa::auth::token::{Claims, sign_hs256};
use photometa::pb::{self, session_service_client::SessionServiceClient};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{A, App, OPERATOR, Who, details, reason, sign, token};
use crate::rpcs::{RPCS, Rpc, methods, name, raw};
use crate::world::{World, fingerprint};

fn in_an_hour() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600
}

fn claims(who: Who) -> Claims {
    Claims { sub: who.subject, org: who.organization, role: who.role, exp: in_an_hour(), iss: None, aud: None }
}

/// A token of these parts as JSON, with this signature.
fn assembled(header: &serde_json::Value, payload: &serde_json::Value, signature: &[u8]) -> String {
    let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("Bearer {}.{}.{}", part(header), part(payload), URL_SAFE_NO_PAD.encode(signature))
}

/// Signs a payload that is no [`Claims`].
fn signed(payload: &serde_json::Value) -> String {
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "typ": "JWT"}).to_string()),
        URL_SAFE_NO_PAD.encode(payload.to_string())
    );
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, crate::harness::SECRET);
    format!("Bearer {text}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, text.as_bytes())))
}

/// Authorization entries that nobody gets in with, and the reason of each.
fn refused() -> Vec<(&'static str, String, &'static str)> {
    let good = token(A.as_admin());
    let (text, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = text.split_once('.').unwrap();
    let admin = claims(A.as_admin());
    let foreign = sign_hs256(&admin, b"the secret of somebody else, as long as ours is, or longer").unwrap();
    let expired = sign(&Claims { exp: in_an_hour() - 3601, ..admin.clone() });
    let organized = sign(&Claims { org: Some(A.id), ..claims(OPERATOR) });
    let homeless = sign(&Claims { org: None, ..admin.clone() });
    let nowhere = sign(&Claims { org: Some(Uuid::nil()), ..admin.clone() });
    let plain = json!({"sub": A.admin, "org": A.id, "role": "org_admin", "exp": in_an_hour()});
    let without = |claim: &str| {
        let mut plain = plain.clone();
        plain.as_object_mut().unwrap().remove(claim);
        signed(&plain)
    };
    let with = |claim: &str, value: serde_json::Value| {
        let mut plain = plain.clone();
        plain[claim] = value;
        signed(&plain)
    };
    let none = |name: &str| assembled(&json!({"alg": name, "typ": "JWT"}), &plain, b"");
    let invalid = "CREDENTIAL_INVALID";
    vec![
        ("another scheme", "Basic dXNlcjpwYXNz".to_owned(), invalid),
        ("no token", "Bearer".to_owned(), invalid),
        ("an empty token", "Bearer ".to_owned(), invalid),
        ("garbage", "Bearer garbage".to_owned(), invalid),
        ("two parts", format!("Bearer {text}"), invalid),
        ("a token without scheme", good.clone(), invalid),
        ("a changed payload", format!("Bearer {header}.{}.{signature}", payload.replacen('e', "f", 1)), invalid),
        ("an endless token", format!("Bearer {}", "a".repeat(9000)), invalid),
        ("another secret", format!("Bearer {foreign}"), invalid),
        ("alg none", none("none"), invalid),
        ("alg None", none("None"), invalid),
        ("alg HS512", none("HS512"), invalid),
        ("alg RS256", none("RS256"), invalid),
        ("an operator with an organization", format!("Bearer {organized}"), invalid),
        ("an admin without an organization", format!("Bearer {homeless}"), invalid),
        ("a nil organization", format!("Bearer {nowhere}"), invalid),
        ("no exp", without("exp"), invalid),
        ("no sub", without("sub"), invalid),
        ("no role", without("role"), invalid),
        ("an unknown role", with("role", json!("photometa_owner")), invalid),
        ("an organization that is no UUID", with("org", json!("'; reset role")), invalid),
        ("a subject that is no UUID", with("sub", json!("me")), invalid),
        ("not valid yet", with("nbf", json!(in_an_hour())), invalid),
        ("expired", format!("Bearer {expired}"), "CREDENTIAL_EXPIRED"),
    ]
}

#[test]
fn table_names_exactly_the_rpcs_of_the_contract() {
    let mut known: Vec<_> = RPCS.iter().map(|rpc| rpc.name.to_owned()).collect();
    let mut found: Vec<_> = methods().iter().map(name).collect();
    known.sort();
    found.sort();

    assert_eq!(known, found, "tests/it/rpcs.rs and the contract differ");
}

#[test]
fn table_gives_each_rpc_the_roles_that_the_contract_says() {
    for rpc in RPCS {
        let comment = comment(&rpc.method());
        let (_, roles) = comment.rsplit_once("Roles: ").unwrap_or_else(|| panic!("{} names no roles", rpc.name));
        let told: Vec<Role> = [Role::Operator, Role::OrgAdmin, Role::OrgUser, Role::Service]
            .into_iter()
            .filter(|role| {
                roles.contains("every role")
                    || roles.split(|c: char| !(c.is_alphabetic() || c == '_')).any(|word| word == role.name())
            })
            .collect();

        assert_eq!(told, rpc.roles, "{}: {roles}", rpc.name);
    }
}

fn comment(method: &prost_reflect::MethodDescriptor) -> String {
    let file = method.parent_file().file_descriptor_proto().clone();
    let places = file.source_code_info.unwrap().location;
    let place = places.into_iter().find(|place| place.path == method.path()).unwrap();
    place.leading_comments.unwrap_or_default()
}

#[tokio::test]
async fn every_rpc_refuses_a_missing_credential() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;
    let before = fingerprint(&app).await;

    for rpc in RPCS {
        let status = rpc.call_with(&app, None, world.ids().fill(rpc.request)).await.unwrap_err();

        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, "CREDENTIAL_MISSING"),
            "{}",
            rpc.name
        );
    }
    assert_eq!(fingerprint(&app).await, before);
}

/// A message costs memory before anything is known of it.
#[tokio::test]
async fn messages_of_nobody_are_not_read() {
    let app = App::start().await;

    for rpc in RPCS {
        let path = format!("photometa.v1.{}", rpc.name);
        // A key without a value, which is no message.
        let malformed = b"\x08".to_vec();
        let nobody = raw(&app, &path, None, malformed.clone()).await.unwrap_err();
        let forged = raw(&app, &path, Some("Bearer a.b.c"), malformed).await.unwrap_err();

        assert_eq!(
            (nobody.code(), reason(&nobody).as_str()),
            (Code::Unauthenticated, "CREDENTIAL_MISSING"),
            "{}",
            rpc.name
        );
        assert_eq!(
            (forged.code(), reason(&forged).as_str()),
            (Code::Unauthenticated, "CREDENTIAL_INVALID"),
            "{}",
            rpc.name
        );
    }
}

#[tokio::test]
async fn every_rpc_refuses_every_bad_credential() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;
    let before = fingerprint(&app).await;

    for rpc in RPCS {
        let request = world.ids().fill(rpc.request);
        for (what, authorization, expected) in refused() {
            let status = rpc.call_with(&app, Some(&authorization), request.clone()).await.unwrap_err();

            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::Unauthenticated, expected),
                "{} with {what}",
                rpc.name
            );
            assert!(
                authorization.len() < 20 || !status.message().contains(&authorization[7..]),
                "{} repeats the credential",
                rpc.name
            );
        }
    }
    assert_eq!(fingerprint(&app).await, before);
}

#[tokio::test]
async fn every_rpc_refuses_every_role_that_it_is_not_for() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;
    let before = fingerprint(&app).await;

    for rpc in RPCS {
        for who in [OPERATOR, A.as_admin(), A.as_member(), A.as_service()] {
            if rpc.roles.contains(&who.role) {
                continue;
            }
            let status = rpc.call(&app, who, world.ids().fill(rpc.request)).await.unwrap_err();

            let told = details(&status).error_info().unwrap().metadata.clone();
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::PermissionDenied, "ROLE_NOT_ALLOWED"),
                "{} as {:?}",
                rpc.name,
                who.role
            );
            assert_eq!(told["role"], who.role.name());
            assert_eq!(told["rpc"], format!("photometa.v1.{}", rpc.name));
        }
    }
    assert_eq!(fingerprint(&app).await, before);
}

#[tokio::test]
async fn every_rpc_refuses_the_role_before_it_looks_at_the_fields() {
    let app = App::start().await;

    for rpc in RPCS {
        for role in [Role::Operator, Role::OrgAdmin, Role::OrgUser, Role::Service] {
            if rpc.roles.contains(&role) {
                continue;
            }
            let who = if role == Role::Operator { OPERATOR } else { Who { role, ..A.as_admin() } };
            let status = rpc.call(&app, who, json!({})).await.unwrap_err();

            assert_eq!(reason(&status), "ROLE_NOT_ALLOWED", "{} as {role:?}", rpc.name);
        }
    }
}

#[tokio::test]
async fn every_rpc_accepts_the_roles_that_it_is_for() {
    for role in [Role::Operator, Role::OrgAdmin, Role::OrgUser, Role::Service] {
        let app = App::start().await;
        let world = World::grow(&app, A).await;
        let (deleting, others): (Vec<&Rpc>, Vec<&Rpc>) =
            RPCS.iter().filter(|rpc| rpc.roles.contains(&role)).partition(|rpc| rpc.name.contains("/Delete"));

        for rpc in others {
            let outcome = rpc.call(&app, world.who(role), world.ids().fill(rpc.request)).await;
            assert!(outcome.is_ok(), "{} as {role:?}: {outcome:?}", rpc.name);
        }
        for rpc in deleting {
            let outcome = rpc.call(&app, world.who(role), world.ids().fill(rpc.request)).await;

            // What is in use stays, and what went with something else is gone.
            let code = outcome.as_ref().map_or_else(Status::code, |_| Code::Ok);
            let expected = [Code::Ok, Code::NotFound, Code::FailedPrecondition];
            assert!(expected.contains(&code), "{} as {role:?}: {outcome:?}", rpc.name);
        }
    }
}

#[tokio::test]
async fn whoami_accepts_a_scheme_in_any_case() {
    let app = App::start().await;
    let rpc = Rpc::named("SessionService/WhoAmI");

    for scheme in ["Bearer", "bearer", "BEARER"] {
        let answer = rpc.call_with(&app, Some(&format!("{scheme} {}", token(A.as_member()))), json!({})).await.unwrap();

        assert_eq!(answer["subject"], A.member.to_string());
        assert_eq!(answer["organizationId"], A.id.to_string());
        assert_eq!(answer["role"], "org_user");
    }
}

#[tokio::test]
async fn who_am_i_refuses_a_token_that_it_has_accepted_when_that_expires() {
    let app = App::start().await;
    let expiring = sign(&Claims { exp: in_an_hour() - 3598, ..claims(A.as_admin()) });
    let mut sessions = SessionServiceClient::new(app.with_authorization(&format!("Bearer {expiring}")));
    sessions.who_am_i(pb::WhoAmIRequest {}).await.unwrap();

    let refused = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if let Err(status) = sessions.who_am_i(pb::WhoAmIRequest {}).await {
                return status;
            }
        }
    });

    let status = refused.await.expect("it expires");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CREDENTIAL_EXPIRED"));
}
