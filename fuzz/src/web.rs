//! What is around a message: metadata, frames and compression. Deadlines, credentials, positions and request ids are read
//! of it before any service is asked.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Code;

use crate::entropy::{Entropy, edited};
use crate::memory::within;
use crate::message::{RPCS, write};
use crate::stack::{ROLES, Stack, bearer, framed};

/// Bytes that a call may hold at one time for each byte that came, compressed or not, and so many more: tonic reserves
/// what the head of a frame says is coming, which takes no memory before it comes.
const PER_BYTE: usize = 64;
const FLAT: usize = photometa::MAX_REQUEST_BYTES + 512 * 1024;

const NAMES: [&str; 10] = [
    "grpc-timeout",
    "authorization",
    "x-request-id",
    "x-photometa-lsn",
    "content-type",
    "grpc-encoding",
    "grpc-accept-encoding",
    "te",
    "user-agent",
    "x-anything-bin",
];

const VALUES: [&[&str]; 10] = [
    &["1S", "99999999H", "1n", "0m", "100m", "000000001S", "-1S", "1", "S", "123456789u"],
    &["", "Bearer ", "bearer a.b.c", "Basic YTpi"],
    &["a", "", "\u{e9}"],
    &["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF", "1/", "0/0, 0/0"],
    &["application/grpc", "application/grpc+proto", "application/grpc-web", "text/plain", ""],
    &["gzip", "identity", "zstd", "gzip, gzip"],
    &["gzip", "identity", ""],
    &["trailers"],
    &["a"],
    &["AAAA", "="],
];

thread_local! {
    static STACK: Stack = Stack::default();
    static BEARERS: [String; 4] = ROLES.map(bearer);
}

/// Checks what the server makes of a request.
///
/// # Panics
/// When something does not hold that always should.
pub fn web(data: &[u8]) {
    let mut entropy = Entropy::new(data);
    let (path, rpc) = &RPCS[entropy.below(RPCS.len())];
    let mut headers = HeaderMap::new();
    let (mut ours, mut compressed) = (false, false);
    for _ in 0..=entropy.below(8) {
        let which = entropy.below(NAMES.len() + 2);
        let value = if which >= NAMES.len() {
            ours = true;
            BEARERS.with(|bearers| bearers[which % bearers.len()].clone().into_bytes())
        } else {
            let value = entropy.of(VALUES[which]).as_bytes().to_vec();
            edited(value, &mut entropy)
        };
        let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
        compressed |= NAMES.get(which) == Some(&"grpc-encoding");
        headers.append(HeaderName::from_static(NAMES.get(which).copied().unwrap_or(NAMES[1])), value);
    }
    // Without one nothing else would be read.
    headers.entry("content-type").or_insert(HeaderValue::from_static("application/grpc"));
    let body = match entropy.below(4) {
        0 | 1 => framed(&write(&rpc.input(), &mut entropy)),
        2 => edited(framed(&write(&rpc.input(), &mut entropy.clone())).to_vec(), &mut entropy).into(),
        _ => Bytes::copy_from_slice(entropy.rest()),
    };
    let asked = headers.get("x-request-id").cloned();
    let kind = headers.get("content-type").map(|kind| kind.as_bytes().to_vec()).unwrap_or_default();
    // Compressed bytes may become as many as a message may have.
    let more = if compressed { photometa::MAX_REQUEST_BYTES * 4 } else { 0 };
    let budget = FLAT + more + PER_BYTE * body.len();
    let answer = STACK.with(|stack| within(budget, || stack.send(path, headers, body)));

    if answer.no_call {
        assert!(kind != b"application/grpc" && kind != b"application/grpc+proto", "{answer:?}");
        return;
    }
    assert!(
        kind.starts_with(b"application/grpc") && !kind.starts_with(b"application/grpc-web"),
        "{kind:?}: {answer:?}"
    );
    let code = answer.status.code();
    assert!(![Code::Internal, Code::Unknown, Code::DataLoss, Code::NotFound].contains(&code), "{answer:?}");
    assert!(code != Code::Ok || ours, "nobody was let in: {answer:?}");
    let id = answer.headers.get("x-request-id");
    assert!(id.is_some_and(|id| (1..=128).contains(&id.len())), "{answer:?}");
    if let Some(asked) = asked.filter(|asked| (1..=128).contains(&asked.len()) && asked.to_str().is_ok()) {
        assert_eq!(id, Some(&asked));
    }
}
