//! Settings of connections.

use std::time::Duration;

use clap::Args;

use super::positive;

/// How many connections there may be, and for how long.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connections")]
pub struct Connections {
    /// Most connections at once. More are closed as they come, unless older ones have not shown a credential yet:
    /// then those go. Cut to what the limit of open files leaves.
    #[arg(long, env = "PHOTOMETA_MAX_CONNECTIONS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    pub max_connections: u32,

    /// How long a new connection may take until it speaks HTTP/2, TLS included. One of HTTP/1 may take so long for each header.
    #[arg(long, env = "PHOTOMETA_HANDSHAKE_TIMEOUT", default_value = "10s", value_parser = positive)]
    pub handshake_timeout: Duration,

    /// A connection that has been without a call for so long is closed. Clients connect again by themselves.
    #[arg(long, env = "PHOTOMETA_CONNECTION_IDLE", default_value = "15m", value_parser = positive)]
    pub connection_idle: Duration,

    /// After about so long (a tenth more or less), a connection takes no more calls, and its client connects again:
    /// replicas that are new get their share, and certificates that are not trusted any more are out.
    #[arg(long, env = "PHOTOMETA_CONNECTION_AGE", default_value = "30m", value_parser = positive)]
    pub connection_age: Duration,

    /// How long its calls and streams may go on then.
    #[arg(long, env = "PHOTOMETA_CONNECTION_GRACE", default_value = "30m", value_parser = humantime::parse_duration)]
    pub connection_grace: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
            connection_idle: Duration::from_secs(15 * 60),
            connection_age: Duration::from_secs(30 * 60),
            connection_grace: Duration::from_secs(30 * 60),
        }
    }
}
