//! As whom does PostgreSQL run, and may that user reach a folder?
//! It refuses to be root, so a root process hands it to another user.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::EmbeddedError;
use super::process;

/// The user that owns the cluster and runs its programs.
#[derive(Debug, Clone)]
pub(super) struct Account {
    uid: u32,
    /// Present only if this process is root and has to change into another user.
    other: Option<Other>,
}

#[derive(Debug, Clone)]
struct Other {
    name: String,
    gid: u32,
}

impl Account {
    /// Ourselves, unless we are root: then the owner of `cluster` if it exists (it may come from a start as another
    /// user), else `postgres`, else `nobody`.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        let uid = process::effective_user();
        if uid != 0 {
            return Ok(Self { uid, other: None });
        }
        if let Ok(owner) = fs::symlink_metadata(cluster)
            && owner.uid() != 0
        {
            let other = Other { name: owner.uid().to_string(), gid: owner.gid() };
            return Ok(Self { uid: owner.uid(), other: Some(other) });
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"].into_iter().find_map(|name| Self::named(name, &users)).ok_or(EmbeddedError::NoUser)
    }

    fn named(name: &str, users: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next() == Some(name);
            let uid: u32 = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            let other = Some(Other { name: name.to_owned(), gid });
            (found && uid != 0).then_some(Self { uid, other })
        })
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    pub(super) fn is_other(&self) -> bool {
        self.other.is_some()
    }

    /// A command that will run as this user, from a folder that every user may enter.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").env("LC_ALL", "C");
        for name in ["PGDATA", "PGPORT", "PGCLIENTENCODING", "PGDATESTYLE"] {
            command.env_remove(name);
        }
        if let Some(other) = &self.other {
            command.uid(self.uid).gid(other.gid);
        }
        command
    }

    /// Creates `folder` with mode 0700 for this user alone, or makes an existing one so.
    ///
    /// # Errors
    /// [`EmbeddedError::Foreign`] if something stands there that is neither ours nor this user's.
    pub(super) fn own(&self, folder: &Path) -> Result<(), EmbeddedError> {
        let at = || EmbeddedError::at(folder);
        if let Err(error) = fs::DirBuilder::new().mode(0o700).create(folder)
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(at()(error));
        }
        let found = fs::symlink_metadata(folder).map_err(at())?;
        if !found.is_dir() || ![self.uid, process::effective_user()].contains(&found.uid()) {
            return Err(EmbeddedError::Foreign { folder: folder.to_owned() });
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(at())?;
        match &self.other {
            Some(other) => chown(folder, Some(self.uid), Some(other.gid)).map_err(at()),
            None => Ok(()),
        }
    }

    /// Lets this user pass through an existing data folder of ours, such as `mktemp -d` makes: pass, not look.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`] if its mode cannot be changed.
    pub(super) fn let_pass(&self, data_dir: &Path) -> Result<(), EmbeddedError> {
        let Ok(found) = fs::metadata(data_dir) else { return Ok(()) };
        if self.is_other() && found.is_dir() && found.uid() == process::effective_user() && found.mode() & 0o001 == 0 {
            let passable = fs::Permissions::from_mode(found.mode() & 0o7777 | 0o001);
            fs::set_permissions(data_dir, passable).map_err(EmbeddedError::at(data_dir))?;
        }
        Ok(())
    }

    /// Refuses a data folder this user could not come to.
    pub(super) fn check_reach(&self, data_dir: &Path) -> Result<(), EmbeddedError> {
        match (&self.other, self.obstacle(data_dir)) {
            (Some(other), Some(folder)) => {
                Err(EmbeddedError::Unreachable { folder, user: other.name.clone(), data_dir: data_dir.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// The outermost existing folder on the way that this user may not pass. Folders yet to be made are no obstacle.
    fn obstacle(&self, data_dir: &Path) -> Option<PathBuf> {
        let other = self.other.as_ref()?;
        let wanted = std::path::absolute(data_dir).ok()?;
        let existing = wanted.ancestors().find_map(|folder| folder.canonicalize().ok())?;
        let blocked = existing.ancestors().filter(|folder| {
            fs::metadata(folder).is_ok_and(|found| {
                let bit = match found {
                    ref found if found.uid() == self.uid => 0o100,
                    ref found if found.gid() == other.gid => 0o010,
                    _ => 0o001,
                };
                found.mode() & bit == 0
            })
        });
        blocked.last().map(Path::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn named_finds_a_user_by_its_whole_name() {
        let users = "root:x:0:0::/:/bin/sh\npostgresql:x:7:8::/:/x\npostgres:x:101:104:,,,:/var:/bin/bash\n";

        let found = Account::named("postgres", users).expect("listed");

        assert_eq!((found.uid, found.other.expect("not us").gid), (101, 104));
        assert!(Account::named("nobody", users).is_none());
        assert!(Account::named("root", users).is_none(), "PostgreSQL refuses to run as root");
    }
}
