//! Connections of HTTP/1: kept for the next call, and bounded as those of HTTP/2 are.

use std::time::{Duration, Instant};

use photometa::pb;
use photometa::server::{ConnectionLimits, Connections};
use prost_types::value::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use super::client::{Http1, frames};
use super::{PAGE, WHO_AM_I, bearer, start};
use crate::bad_input::json;
use crate::harness::{A, App, photo, reason};

async fn start_with(limits: ConnectionLimits) -> App {
    App::start_for_browsers(&[PAGE], Connections { limits, ..Default::default() }).await
}

async fn who(http1: &mut Http1) -> Code {
    let authorization = bearer();
    let reply = http1.call(WHO_AM_I, &[("authorization", &authorization)], &frames(&pb::WhoAmIRequest {})).await;
    reply.grpc().1.code()
}

/// Waits until the server closes.
async fn closed(http1: &mut Http1) -> Duration {
    let started = Instant::now();
    let reply = tokio::time::timeout(Duration::from_secs(20), http1.reply()).await.expect("the server should close");
    assert!(reply.is_none(), "{reply:?}");
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_of_http1_takes_one_call_after_the_other() {
    let app = start().await;
    let mut http1 = Http1::connect(app.address).await;

    for _ in 0..5 {
        assert_eq!(who(&mut http1).await, Code::Ok);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_closes_kept_connections_of_http1_at_once() {
    let app = start().await;
    let mut http1 = Http1::connect(app.address).await;
    assert_eq!(who(&mut http1).await, Code::Ok);

    let started = Instant::now();
    app.stop().await;

    closed(&mut http1).await;
    assert!(started.elapsed() < Duration::from_secs(4), "the drain's whole time is 5 s: {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn dribbled_headers_of_http1_are_closed_in_time() {
    let app = start_with(ConnectionLimits { handshake: Duration::from_secs(1), ..Default::default() }).await;
    let mut kept = Http1::connect(app.address).await;
    assert_eq!(who(&mut kept).await, Code::Ok);
    let mut slow = vec![tokio::spawn(async move { closed(&mut kept).await })];
    for _ in 0..10 {
        let mut http1 = Http1::connect(app.address).await;
        slow.push(tokio::spawn(async move {
            let started = Instant::now();
            for byte in format!("POST /{WHO_AM_I} HTTP/1.1\r\nx-long: {}", "x".repeat(200)).bytes() {
                if http1.0.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            started.elapsed()
        }));
    }

    for one in slow {
        let lasted = one.await.unwrap();
        assert!(lasted < Duration::from_secs(15), "closed after {lasted:?}");
    }
    assert_eq!(who(&mut Http1::connect(app.address).await).await, Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn dribbled_message_of_http1_is_ended_by_its_deadline() {
    let app = start().await;
    let mut http1 = Http1::connect(app.address).await;
    let head = format!(
        "POST /{WHO_AM_I} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web\r\nauthorization: {}\r\ngrpc-timeout: 500m\r\ncontent-length: 100\r\n\r\n\0",
        bearer()
    );
    http1.0.write_all(head.as_bytes()).await.unwrap();

    let reply = http1.reply().await.unwrap();

    let status = reply.grpc().1;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_of_http1_ends_after_its_age_with_the_call_that_runs() {
    let app = start_with(ConnectionLimits { age: Duration::from_millis(200), ..Default::default() }).await;
    let mut http1 = Http1::connect(app.address).await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        let authorization = bearer();
        let body = frames(&pb::WhoAmIRequest {});
        let head = format!(
            "POST /{WHO_AM_I} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web\r\nauthorization: {authorization}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if http1.0.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
        match http1.reply().await {
            Some(reply) => assert_eq!(reply.grpc().1.code(), Code::Ok),
            None => return,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the connection should have ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_64_kib_are_refused_over_http1() {
    let app = start().await;
    let long = "x".repeat(70_000);
    let authorization = bearer();

    let headers = [("authorization", authorization.as_str()), ("x-long", long.as_str())];
    let refused = Http1::connect(app.address).await.call(WHO_AM_I, &headers, &frames(&pb::WhoAmIRequest {})).await;
    let headers = [("authorization", authorization.as_str()), ("x-long", &long[..20_000])];
    let told = Http1::connect(app.address).await.call(WHO_AM_I, &headers, &frames(&pb::WhoAmIRequest {})).await;

    assert_eq!(refused.http, 431);
    assert_eq!(reason(&told.grpc().1), "INVALID_FIELDS");
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_a_page_does_not_take_is_taken_back() {
    let limits = ConnectionLimits { untaken: Duration::from_secs(1), ..Default::default() };
    let app = start_with(limits).await;
    let exif = json("x", Kind::StringValue("x".repeat(60_000)));
    let photos =
        (0..50).map(|number| pb::Photo { exif_data: Some(exif.clone()), ..photo(A.house, &format!("{number}.jpg")) });
    let request = pb::BatchCreatePhotosRequest { photos: photos.collect(), partial: false };
    app.photos(A.as_service()).batch_create_photos(request).await.unwrap();
    let mut http1 = Http1::connect(app.address).await;
    let body =
        frames(&pb::ListPhotosRequest { page_size: 50, view: pb::PhotoView::WithExif.into(), ..Default::default() });
    let ask = format!(
        "POST /photometa.v1.PhotoService/ListPhotos HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web\r\nauthorization: {}\r\ncontent-length: {}\r\n\r\n",
        bearer(),
        body.len()
    );
    // More answers than the buffers of both machines hold.
    let asks: Vec<u8> = std::iter::repeat_n([ask.as_bytes(), &body].concat(), 8).flatten().collect();
    http1.0.write_all(&asks).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;

    let mut bytes = Vec::new();
    let _ = http1.0.read_to_end(&mut bytes).await;
    let answers = bytes.windows(12).filter(|part| part == b"HTTP/1.1 200").count();
    assert!((1..8).contains(&answers), "{answers} answers; the connection should have been closed over one");
}
