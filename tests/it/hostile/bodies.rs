//! Messages that are not what they say: lengths that lie, and a little that unpacks to a lot.

use std::io::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{bystander, impatient};
use crate::harness::{A, App, token};

/// A status, by its number.
const INVALID_ARGUMENT: u16 = 3;

/// Sends a body as it is, and answers the status and its message.
pub async fn post(address: SocketAddr, authorization: &str, encoding: Option<&str>, body: Vec<u8>) -> (u16, String) {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://{address}/photometa.v1.PhotoService/CreatePhoto"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", authorization);
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let response = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
    let text = |headers: &HeaderMap, name: &str| Some(headers.get(name)?.to_str().unwrap().to_owned());
    let find = |name: &str| text(&head.headers, name).or_else(|| text(&trailers, name));
    (find("grpc-status").expect("a status").parse().unwrap(), find("grpc-message").unwrap_or_default())
}

/// A message with what stands before it.
pub fn message(flag: u8, length: u32, bytes: &[u8]) -> Vec<u8> {
    [&[flag][..], &length.to_be_bytes(), bytes].concat()
}

/// So many zeros, packed.
pub fn packed_zeros(mebibytes: usize) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..mebibytes {
        packed.write_all(&zeros).unwrap();
    }
    packed.finish().unwrap()
}

/// What is packed, once more.
pub fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

pub fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_with_wrong_lengths_are_refused() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);
    let bearer = format!("Bearer {}", token(A.as_service()));
    let before = app.rows().await;

    for (what, body) in [
        ("longer than it is", message(0, 100, b"short")),
        ("shorter than it is", message(0, 2, &[0x0a; 100])),
        ("as long as can be said", message(0, u32::MAX, b"short")),
        ("a little more than is decoded", message(0, 4 * 1024 * 1024 + 1, b"short")),
        ("only begun", vec![0, 0, 0]),
        ("a flag that is none", message(7, 0, b"")),
        ("packed, it says, with nothing named", message(1, 0, b"")),
        ("two of them", [message(0, 0, b""), message(0, 0, b"")].concat()),
        ("none at all", Vec::new()),
    ] {
        let (code, text) = post(app.address, &bearer, None, body).await;

        println!("{what}: {code} {text}");
        assert_ne!(code, 0, "{what}");
        assert!(!text.contains("panic"), "{what}: {text}");
    }

    assert_eq!(app.rows().await, before);
    somebody.end("wrong lengths").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn little_that_unpacks_to_a_lot_is_refused() {
    let app = App::start_behind(impatient()).await;
    let somebody = bystander(&app);
    let bearer = format!("Bearer {}", token(A.as_service()));
    let zeros = packed_zeros(64);
    let nested = packed(&zeros);
    let cut = &zeros[..zeros.len() / 2];

    let bomb = post(app.address, &bearer, Some("gzip"), message(1, length(&zeros), &zeros)).await;
    let inner = post(app.address, &bearer, Some("gzip"), message(1, length(&nested), &nested)).await;
    let half = post(app.address, &bearer, Some("gzip"), message(1, length(cut), cut)).await;
    let other = post(app.address, &bearer, Some("br"), message(1, 5, b"12345")).await;

    println!("{bomb:?} {inner:?} {half:?} {other:?}");
    assert_eq!(bomb.0, INVALID_ARGUMENT, "{bomb:?}");
    assert!(bomb.1.contains("larger"), "{bomb:?}");
    // What is in it is packed once more, and no message.
    assert_eq!(inner.0, INVALID_ARGUMENT, "{inner:?}");
    assert_ne!(half.0, 0, "{half:?}");
    assert_ne!(other.0, 0, "{other:?}");
    somebody.end("compressed bombs").await;
}
