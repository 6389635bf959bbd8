//! Where an export goes: a file that appears under its name when it is whole, or standard output.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cli::Failure;
use crate::pb;

/// Where an export goes.
#[derive(Debug)]
pub(super) enum Target {
    /// Standard output, and whether something was written.
    Output { written: bool },
    /// A file beside the one that it becomes.
    File { becomes: PathBuf, part: PathBuf, file: BufWriter<File> },
}

impl Target {
    /// The target of a part of split data: FILE.train.json for FILE.json.
    ///
    /// # Errors
    /// When it cannot be written, or a split goes to standard output.
    pub(super) fn of(output: &Path, part: Option<pb::SplitPart>) -> Result<Self, Failure> {
        if output == Path::new("-") {
            return match part {
                None => Ok(Self::Output { written: false }),
                Some(_) => Err("a split makes several files; give --output a name".into()),
            };
        }
        let becomes = part.map_or_else(|| output.to_owned(), |part| with_part(output, part));
        if becomes.is_dir() {
            return Err(format!("{} is a folder; give --output the name of a file", becomes.display()).into());
        }
        let mut name = becomes.clone().into_os_string();
        name.push(".part");
        let part = PathBuf::from(name);
        let file = File::create(&part).map_err(|error| cannot(&part, &error))?;
        Ok(Self::File { becomes, part, file: BufWriter::new(file) })
    }

    /// What people know it by.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Output { .. } => "standard output".to_owned(),
            Self::File { becomes, .. } => becomes.display().to_string(),
        }
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn write(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Output { written } => {
                *written |= !chunk.is_empty();
                io::stdout().write_all(chunk).map_err(|error| cannot(Path::new("standard output"), &error))
            }
            Self::File { part, file, .. } => file.write_all(chunk).map_err(|error| cannot(part, &error)),
        }
    }

    /// Forgets what was written.
    ///
    /// # Errors
    /// When somebody may have read it already.
    pub(super) fn again(&mut self) -> Result<(), Failure> {
        match self {
            Self::Output { written: false } => Ok(()),
            Self::Output { written: true } => {
                Err("what was written to standard output is no longer what is there; start again".into())
            }
            Self::File { part, file, .. } => {
                *file = BufWriter::new(File::create(&*part).map_err(|error| cannot(part, &error))?);
                Ok(())
            }
        }
    }

    /// All is written: the file gets its name.
    ///
    /// # Errors
    /// When it does not reach the disk.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Self::Output { .. } => io::stdout().flush().map_err(|error| cannot(Path::new("standard output"), &error)),
            Self::File { becomes, part, file } => {
                let kept = file.flush().and_then(|()| file.get_ref().sync_all());
                kept.and_then(|()| fs::rename(&part, &becomes)).map_err(|error| cannot(becomes, &error))
            }
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::File { part, .. } = self {
            // After its renaming there is none.
            let _ = fs::remove_file(part);
        }
    }
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    format!("cannot write {}: {error}", path.display()).into()
}

fn with_part(output: &Path, part: pb::SplitPart) -> PathBuf {
    let name = match part {
        pb::SplitPart::Validation => "validation",
        pb::SplitPart::Test => "test",
        pb::SplitPart::Train | pb::SplitPart::Unspecified => "train",
    };
    let mut file = output.file_stem().unwrap_or_default().to_owned();
    file.push(".");
    file.push(name);
    if let Some(extension) = output.extension() {
        file.push(".");
        file.push(extension);
    }
    output.with_file_name(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_before_the_extension() {
        for (output, expected) in
            [("a/site.json", "a/site.test.json"), ("site", "site.test"), ("a.b/site.x.json", "a.b/site.x.test.json")]
        {
            assert_eq!(with_part(Path::new(output), pb::SplitPart::Test), Path::new(expected));
        }
    }

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let folder = std::env::temp_dir().join(format!("photometa-target-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("site.json");
        let left = || fs::read_dir(&folder).expect("a folder").count();

        let mut target = Target::of(&path, None).expect("a file");
        target.write(b"half").expect("room");
        drop(target);
        assert_eq!(left(), 0);
        let mut target = Target::of(&path, None).expect("a file");
        target.write(b"other").expect("room");
        target.again().expect("a file");
        target.write(b"whole").expect("room");
        target.finish().expect("room");
        drop(target);

        assert_eq!((left(), fs::read(&path).expect("a file")), (1, b"whole".to_vec()));
        fs::remove_dir_all(&folder).expect("a folder");
    }
}
