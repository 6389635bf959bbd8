//! Settings of the database.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Secret;
use crate::db::doctor::Deployment;
use crate::db::{PoolSettings, Target, TargetError};
use crate::tls::TlsError;

/// Reads the connection string of the standby.
///
/// # Errors
/// As [`target`], and when it names several hosts.
pub fn standby(url: &Secret) -> Result<Target, TargetError> {
    let name = "PHOTOMETA_READ_DATABASE_URL";
    let target = target(name, url)?;
    // One might be asked how far it is, and another one read.
    if target.servers() > 1 {
        return Err(TargetError::Unreadable(format!("{name} names several hosts; name one standby")));
    }
    Ok(target)
}

/// Reads a connection string.
///
/// # Errors
/// With the name of its setting, why it is none, or what of TLS it names cannot be used.
pub fn target(name: &str, url: &Secret) -> Result<Target, TargetError> {
    let text = url.reveal();
    text.parse().map_err(|error| match error {
        TargetError::Unreadable(problem) => {
            let ours = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
            let words = text.contains('=') && !text.contains("://");
            let hint = if ours || words { "" } else { "; it begins with postgres://" };
            TargetError::Unreadable(format!("{name} cannot be read: {problem}{hint}"))
        }
        TargetError::Tls(error) => TlsError::setting(format!("{name} cannot be used: {error}")).into(),
    })
}

/// Where the database is and how it is used.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct Database {
    /// The login role's connection string (postgres://photometa_app:…@host/db). Without it, photometa runs its
    /// own private PostgreSQL in the data folder.
    #[arg(long, env = "PHOTOMETA_DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<Secret>,

    /// The migrating role's connection string: one that may act as photometa_owner. Defaults to the database URL.
    #[arg(long, env = "PHOTOMETA_MIGRATION_URL", hide_env_values = true, global = true)]
    pub migration_url: Option<Secret>,

    /// The login role's connection to a streaming standby, which then answers reads: one server, not a name behind which
    /// there are several. While it is of no use, the primary answers.
    #[arg(long, env = "PHOTOMETA_READ_DATABASE_URL", hide_env_values = true, global = true)]
    pub read_database_url: Option<Secret>,

    /// The standby answers reads unless it is where the primary was longer ago than this. Too short: its pauses are the
    /// primary's load. Too long: callers see what is long gone.
    #[arg(long, env = "PHOTOMETA_READ_MAX_LAG", default_value = "30s", value_parser = humantime::parse_duration, global = true)]
    pub read_max_lag: Duration,

    /// Folder of the private PostgreSQL and of the development secret [default: /var/lib/photometa as root,
    /// otherwise $XDG_DATA_HOME/photometa or ~/.local/share/photometa].
    #[arg(long, env = "PHOTOMETA_DATA_DIR", global = true)]
    pub data_dir: Option<PathBuf>,

    /// Folder of initdb and postgres, when they are not where they usually are.
    #[arg(long, env = "PG_BIN", global = true)]
    pub pg_bin: Option<PathBuf>,

    /// Connections of this process. Too few: calls queue and are refused after the pool wait. Too many: replicas
    /// together pass the server's max_connections.
    #[arg(long, env = "PHOTOMETA_POOL_SIZE", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..), global = true)]
    pub pool_size: u16,

    /// Most connections that one organization has at a time, so that others come through [default: a
    /// fifth, at least three].
    #[arg(long, env = "PHOTOMETA_POOL_SHARE", value_parser = clap::value_parser!(u16).range(1..), global = true)]
    pub pool_share: Option<u16>,

    /// How long a call waits for a free connection before RESOURCE_EXHAUSTED; where its organization's first in the queue
    /// has waited for half of that, it does not wait at all.
    #[arg(long, env = "PHOTOMETA_POOL_WAIT", default_value = "2s", value_parser = humantime::parse_duration, global = true)]
    pub pool_wait: Duration,

    /// Replicas that run at once, each with a pool of its own: together they must fit into what the database has room for.
    #[arg(long, env = "PHOTOMETA_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), global = true)]
    pub replicas: u16,

    /// Serve although the login role is a superuser, has BYPASSRLS, or owns a table or may become a role that does:
    /// then row security keeps nobody apart. For development only; warns at every start.
    #[arg(long, env = "PHOTOMETA_ALLOW_UNSAFE_ROLE", value_parser = clap::builder::BoolishValueParser::new(), global = true)]
    pub allow_unsafe_role: bool,

    /// PATH, HOME and XDG_DATA_HOME: where programs and the user's data are.
    #[command(flatten)]
    pub surroundings: Surroundings,
}

/// What the operating system says, read once.
#[derive(Debug, Clone, Args)]
pub struct Surroundings {
    #[arg(long, env = "PATH", hide = true, global = true)]
    path: Option<OsString>,
    #[arg(long, env = "HOME", hide = true, global = true)]
    home: Option<PathBuf>,
    #[arg(long, env = "XDG_DATA_HOME", hide = true, global = true)]
    xdg_data_home: Option<PathBuf>,
}

impl Database {
    /// Folder of the private PostgreSQL.
    pub fn data_dir(&self) -> PathBuf {
        if let Some(given) = &self.data_dir {
            return given.clone();
        }
        let near = &self.surroundings;
        let user_data = near.xdg_data_home.clone().or_else(|| near.home.as_ref().map(|home| home.join(".local/share")));
        match user_data {
            Some(folder) if !crate::db::embedded::is_root() => folder.join("photometa"),
            _ => PathBuf::from("/var/lib/photometa"),
        }
    }

    /// How the pool is used.
    pub fn pool(&self) -> PoolSettings {
        let settings = PoolSettings::new(usize::from(self.pool_size), self.pool_wait);
        PoolSettings { share: self.pool_share.map_or(settings.share, usize::from), ..settings }
    }

    /// What the service needs of the database.
    pub fn deployment(&self) -> Deployment {
        Deployment { pool_size: self.pool_size, replicas: self.replicas }
    }

    /// Folders to look for programs in.
    pub fn path(&self) -> Option<OsString> {
        self.surroundings.path.clone()
    }
}
