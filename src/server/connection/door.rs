//! The port: takes connections one after the other and leaves them to themselves at once, so that no client waits for what
//! another one says. It never stops: without room it refuses, and without files it waits.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::first::{Protocol, Spoken};
use super::life::{Answers, live, told_to_close};
use super::peer::Peer;
use super::room::{Place, Room};
use super::tls::{Material, Tls};
use super::{ConnectionLimits, Connections, first};
use crate::seldom::Seldom;

/// How long to wait when the system has no room for another connection.
const BREATH: Duration = Duration::from_millis(10);
/// How many newcomers go then.
const GO: usize = 8;
/// Files that something else than connections needs: the database's, logs, libraries.
const OTHER_FILES: u64 = 256;
/// After how long a silent peer's machine is asked whether it is there, how often, and how many times.
const TCP_KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 3);
/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// What all connections have in common.
struct House<S> {
    service: S,
    limits: ConnectionLimits,
    tls: Option<watch::Receiver<Arc<Material>>>,
    /// Whether HTTP/1 is served too, where there is no TLS.
    http1: bool,
    closing: watch::Receiver<bool>,
    failed: Seldom,
}

/// Takes connections and answers their calls, those of HTTP/1 as well if so, until `stop` resolves: then the port is closed, connections are told, and
/// this ends with the last of them.
pub(in crate::server) async fn serve<S>(
    listener: TcpListener,
    connections: Connections,
    http1: bool,
    service: S,
    stop: impl Future<Output = ()>,
) where
    S: Answers + Sync,
{
    let Connections { mut limits, tls, mut own } = connections;
    limits.most = bounded(limits.most);
    let room = Room::new(limits.most);
    let closing = watch::Sender::new(false);
    let current = tls.as_ref().map(Tls::current);
    let _reading = tls.map(|tls| Ended(tokio::spawn(tls.keep_current())));
    let (full, trouble) = (Seldom::default(), Seldom::default());
    let house = Arc::new(House {
        service,
        limits,
        tls: current,
        http1,
        closing: closing.subscribe(),
        failed: Seldom::default(),
    });
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(io) = next(&mut own) => {
                let house = Arc::clone(&house);
                tokio::spawn(async move {
                    live(io, Protocol::Http2, Peer::default(), None, house.service.clone(), &house.limits, house.closing.clone()).await;
                });
            }
            accepted = listener.accept() => match accepted {
                Ok((io, address)) => match room.enter() {
                    Some(place) => {
                        tokio::spawn(Arc::clone(&house).welcome(io, address, place));
                    }
                    None => if let Some(times) = full.again() {
                        tracing::warn!(times, most = room.most(), "connections were refused: there are as many as there may be");
                    },
                },
                // It was gone before it was here.
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    if let Some(times) = trouble.again() {
                        tracing::warn!(times, %error, "connections cannot be taken; raise the limit of open files (ulimit -n)");
                    }
                    room.make_room(GO);
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
    drop((listener, house));
    closing.send_replace(true);
    // Each connection holds a receiver for as long as it lives.
    closing.closed().await;
}

async fn next(own: &mut Option<mpsc::Receiver<DuplexStream>>) -> Option<DuplexStream> {
    match own {
        Some(own) => own.recv().await,
        None => std::future::pending().await,
    }
}

impl<S: Answers> House<S> {
    /// Finds out what somebody new speaks, and serves who speaks what is served here.
    async fn welcome(self: Arc<Self>, io: TcpStream, address: SocketAddr, place: Place) {
        if let Err(error) = prepare(&io) {
            tracing::debug!(peer = %address, %error, "a connection's settings could not be set");
        }
        let (limits, closing) = (&self.limits, self.closing.clone());
        let mut ending = closing.clone();
        let failed = tokio::select! {
            begun = tokio::time::timeout(limits.handshake, self.begin(io, address)) => match begun {
                Ok(Ok(Begun::Plain(io, protocol, peer))) => {
                    return live(io, protocol, peer, Some(place), self.service.clone(), limits, closing).await;
                }
                Ok(Ok(Begun::Tls(io, peer))) => {
                    return live(io, Protocol::Http2, peer, Some(place), self.service.clone(), limits, closing).await;
                }
                Ok(Err(Failed::Said(Spoken::Nothing))) => {
                    return tracing::debug!(peer = %address, problem = Spoken::Nothing.problem(), "a connection came to nothing");
                }
                Ok(Err(failed)) => failed.to_string(),
                Err(_) => format!("it did not get to HTTP/2 within {}", humantime::format_duration(limits.handshake)),
            },
            () = told_to_close(&mut ending) => return,
            () = place.given() => "it made room for others before it spoke HTTP/2".to_owned(),
        };
        // One line for each is for those who look for one of them.
        tracing::debug!(peer = %address, problem = failed, "a connection came to nothing");
        if let Some(times) = self.failed.again() {
            tracing::warn!(times, last = failed, peer = %address, "connections came to nothing");
        }
    }

    /// TLS, where there is any, and the first bytes of HTTP.
    async fn begin(&self, io: TcpStream, address: SocketAddr) -> Result<Begun, Failed> {
        let peer = Peer::at(address);
        let Some(tls) = &self.tls else {
            let (io, protocol) = first::http(io, self.http1).await.map_err(Failed::Said)?;
            return Ok(Begun::Plain(io, protocol, peer));
        };
        let mut byte = [0];
        match io.peek(&mut byte).await {
            Ok(1) if byte[0] == HANDSHAKE => {}
            Ok(1) => return Err(Failed::Said(first::plain(io).await)),
            _ => return Err(Failed::Said(Spoken::Nothing)),
        }
        let (io, peer) = Tls::accept(tls, io, peer).await.map_err(Failed::Tls)?;
        let (io, _) = first::http(io, false).await.map_err(Failed::Said)?;
        Ok(Begun::Tls(Box::new(io), peer))
    }
}

/// A connection that speaks what is served here.
enum Begun {
    Plain(first::Begun<TcpStream>, Protocol, Peer),
    Tls(Box<first::Begun<tokio_rustls::server::TlsStream<TcpStream>>>, Peer),
}

/// Why a connection did not come about.
enum Failed {
    /// Something else than HTTP/2 was said.
    Said(Spoken),
    /// The TLS handshake.
    Tls(io::Error),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(spoken) => f.write_str(spoken.problem()),
            Self::Tls(error) => write!(f, "the TLS handshake failed: {error}"),
        }
    }
}

