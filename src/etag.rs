//! Etags: opaque names of one version of one row. Made of the row's change counter and its creation, so that
//! a row deleted and made again does not take an old etag for its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

/// Makes the etag of a row's version.
pub fn make(version: i32, created: Timestamp) -> String {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&created.as_microsecond().to_be_bytes());
    bytes[8..].copy_from_slice(&version.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Tells whether the caller's etag, if it gave one, is not the row's.
pub fn is_stale(given: &str, version: i32, created: Timestamp) -> bool {
    !given.is_empty() && given != make(version, created)
}
