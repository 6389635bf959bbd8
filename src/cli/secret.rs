//! The secret that signs and verifies tokens: configured, or the development secret in the data folder.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;

use super::Failure;
use crate::config::{Credentials, Database, Secret};

const FILE: &str = "jwt.secret";

/// The configured secret, or the one that `serve` made in the data folder.
///
/// # Errors
/// When there is neither.
pub(super) fn find(database: &Database, credentials: &Credentials) -> Result<Secret, Failure> {
    if let Some(secret) = &credentials.jwt_secret {
        return Ok(secret.clone());
    }
    let folder = database.data_dir();
    read(&folder)?.ok_or_else(|| {
        format!("there is no secret to sign with; set PHOTOMETA_JWT_SECRET, or start `photometa serve` once, which makes one in {}", folder.display()).into()
    })
}

/// The configured secret, or the data folder's, made now if need be; `true` with one from the folder.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn find_or_make(database: &Database, credentials: &Credentials) -> Result<(Secret, bool), Failure> {
    if let Some(secret) = &credentials.jwt_secret {
        return Ok((secret.clone(), false));
    }
    let folder = database.data_dir();
    if let Some(secret) = read(&folder)? {
        return Ok((secret, true));
    }
    let mut bytes = [0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| "the system gives no random numbers")?;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(FILE));
    match file {
        Ok(mut file) => file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?,
        Err(error) => return Err(format!("cannot write {}: {error}", folder.join(FILE).display()).into()),
    }
    Ok((Secret::from(text), true))
}

fn read(folder: &Path) -> Result<Option<Secret>, Failure> {
    match fs::read_to_string(folder.join(FILE)) {
        Ok(text) if text.trim().len() >= crate::auth::token::MIN_SECRET_BYTES => {
            Ok(Some(Secret::from(text.trim().to_owned())))
        }
        Ok(_) => {
            Err(format!("{} is too short for a secret; delete it to have a new one made", folder.join(FILE).display())
                .into())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", folder.join(FILE).display()).into()),
    }
}