/// A task that ends when this is dropped.
struct Ended(tokio::task::JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers go out at once, and a peer whose machine is gone is noticed.
fn prepare(io: &TcpStream) -> io::Result<()> {
    // Otherwise every answer waits 40 ms for the client's delayed acknowledgement.
    io.set_nodelay(true)?;
    let (socket, (idle, interval, times)) = (io.as_fd(), TCP_KEEPALIVE);
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, idle)?;
    sockopt::set_tcp_keepintvl(socket, interval)?;
    sockopt::set_tcp_keepcnt(socket, times)?;
    Ok(())
}

/// Whether a connection could not be taken because of its client.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut, WouldBlock};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut | WouldBlock
    )
}

/// As many connections as were asked for, or as the limit of open files leaves, which is raised as far as it may be.
fn bounded(asked: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    // Without a limit there is none to raise.
    let Some(soft) = limit.current else { return asked };
    let needed = u64::try_from(asked).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let wanted = limit.maximum.map_or(needed, |hard| needed.min(hard));
    let open = if wanted > soft && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }).is_ok() {
        wanted
    } else {
        soft
    };
    let left = usize::try_from(open.saturating_sub(OTHER_FILES.min(open / 2))).unwrap_or(usize::MAX);
    if left < asked {
        tracing::warn!(
            asked,
            connections = left,
            open_files = open,
            "the limit of open files leaves fewer connections than PHOTOMETA_MAX_CONNECTIONS; raise it (ulimit -n)"
        );
    }
    asked.min(left)
}
