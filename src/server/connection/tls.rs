//! TLS of the server: certificate, key, the authorities of clients and what their certificates stand for, read again when
//! they change. A new connection gets what is newest; what is broken changes nothing, and is complained of once.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest::{Digest, SHA256, digest};
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::files::Files;
use super::identities::Identities;
use super::peer::{Certificate, Peer};
use crate::config::ServerTls;
use crate::tls::TlsError;

/// What HTTP/2 is called where TLS and its protocols are agreed on.
pub(super) const H2: &[u8] = b"h2";
/// How often the files are looked at. What orchestrators swap is a link, so what is in them is compared.
const LOOK: Duration = Duration::from_secs(5);
/// A certificate that ends so soon should have been replaced.
const SOON: u64 = 7 * 24 * 3600;
/// An alert record: fatal, no_application_protocol.
const NO_COMMON_PROTOCOL: &[u8] = b"\x15\x03\x03\0\x02\x02\x78";

/// What the files of one moment came to.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) server: Arc<ServerConfig>,
    pub(super) identities: Identities,
    /// The last second of the server's certificate, since 1970.
    pub(super) expires: u64,
}

/// The server's TLS.
#[derive(Debug)]
pub struct Tls {
    files: Arc<Files>,
    current: watch::Sender<Arc<Material>>,
    digest: Digest,
}

impl Tls {
    /// Reads the files of the settings; none when the server is to speak plainly.
    ///
    /// # Errors
    /// When one is missing or wrong, or the key is not the certificate's.
    pub fn of(settings: &ServerTls) -> Result<Option<Self>, TlsError> {
        let Some(files) = Files::of(settings)? else { return Ok(None) };
        let contents = files.read()?;
        let material = files.material(&contents)?;
        if let Some(key) = files.exposed_key() {
            tracing::warn!(file = %key.display(), "everybody on this machine may read the private key; chmod o-r it");
        }
        material.complain_of_age();
        let digest = contents.digest();
        Ok(Some(Self { files: Arc::new(files), current: watch::Sender::new(Arc::new(material)), digest }))
    }

    /// What is newest, for each connection to look at.
    pub(super) fn current(&self) -> watch::Receiver<Arc<Material>> {
        self.current.subscribe()
    }

    /// Reads the files again whenever they change, and on SIGHUP.
    pub(super) async fn keep_current(mut self) {
        // Without it, only time tells.
        let mut hangup = signal(SignalKind::hangup()).ok();
        loop {
            let asked = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = asked => tracing::info!("asked to read the files of TLS again"),
                () = tokio::time::sleep(LOOK) => {}
            }
            self.look().await;
        }
    }

    /// Reads the files once.
    async fn look(&mut self) {
        let files = Arc::clone(&self.files);
        // They may be on a slow disk.
        let read = tokio::task::spawn_blocking(move || {
            let contents = files.read()?;
            Ok::<_, TlsError>((contents.digest(), files.material(&contents)))
        });
        let (digest, made) = match read.await {
            Ok(Ok(read)) => read,
            // Nothing was read, so the complaint itself is what must not come twice.
            Ok(Err(error)) => (digest(&SHA256, error.to_string().as_bytes()), Err(error)),
            Err(_) => return,
        };
        if digest.as_ref() == self.digest.as_ref() {
            return;
        }
        self.digest = digest;
        match made {
            Ok(material) => {
                material.complain_of_age();
                self.current.send_replace(Arc::new(material));
                tracing::info!("new connections get the new certificate, key and authorities");
            }
            Err(error) => tracing::error!(%error, "TLS stays as it was: what is new cannot be used"),
        }
    }

    /// Takes over a connection that has begun with a TLS handshake.
    ///
    /// # Errors
    /// When it does not come to an end that both sides agree on.
    pub(super) async fn accept(
        current: &watch::Receiver<Arc<Material>>,
        io: TcpStream,
        peer: Peer,
    ) -> io::Result<(TlsStream<TcpStream>, Peer)> {
        let mut start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        // rustls lets those through who name no protocol. gRPC needs HTTP/2, and what a client meant for another protocol
        // must not be heard here.
        let http2 = start.client_hello().alpn().is_some_and(|mut protocols| protocols.any(|name| name == H2));
        if !http2 {
            start.io.write_all(NO_COMMON_PROTOCOL).await?;
            start.io.shutdown().await?;
            return Err(io::Error::other("the client does not offer h2 (ALPN)"));
        }
        let server = Arc::clone(&current.borrow().server);
        let stream = start.into_stream(server).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let peer = match certificate.map(Certificate::read).transpose().map_err(io::Error::other)? {
            Some(certificate) => peer.certified(certificate, current.clone()),
            None => peer,
        };
        Ok((stream, peer))
    }
}

impl Material {
    fn complain_of_age(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.expires < now {
            tracing::error!("the server's certificate has expired: no client will accept it");
        } else if self.expires < now + SOON {
            let days = (self.expires - now) / (24 * 3600);
            tracing::warn!(days, "the server's certificate ends soon");
        }
    }
}
