//! Floods of frames that cost the sender nothing: the server ends the connection, or stops reading it.

use std::time::Duration;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, NONE, PATIENCE, PING, RST_STREAM, Raw, SETTINGS,
    call, frame, header,
};
use super::{WHO_AM_I, bystander, impatient};
use crate::harness::App;

/// ENHANCE_YOUR_CALM: a client that does too much of something.
const CALM: u32 = 11;

/// How often somebody else is served while a flood goes on.
const SERVED: usize = 30;

/// Sends until the server closes or does not take more for two seconds, and answers how many were taken.
async fn flood(raw: &mut Raw, most: u32, mut next: impl FnMut(u32) -> Vec<u8>) -> u32 {
    for number in 0..most {
        match tokio::time::timeout(Duration::from_secs(2), raw.send(&next(number))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return number,
        }
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_taken_back_at_once_end_the_connection() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);

    // CVE-2023-44487.
    while somebody.served() < SERVED {
        let mut raw = Raw::begun(app.address).await;
        let headers = call(WHO_AM_I, &[]);
        flood(&mut raw, 5_000, |number| {
            let stream = number * 2 + 1;
            [frame(HEADERS, END_HEADERS, stream, &headers), frame(RST_STREAM, NONE, stream, &8_u32.to_be_bytes())]
                .concat()
        })
        .await;

        // The rest of the flood may have cost the client its answer.
        if let Some(goaway) = raw.until(GOAWAY).await {
            assert_eq!(goaway.code(), CALM);
        }
    }

    somebody.end("rapid reset").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_end_the_connection() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);

    // Small ones are counted, large ones add up.
    while somebody.served() < SERVED {
        for size in [1, 1000, 16_000] {
            let mut raw = Raw::begun(app.address).await;
            raw.send(&frame(HEADERS, NONE, 1, &call(WHO_AM_I, &[]))).await.unwrap();
            let part = header("x-more", &"x".repeat(size));
            let taken = flood(&mut raw, 100_000, |_| frame(CONTINUATION, NONE, 1, &part)).await;

            assert!(taken < 100_000, "all of it was taken");
            raw.until_closed(PATIENCE).await;
        }
    }

    somebody.end("CONTINUATION flood").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_and_settings_that_nobody_reads_the_answers_of_are_not_piled_up() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);

    for (kind, payload) in [(PING, &[0; 8][..]), (SETTINGS, &[])] {
        let mut raw = Raw::begun(app.address).await;
        let one = frame(kind, NONE, 0, payload).repeat(1000);
        let taken = flood(&mut raw, 20_000, |_| one.clone()).await;

        // When what it has to answer is not taken, it stops reading: what was taken is in the buffers of the sockets.
        assert!(taken < 20_000, "all of it was taken");
        // It is asked whether it is there, and cannot say so.
        raw.until_closed(PATIENCE).await;
    }

    somebody.end("PING and SETTINGS flood").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_data_without_end_ends_the_connection() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);
    let one = frame(DATA, NONE, 1, &[]).repeat(100);

    while somebody.served() < SERVED {
        let mut raw = Raw::begun(app.address).await;
        raw.send(&frame(HEADERS, END_HEADERS, 1, &call(WHO_AM_I, &[]))).await.unwrap();
        let taken = flood(&mut raw, 100_000, |_| one.clone()).await;

        assert!(taken < 100_000, "all of it was taken");
        raw.until_closed(PATIENCE).await;
    }

    somebody.end("empty DATA").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_against_the_rules_end_the_connection_and_no_other() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);
    let headers = call(WHO_AM_I, &[]);

    for (what, bytes) in [
        ("a frame that is too long", [&[0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1][..], &[0; 64]].concat()),
        ("DATA on a stream that is not there", frame(DATA, NONE, 7, b"x")),
        ("CONTINUATION of nothing", frame(CONTINUATION, NONE, 1, &headers)),
        ("a stream with an even number", frame(HEADERS, END_HEADERS, 2, &headers)),
        ("HEADERS of the connection", frame(HEADERS, END_HEADERS, 0, &headers)),
        ("PING with a wrong length", frame(PING, NONE, 0, &[0; 7])),
        ("SETTINGS with a wrong length", frame(SETTINGS, NONE, 0, &[0; 5])),
        ("compressed headers that are none", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 64])),
    ] {
        let mut raw = Raw::begun(app.address).await;
        raw.send(&bytes).await.unwrap();

        let goaway = raw.until(GOAWAY).await.unwrap_or_else(|| panic!("{what}: closed without a word"));
        assert_ne!(goaway.code(), 0, "{what}");
        raw.until_closed(PATIENCE).await;
    }

    somebody.end("frames against the rules").await;
}
