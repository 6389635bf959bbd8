//! How much memory a message would take. An empty item is two bytes on the wire and hundreds in memory: what would take
//! far too much is refused before it is decoded. The contract's descriptor tells which fields are lists, and about how
//! large their items are.

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Buf;
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto};

use crate::contract;

/// Most bytes that the items of all lists of a message may take together, without what their texts take.
pub(super) const MOST: usize = 64 * 1024 * 1024;
/// Messages of so many bytes are not looked at: what they become is bounded well enough.
const SMALL: usize = 32 * 1024;
/// How deep is looked: the decoder refuses what is deeper.
const DEPTH: usize = 100;

/// A message of the contract.
#[derive(Debug, Default)]
struct Kind {
    /// Its lists, and its messages, by their numbers on the wire.
    fields: HashMap<u32, Field>,
}

#[derive(Debug)]
struct Field {
    /// Bytes of each item, if it is a list.
    item: Option<usize>,
    /// What to look into.
    kind: Option<String>,
}

/// Every message, by its full name with a dot before it, as descriptors have it.
static KINDS: LazyLock<HashMap<String, Kind>> = LazyLock::new(|| {
    let messages = messages();
    messages.iter().map(|(name, message)| (name.clone(), kind(message, &messages))).collect()
});

/// Every message of the contract, by its full name.
fn messages() -> HashMap<String, &'static DescriptorProto> {
    let mut messages = HashMap::new();
    for file in contract::files() {
        for message in &file.message_type {
            collect(&format!(".{}.{}", file.package(), message.name()), message, &mut messages);
        }
    }
    messages
}

fn collect<'a>(name: &str, message: &'a DescriptorProto, messages: &mut HashMap<String, &'a DescriptorProto>) {
    messages.insert(name.to_owned(), message);
    for nested in &message.nested_type {
        collect(&format!("{name}.{}", nested.name()), nested, messages);
    }
}

fn kind(message: &DescriptorProto, messages: &HashMap<String, &DescriptorProto>) -> Kind {
    let mut kind = Kind::default();
    for field in &message.field {
        let item = (field.label() == Label::Repeated).then(|| item(field, messages, 0));
        let within = (field.r#type() == Type::Message).then(|| field.type_name().to_owned());
        if let (Ok(number), true) = (u32::try_from(field.number()), item.is_some() || within.is_some()) {
            kind.fields.insert(number, Field { item, kind: within });
        }
    }
    kind
}

/// About as many bytes as a value of the field takes in memory, beside what it points to.
fn item(field: &FieldDescriptorProto, messages: &HashMap<String, &DescriptorProto>, depth: usize) -> usize {
    match field.r#type() {
        Type::String | Type::Bytes => 24,
        // Messages that hold themselves are held by a pointer.
        Type::Message if depth > 8 => 8,
        Type::Message => messages.get(field.type_name()).map_or(8, |message| size(message, messages, depth + 1)),
        _ => 8,
    }
}

fn size(message: &DescriptorProto, messages: &HashMap<String, &DescriptorProto>, depth: usize) -> usize {
    let fields = message.field.iter().map(|field| match field.label() {
        Label::Repeated => 24,
        _ => item(field, messages, depth),
    });
    fields.sum::<usize>().max(8)
}

/// Why a message was not weighed to its end.
enum Stop {
    TooHeavy,
    /// The decoder will say what is wrong with it.
    Broken,
}

impl From<DecodeError> for Stop {
    fn from(_: DecodeError) -> Self {
        Self::Broken
    }
}

/// Whether the items of a message's lists would take more than [`MOST`] bytes. `name` is the message's full name.
pub(super) fn is_too_heavy(name: &str, bytes: &[u8]) -> bool {
    if bytes.len() <= SMALL {
        return false;
    }
    let (mut left, name) = (MOST, format!(".{name}"));
    matches!(weigh(&name, bytes, &mut left, 0), Err(Stop::TooHeavy))
}

