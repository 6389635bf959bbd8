//! Content digests: tell a repeated create from a conflicting one. Taken of the message as the client sent it,
//! so that a call repeated after the row has changed is still the same call.

use prost::Message;
use ring::digest::{SHA256, digest};

/// The first 16 bytes of the SHA-256 of a message. Fields the client does not set do not count, so a field
/// added to the contract later changes no digest. The caller clears id and output-only fields first.
pub fn of(message: &impl Message) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&digest(&SHA256, &message.encode_to_vec()).as_ref()[..16]);
    first
}
