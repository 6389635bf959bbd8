//! Slow-loris: bytes that come one by one, so that something is always about to be complete; and answers not taken at all.

use std::time::{Duration, Instant};

use photometa::server::{ConnectionLimits, Connections};

use super::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, NONE, PATIENCE, PREFACE, RST_STREAM, Raw, SETTINGS, call, frame,
};
use super::{WHO_AM_I, bystander, impatient};
use crate::harness::{A, App, token};

/// Sends a byte every tenth of a second until the server closes, and answers how long that took.
async fn dribble(mut raw: Raw, bytes: Vec<u8>) -> Duration {
    let started = Instant::now();
    for byte in bytes {
        if raw.send(&[byte]).await.is_err() {
            return started.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server took all of it, for {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn dribbled_bytes_are_closed_in_time_and_nobody_else_waits() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);
    let headers = call(WHO_AM_I, &[("x-long", &"x".repeat(400))]);
    // As long as it takes: the server is not asked to know how long it is.
    let settings = frame(SETTINGS, NONE, 0, &[]);
    let whole = frame(HEADERS, END_HEADERS, 1, &headers);

    let mut slow = Vec::new();
    for _ in 0..20 {
        let silent = Raw::silent(app.address).await;
        slow.push(tokio::spawn(dribble(silent, [PREFACE, &settings, &whole].concat())));
        let begun = Raw::begun(app.address).await;
        slow.push(tokio::spawn(dribble(begun, whole.clone())));
        // A header block that is whole in itself, and said to go on.
        let mut begun = Raw::begun(app.address).await;
        begun.send(&frame(HEADERS, NONE, 1, &call(WHO_AM_I, &[]))).await.unwrap();
        slow.push(tokio::spawn(dribble(begun, frame(9, NONE, 1, &headers))));
    }

    for one in slow {
        let lasted = one.await.unwrap();
        assert!(lasted < Duration::from_secs(20), "closed after {lasted:?}");
    }
    somebody.end("slow-loris").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed_in_time_and_nobody_else_waits() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(tokio::spawn(Raw::silent(app.address).await.until_closed(PATIENCE)));
    }

    for one in silent {
        one.await.unwrap();
    }

    somebody.end("silent connections").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_is_not_taken_is_taken_back_and_the_connection_goes_on() {
    // Not a byte of an answer may be sent, or one.
    for window in [0, 1] {
        not_taken(window).await;
    }
}

/// Takes so many bytes of each answer, and no more.
async fn not_taken(window: u8) {
    let limits = ConnectionLimits { untaken: Duration::from_secs(1), ..ConnectionLimits::default() };
    let app = App::start_behind(Connections { limits, ..Default::default() }).await;
    let authorization = format!("Bearer {}", token(A.as_admin()));
    let mut raw = Raw::silent(app.address).await;
    // SETTINGS_INITIAL_WINDOW_SIZE.
    let little = frame(SETTINGS, NONE, 0, &[0, 4, 0, 0, 0, window]);
    raw.send(&[PREFACE, &little].concat()).await.unwrap();
    // More than what is given away at once.
    let project = format!("large/{}", "x".repeat(400));
    for number in 0..40 {
        app.photo(A, &format!("{project}/{number}.jpg")).await;
    }
    let headers = call("/photometa.v1.PhotoService/ListPhotos", &[("authorization", &authorization)]);
    let ask =
        |stream| [frame(HEADERS, END_HEADERS, stream, &headers), frame(DATA, END_STREAM, stream, &[0; 5])].concat();

    for stream in [1, 3] {
        raw.send(&ask(stream)).await.unwrap();

        let head = raw.until(HEADERS).await.unwrap();
        let reset = raw.until(RST_STREAM).await.unwrap();
        assert_eq!((head.stream, reset.stream), (stream, stream));
    }
}