fn weigh(name: &str, mut bytes: &[u8], left: &mut usize, depth: usize) -> Result<(), Stop> {
    let Some(kind) = KINDS.get(name).filter(|_| depth < DEPTH) else { return Ok(()) };
    while !bytes.is_empty() {
        let (tag, wire) = decode_key(&mut bytes)?;
        if wire != WireType::LengthDelimited {
            skip_field(wire, tag, &mut bytes, DecodeContext::default())?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut bytes)?).unwrap_or(usize::MAX);
        let value = bytes.get(..length).ok_or(Stop::Broken)?;
        if let Some(field) = kind.fields.get(&tag) {
            *left = left.checked_sub(field.item.unwrap_or_default()).ok_or(Stop::TooHeavy)?;
            if let Some(within) = &field.kind {
                weigh(within, value, left, depth + 1)?;
            }
        }
        bytes.advance(length);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::{Message as _, Name as _};

    use super::*;
    use crate::pb;

    /// Lists of empty items, one inside of the other: the innermost one is as long as a request may be.
    fn nested(fields: &[u8]) -> Vec<u8> {
        let Some((last, outer)) = fields.split_last() else { return Vec::new() };
        let mut bytes = [last << 3 | 2, 0].repeat(crate::MAX_REQUEST_BYTES / 2 - 64);
        for field in outer.iter().rev() {
            let mut whole = vec![field << 3 | 2];
            prost::encoding::encode_varint(bytes.len() as u64, &mut whole);
            whole.append(&mut bytes);
            bytes = whole;
        }
        bytes
    }

    #[test]
    fn millions_of_empty_items_are_too_heavy_however_deep_they_are() {
        let photos = pb::BatchCreatePhotosRequest::full_name();
        let detections = pb::BatchCreateDetectionsRequest::full_name();
        for (what, name, fields) in
            [("photos", &photos, &[1][..]), ("detections", &detections, &[1]), ("objects", &detections, &[1, 7, 1])]
        {
            assert!(is_too_heavy(name, &nested(fields)), "{what}");
        }
        assert!(!is_too_heavy(&photos, &nested(&[1])[..SMALL]));
    }

    #[test]
    fn what_is_meant_seriously_is_not_too_heavy() {
        let point = pb::Point { x: 0.5, y: 0.5 };
        let object = pb::DetectedObject {
            polygon: Some(pb::Polygon { points: vec![point; 200_000] }),
            ..pb::DetectedObject::default()
        };
        let results = Some(pb::DetectionResults { objects: vec![object], extra: None });
        let request = pb::CreateDetectionRequest { detection: Some(pb::Detection { results, ..Default::default() }) };
        let bytes = request.encode_to_vec();

        assert!(bytes.len() > 3 << 20 && !is_too_heavy(&pb::CreateDetectionRequest::full_name(), &bytes));
    }

    #[test]
    fn sizes_are_about_those_of_the_compiler() {
        let messages = messages();
        for (name, real) in [
            ("Photo", size_of::<pb::Photo>()),
            ("Detection", size_of::<pb::Detection>()),
            ("DetectedObject", size_of::<pb::DetectedObject>()),
            ("Point", size_of::<pb::Point>()),
            ("Feedback", size_of::<pb::Feedback>()),
        ] {
            let told = size(messages[&format!(".photometa.v1.{name}")], &messages, 0);
            assert!(told * 2 >= real && told <= real * 2, "{name}: {told} for {real} bytes");
        }
    }

    #[test]
    fn bytes_that_are_no_message_are_left_to_the_decoder() {
        for byte in [0x00, 0x07, 0x0b, 0x0c, 0xff] {
            let name = pb::BatchCreatePhotosRequest::full_name();
            assert!(!is_too_heavy(&name, &vec![byte; SMALL + 1]), "{byte}");
        }
    }
}
