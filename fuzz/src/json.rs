//! Free JSON: from the wire to text and back, and from any text that a database may hold.

use photometa::check::{At, Violations};
use photometa::json::{self, MAX_DEPTH, Struct};
use prost::Message as _;
use prost_types::value::Kind;
use serde_json::value::RawValue;

use crate::entropy::Entropy;
use crate::memory::within;
use crate::message::free;

/// Bytes that a document may hold for each of its bytes, and so many more.
const PER_BYTE: usize = 96;
const FLAT: usize = 64 * 1024;
/// Most bytes as text.
const MOST: usize = 1024;

/// Checks what is made of a document.
pub fn json(data: &[u8]) {
    let mut entropy = Entropy::new(data);
    match entropy.below(3) {
        0 => wire(&free(&mut entropy)),
        1 => wire(entropy.rest()),
        _ => stored(entropy.rest()),
    }
}

fn wire(bytes: &[u8]) {
    let budget = FLAT + PER_BYTE * bytes.len();
    let Ok(decoded) = within(budget, || Struct::decode(bytes)) else { return };
    let tree = decoded.clone().into_tree().expect("it was decoded");
    let mut checks = Violations::new();
    let at = At::REQUEST.field("results");
    let (value, text) = within(budget, || json::object(&mut checks, &at, decoded, MOST));
    let found = checks.found();
    assert!(found.iter().all(|violation| violation.path == "results"), "{found:?}");
    assert_eq!(text.get().len() > MOST, found.iter().any(|violation| violation.problem.contains("as JSON")));
    if found.is_empty() {
        assert!(depth(&value) <= MAX_DEPTH);
        assert!(!text.get().contains("\\u0000"), "PostgreSQL keeps no NUL");
        let shown = within(budget, || json::to_struct(&text)).into_tree().expect("what is shown can be decoded");
        assert_eq!(shown, plain(tree), "it comes back as it was");
    }
}

/// As JSON has it: a value of no kind is null, and there is one null.
fn plain(tree: prost_types::Struct) -> prost_types::Struct {
    prost_types::Struct { fields: tree.fields.into_iter().map(|(name, value)| (name, plain_value(value))).collect() }
}

fn plain_value(value: prost_types::Value) -> prost_types::Value {
    let kind = match value.kind {
        None | Some(Kind::NullValue(_)) => Kind::NullValue(0),
        Some(Kind::StructValue(tree)) => Kind::StructValue(plain(tree)),
        Some(Kind::ListValue(list)) => {
            Kind::ListValue(prost_types::ListValue { values: list.values.into_iter().map(plain_value).collect() })
        }
        Some(other) => other,
    };
    prost_types::Value { kind: Some(kind) }
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        serde_json::Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// Whatever a document is, showing it makes a message that clients can decode.
fn stored(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(kept) = RawValue::from_string(text.to_owned()) else { return };
    let budget = FLAT + PER_BYTE * bytes.len();
    let shown = within(budget, || json::to_struct(&kept));
    let encoded = shown.encode_to_vec();
    assert_eq!(encoded.len(), shown.encoded_len());
    let decoded = prost_types::Struct::decode(encoded.as_slice()).expect("what is shown can be decoded");
    if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_err() {
        assert!(decoded.fields.is_empty() || !text.trim_start().starts_with('{') || text.len() > 8, "{text}");
    }
}
