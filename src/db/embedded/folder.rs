//! What lies in the data folder, and who may use it?
//! `postgres/` is the cluster, `run/` holds the socket, `postgres.log` the server's log, `lock` our process number.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::account::Account;
use super::binaries::leading_number;
use super::error::EmbeddedError;
use super::process;

/// Names the socket file only: the server listens on no network address.
pub(super) const PORT: u16 = 5432;
/// What a socket address holds, less the closing zero.
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
const LOG_MAX_BYTES: u64 = 10 * 1024 * 1024;
const TAIL_LINES: usize = 15;
/// How long a lock may outlive its holder.
const PASSING_LOCK_BOUND: Duration = Duration::from_secs(1);
/// How long the server of a process that was killed may take to shut down: it writes all that is in memory, perhaps to a slow
/// disk.
const ORPHAN_BOUND: Duration = Duration::from_secs(60);
/// How long sessions may go on whose server was killed. One may wait for ever, for what another one held that was killed too.
const SESSIONS_BOUND: Duration = Duration::from_secs(5);

/// A data folder that only this process uses, until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    pub(super) socket: PathBuf,
    log_from: u64,
    _lock: File,
}

impl Folder {
    /// Creates what is missing and takes the lock, then waits for the server of a process that was killed, and for what
    /// is left of a server that was.
    pub(super) fn open(data_dir: &Path, account: &Account) -> Result<Self, EmbeddedError> {
        if data_dir.exists() && !data_dir.is_dir() {
            let source = io::ErrorKind::NotADirectory.into();
            return Err(EmbeddedError::Folder { data_dir: data_dir.to_owned(), source });
        }
        account.let_pass(data_dir)?;
        account.check_reach(data_dir)?;
        let root = create(data_dir, account)?;
        let lock = lock(&root)?;
        let socket = socket_folder(&root, account)?;
        let folder = Self { root, socket, log_from: 0, _lock: lock };
        folder.wait_for_orphan()?;
        Ok(folder)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn cluster(&self) -> PathBuf {
        cluster(&self.root)
    }

    /// The major version that wrote the cluster; none before the first start.
    pub(super) fn major(&self) -> Option<u32> {
        leading_number(&fs::read_to_string(self.cluster().join("PG_VERSION")).ok()?)
    }

    /// The process in `postmaster.pid` and whether it takes connections.
    pub(super) fn postmaster(&self) -> Option<(u32, bool)> {
        postmaster(&self.cluster())
    }

    fn wait_for_orphan(&self) -> Result<(), EmbeddedError> {
        let (begin, mut killed) = (Instant::now(), false);
        while let Some((pid, _)) = self.postmaster()
            && lingers(pid, &self.cluster())
        {
            if begin.elapsed() > ORPHAN_BOUND {
                return Err(EmbeddedError::AlreadyRunning { data_dir: self.root.clone(), pid: Some(pid) });
            }
            // Without a server there are no new ones.
            if !killed && begin.elapsed() > SESSIONS_BOUND && !serves(pid, &self.cluster()) {
                killed = true;
                for session in sessions(&self.cluster()) {
                    tracing::warn!(
                        pid = session,
                        "a session outlives its PostgreSQL, which was killed; it is killed too"
                    );
                    process::kill_now(session);
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// The log, to be appended to; begun afresh when it has grown large.
    pub(super) fn open_log(&mut self) -> Result<File, EmbeddedError> {
        let path = self.log_path();
        let at = || EmbeddedError::at(&path);
        let file = own_file().append(true).mode(0o600).open(&path).map_err(at())?;
        self.log_from = file.metadata().map_err(at())?.len();
        if self.log_from > LOG_MAX_BYTES {
            file.set_len(0).map_err(at())?;
            self.log_from = 0;
        }
        Ok(file)
    }

    /// The last lines written since [`Folder::open_log`].
    pub(super) fn log_tail(&self) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(self.log_path())
            && file.seek(SeekFrom::Start(self.log_from)).is_ok()
        {
            drop(file.take(LOG_MAX_BYTES).read_to_end(&mut bytes));
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.socket.starts_with(&self.root) {
            // Succeeds only if the server has gone and taken its socket with it.
            drop(fs::remove_dir(&self.socket));
        }
    }
}

pub(super) fn cluster(root: &Path) -> PathBuf {
    root.join("postgres")
}

/// As root the folder stays ours and the server's user may only pass through it.
fn create(data_dir: &Path, account: &Account) -> Result<PathBuf, EmbeddedError> {
    let at = || |source| EmbeddedError::Folder { data_dir: data_dir.to_owned(), source };
    if !data_dir.is_dir() {
        let mode = if account.is_other() { 0o711 } else { 0o700 };
        DirBuilder::new().recursive(true).mode(mode).create(data_dir).map_err(at())?;
        fs::set_permissions(data_dir, Permissions::from_mode(mode)).map_err(at())?;
    }
    data_dir.canonicalize().map_err(at())
}

fn own_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Root must not be led elsewhere by a link that the owner of the folder has put there.
    options.create(true).custom_flags(libc::O_NOFOLLOW);
    options
}

fn lock(root: &Path) -> Result<File, EmbeddedError> {
    let path = root.join("lock");
    let at = || EmbeddedError::at(&path);
    let opened = own_file().read(true).write(true).truncate(false).mode(0o644).open(&path);
    let mut file = opened.map_err(|source| EmbeddedError::Folder { data_dir: root.to_owned(), source })?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                drop(file.rewind().and_then(|()| file.read_to_string(&mut holder)));
                let pid = holder.trim().parse().ok();
                // A program that the holder starts shares its lock for the moment before it begins; the holder is
                // ourselves, or was killed at that moment.
                let passing =
                    pid.is_some_and(|pid| pid == std::process::id() || !process::exists(pid) || is_zombie(pid));
                if passing && begin.elapsed() < PASSING_LOCK_BOUND {
                    thread::sleep(Duration::from_millis(20));
                    continue;
                }
                return Err(EmbeddedError::AlreadyRunning { data_dir: root.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(at()(error)),
        }
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(at())?;
    Ok(file)
}

/// Makes the folder of the socket.
fn socket_folder(root: &Path, account: &Account) -> Result<PathBuf, EmbeddedError> {
    let folder = socket_path(root, account);
    account.own(&folder)?;
    Ok(folder)
}

/// `run/`, or a folder in `/tmp` when a socket in `run/` would have too long a path for a socket address.
fn socket_path(root: &Path, account: &Account) -> PathBuf {
    let folder = root.join("run");
    let socket = folder.join(format!(".s.PGSQL.{PORT}"));
    if socket.as_os_str().as_bytes().len() <= SOCKET_PATH_MAX {
        return folder;
    }
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    PathBuf::from(format!("/tmp/photometa-{}-{:016x}", account.uid(), hasher.finish()))
}

/// The folder of the socket of a server that takes connections over `data_dir`.
pub(super) fn running_socket(data_dir: &Path, account: &Account) -> Option<PathBuf> {
    let root = data_dir.canonicalize().ok()?;
    let (pid, ready) = postmaster(&cluster(&root))?;
    (ready && serves(pid, &cluster(&root))).then(|| socket_path(&root, account))
}

fn postmaster(cluster: &Path) -> Option<(u32, bool)> {
    let file = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let mut lines = file.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    // The eighth line, padded with spaces.
    let ready = lines.nth(6).is_some_and(|status| status.trim() == "ready");
    Some((pid, ready))
}

/// Whether `pid` is a server over `cluster`: its number may long belong to another process.
fn serves(pid: u32, cluster: &Path) -> bool {
    if cfg!(target_os = "linux") {
        // PostgreSQL works inside its cluster.
        works_in(pid.to_string()).is_ok_and(|folder| folder == cluster)
    } else {
        process::exists(pid)
    }
}

/// Whether PostgreSQL would refuse to start because of a server that had this process number: it serves, or it was
/// killed and its sessions go on for a moment, or its parent has not yet asked how it ended.
fn lingers(pid: u32, cluster: &Path) -> bool {
    serves(pid, cluster) || !sessions(cluster).is_empty() || is_zombie(pid)
}

fn sessions(cluster: &Path) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ours = processes.flatten().filter(|process| {
        works_in(process.file_name()).is_ok_and(|folder| folder == cluster)
            // Not somebody who looks around there.
            && fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name.trim_end() == "postgres")
    });
    ours.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
}

/// PostgreSQL takes a zombie for alive.
fn is_zombie(pid: u32) -> bool {
    let gone = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    cfg!(target_os = "linux") && process::exists(pid) && works_in(pid.to_string()).is_err_and(gone)
}

/// The working folder of a process. A zombie has none any more.
fn works_in(pid: impl AsRef<Path>) -> io::Result<PathBuf> {
    fs::read_link(Path::new("/proc").join(pid).join("cwd"))
}
