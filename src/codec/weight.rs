//! What a message takes in memory once it is decoded, found before it is. An item of a list can be two bytes on the wire
//! and hundreds in memory: four mebibytes of such would be more than a gigabyte.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MessageOptions};

use crate::{MAX_REQUEST_BYTES, pb};

/// Most memory of a message, in bytes. Real ones, full of small objects with attributes, take ten times their size.
pub(super) const MOST: usize = 16 * MAX_REQUEST_BYTES;
/// Messages of so many bytes are never too heavy: nothing takes five hundred times its size.
pub(super) const LIGHT: usize = MOST / 512;
/// Deepest nesting that is looked at; prost refuses what is deeper.
const DEPTH: usize = 100;
/// A string, a list, a map: where it is and how long.
const HANDLE: usize = 24;

/// A field whose content takes memory of its own.
#[derive(Debug)]
struct Field {
    name: String,
    /// What it is made of; none for texts and numbers.
    kind: Option<usize>,
    /// Bytes that the first item takes besides what it holds, and that each further one does.
    item: (usize, usize),
}

/// The types of the contract.
#[derive(Debug, Default)]
struct Kinds {
    /// The fields of each, at their numbers.
    kinds: Vec<Vec<Option<Field>>>,
    numbers: HashMap<String, usize>,
}

static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
    let files = FileDescriptorSet::decode(pb::DESCRIPTOR).map(|set| set.file).unwrap_or_default();
    let mut messages = HashMap::new();
    for file in &files {
        for message in &file.message_type {
            named(&mut messages, &format!(".{}.{}", file.package(), message.name()), message);
        }
    }
    let numbers: HashMap<String, usize> = messages.keys().cloned().zip(0..).collect();
    let mut kinds = Kinds { kinds: Vec::new(), numbers };
    kinds.kinds.resize_with(messages.len(), Vec::new);
    for (name, message) in &messages {
        let number = kinds.numbers[name];
        kinds.kinds[number] = kinds.fields(message, &messages);
    }
    kinds
});

type Messages<'a> = HashMap<String, &'a DescriptorProto>;

/// Takes in a message and those inside of it, with their names as other fields write them.
fn named<'a>(messages: &mut Messages<'a>, name: &str, message: &'a DescriptorProto) {
    messages.insert(name.to_owned(), message);
    for inner in &message.nested_type {
        named(messages, &format!("{name}.{}", inner.name()), inner);
    }
}

/// Bytes of a message without what its lists and texts hold: of a oneof, those of its largest field.
fn size(message: &DescriptorProto, messages: &Messages<'_>) -> usize {
    let mut oneofs = HashMap::new();
    let mut sum = 0;
    for field in &message.field {
        let own = match (field.label(), field.r#type()) {
            (Label::Repeated, _) | (_, Type::String | Type::Bytes) => HANDLE,
            (_, Type::Message) => messages.get(field.type_name()).map_or(0, |inner| size(inner, messages)) + 8,
            _ if field.proto3_optional() => 16,
            _ => 8,
        };
        match field.oneof_index.filter(|_| !field.proto3_optional()) {
            Some(oneof) => {
                let most: &mut usize = oneofs.entry(oneof).or_default();
                *most = own.max(*most);
            }
            None => sum += own,
        }
    }
    sum + oneofs.values().map(|most| most + 8).sum::<usize>()
}

impl Kinds {
    fn fields(&self, message: &DescriptorProto, messages: &Messages<'_>) -> Vec<Option<Field>> {
        let read = |field: &FieldDescriptorProto| {
            let inner = messages.get(field.type_name());
            let item = match (field.label(), field.r#type()) {
                (Label::Repeated, Type::Message) => {
                    let size = inner.map_or(0, |inner| size(inner, messages));
                    let entry = inner.and_then(|inner| inner.options.as_ref()).is_some_and(MessageOptions::map_entry);
                    // A map begins with room for eleven entries, and is at least half full later.
                    if entry { (12 * size, 2 * size) } else { (size, size) }
                }
                (Label::Repeated, _) => (HANDLE, HANDLE),
                _ => (0, 0),
            };
            let kind = self.numbers.get(field.type_name()).copied();
            Field { name: field.name().to_owned(), kind, item }
        };
        let takes = |field: &&FieldDescriptorProto| {
            field.r#type() == Type::Message || field.label() == Label::Repeated && field.r#type() == Type::String
        };
        let mut fields = Vec::new();
        for field in message.field.iter().filter(takes) {
            let number = usize::try_from(field.number()).unwrap_or_default();
            fields.resize_with(fields.len().max(number + 1), || None);
            fields[number] = Some(read(field));
        }
        fields
    }
}

