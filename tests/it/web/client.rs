//! A browser's half of gRPC-Web, as bytes: HTTP/1 over a socket, and HTTP/2 below gRPC.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Status;

/// A message as gRPC frames it.
pub fn frames(message: &impl prost::Message) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    bytes.extend(message.encode_to_vec());
    bytes
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// HTTP's status.
    pub http: u16,
    /// The headers, with names in small letters.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// Whether trailers came behind it, which browsers do not see.
    pub trailers: bool,
}

impl Reply {
    /// A header; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The messages, and the status: from the last frame, or from the headers when there is no frame.
    pub fn grpc(&self) -> (Vec<Vec<u8>>, Status) {
        let (mut messages, mut rest) = (Vec::new(), self.body.as_slice());
        while let [flags, a, b, c, d, tail @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let (frame, behind) = tail.split_at(length);
            if flags & 0x80 != 0 {
                assert!(behind.is_empty(), "the trailers are the last");
                return (
                    messages,
                    status(std::str::from_utf8(frame).unwrap().lines().filter_map(|line| line.split_once(':'))),
                );
            }
            messages.push(frame.to_vec());
            rest = behind;
        }
        (messages, status(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
    }
}

fn status<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Status {
    let mut map = HeaderMap::new();
    for (name, value) in entries {
        map.append(http::HeaderName::try_from(name.trim()).unwrap(), value.trim().parse().unwrap());
    }
    Status::from_header_map(&map).unwrap_or_else(|| panic!("a status in {map:?}"))
}

/// A connection of HTTP/1.
pub struct Http1(pub TcpStream);

impl Http1 {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// A call of gRPC-Web.
    pub async fn call(&mut self, rpc: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let kind = ("content-type", "application/grpc-web+proto");
        self.post(rpc, &[&[kind], headers].concat(), body).await
    }

    /// A POST.
    pub async fn post(&mut self, rpc: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.request("POST", rpc, headers, body).await
    }

    /// Any request, and its answer to the end.
    pub async fn request(&mut self, method: &str, rpc: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head = format!("{method} /{rpc} HTTP/1.1\r\nhost: photometa\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.extend([*name, ": ", *value, "\r\n"]);
        }
        // A server that has refused already may not take it.
        let _ = self.0.write_all(&[head.as_bytes(), b"\r\n", body].concat()).await;
        self.reply().await.expect("an answer")
    }

    /// The next answer; none when the server has closed.
    pub async fn reply(&mut self) -> Option<Reply> {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                break end;
            }
            if !self.more(&mut bytes).await {
                return None;
            }
        };
        let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
        let mut lines = text.lines();
        let http = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply { http, headers, body: Vec::new(), trailers: false };
        let mut rest = bytes.split_off(head + 4);
        if reply.header("transfer-encoding") == "chunked" {
            loop {
                let line = loop {
                    if let Some(end) = rest.windows(2).position(|part| part == b"\r\n") {
                        break end;
                    }
                    assert!(self.more(&mut rest).await, "the body is cut off");
                };
                let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
                while rest.len() < line + 2 + length + 2 {
                    assert!(self.more(&mut rest).await, "the body is cut off");
                }
                reply.body.extend_from_slice(&rest[line + 2..line + 2 + length]);
                rest.drain(..line + 2 + length + 2);
                if length == 0 {
                    return Some(reply);
                }
            }
        }
        let length = reply.header("content-length").parse().unwrap_or(0);
        while rest.len() < length {
            assert!(self.more(&mut rest).await, "the body is cut off");
        }
        reply.body = rest;
        Some(reply)
    }

    async fn more(&mut self, to: &mut Vec<u8>) -> bool {
        let mut some = [0; 4096];
        let read = self.0.read(&mut some).await.unwrap_or(0);
        to.extend_from_slice(&some[..read]);
        read > 0
    }
}

/// A call of gRPC-Web over HTTP/2.
pub async fn http2(address: SocketAddr, rpc: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    http2_over(TcpStream::connect(address).await.unwrap(), rpc, headers, body).await
}

/// A call over a connection of its own, of gRPC-Web unless a header says otherwise.
pub async fn http2_over(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    rpc: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://photometa/{rpc}"));
    let kind = [("content-type", "application/grpc-web+proto")];
    let kind = kind.iter().filter(|_| headers.iter().all(|(name, _)| *name != "content-type"));
    for (name, value) in kind.chain(headers) {
        request = request.header(*name, *value);
    }
    let response = send.send_request(request.body(Full::new(Bytes::from(body.to_vec()))).unwrap()).await.unwrap();
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let (http, headers) = (response.status().as_u16(), headers.collect());
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().is_some();
    Reply { http, headers, body: collected.to_bytes().to_vec(), trailers }
}
