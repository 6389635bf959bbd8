//! The first bytes of a connection: HTTP/2 begins with 24 that are always the same. Who says something else is told what
//! this port speaks, in a language that it understands, where there is one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// What HTTP/2 begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a TLS handshake begins with.
const HANDSHAKE: u8 = 0x16;
/// How long somebody who is refused may go on sending, so that the answer is not lost with what was not read.
const LINGER: Duration = Duration::from_secs(1);
/// GOAWAY with INADEQUATE_SECURITY and what is to be done. Without SETTINGS before it, which a client would take for a
/// connection that came about: some then try again without a pause.
const USE_TLS_HTTP2: &[u8] = b"\0\0\x27\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0cthis port speaks TLS: use https";
const USE_TLS_HTTP1: &str = "this port speaks TLS: use https\n";
const USE_HTTP2: &str = "this port speaks gRPC, which needs HTTP/2\n";
const NO_TLS: &str = "this port speaks HTTP/2 without TLS: use http\n";

/// What came instead of what should have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    /// TLS to a port without it.
    Tls,
    /// HTTP/2 without TLS to a port with it.
    PlainHttp2,
    /// HTTP/1, where it is not served.
    Http1,
    /// Something unknown, or not enough.
    Other,
    /// Not a byte: whoever it was has closed again, as checks of a port do.
    Nothing,
}

impl Spoken {
    /// What to tell an operator.
    pub(super) fn problem(self) -> &'static str {
        match self {
            Self::Tls => "it spoke TLS to a port without it",
            Self::PlainHttp2 => "it spoke HTTP/2 without TLS to a port with it",
            Self::Http1 => "it spoke HTTP/1",
            Self::Other => "it said nothing that is known here",
            Self::Nothing => "it closed without a word",
        }
    }
}

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A stream whose first bytes were read already.
#[derive(Debug)]
pub(super) struct Begun<IO> {
    io: IO,
    first: First,
}

/// The first bytes.
#[derive(Debug, Default)]
struct First {
    bytes: [u8; PREFACE.len()],
    read: usize,
    /// How many of them were given back.
    again: usize,
}

/// Reads the first bytes of HTTP/2, or of HTTP/1 where that is served too. Whoever says something else is answered and refused.
///
/// # Errors
/// What was said instead.
pub(super) async fn http<IO: AsyncRead + AsyncWrite + Unpin>(
    mut io: IO,
    http1_too: bool,
) -> Result<(Begun<IO>, Protocol), Spoken> {
    let (first, spoken) = read(&mut io).await;
    match spoken {
        None => return Ok((Begun { io, first }, Protocol::Http2)),
        Some(Spoken::Http1) if http1_too => return Ok((Begun { io, first }, Protocol::Http1)),
        Some(Spoken::Tls) => refuse(io, http1("400 Bad Request", NO_TLS).as_bytes()).await,
        Some(Spoken::Http1) => refuse(io, http1("505 HTTP Version Not Supported", USE_HTTP2).as_bytes()).await,
        Some(Spoken::PlainHttp2 | Spoken::Other | Spoken::Nothing) => {}
    }
    Err(spoken.unwrap_or(Spoken::Other))
}

/// Answers somebody who speaks plainly to a port with TLS, and finds out what it is.
pub(super) async fn plain<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) -> Spoken {
    match read(&mut io).await.1 {
        None => {
            refuse(io, USE_TLS_HTTP2).await;
            Spoken::PlainHttp2
        }
        Some(Spoken::Http1) => {
            refuse(io, http1("400 Bad Request", USE_TLS_HTTP1).as_bytes()).await;
            Spoken::Http1
        }
        Some(other) => other,
    }
}

