//! How is the cluster made, once, and with which settings does the server run over it?

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::account::Account;
use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::folder::{Folder, PORT};
use super::{Options, process};

/// Makes the cluster beside its final place and renames it, so that an interrupted first start leaves nothing half-made.
pub(super) fn init(
    folder: &Folder,
    binaries: &Binaries,
    account: &Account,
    durable: bool,
) -> Result<(), EmbeddedError> {
    let new = folder.root().join("postgres.new");
    let mut stderr = String::new();
    for locale in ["C.UTF-8", "C"] {
        remove(&new)?;
        account.own(&new)?;
        match initdb(&new, binaries, account, durable, locale)? {
            Ok(()) => {
                let root = folder.root();
                fs::rename(&new, folder.cluster()).map_err(EmbeddedError::at(&new))?;
                if durable {
                    // Without this a power failure could undo the rename, and the next start would remove the data.
                    File::open(root).and_then(|root| root.sync_all()).map_err(EmbeddedError::at(root))?;
                }
                return Ok(());
            }
            Err(output) => stderr = output,
        }
    }
    remove(&new)?;
    Err(EmbeddedError::Initdb { stderr })
}

/// The bootstrap process of an interrupted start may write for a moment longer, hence several attempts.
fn remove(folder: &Path) -> Result<(), EmbeddedError> {
    let mut attempts = 40;
    loop {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && attempts > 0 => {
                attempts -= 1;
                thread::sleep(Duration::from_millis(50));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(EmbeddedError::at(folder)(error)),
            _ => return Ok(()),
        }
    }
}

fn initdb(
    new: &Path,
    binaries: &Binaries,
    account: &Account,
    durable: bool,
    locale: &str,
) -> Result<Result<(), String>, EmbeddedError> {
    let program = binaries.folder.join("initdb");
    let mut command = account.command(&program);
    command.arg("--pgdata").arg(new);
    // No password: the server listens only on a socket in a folder that its user (and root) alone may enter.
    command.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--data-checksums"]);
    command.arg(format!("--locale={locale}"));
    if !durable {
        command.arg("--no-sync");
    }
    // Not SIGTERM: it would clean up by name, perhaps after the next start has begun in the same place.
    process::end_with_this_thread(&mut command, libc::SIGKILL);
    let output = command.stdin(Stdio::null()).output().map_err(EmbeddedError::at(&program))?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if output.status.success() { Ok(()) } else { Err(stderr) })
}

/// The server, logging to `log`.
pub(super) fn server(
    folder: &Folder,
    binaries: &Binaries,
    account: &Account,
    options: &Options,
    log: File,
) -> io::Result<Command> {
    let mut command = account.command(&binaries.folder.join("postgres"));
    command.arg("-D").arg(folder.cluster());
    let mut set = |setting: OsString| {
        command.arg("-c").arg(setting);
    };
    set("listen_addresses=".into());
    set(format!("port={PORT}").into());
    set(socket_setting(&folder.socket));
    set("unix_socket_permissions=0700".into());
    set(format!("max_connections={}", options.max_connections).into());
    set("timezone=UTC".into());
    set("log_timezone=UTC".into());
    // With PostgreSQL's own 128 MB and 1 GB, ingest falls by a third when indexes outgrow the cache.
    if let Some(bytes) = memory() {
        set(format!("shared_buffers={}MB", buffers(bytes)).into());
    }
    set("max_wal_size=4GB".into());
    if !options.durable {
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            set(format!("{name}=off").into());
        }
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

/// The machine's memory in bytes, where it says so.
fn memory() -> Option<u64> {
    let found = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = found.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Mebibytes of PostgreSQL's cache: an eighth of the memory, because others want theirs, and no more than helps.
fn buffers(memory: u64) -> u64 {
    (memory / 8 / 1024 / 1024).clamp(128, 1024)
}

/// The setting is a list: quoted, a comma in the folder's name does not divide it.
fn socket_setting(folder: &Path) -> OsString {
    let mut setting = b"unix_socket_directories=\"".to_vec();
    for byte in folder.as_os_str().as_bytes() {
        setting.extend(std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
    }
    setting.push(b'"');
    OsString::from_vec(setting)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn buffers_are_an_eighth_of_the_memory_within_bounds() {
        let gibibytes = |number: u64| super::buffers(number << 30);

        assert_eq!([gibibytes(0), gibibytes(4), gibibytes(24)], [128, 512, 1024]);
    }

    #[test]
    fn socket_setting_survives_commas_and_quotes() {
        let setting = super::socket_setting(Path::new("/data/a, \"b\""));

        assert_eq!(setting, "unix_socket_directories=\"/data/a, \"\"b\"\"\"");
    }
}
