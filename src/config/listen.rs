//! Settings of the server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Admin, Connections, Limits, ServerTls, Web, positive};

/// Reads an address to listen on.
///
/// # Errors
/// When it is none, with what one is.
pub fn address(value: &str) -> Result<SocketAddr, String> {
    let hint = |error| format!("{error}; it should be an IP and a port, such as 0.0.0.0:50051 or [::1]:50051");
    value.parse().map_err(hint)
}

/// How the server listens and ends.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct Listen {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, env = "PHOTOMETA_LISTEN", default_value = "127.0.0.1:50051", value_parser = address)]
    pub listen: SocketAddr,

    /// File to write the bound address to, once the server is ready.
    #[arg(long, env = "PHOTOMETA_ADDRESS_FILE")]
    pub address_file: Option<PathBuf>,

    /// Longest time one unary call may take, whatever its caller's deadline.
    #[arg(long, env = "PHOTOMETA_REQUEST_TIMEOUT", default_value = "30s", value_parser = positive)]
    pub request_timeout: Duration,

    /// How long calls may go on after SIGTERM before the server ends without them.
    #[arg(long, env = "PHOTOMETA_DRAIN_TIMEOUT", default_value = "20s", value_parser = humantime::parse_duration)]
    pub drain_timeout: Duration,

    /// What it takes on at once.
    #[command(flatten)]
    pub limits: Limits,

    /// Connections.
    #[command(flatten)]
    pub connections: Connections,

    /// TLS.
    #[command(flatten)]
    pub tls: ServerTls,

    /// Browsers.
    #[command(flatten)]
    pub web: Web,

    /// The admin port.
    #[command(flatten)]
    pub admin: Admin,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            address_file: None,
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
            limits: Limits::default(),
            connections: Connections::default(),
            tls: ServerTls::default(),
            web: Web::default(),
            admin: Admin::default(),
        }
    }
}
