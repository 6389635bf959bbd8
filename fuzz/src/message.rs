//! Messages of the contract, written by its descriptors as an input chooses. Fields have values that their rules allow,
//! most of the time: what is wrong everywhere never gets far.

use std::sync::LazyLock;

use photometa::pb;
use prost::encoding::encode_varint;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use crate::entropy::Entropy;

/// Every RPC, with its path.
pub static RPCS: LazyLock<Vec<(String, MethodDescriptor)>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(pb::DESCRIPTOR).expect("the contract");
    let services = pool.services().filter(|service| service.package_name() == "photometa.v1");
    let rpcs = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    rpcs.map(|rpc| (format!("/{}/{}", rpc.parent_service().full_name(), rpc.name()), rpc)).collect()
});

/// Deepest nesting that is written; prost stops at 100.
const DEPTH: usize = 110;
/// Most bytes that are written, or little more.
const SIZE: usize = 8 * 1024;
const UUIDS: [&str; 5] = [
    "01890a5d-ac96-774b-bcce-b302099a8057",
    "01890a5d-ac96-774b-bcce-b302099a8058",
    "01890a5d-ac96-774b-bcce-b302099a8059",
    "00000000-0000-0000-0000-000000000000",
    "01890A5DAC96774BBCCEB302099A8057",
];
const SECONDS: [i64; 10] = [
    1_700_000_000,
    1_700_400_000,
    1_800_000_000,
    0,
    -62_135_596_800,
    -62_135_596_801,
    253_402_300_799,
    253_402_300_800,
    i64::MAX,
    i64::MIN,
];
const NANOS: [i32; 6] = [0, 1, 999_999_999, 1_000_000_000, -1, i32::MIN];
const INTEGERS: [i64; 14] =
    [1, 2, 6, 0, 50, 100, 640, 1000, 1_000_001, -1, i32::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN];
const DOUBLES: [f64; 14] = [
    0.25,
    0.5,
    0.0,
    1.0,
    0.75,
    -0.0,
    1.0 + f64::EPSILON,
    -f64::MIN_POSITIVE,
    5e-324,
    1e308,
    9_007_199_254_740_993.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];
const LENGTHS: [usize; 8] = [10, 100, 200, 201, 500, 501, 2000, 2049];

/// Writes a message.
pub fn write(message: &MessageDescriptor, entropy: &mut Entropy<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    fields(&mut out, message, entropy, 0);
    out
}

/// Writes free JSON, a google.protobuf.Struct.
pub fn free(entropy: &mut Entropy<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, entropy, 0);
    out
}

fn fields(out: &mut Vec<u8>, message: &MessageDescriptor, entropy: &mut Entropy<'_>, depth: usize) {
    match message.full_name() {
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => return time(out, message, entropy),
        "google.protobuf.Struct" => return object(out, entropy, depth),
        _ => {}
    }
    let oneofs = message.oneofs().filter(|oneof| !oneof.is_synthetic());
    let chosen: Vec<FieldDescriptor> = oneofs
        .map(|oneof| oneof.fields().collect::<Vec<_>>())
        .filter(|fields| !fields.is_empty())
        .map(|fields| entropy.of(&fields).clone())
        .collect();
    for field in message.fields() {
        let of_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
        let wanted = if of_oneof { chosen.contains(&field) } else { !entropy.one_in_256(70) };
        if !wanted || out.len() > SIZE || depth > 8 {
            continue;
        }
        let count =
            if field.is_list() { *entropy.of(&[1, 1, 2, 3, 0, 7, 1, 5, 1, 4, 2, 1, 130, 1, 1, 1001]) } else { 1 };
        let mut last = out.len()..out.len();
        for index in 0..count {
            let start = out.len();
            match index {
                0..8 => value(out, message, &field, entropy, depth),
                // Many are alike.
                _ if start < SIZE => out.extend_from_within(last),
                _ => break,
            }
            last = start..out.len();
        }
    }
}

fn key(out: &mut Vec<u8>, field: u32, wire: u32) {
    encode_varint(u64::from(field << 3 | wire), out);
}

