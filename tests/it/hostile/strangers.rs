//! Who speaks something else, or stops speaking: told what is spoken where that can be said, and closed in time.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::frames::{END_HEADERS, END_STREAM, HEADERS, PATIENCE, Raw, call, frame};
use super::{WHO_AM_I, bystander, impatient};
use crate::harness::App;

/// What is answered until the server closes.
async fn answer(mut raw: Raw) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), raw.0.read_to_end(&mut bytes)).await;
    // A reset is a close, too.
    let _ = read.expect("the server should close");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_answered_or_closed_and_never_kept() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);
    let noise: Vec<u8> =
        (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();

    for (what, bytes, expected) in [
        ("HTTP/1.1", &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], "HTTP/1.1 505 "),
        ("HTTP/1.1 with a body", b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello", "HTTP/1.1 505 "),
        ("TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", "HTTP/1.1 400 "),
        ("noise", &noise, ""),
        ("a wrong preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r!", "HTTP/1.1 505 "),
        ("nothing", b"", ""),
        ("half of a preface", b"PRI * HTTP/2.0\r\n", ""),
    ] {
        let started = Instant::now();
        let mut raw = Raw::silent(app.address).await;
        // It may be closed before all of it is sent.
        let _ = raw.send(bytes).await;

        let said = answer(raw).await;

        assert!(said.starts_with(expected), "{what}: {said}");
        assert!(!expected.is_empty() || said.is_empty(), "{what}: {said}");
        assert!(started.elapsed() < Duration::from_secs(8), "{what}: closed after {:?}", started.elapsed());
    }

    somebody.end("strangers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_closes_its_half_is_closed_with_its_calls() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);
    for flags in [END_HEADERS | END_STREAM, END_HEADERS] {
        let mut raw = Raw::begun(app.address).await;
        raw.send(&frame(HEADERS, flags, 1, &call(WHO_AM_I, &[]))).await.unwrap();
        raw.0.shutdown().await.unwrap();

        // To HTTP/2, half of a connection is none.
        raw.until_closed(PATIENCE).await;
    }

    somebody.end("half-closed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preface_with_nothing_behind_it_is_closed_when_it_answers_no_ping() {
    let app = App::start_behind(impatient()).await;
    let mut raw = Raw::silent(app.address).await;
    raw.send(super::frames::PREFACE).await.unwrap();

    raw.until_closed(PATIENCE).await;
}
