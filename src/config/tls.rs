//! Settings of TLS: what the server shows and asks for, and whom client commands trust.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::tls::Trust;

/// Whether a client must have a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// No connection without one.
    Required,
    /// Who shows one is checked; who shows none gets in, and needs a token.
    Optional,
}

/// TLS of the server.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "TLS")]
pub struct ServerTls {
    /// The server's certificate, and what leads from it to an authority, in PEM. With a key, the server speaks TLS and
    /// nothing else. Read again when it changes, and on SIGHUP.
    #[arg(long, env = "PHOTOMETA_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM.
    #[arg(long, env = "PHOTOMETA_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Authorities of clients, in PEM. Clients then need a certificate of theirs.
    #[arg(long, env = "PHOTOMETA_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,

    /// Whether they really need one [default: required].
    #[arg(long, env = "PHOTOMETA_TLS_CLIENT_AUTH", value_enum)]
    pub tls_client_auth: Option<ClientAuth>,

    /// Which service account a client's certificate stands for, in JSON: calls without a token are then that account's.
    #[arg(long, env = "PHOTOMETA_TLS_IDENTITIES")]
    pub tls_identities: Option<PathBuf>,
}

/// What to say of a setting that needs another one.
pub fn half(given: &str, missing: &str) -> String {
    format!("{given} is set, and {missing} is not; set both, or neither")
}

impl ServerTls {
    /// What is set without what it needs.
    pub fn contradictions(&self) -> Vec<String> {
        let (cert, key) =
            (("PHOTOMETA_TLS_CERT", self.tls_cert.is_some()), ("PHOTOMETA_TLS_KEY", self.tls_key.is_some()));
        let ca = ("PHOTOMETA_TLS_CLIENT_CA", self.tls_client_ca.is_some());
        let identities = ("PHOTOMETA_TLS_IDENTITIES", self.tls_identities.is_some());
        let auth = ("PHOTOMETA_TLS_CLIENT_AUTH", self.tls_client_auth.is_some());
        // Without authorities, nobody could be let in or kept out.
        let needs =
            [(cert, key), (key, cert), (ca, cert), (identities, cert), (auth, cert), (identities, ca), (auth, ca)];
        let halves = needs.into_iter().filter(|((_, set), (_, needed))| *set && !needed);
        halves.map(|((given, _), (missing, _))| half(given, missing)).collect()
    }
}

/// TLS of client commands.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Client")]
pub struct ClientTls {
    /// Authorities of the server's certificate, in PEM [default: the system's].
    #[arg(long, env = "PHOTOMETA_TLS_CA", visible_alias = "ca")]
    pub tls_ca: Option<PathBuf>,

    /// The name that the server's certificate must have [default: the host of the address].
    #[arg(long, env = "PHOTOMETA_TLS_SERVER_NAME")]
    pub tls_server_name: Option<String>,

    /// The certificate of this client, in PEM, for servers that ask for one.
    #[arg(long, env = "PHOTOMETA_CLIENT_CERT")]
    pub client_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM.
    #[arg(long, env = "PHOTOMETA_CLIENT_KEY")]
    pub client_key: Option<PathBuf>,
}

impl ClientTls {
    /// Whom to trust.
    pub fn trust(&self) -> Trust {
        self.tls_ca.clone().map_or(Trust::System, Trust::File)
    }
}