fn bytes(out: &mut Vec<u8>, field: u32, content: &[u8]) {
    key(out, field, 2);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers at random")]
fn value(
    out: &mut Vec<u8>,
    message: &MessageDescriptor,
    field: &FieldDescriptor,
    entropy: &mut Entropy<'_>,
    depth: usize,
) {
    let number = field.number();
    match field.kind() {
        Kind::Message(inner) => {
            let mut content = Vec::new();
            fields(&mut content, &inner, entropy, depth + 1);
            bytes(out, number, &content);
        }
        Kind::String => bytes(out, number, text(message, field, entropy).as_bytes()),
        Kind::Bytes => bytes(out, number, entropy.clone().take(32)),
        Kind::Double => {
            key(out, number, 1);
            out.extend(double(entropy).to_le_bytes());
        }
        Kind::Float => {
            key(out, number, 5);
            out.extend((double(entropy) as f32).to_le_bytes());
        }
        Kind::Bool => varint(out, number, u64::from(entropy.byte() % 2)),
        Kind::Enum(kind) => {
            let values: Vec<i32> = kind.values().map(|value| value.number()).collect();
            let unknown = entropy.one_in_256(8);
            // The first one is none.
            let chosen = if unknown { values.len() } else { (1 + entropy.below(values.len())) % values.len() };
            varint(out, number, values.get(chosen).map_or(1000, |value| *value as u64));
        }
        _ => {
            let integer = if entropy.one_in_256(16) { entropy.word() } else { *entropy.of(&INTEGERS) as u64 };
            varint(out, number, integer);
        }
    }
}

fn varint(out: &mut Vec<u8>, field: u32, number: u64) {
    key(out, field, 0);
    encode_varint(number, out);
}

fn double(entropy: &mut Entropy<'_>) -> f64 {
    if entropy.one_in_256(32) { f64::from_bits(entropy.word()) } else { *entropy.of(&DOUBLES) }
}

#[expect(clippy::cast_sign_loss, reason = "as it is encoded")]
fn time(out: &mut Vec<u8>, message: &MessageDescriptor, entropy: &mut Entropy<'_>) {
    let times = message.name() == "Timestamp";
    let seconds = if times { entropy.of(&SECONDS) } else { entropy.of(&INTEGERS) };
    varint(out, 1, *seconds as u64);
    varint(out, 2, *entropy.of(&NANOS) as u64);
}

fn text(message: &MessageDescriptor, field: &FieldDescriptor, entropy: &mut Entropy<'_>) -> String {
    let strange = entropy.byte();
    match strange {
        250.. => return String::from_utf8_lossy(entropy.clone().take(40)).into_owned(),
        245..250 => return "\u{e9}".repeat(*entropy.of(&LENGTHS)),
        242..245 => return "a\0b".to_owned(),
        240..242 => return String::new(),
        _ => {}
    }
    let name = field.name();
    // An object's id is its model's own name for it.
    let own = ["object_id", "run_id", "model_version"].contains(&name);
    if !own && (name == "id" || name.ends_with("_id") || name.ends_with("ids")) {
        return (*entropy.of(&UUIDS)).to_owned();
    }
    match name {
        "etag" | "page_token" | "resume_token" if strange < 200 => String::new(),
        "time_zone" => entropy.of(&["Europe/Berlin", "UTC", "Mars/Base"]).to_string(),
        "s3_url" => "https://example.com/a".to_owned(),
        "email" => "a@example.com".to_owned(),
        "paths" if message.name() == "FieldMask" => {
            entropy.of(&["description", "first_name", "mime_type", "results", "*", "id"]).to_string()
        }
        "mime_type" => "image/png".to_owned(),
        _ => entropy.of(&["crack", "a", "b", "\u{1f4f7}", "crack-1"]).to_string(),
    }
}

/// Free JSON.
fn object(out: &mut Vec<u8>, entropy: &mut Entropy<'_>, depth: usize) {
    for index in 0..entropy.below(4) {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, entropy.of(&["a", "b", "", "\0", "iscrowd", "area", "EXIF"]).as_bytes());
        let mut content = Vec::new();
        json(&mut content, entropy, depth + index + 1);
        bytes(&mut entry, 2, &content);
        bytes(out, 1, &entry);
    }
}

fn json(out: &mut Vec<u8>, entropy: &mut Entropy<'_>, depth: usize) {
    if depth > DEPTH || out.len() > SIZE {
        return;
    }
    let mut content = Vec::new();
    match entropy.below(8) {
        0 => varint(out, 1, 0),
        1 => {
            key(out, 2, 1);
            out.extend(double(entropy).to_le_bytes());
        }
        2 => bytes(out, 3, entropy.of(&["a", "", "\0", "\u{ffff}", "\"\\"]).as_bytes()),
        3 => varint(out, 4, u64::from(entropy.byte() % 2)),
        4 => {
            object(&mut content, entropy, depth);
            bytes(out, 5, &content);
        }
        5 => {
            // A chain, as deep as it is said.
            let levels = entropy.below(120);
            for _ in 0..levels {
                let mut list = Vec::new();
                bytes(&mut list, 1, &content);
                content.clear();
                bytes(&mut content, 6, &list);
            }
            out.extend(content);
        }
        6 => {
            for _ in 0..entropy.below(5) {
                let mut item = Vec::new();
                json(&mut item, entropy, depth + 1);
                bytes(&mut content, 1, &item);
            }
            bytes(out, 6, &content);
        }
        _ => {}
    }
}
