//! Settings of the database.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Secret;
use crate::db::Limits;

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

    /// Most connections that one organization has at a time, so that others come through [default: three quarters].
    #[arg(long, env = "PHOTOMETA_POOL_SHARE", value_parser = clap::value_parser!(u16).range(1..), global = true)]
    pub pool_share: Option<u16>,

    /// How long a call waits for a free connection before RESOURCE_EXHAUSTED.
    #[arg(long, env = "PHOTOMETA_POOL_WAIT", default_value = "2s", value_parser = humantime::parse_duration, global = true)]
    pub pool_wait: Duration,

    /// Serve although the login role is a superuser, has BYPASSRLS, or owns a table or may become a role that does:
    /// then row security keeps nobody apart. For development only; warns at every start.
    #[arg(long, env = "PHOTOMETA_ALLOW_UNSAFE_ROLE", value_parser = clap::builder::FalseyValueParser::new(), global = true)]
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
    pub fn limits(&self) -> Limits {
        let limits = Limits::new(usize::from(self.pool_size), self.pool_wait);
        Limits { share: self.pool_share.map_or(limits.share, usize::from), ..limits }
    }

    /// Folders to look for programs in.
    pub fn path(&self) -> Option<OsString> {
        self.surroundings.path.clone()
    }
}