/// Where a message is too heavy: the fields that lead there, the innermost first.
#[derive(Debug, PartialEq)]
pub(super) struct Heavy(Vec<&'static str>);

impl Heavy {
    /// The path of the list that is too long.
    pub(super) fn path(self) -> String {
        self.0.into_iter().rev().collect::<Vec<_>>().join(".")
    }
}

/// Looks whether an encoded message of this name takes more than [`MOST`] bytes. What is no message is for prost to refuse.
///
/// # Errors
/// It does.
pub(super) fn weigh(name: &str, bytes: &[u8]) -> Result<(), Heavy> {
    let Some(kind) = KINDS.numbers.get(&format!(".photometa.v1.{name}")) else { return Ok(()) };
    let mut left = MOST;
    look(*kind, bytes, &mut left, 0)
}

fn look(kind: usize, mut bytes: &[u8], left: &mut usize, depth: usize) -> Result<(), Heavy> {
    let fields = &KINDS.kinds[kind];
    let (mut begun, mut last) = (0, None);
    while let Ok((number, wire)) = decode_key(&mut bytes) {
        let field = usize::try_from(number).ok().and_then(|number| fields.get(number)?.as_ref());
        let Some(field) = field.filter(|_| wire == WireType::LengthDelimited) else {
            if skip_field(wire, number, &mut bytes, DecodeContext::default()).is_err() {
                break;
            }
            continue;
        };
        let length = decode_varint(&mut bytes).ok().and_then(|length| usize::try_from(length).ok());
        let Some(content) = length.and_then(|length| bytes.get(..length)) else { break };
        bytes.advance(content.len());
        // The fields of one number come together, for the most part; if not, each first one counts as one.
        begun = if last == Some(number) { begun + 1 } else { 1 };
        last = Some(number);
        let item = if begun == 1 { field.item.0 } else { field.item.1 };
        *left = left.checked_sub(item).ok_or_else(|| Heavy(vec![&field.name]))?;
        if let Some(kind) = field.kind.filter(|_| depth < DEPTH) {
            look(kind, content, left, depth + 1).map_err(|Heavy(mut path)| {
                path.push(&field.name);
                Heavy(path)
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many copies as a request may have.
    fn full(one: &[u8]) -> Vec<u8> {
        one.repeat(MAX_REQUEST_BYTES / one.len())
    }

    #[test]
    fn weigh_names_the_list_that_is_too_heavy() {
        let empty = full(&[0x0a, 0]);
        let inside = |tag: u8, content: &[u8]| {
            let mut bytes = vec![tag];
            prost::encoding::encode_varint(content.len() as u64, &mut bytes);
            [&bytes, content].concat()
        };
        // An unknown group does not hide what is behind it.
        let hidden = [&[0xa3, 0x06, 0xa4, 0x06], empty.as_slice()].concat();
        let detection = pb::BatchCreateDetectionsRequest::default();
        let results = pb::DetectionResults { objects: vec![pb::DetectedObject::default()], extra: None };
        let objects = pb::Detection { results: Some(results), ..pb::Detection::default() }.encode_to_vec();
        assert_eq!((detection.encoded_len(), objects.len() < 8), (0, true));

        assert_eq!(weigh("BatchCreateDetectionsRequest", &empty).map_err(Heavy::path), Err("detections".to_owned()));
        assert_eq!(weigh("BatchCreateDetectionsRequest", &hidden).map_err(Heavy::path), Err("detections".to_owned()));
        let objects = inside(0x0a, &inside(objects[0], &empty));
        assert_eq!(
            weigh("CreateDetectionRequest", &objects).map_err(Heavy::path),
            Err("detection.results.objects".to_owned())
        );
    }

    #[test]
    fn weigh_lets_pass_what_is_large_and_real() {
        let fields = [("iscrowd", 0.0), ("area", 12.5)].map(|(name, number)| (name.to_owned(), number.into()));
        let place = pb::BoundingBox { x: 0.1, y: 0.2, width: 0.3, height: 0.4 };
        let object = pb::DetectedObject {
            object_id: "1".to_owned(),
            label: "crack".to_owned(),
            confidence: Some(0.5),
            r#box: Some(place),
            attributes: Some(prost_types::Struct { fields: fields.into() }.into()),
            ..pb::DetectedObject::default()
        };
        let results = pb::DetectionResults { objects: vec![object; 1000], extra: None };
        let one = pb::Detection { results: Some(results), ..pb::Detection::default() };
        let mut request = pb::BatchCreateDetectionsRequest { detections: vec![one], partial: true };
        let many = MAX_REQUEST_BYTES / request.encoded_len();
        request.detections = vec![request.detections[0].clone(); many];
        let bytes = request.encode_to_vec();

        assert!(bytes.len() > MAX_REQUEST_BYTES / 10 * 9);
        assert_eq!(weigh("BatchCreateDetectionsRequest", &bytes), Ok(()));
        assert_eq!(weigh("BatchCreateDetectionsRequest", b"\x0a\xff\xff\xff\xff\x7f"), Ok(()), "for prost to refuse");
    }

    #[test]
    fn items_are_not_lighter_than_they_are() {
        let fields = |name: &str| &KINDS.kinds[KINDS.numbers[&format!(".photometa.v1.{name}")]];
        let item = |name: &str, number: usize| fields(name)[number].as_ref().map_or(0, |field| field.item.1);

        assert!(item("BatchCreateDetectionsRequest", 1) >= size_of::<pb::Detection>());
        assert!(item("BatchCreatePhotosRequest", 1) >= size_of::<pb::Photo>());
        assert!(item("BatchCreateFeedbackRequest", 1) >= size_of::<pb::Feedback>());
        assert!(item("IngestDetectionsRequest", 1) >= size_of::<pb::IngestDetectionsItem>());
        assert!(item("DetectionResults", 1) >= size_of::<pb::DetectedObject>());
        assert!(item("Feedback", 6) >= size_of::<pb::ObjectEdit>());
        assert!(KINDS.kinds.iter().flatten().flatten().all(|field| field.item.1 <= 2 * MOST / LIGHT), "{KINDS:?}");
    }
}
