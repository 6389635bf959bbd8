//! Page tokens and resume tokens: what was not given out is refused, and what was is of use to its owner alone, for the
//! request that it came from.

use std::time::{Duration, Instant};

use photometa::auth::{Caller, Role, Term};
use photometa::check::Violations;
use photometa::error::Error;
use photometa::id::OrganizationId;
use photometa::lsn::Written;
use photometa::page::Pages;
use photometa::pb;
use serde_json::Value;
use uuid::Uuid;

use crate::entropy::{Entropy, edited};
use crate::memory::within;
use crate::stack::{ORGANIZATION, SECRET, SUBJECT};

/// Bytes that reading a token may hold for each of its bytes, and so many more.
const PER_BYTE: usize = 64;
const FLAT: usize = 16 * 1024;

thread_local! {
    static PAGES: Pages = Pages::new(SECRET);
}

fn caller(organization: Uuid, rpc: &str) -> Caller {
    let now = Instant::now();
    let longest = Duration::from_secs(60);
    Caller {
        organization: OrganizationId(organization),
        subject: SUBJECT,
        role: Role::OrgAdmin,
        rpc: rpc.to_owned(),
        deadline: now + longest,
        term: Term { longest, asked: None, streams: false, expires: None, ends: None },
        after: None,
        written: Written::default(),
    }
}

fn read(caller: &Caller, token: &str, scope: &pb::ListTagCountsRequest) -> Result<Option<Value>, Error> {
    let budget = FLAT + PER_BYTE * token.len();
    let read = || PAGES.with(|pages| pages.read::<Value>(&mut Violations::new(), caller, (0, token), scope));
    within(budget, read).map(|page| page.after)
}

/// Checks what is made of a token.
///
/// # Panics
/// When something does not hold that always should.
pub fn page(data: &[u8]) {
    let mut entropy = Entropy::new(data);
    let owner = caller(ORGANIZATION, "photometa.v1.TagService/ListTagCounts");
    let scope =
        pb::ListTagCountsRequest { project_id: Some(SUBJECT.to_string()), ..pb::ListTagCountsRequest::default() };
    let what = entropy.below(4);
    let key = serde_json::json!([entropy.word(), String::from_utf8_lossy(entropy.take(12)), null]);
    let given = PAGES.with(|pages| {
        let (binding, _) = pages.resume::<Value>(&owner, "page_token", "", &scope).expect("no token is no problem");
        pages.seal(&binding, &key)
    });
    match what {
        // Its owner goes on where it was.
        0 => assert_eq!(read(&owner, &given, &scope).expect("it was given out"), Some(key)),
        1 => {
            let asked = pb::ListTagCountsRequest { project_id: Some(entropy.word().to_string()), ..scope };
            assert!(read(&owner, &given, &asked).is_err(), "for another request");
            let rpc = caller(ORGANIZATION, "photometa.v1.TagService/ListTags");
            assert!(read(&rpc, &given, &asked).is_err(), "for another rpc");
            let other = caller(Uuid::from_u128(entropy.word().into()), &owner.rpc);
            assert!(read(&other, &given, &asked).is_err(), "for another organization");
        }
        2 => {
            let changed = edited(given.clone().into_bytes(), &mut entropy);
            let changed = String::from_utf8_lossy(&changed).into_owned();
            let read = read(&owner, &changed, &scope);
            assert_eq!(read.is_ok(), changed == given || changed.is_empty(), "{changed}");
        }
        _ => {
            let made = String::from_utf8_lossy(entropy.rest()).into_owned();
            assert!(made.is_empty() || made == given || read(&owner, &made, &scope).is_err(), "{made}");
        }
    }
}
