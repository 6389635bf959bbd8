//! Bearer tokens: those that are changed, those of other algorithms, and those with strange claims under a right
//! signature.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use photometa::auth::Role;
use photometa::auth::token::{Claims, Expectations, Verifier};
use photometa::error::CredentialProblem;
use ring::hmac;

use crate::entropy::{Entropy, edited};
use crate::memory::within;
use crate::stack::{ROLES, SECRET, bearer};

/// Bytes that reading a credential may hold for each of its bytes, and so many more: among them the next size of the
/// table of those that were verified, which is bounded.
const PER_BYTE: usize = 64;
const FLAT: usize = 4 * 1024 * 1024;

thread_local! {
    static VERIFIER: Verifier = Verifier::hs256(SECRET, &Expectations::default());
    static GIVEN: [String; 4] = ROLES.map(bearer);
}

/// Headers of tokens.
const HEADERS: [&str; 8] = [
    r#"{"alg":"HS256","typ":"JWT"}"#,
    r#"{"alg":"none"}"#,
    r#"{"alg":"RS256"}"#,
    r#"{"alg":"HS512"}"#,
    r#"{"alg":"HS256","alg":"none"}"#,
    r#"{"alg":"HS256","crit":["exp"]}"#,
    r#"{"alg":"ES256","kid":"../../etc/passwd"}"#,
    r#"{"alg":"EdDSA","jwk":{"kty":"oct","k":"AAAA"}}"#,
];

/// Claims, with a time for `@`.
const CLAIMS: [&str; 8] = [
    r#"{"sub":"01890a5d-ac96-774b-bcce-b302099a8058","org":"01890a5d-ac96-774b-bcce-b302099a8057","role":"org_admin","exp":@}"#,
    r#"{"sub":"01890a5d-ac96-774b-bcce-b302099a8058","role":"operator","exp":@}"#,
    r#"{"sub":"01890a5d-ac96-774b-bcce-b302099a8058","org":"01890a5d-ac96-774b-bcce-b302099a8057","role":"operator","exp":@}"#,
    r#"{"sub":"01890a5d-ac96-774b-bcce-b302099a8058","role":"service","exp":@}"#,
    r#"{"sub":"01890a5d-ac96-774b-bcce-b302099a8058","org":"00000000-0000-0000-0000-000000000000","role":"service","exp":@}"#,
    r#"{"sub":"01890a5d-ac96-774b-bcce-b302099a8058","org":"01890a5d-ac96-774b-bcce-b302099a8057","role":"service","exp":@,"nbf":@}"#,
    r#"{"sub":7,"org":null,"role":"service","exp":@,"exp":1}"#,
    r#"{"org":"01890a5d-ac96-774b-bcce-b302099a8057","role":"service","exp":@}"#,
];

const TIMES: [&str; 8] =
    ["4102444800", "1", "18446744073709551615", "18446744073709551616", "1e300", "-1", "4102444800.5", "\"9\""];

/// A token whose signature is right.
fn signed(header: &[u8], claims: &[u8]) -> Vec<u8> {
    let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), parts.as_bytes());
    format!("Bearer {parts}.{}", URL_SAFE_NO_PAD.encode(tag)).into_bytes()
}

/// A shared secret is there: nothing is waited for.
fn verify(verifier: &Verifier, sent: &[u8]) -> Result<Claims, CredentialProblem> {
    let mut read = pin!(verifier.verify([sent], Instant::now()));
    match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(read) => read,
        Poll::Pending => panic!("it waits for a key"),
    }
}

/// Checks what is made of a credential.
///
/// # Panics
/// When something does not hold that always should.
pub fn token(data: &[u8]) {
    let mut entropy = Entropy::new(data);
    let (what, which) = (entropy.below(4), entropy.below(4));
    let given = GIVEN.with(|given| given[which].clone().into_bytes());
    let (sent, header) = match what {
        0 => (edited(given.clone(), &mut entropy), None),
        1 => (entropy.rest().to_vec(), None),
        _ => {
            let header = edited(entropy.of(&HEADERS).as_bytes().to_vec(), &mut entropy);
            let time = *entropy.of(&TIMES);
            let claims = entropy.of(&CLAIMS).replace('@', time);
            let claims = edited(claims.into_bytes(), &mut entropy);
            (signed(&header, &claims), Some(header))
        }
    };
    let budget = FLAT + PER_BYTE * sent.len();
    let read = VERIFIER.with(|verifier| within(budget, || verify(verifier, &sent)));
    let again = VERIFIER.with(|verifier| verify(verifier, &sent));
    assert_eq!(
        read.as_ref().map(|claims| (claims.sub, claims.org, claims.exp)).map_err(|problem| *problem),
        again.as_ref().map(|claims| (claims.sub, claims.org, claims.exp)).map_err(|problem| *problem),
        "what is remembered is another thing",
    );
    let Ok(claims) = read else {
        assert!(sent != given, "a good one is refused");
        return;
    };
    assert!(sent.get(7..) == given.get(7..) || header.is_some(), "nobody signed this");
    if let Some(header) = header {
        let header: serde_json::Value = serde_json::from_slice(&header).expect("an accepted header is JSON");
        assert_eq!(header["alg"], "HS256", "another algorithm");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    assert!(claims.exp > now.saturating_sub(5), "it has ended");
    assert_eq!(claims.role == Role::Operator, claims.org.is_none(), "operators alone have no organization");
    assert!(claims.org.is_none_or(|org| !org.is_nil()));
}
