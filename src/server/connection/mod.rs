//! Connections: who gets in ([`door`], [`room`]), what is said first ([`first`]), TLS ([`tls`]), who it is ([`peer`]), how
//! long it lasts ([`life`]), and answers that nobody takes ([`untaken`]). Ours rather than tonic's, which can neither change certificates while it runs, nor refuse,
//! nor let a connection's calls end after its time; docs/adr/0022 has the reasons.

mod door;
mod files;
mod first;
mod identities;
mod life;
mod peer;
mod room;
mod tls;
mod untaken;

use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::config;

pub(super) use door::serve;
pub(super) use peer::Peer;
pub(super) use room::{Place, Room};
pub use tls::Tls;

/// How connections are taken and kept.
#[derive(Debug, Default)]
pub struct Connections {
    /// How many, and for how long.
    pub limits: ConnectionLimits,
    /// What they are encrypted with, if they are.
    pub tls: Option<Tls>,
    /// Connections from this process itself, past the port and TLS.
    pub own: Option<mpsc::Receiver<DuplexStream>>,
}

/// How many connections there may be, and for how long.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Most at once.
    pub most: usize,
    /// How long the first bytes may take, TLS included.
    pub handshake: Duration,
    /// How long a connection may be without a call.
    pub idle: Duration,
    /// After how long, a tenth more or less, it takes no more calls.
    pub age: Duration,
    /// How long its calls may go on then.
    pub grace: Duration,
    /// How long an answer may wait, ready, for its client to take it.
    pub untaken: Duration,
    /// How often a client is asked whether it is still there.
    pub ping: Duration,
    /// How long it may take to say so.
    pub pong: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self::from(&config::Connections::default())
    }
}

impl From<&config::Connections> for ConnectionLimits {
    fn from(settings: &config::Connections) -> Self {
        Self {
            most: usize::try_from(settings.max_connections).unwrap_or(usize::MAX),
            handshake: settings.handshake_timeout,
            idle: settings.connection_idle,
            age: settings.connection_age,
            grace: settings.connection_grace,
            untaken: Duration::from_secs(5 * 60),
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(10),
        }
    }
}
