//! Content digests: tell a repeated create from a conflicting one. Taken of the message as the client sent it,
//! so that a call repeated after the row has changed is still the same call.

use prost::Message;
use ring::digest::{SHA256, digest};

/// The SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut all = [0; 32];
    all.copy_from_slice(digest(&SHA256, bytes).as_ref());
    all
}

/// The first 16 bytes of the SHA-256 of a message. Fields the client does not set do not count, so a field
/// added to the contract later changes no digest. The caller clears id and output-only fields first.
pub fn of(message: &impl Message) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&sha256(&message.encode_to_vec())[..16]);
    first
}

#[cfg(test)]
mod tests {
    use prost::bytes::Bytes;

    use super::*;
    use crate::pb;

    /// Of detection.results.extra, `{"b": true, "a": null}` in this order.
    const FIELDS: [&[u8]; 2] = [b"\x0a\x07\x0a\x01b\x12\x02\x20\x01", b"\x0a\x07\x0a\x01a\x12\x02\x08\x00"];

    fn detection(fields: &[&[u8]]) -> pb::Detection {
        let extra = fields.concat();
        let results = [b"\x12\x12", extra.as_slice()].concat();
        let detection = [b"\x12\x01p\x3a\x14", results.as_slice()].concat();
        pb::Detection::decode(Bytes::from(detection)).expect("a Detection")
    }

    #[test]
    fn digests_of_free_json_stay_what_they_are_in_the_database() {
        let [b, a] = FIELDS;
        let expected = 0x1afc_9285_6b1e_3a5c_e4ce_aab4_1e9b_d04c;

        assert_eq!(u128::from_be_bytes(of(&detection(&[b, a]))), expected);
        assert_eq!(u128::from_be_bytes(of(&detection(&[a, b]))), expected);
    }
}
