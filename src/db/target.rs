//! Whom to log in to: the servers of a connection string, the login, and TLS to them. The driver's own string, and of
//! libpq's options those that verify: `sslmode=verify-full`, `sslrootcert`, `sslcert` and `sslkey`.

mod options;
mod unverified;

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::Connect;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::chance;
use crate::telemetry::trace::Peer;
use crate::tls::{TlsError, Trust, is_here};
use options::{Mode, Options};

/// How long a connection may take to be made, unless its string says so.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that has said nothing for so long is not waited for: the next one is asked as well.
const SILENT: Duration = Duration::from_millis(300);
/// When a silent connection is probed, how often, and how often before it counts as dead: within half a minute a server
/// that is gone without a word is known to be.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(5), 4);

/// The servers and the login of a connection string.
#[derive(Clone)]
pub struct Target {
    /// As it was read; what it names first is asked first.
    config: Config,
    /// The same, one for each server.
    servers: Vec<Config>,
    /// The one that let us in last.
    last: Arc<AtomicUsize>,
    tls: MakeRustlsConnect,
    verified: bool,
}

/// Why a connection string cannot be used. The text never has what it says of a password.
#[derive(Debug)]
pub enum TargetError {
    /// The driver or this module cannot read it.
    Unreadable(String),
    /// What it names for TLS.
    Tls(TlsError),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(problem) => f.write_str(problem),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TargetError {}

impl From<TlsError> for TargetError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The driver's own leaves the password out.
        f.debug_struct("Target").field("config", &self.config).field("verified", &self.verified).finish_non_exhaustive()
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let Options { rest, mode, root, identity } = options::read(text)?;
        let mut config: Config =
            rest.parse().map_err(|error: tokio_postgres::Error| TargetError::Unreadable(super::causes(&error)))?;
        let mode = match mode {
            // The driver's own words.
            None if config.get_ssl_mode() == SslMode::Disable => Mode::Disable,
            None if config.get_ssl_mode() == SslMode::Require => Mode::Verify,
            // Whoever names an authority wants it asked.
            None if root.is_some() => Mode::Verify,
            None => Mode::Prefer,
            Some(mode) => mode,
        };
        config.ssl_mode(match mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Verify => SslMode::Require,
        });
        let identity = identity.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let verified = mode == Mode::Verify;
        let client = if verified {
            root.map_or(Trust::System, Trust::File).client(identity)?
        } else {
            unverified::trusting_anybody(identity)?
        };
        Ok(Self::new(config, client, verified))
    }
}

impl From<Config> for Target {
    /// A target without TLS, such as a socket in the file system.
    fn from(mut config: Config) -> Self {
        config.ssl_mode(SslMode::Disable);
        let unused = unverified::trusting_anybody(None).expect("it reads no file");
        Self::new(config, unused, false)
    }
}

impl From<&Config> for Target {
    fn from(config: &Config) -> Self {
        config.clone().into()
    }
}

impl From<&Self> for Target {
    fn from(target: &Self) -> Self {
        target.clone()
    }
}

