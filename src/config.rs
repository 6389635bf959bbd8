//! Every setting: one flag and one variable each, flag over variable over default. Nothing else in the program
//! reads the environment. Secrets have no default and never show in help, logs or `Debug`.

mod credentials;
mod database;
mod limits;
mod listen;

use std::fmt;
use std::str::FromStr;

use clap::Args;

pub use credentials::Credentials;
pub use database::{Database, Surroundings};
pub use limits::Limits;
pub use listen::Listen;

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

/// Where a client command finds the server, and who it is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Client")]
pub struct Client {
    /// Address of the server.
    #[arg(long, env = "PHOTOMETA_ADDRESS", default_value = "127.0.0.1:50051")]
    pub address: String,

    /// Credential, as `photometa token` prints it.
    #[arg(long, env = "PHOTOMETA_TOKEN", hide_env_values = true)]
    pub token: Option<Secret>,
}
