//! A client below gRPC's: HTTP/2 requests with the metadata and the bytes that a test wants, and no deadline of its own.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::codegen::http::{HeaderMap, Request, StatusCode};

use crate::harness::{Who, token};

/// What goes with a request.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A connection.
#[derive(Clone)]
pub struct Wire(SendRequest<Body>);

/// What came back.
pub struct Answer {
    /// HTTP's own status.
    pub http: StatusCode,
    /// That of gRPC, from before or behind the messages.
    pub status: Option<Status>,
    /// The headers.
    pub headers: HeaderMap,
}

/// A whole body: one message.
pub fn message(message: &impl prost::Message) -> Body {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    bytes.extend(message.encode_to_vec());
    Full::new(Bytes::from(bytes)).boxed_unsync()
}

/// A body that says so much, and nothing more for ever.
pub fn unfinished(bytes: &'static [u8]) -> Body {
    let mut bytes = Some(bytes);
    let frames = futures_util::stream::poll_fn(move |_context| match bytes.take() {
        Some(bytes) => std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(bytes))))),
        None => std::task::Poll::Pending,
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Wire {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (send, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(send)
    }

    /// Calls as somebody, with more metadata, and reads the answer to its end.
    pub async fn call(&mut self, rpc: &str, who: Who, metadata: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::post(format!("http://photometa/{rpc}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", token(who)));
        for (name, value) in metadata {
            request = request.header(*name, *value);
        }
        self.0.ready().await.unwrap();
        let response = self.0.send_request(request.body(body).unwrap()).await.unwrap();
        let (http, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await;
        let trailers = body.ok().and_then(|body| body.trailers().and_then(Status::from_header_map));
        Answer { http, status: Status::from_header_map(&headers).or(trailers), headers }
    }
}