impl Target {
    fn new(mut config: Config, client: ClientConfig, verified: bool) -> Self {
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_keepalives_interval().is_none() {
            let (idle, interval, retries) = KEEPALIVE;
            config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
        }
        let mut servers = each(&config);
        if servers.len() > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            // Several are a primary and its standbys, and only the primary takes writes, whichever it is today.
            for server in &mut servers {
                server.target_session_attrs(TargetSessionAttrs::ReadWrite);
            }
        }
        Self { config, servers, last: Arc::default(), tls: MakeRustlsConnect::new(client), verified }
    }

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    /// Whether a server that says that it listens at this address, none for a socket in the file system, and this port is
    /// one of these: then nobody stands in between, such as a pooler.
    pub(super) async fn is_at(&self, address: Option<IpAddr>, port: u16) -> bool {
        for server in &self.servers {
            let own = server.get_ports().first().copied().unwrap_or(5432);
            let direct = match (server.get_hosts().first(), server.get_hostaddrs().first(), address) {
                (_, Some(own), Some(address)) => *own == address,
                (Some(Host::Unix(_)), _, address) => address.is_none(),
                (Some(Host::Tcp(host)), _, Some(address)) => {
                    let found = tokio::net::lookup_host((host.as_str(), own)).await;
                    found.is_ok_and(|mut found| found.any(|place| place.ip() == address))
                }
                _ => false,
            };
            if direct && own == port {
                return true;
            }
        }
        false
    }

    /// The first server over the network, other than this machine itself, that is not verified: who stands in between
    /// could read and change everything.
    pub fn unverified(&self) -> Option<String> {
        let hosts = self.servers.iter().filter_map(|server| match server.get_hosts().first() {
            Some(Host::Tcp(host)) => Some(host.clone()),
            Some(Host::Unix(_)) => None,
            None => server.get_hostaddrs().first().map(ToString::to_string),
        });
        hosts.filter(|_| !self.verified).find(|host| !is_here(host))
    }

    /// Where its statements go, for traces. Of several servers, it is not told which.
    pub(super) fn peer(&self) -> Peer {
        let namespace = self.config.get_dbname().map(str::to_owned);
        let [server] = self.servers.as_slice() else { return Peer { namespace, ..Peer::default() } };
        let address = match server.get_hosts().first() {
            Some(Host::Tcp(host)) => Some(host.clone()),
            Some(Host::Unix(folder)) => Some(folder.display().to_string()),
            None => server.get_hostaddrs().first().map(ToString::to_string),
        };
        Peer { namespace, address, port: server.get_ports().first().copied() }
    }

    /// The same, with another name for the server's list of sessions.
    pub(super) fn named(&self, application: &str) -> Self {
        let mut named = self.clone();
        for server in &mut named.servers {
            server.application_name(application);
        }
        named
    }

    /// How a running statement's cancel reaches the server.
    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// Logs in to the first server that lets us, in the string's order, beginning with the one that did last. A server
    /// that fails makes the next one's turn at once, and one that is silent soon, while it is still waited for.
    ///
    /// # Errors
    /// The last one's.
    pub(super) async fn log_in(&self) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let first = match self.config.get_load_balance_hosts() {
            LoadBalanceHosts::Random => chance::below(self.servers.len()),
            _ => self.last.load(Ordering::Relaxed),
        };
        let mut servers: Vec<usize> = (0..self.servers.len()).collect();
        servers[..=first].rotate_right(1);
        let mut waiting = servers.into_iter();
        let mut attempts = FuturesUnordered::new();
        loop {
            if let Some(next) = waiting.next() {
                attempts.push(self.open(next));
            }
            let ended = if waiting.len() > 0 {
                match tokio::time::timeout(SILENT, attempts.next()).await {
                    Ok(ended) => ended,
                    Err(_) => continue,
                }
            } else {
                attempts.next().await
            };
            match ended {
                Some(Ok((number, opened))) => {
                    self.last.store(number, Ordering::Relaxed);
                    return Ok(opened);
                }
                Some(Err(error)) if attempts.is_empty() && waiting.len() == 0 => return Err(error),
                // The next one's turn.
                Some(Err(error)) => tracing::debug!(%error, "a server does not let us in"),
                None => unreachable!("a target has a server, and the last one's failure ends the loop"),
            }
        }
    }

    async fn open(&self, number: usize) -> Result<(usize, (Client, JoinHandle<()>)), tokio_postgres::Error> {
        let (client, connection) = self.servers[number].connect(self.tls.clone()).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a session ended");
            }
        });
        Ok((number, (client, driver)))
    }
}

impl Connect for Target {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>> {
        Box::pin(self.log_in())
    }
}

/// One configuration for each server of `config`. The driver asks one after the other, and waits for a silent one as
/// long as it takes.
fn each(config: &Config) -> Vec<Config> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    if count < 2 || (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len()) {
        // The driver says what is wrong with the last kind.
        return vec![config.clone()];
    }
    (0..count)
        .map(|number| {
            let mut one = Config::new();
            match hosts.get(number) {
                Some(Host::Tcp(host)) => _ = one.host(host),
                Some(Host::Unix(folder)) => _ = one.host_path(folder),
                None => {}
            }
            if let Some(address) = addresses.get(number) {
                one.hostaddr(*address);
            }
            if let Some(port) = ports.get(number).or_else(|| ports.first()) {
                one.port(*port);
            }
            if let Some(user) = config.get_user() {
                one.user(user);
            }
            if let Some(password) = config.get_password() {
                one.password(password);
            }
            if let Some(name) = config.get_dbname() {
                one.dbname(name);
            }
            if let Some(options) = config.get_options() {
                one.options(options);
            }
            if let Some(name) = config.get_application_name() {
                one.application_name(name);
            }
            if let Some(timeout) = config.get_connect_timeout() {
                one.connect_timeout(*timeout);
            }
            if let Some(timeout) = config.get_tcp_user_timeout() {
                one.tcp_user_timeout(*timeout);
            }
            if let Some(interval) = config.get_keepalives_interval() {
                one.keepalives_interval(interval);
            }
            if let Some(retries) = config.get_keepalives_retries() {
                one.keepalives_retries(retries);
            }
            one.keepalives(config.get_keepalives())
                .keepalives_idle(config.get_keepalives_idle())
                .ssl_mode(config.get_ssl_mode())
                .ssl_negotiation(config.get_ssl_negotiation())
                .target_session_attrs(config.get_target_session_attrs())
                .channel_binding(config.get_channel_binding());
            one
        })
        .collect()
}

#[cfg(test)]
mod tests;
