//! Where an export goes: standard output, or a file that has its name only when it is whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// Where bytes go.
#[derive(Debug)]
pub(super) enum Sink {
    Stdout,
    File(Draft),
}

impl Sink {
    /// Writes bytes.
    ///
    /// # Errors
    /// When the disk is full, or nobody reads.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::File(draft) => draft.write(bytes),
            Self::Stdout => {
                let mut out = io::stdout();
                let written = out.write_all(bytes).and_then(|()| out.flush());
                written.map_err(|error| format!("cannot write to standard output: {error}").into())
            }
        }
    }

    /// Takes everything back; answers whether that is possible.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub(super) fn clear(&mut self) -> Result<bool, Failure> {
        match self {
            Self::File(draft) => draft.cut(0).map(|()| true),
            Self::Stdout => Ok(false),
        }
    }

    /// The file's name, if it is one.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::File(draft) => Some(draft.path.display().to_string()),
            Self::Stdout => None,
        }
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When it cannot be written or renamed.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::File(draft) => draft.finish(),
            Self::Stdout => Ok(()),
        }
    }
}

/// A file under a name with `.part` at its end until it is whole; gone when it never gets so far.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    part: PathBuf,
    file: File,
}

impl Draft {
    /// Begins an empty file. What an earlier process left of it when it was killed is overwritten.
    ///
    /// # Errors
    /// When the name is that of something else than a file, or another process is writing it.
    pub(super) fn begin(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(format!("{shown} is there and no file; -o - writes to standard output").into());
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let cannot = |error: io::Error| format!("cannot write {}: {error}", part.display());
        // Not cut before the lock: it may be another one's.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&part).map_err(cannot)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(format!("another export is writing {}", part.display()).into());
        }
        file.set_len(0).map_err(cannot)?;
        Ok(Self { path: path.to_owned(), part, file })
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// When the disk is full.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| self.cannot(&error))
    }

    /// How much is written.
    ///
    /// # Errors
    /// When the file does not tell.
    pub(super) fn length(&mut self) -> Result<u64, Failure> {
        self.file.stream_position().map_err(|error| self.cannot(&error))
    }

    /// Goes on as if only the first `length` bytes were written.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub(super) fn cut(&mut self, length: u64) -> Result<(), Failure> {
        let cut = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        cut.map(|_| ()).map_err(|error| self.cannot(&error))
    }

    /// Gives it its name, in place of what had it.
    ///
    /// # Errors
    /// When it cannot be written or renamed.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let done = self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.path));
        done.map_err(|error| self.cannot(&error))
    }

    fn cannot(&self, error: &io::Error) -> Failure {
        format!("cannot write {}: {error}", self.part.display()).into()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After it was renamed there is none.
        let _ = fs::remove_file(&self.part);
    }
}
