//! What can go wrong around the private PostgreSQL, and what its user can do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A private PostgreSQL could not be started, prepared or stopped. Each message says what the user can change.
#[derive(Debug)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No folder with both `initdb` and `postgres` was found.
    NotInstalled {
        /// The folders that were looked into, in order.
        searched: Vec<PathBuf>,
    },
    /// The newest PostgreSQL found is older than what the migrations need.
    TooOld {
        /// The folder of its binaries.
        bin: PathBuf,
        /// Its version, such as "13.4".
        version: String,
        /// The first major version that works.
        minimum: u32,
    },
    /// The data were written by another major version than any that is installed.
    OtherMajor {
        /// The folder with the data.
        cluster: PathBuf,
        /// The major version that wrote them.
        needed: u32,
        /// The newest version that is installed.
        found: String,
    },
    /// The data folder is in use.
    AlreadyRunning {
        /// The folder asked for.
        data_dir: PathBuf,
        /// The process that uses it, where known.
        pid: Option<u32>,
    },
    /// This process is root, PostgreSQL refuses to be, and its user may not pass through a folder.
    Unreachable {
        /// The folder in the way.
        folder: PathBuf,
        /// The user PostgreSQL would run as.
        user: String,
        /// The folder asked for.
        data_dir: PathBuf,
    },
    /// This process is root and no user `postgres` or `nobody` exists to run PostgreSQL as.
    NoUser,
    /// A folder that must be private belongs to somebody else.
    Foreign {
        /// That folder.
        folder: PathBuf,
    },
    /// `initdb` failed.
    Initdb {
        /// What it wrote to its error output.
        stderr: String,
    },
    /// The server ended, or was stopped by us, before it was ready.
    Start {
        /// What happened, such as an exit status.
        reason: String,
        /// The log file.
        log: PathBuf,
        /// The last lines this start added to it.
        tail: String,
    },
    /// The server outlived every signal.
    Stop {
        /// Its process.
        pid: u32,
    },
    /// A database name holds more than `a-z`, `0-9` and `_`.
    Name {
        /// The name asked for.
        name: String,
    },
    /// The server refused a statement of [`ensure_database`](super::Embedded::ensure_database).
    Sql(tokio_postgres::Error),
    /// The data folder could not be made or opened.
    Folder {
        /// The folder asked for.
        data_dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file or a program could not be used.
    Io {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl EmbeddedError {
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

impl fmt::Display for EmbeddedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled { searched } => {
                write!(
                    f,
                    "no PostgreSQL server found: install it (Debian, Ubuntu: apt install postgresql; macOS: brew \
                     install postgresql@15), or set PG_BIN to the folder of initdb and postgres, or set \
                     PHOTOMETA_DATABASE_URL to use a running server; searched "
                )?;
                separated(f, searched.iter().map(|folder| folder.display()))
            }
            Self::TooOld { bin, version, minimum } => write!(
                f,
                "PostgreSQL {version} in {} is too old: install version {minimum} or newer, or set PG_BIN to its \
                 folder",
                bin.display()
            ),
            Self::OtherMajor { cluster, needed, found } => {
                write!(
                    f,
                    "{} was written by PostgreSQL {needed}: install that version (Debian, Ubuntu: \
                     postgresql-{needed}), or set PG_BIN to its folder, or upgrade the folder with pg_upgrade; found ",
                    cluster.display()
                )?;
                f.write_str(found)
            }
            Self::AlreadyRunning { data_dir, pid } => {
                write!(f, "photometa is already running on {}", data_dir.display())?;
                if let Some(pid) = pid {
                    write!(f, " as process {pid}")?;
                }
                write!(f, ": stop it, or set PHOTOMETA_DATA_DIR to another folder")
            }
            Self::Unreachable { folder, user, data_dir } => write!(
                f,
                "PostgreSQL runs as user {user}, who may not pass through {} to {}: set PHOTOMETA_DATA_DIR to \
                 another folder such as /var/lib/photometa",
                folder.display(),
                data_dir.display()
            ),
            Self::NoUser => write!(
                f,
                "PostgreSQL refuses to run as root and there is no user postgres or nobody: create one, or start \
                 photometa as an ordinary user"
            ),
            Self::Foreign { folder } => write!(
                f,
                "{} is not a folder of our own: remove it, or set PHOTOMETA_DATA_DIR to another folder",
                folder.display()
            ),
            Self::Initdb { stderr } => write!(f, "initdb failed: {}", stderr.trim()),
            Self::Start { reason, log, tail } => {
                write!(f, "PostgreSQL did not start: {reason}; end of {}:\n{tail}", log.display())
            }
            Self::Stop { pid } => write!(f, "PostgreSQL does not stop: end process {pid} by hand"),
            Self::Name { name } => write!(f, "{name:?} is not a database name: use a-z, 0-9 and _"),
            Self::Sql(error) => write!(f, "PostgreSQL refused to prepare a database: {error}"),
            Self::Folder { data_dir, source } => write!(
                f,
                "cannot use the data folder {}: {source}; set PHOTOMETA_DATA_DIR to one that can be made and written",
                data_dir.display()
            ),
            Self::Io { path, source } => write!(f, "cannot use {}: {source}", path.display()),
        }
    }
}

impl Error for EmbeddedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Sql(error) => Some(error),
            Self::Folder { source, .. } | Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn separated<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = T>) -> fmt::Result {
    let mut nothing = true;
    for item in items {
        write!(f, "{}{item}", if nothing { "" } else { ", " })?;
        nothing = false;
    }
    if nothing { f.write_str("nothing") } else { Ok(()) }
}
