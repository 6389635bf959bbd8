//! Where are PostgreSQL's programs, and which of several versions serves?

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::EmbeddedError;

/// The oldest major version the migrations are written for.
const MINIMUM: u32 = 14;

/// Folders of installations side by side, and what precedes the version in their names.
const ROOTS: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", ""),          // Debian, Ubuntu
    ("/usr", "pgsql-"),                   // PostgreSQL's own RPMs
    ("/opt/homebrew/opt", "postgresql@"), // macOS on Arm
    ("/usr/local/opt", "postgresql@"),    // macOS on Intel
];

/// One installation.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    /// Such as "15.18".
    pub(super) version: String,
    major: u32,
}

impl Binaries {
    /// The first suitable installation: `explicit` alone if given, else those of `path`, of `pg_config`, and of the
    /// known places, newest first. With `needed`, only that major version is suitable.
    pub(super) fn find(
        explicit: Option<&Path>,
        path: Option<&OsStr>,
        needed: Option<(u32, &Path)>,
        account: &Account,
    ) -> Result<Self, EmbeddedError> {
        let searched = match explicit {
            Some(folder) => vec![folder.to_owned()],
            None => candidates(path, &ROOTS.map(|(root, prefix)| (Path::new(root), prefix)), account),
        };
        Self::first(searched, needed, account)
    }

    fn first(searched: Vec<PathBuf>, needed: Option<(u32, &Path)>, account: &Account) -> Result<Self, EmbeddedError> {
        let mut found = Vec::new();
        for folder in &searched {
            let Some(binaries) = Self::in_folder(folder, account) else { continue };
            if binaries.major >= MINIMUM && needed.is_none_or(|(major, _)| major == binaries.major) {
                return Ok(binaries);
            }
            found.push(binaries);
        }
        match (found.into_iter().max_by_key(|binaries| binaries.major), needed) {
            (None, _) => Err(EmbeddedError::NotInstalled { searched }),
            (Some(newest), Some((major, cluster))) if newest.major >= MINIMUM => {
                Err(EmbeddedError::OtherMajor { cluster: cluster.to_owned(), needed: major, found: newest.version })
            }
            (Some(newest), _) => {
                Err(EmbeddedError::TooOld { bin: newest.folder, version: newest.version, minimum: MINIMUM })
            }
        }
    }

    /// Follows links first: `initdb` looks for its siblings beside its real file.
    fn in_folder(folder: &Path, account: &Account) -> Option<Self> {
        let postgres = folder.join("postgres").canonicalize().ok()?;
        let folder = postgres.parent()?.to_owned();
        if !folder.join("initdb").is_file() {
            return None;
        }
        let version = version(&output(account, &postgres, "--version")?)?.to_owned();
        let major = leading_number(&version)?;
        Some(Self { folder, version, major })
    }
}

fn candidates(path: Option<&OsStr>, roots: &[(&Path, &str)], account: &Account) -> Vec<PathBuf> {
    let path: Vec<PathBuf> =
        path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute()).collect();
    let told = path
        .iter()
        .map(|folder| folder.join("pg_config"))
        .find(|program| program.is_file())
        .and_then(|program| output(account, &program, "--bindir"))
        .map(|folder| PathBuf::from(folder.trim()));
    let mut all = path;
    all.extend(told);
    for (root, prefix) in roots {
        all.extend(versions(root, prefix));
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|folder| seen.insert(folder.clone()));
    all
}

fn versions(root: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = root
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// Asks as the user who will run the program, so that one out of that user's reach counts as absent.
fn output(account: &Account, program: &Path, argument: &str) -> Option<String> {
    let output = account.command(program).arg(argument).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The version in "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
fn version(line: &str) -> Option<&str> {
    line.split_once("(PostgreSQL)")?.1.split_whitespace().next()
}

/// The major version in "15", "15.18" or "19beta1".
pub(super) fn leading_number(version: &str) -> Option<u32> {
    let version = version.trim();
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::{Binaries, EmbeddedError, candidates, leading_number, version};
    use crate::db::embedded::account::Account;

    /// A folder of installations that only answer `--version`.
    struct Root(PathBuf);

    impl Root {
        fn with(name: &str, majors: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("photometa-binaries-{name}-{}", std::process::id()));
            for major in majors {
                let bin = root.join(major).join("bin");
                fs::create_dir_all(&bin).expect("folder");
                for program in ["initdb", "postgres"] {
                    let program = bin.join(program);
                    fs::write(&program, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {major}.2'\n")).expect("file");
                    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("mode");
                }
            }
            Self(root)
        }

        fn first(&self, needed: Option<u32>) -> Result<Binaries, EmbeddedError> {
            let account = Account::choose(Path::new("/nonexistent")).expect("a user");
            let searched = candidates(Some(OsStr::new("")), &[(&self.0, "")], &account);
            Binaries::first(searched, needed.map(|major| (major, Path::new("/cluster"))), &account)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn first_prefers_the_newest_or_the_one_needed() {
        let root = Root::with("newest", &["9", "15", "16"]);

        assert_eq!(root.first(None).expect("found").version, "16.2");
        assert_eq!(root.first(Some(15)).expect("found").version, "15.2");
        assert!(matches!(root.first(Some(17)), Err(EmbeddedError::OtherMajor { needed: 17, .. })));
    }

    #[test]
    fn first_refuses_old_versions() {
        let root = Root::with("old", &["9", "13"]);

        let error = root.first(None).expect_err("too old");

        assert!(error.to_string().starts_with("PostgreSQL 13.2 in "), "{error}");
    }

    #[test]
    fn first_explains_what_to_install_when_there_is_nothing() {
        let root = Root::with("nothing", &[]);

        let message = root.first(None).expect_err("nothing there").to_string();

        for hint in ["apt install postgresql", "brew install postgresql@15", "PG_BIN", "PHOTOMETA_DATABASE_URL"] {
            assert!(message.contains(hint), "{message}");
        }
    }

    #[test]
    fn version_is_read_from_releases_and_previews() {
        assert_eq!(version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some("15.18"));
        assert_eq!(leading_number("15.18"), Some(15));
        assert_eq!(leading_number("19beta1"), Some(19));
        assert_eq!(leading_number("15\n"), Some(15));
    }
}
