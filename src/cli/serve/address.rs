//! The file with a server's address: made when there is something to find there, and gone afterwards. Nothing else is
//! ever written over or removed: neither what is no address, nor that of another server.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::cli::{Failure, Misuse, folder_of};

/// A file that a setting names for an address.
#[derive(Debug)]
pub(super) struct AddressFile {
    path: PathBuf,
    setting: &'static str,
}

impl AddressFile {
    /// That of a setting, if it is set.
    ///
    /// # Errors
    /// When what stands there is neither an address nor empty, or there is no folder for it.
    pub(super) fn of(path: Option<&Path>, setting: &'static str) -> Result<Option<Self>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let file = Self { path: path.to_owned(), setting };
        let wrong = |what: &str| {
            let path = path.display();
            Misuse(format!("{path} {what}, and is left alone; set {setting} to a file of its own"))
        };
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err(wrong("is not a file").into()),
            Ok(found) if found.len() > 0 && file.address().is_none() => return Err(wrong("is no address").into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound && folder_of(path).is_dir() => {}
            Err(error) => return Err(file.trouble(&error).into()),
        }
        Ok(Some(file))
    }

    /// Removes the address that another run has left, which would send people to it before this one is ready.
    pub(super) fn clear(&self) {
        if self.address().is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Writes an address.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn announce(self, address: SocketAddr) -> Result<Announced, Failure> {
        // By rename, so that nobody reads half an address; and beside, so that it is nobody's file.
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        let partial = self.path.with_file_name(name);
        let written = fs::write(&partial, address.to_string()).and_then(|()| fs::rename(&partial, &self.path));
        match written {
            Ok(()) => Ok(Announced { file: self, address }),
            Err(error) => {
                let _ = fs::remove_file(&partial);
                Err(self.trouble(&error).into())
            }
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        fs::read_to_string(&self.path).ok()?.trim().parse().ok()
    }

    fn trouble(&self, error: &std::io::Error) -> String {
        let Self { path, setting } = self;
        format!("cannot write the address to {}: {error}; see {setting}", path.display())
    }
}

/// A file with our address, which goes when we do.
#[derive(Debug)]
pub(super) struct Announced {
    file: AddressFile,
    address: SocketAddr,
}

impl Drop for Announced {
    fn drop(&mut self) {
        // Another server may have written its own meanwhile.
        if self.file.address() == Some(self.address) {
            let _ = fs::remove_file(&self.file.path);
        }
    }
}
