//! The way to a server: a TCP connection, and TLS over it where the address says so. Before the first call it is tried: what
//! answers there is told in words, which a call that finds its connection closed cannot do.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// After how long a silent server's machine is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// What HTTP/2 begins with, and an empty SETTINGS frame.
const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// A connection of either kind.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// How to get there.
#[derive(Clone)]
pub(super) struct Way {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Way {
    /// Without TLS.
    pub(super) fn plain(host: String, port: u16) -> Self {
        Self { host, port, tls: None }
    }

    /// With TLS, to a server whose certificate has this name.
    pub(super) fn secure(self, mut config: ClientConfig, name: ServerName<'static>) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { tls: Some((TlsConnector::from(Arc::new(config)), name)), ..self }
    }

    /// Connects.
    pub(super) async fn open(&self) -> io::Result<Box<dyn Io>> {
        let io = TcpStream::connect((self.host.as_str(), self.port)).await?;
        io.set_nodelay(true)?;
        sockopt::set_socket_keepalive(io.as_fd(), true)?;
        sockopt::set_tcp_keepidle(io.as_fd(), KEEPALIVE)?;
        match &self.tls {
            None => Ok(Box::new(io)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), io).await?)),
        }
    }

    /// Connects, and looks whether what answers speaks HTTP/2 with us.
    pub(super) async fn try_once(&self) -> io::Result<()> {
        let mut io = self.open().await?;
        io.write_all(BEGIN).await?;
        io.flush().await?;
        let (mut bytes, mut length) = ([0; 4096], 0);
        while length < 9 {
            match io.read(&mut bytes[length..]).await? {
                0 => break,
                more => length += more,
            }
        }
        match refusal(&bytes[..length]) {
            None => Ok(()),
            Some(words) => Err(io::Error::other(words)),
        }
    }
}

/// What a server says that does not go on in HTTP/2, if it does not.
fn refusal(said: &[u8]) -> Option<String> {
    let Some((head, rest)) = said.split_at_checked(9) else {
        return Some("it closes the connection".to_owned());
    };
    if head.starts_with(b"HTTP/") {
        // What it says for people stands at the end.
        let text = String::from_utf8_lossy(said);
        let (status, last) = (text.lines().next().unwrap_or_default(), text.lines().last().unwrap_or_default());
        return Some(format!("it speaks HTTP/1, and says: {status}; {last}"));
    }
    let own = usize::from(head[1]) << 8 | usize::from(head[2]);
    let (kind, payload) = match (head[3], rest.get(own..).and_then(|next| next.split_at_checked(9))) {
        (GOAWAY, _) => (GOAWAY, rest),
        (SETTINGS, Some((next, payload))) => (next[3], payload),
        (SETTINGS, None) => return None,
        _ => return Some("it does not speak HTTP/2".to_owned()),
    };
    // The last stream and a code, then words.
    let words = payload.get(8..).filter(|_| kind == GOAWAY)?;
    Some(format!("it closes the connection, and says: {}", String::from_utf8_lossy(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_tells_what_a_server_says() {
        for (said, words) in [
            (&b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\nno TLS here\n"[..], "no TLS here"),
            (b"\0\0\0\x04\0\0\0\0\0\0\0\x0a\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0cno", "says: no"),
            (b"\0\0\x0a\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0cno", "says: no"),
            (b"", "closes the connection"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP/2"),
        ] {
            let found = refusal(said).unwrap_or_default();

            assert!(found.contains(words), "{words} in {found}");
        }
        assert_eq!(refusal(b"\0\0\0\x04\0\0\0\0\0"), None);
        assert_eq!(refusal(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\x01\0\0\0\0\x04\x01\0\0\0\0"), None);
    }
}