/// Reads until it is HTTP/2, which has no name here, or clearly something else.
async fn read<IO: AsyncRead + Unpin>(io: &mut IO) -> (First, Option<Spoken>) {
    let mut first = First::default();
    while first.read < PREFACE.len() {
        match io.read(&mut first.bytes[first.read..]).await {
            Ok(more) if more > 0 => first.read += more,
            _ if first.read == 0 => return (first, Some(Spoken::Nothing)),
            _ => return (first, Some(Spoken::Other)),
        }
        if !PREFACE.starts_with(&first.bytes[..first.read]) {
            let spoken = match first.bytes[0] {
                HANDSHAKE => Spoken::Tls,
                b'A'..=b'Z' => Spoken::Http1,
                _ => Spoken::Other,
            };
            return (first, Some(spoken));
        }
    }
    (first, None)
}

fn http1(status: &str, text: &str) -> String {
    let length = text.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{text}"
    )
}

/// Answers, and reads what still comes for a moment: closing over unread bytes would take the answer back.
async fn refuse<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO, answer: &[u8]) {
    let said = async {
        io.write_all(answer).await?;
        io.shutdown().await?;
        let mut rest = [0; 1024];
        for _ in 0..64 {
            if io.read(&mut rest).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // It is refused, whether it heard why or not.
    let _ = tokio::time::timeout(LINGER, said).await;
}

impl<IO: AsyncRead + Unpin> AsyncRead for Begun<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let First { bytes, read, again } = &mut self.first;
        if again == read {
            return Pin::new(&mut self.io).poll_read(cx, to);
        }
        let some = (*read - *again).min(to.remaining());
        to.put_slice(&bytes[*again..*again + some]);
        *again += some;
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Begun<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stranger who says this is answered, and taken for.
    async fn said(bytes: &[u8], secure: bool) -> (Result<(), Spoken>, Vec<u8>) {
        let (mut stranger, ours) = tokio::io::duplex(4096);
        stranger.write_all(bytes).await.unwrap();
        stranger.shutdown().await.unwrap();
        let found = if secure { Err(plain(ours).await) } else { http(ours, false).await.map(drop) };
        let mut answer = Vec::new();
        stranger.read_to_end(&mut answer).await.unwrap();
        (found, answer)
    }

    #[tokio::test]
    async fn http_gives_the_first_bytes_back_in_pieces() {
        let long = [&PREFACE[..], b"and more"].concat();
        for (bytes, protocol) in [
            (&long[..], Protocol::Http2),
            (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", Protocol::Http1),
            (b"PUT", Protocol::Http1),
        ] {
            let (mut client, ours) = tokio::io::duplex(4096);
            client.write_all(bytes).await.unwrap();
            client.shutdown().await.unwrap();
            let (mut begun, found) = http(ours, true).await.unwrap();

            let mut some = [0; 3];
            begun.read_exact(&mut some).await.unwrap();
            let mut rest = Vec::new();
            begun.read_to_end(&mut rest).await.unwrap();

            assert_eq!(([&some[..], &rest].concat().as_slice(), found), (bytes, protocol));
        }
    }

    #[tokio::test]
    async fn strangers_are_told_what_the_port_speaks() {
        for (bytes, secure, spoken, word) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], false, Spoken::Http1, &b"505 HTTP Version"[..]),
            (b"PROPFIND / HTTP/1.1\r\n\r\n", false, Spoken::Http1, b"505 HTTP Version"),
            (b"\x16\x03\x01\x02\x00\x01", false, Spoken::Tls, b"without TLS"),
            (b"GET / HTTP/1.1\r\n\r\n", true, Spoken::Http1, b"use https"),
            (PREFACE, true, Spoken::PlainHttp2, b"use https"),
            (b"\x00\xffgarbage", false, Spoken::Other, b""),
            (b"PRI * HTTP", false, Spoken::Other, b""),
            (b"", false, Spoken::Nothing, b""),
        ] {
            let (found, answer) = said(bytes, secure).await;

            assert_eq!(found, Err(spoken), "{bytes:?}");
            let said = answer.windows(word.len().max(1)).any(|part| part == word);
            assert!(said || (word.is_empty() && answer.is_empty()), "{bytes:?}: {}", answer.escape_ascii());
        }
    }

    #[test]
    fn goaway_has_the_length_that_it_says() {
        assert_eq!(usize::from(USE_TLS_HTTP2[2]), USE_TLS_HTTP2.len() - 9);
    }
}
