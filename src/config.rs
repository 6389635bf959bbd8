//! Every setting: a flag, a variable and a key of a file each, in that order of strength, and then the default. Nothing
//! else in the program reads the environment. Secrets have no default and never show in help, logs or `Debug`.

mod connections;
mod contradiction;
mod credentials;
mod database;
mod effective;
mod environment;
mod file;
mod limits;
mod listen;
mod mask;
mod setting;
mod telemetry;
mod tls;
mod web;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

pub use connections::Connections;
pub use contradiction::contradictions;
pub use credentials::Credentials;
pub use database::{Database, Surroundings, standby, target};
pub use effective::{Effective, Source, effective};
pub use environment::{colours, heed_no_empty, is_text, log_filter, says, standard, unknown};
pub use file::File;
pub use limits::Limits;
pub use listen::Listen;
pub use setting::{FILE, Setting, settings, teach};
pub use telemetry::{Admin, Otlp, Sampling};
pub use tls::{ClientAuth, ClientTls, ServerTls, half};
pub use web::{NotAnOrigin, Origin, Web};

/// A value that must not be shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The value, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        Ok(Self(value.to_owned()))
    }
}

/// Reads a duration that is none without an end: of no length, nothing would ever be in time.
///
/// # Errors
/// Why it is none.
pub fn positive(value: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(value).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err("it should be more than nothing: no call would be in time".to_owned());
    }
    Ok(duration)
}

/// Where a client command finds the server, and who it is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Client")]
pub struct Client {
    /// Address of the server: host:port, or https://host:port when it speaks TLS.
    #[arg(long, env = "PHOTOMETA_ADDRESS", default_value = "127.0.0.1:50051")]
    pub address: String,

    /// Credential, as `photometa token` prints it.
    #[arg(long, env = "PHOTOMETA_TOKEN", hide_env_values = true)]
    pub token: Option<Secret>,

    /// Whom to trust there.
    #[command(flatten)]
    pub tls: ClientTls,
}
