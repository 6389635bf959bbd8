//! JSON text to the bytes of google.protobuf.Struct, in one pass and without a tree. Content is written behind one
//! byte for its length; the few that need more are moved.

use std::fmt;

use prost::encoding::{encode_varint, encoded_len_varint};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::MAX_DEPTH;

/// The keys of the fields: number and wire type.
mod key {
    pub(super) const STRUCT_FIELDS: u8 = 1 << 3 | 2;
    pub(super) const ENTRY_KEY: u8 = 1 << 3 | 2;
    pub(super) const ENTRY_VALUE: u8 = 2 << 3 | 2;
    pub(super) const LIST_VALUES: u8 = 1 << 3 | 2;
    pub(super) const NULL_VALUE: u8 = 1 << 3;
    pub(super) const NUMBER_VALUE: u8 = 2 << 3 | 1;
    pub(super) const STRING_VALUE: u8 = 3 << 3 | 2;
    pub(super) const BOOL_VALUE: u8 = 4 << 3;
    pub(super) const STRUCT_VALUE: u8 = 5 << 3 | 2;
    pub(super) const LIST_VALUE: u8 = 6 << 3 | 2;
}

/// Appends a JSON object. Arrays and objects nested more than [`MAX_DEPTH`] levels deep become null.
///
/// # Errors
/// It is no object, or holds a number that no double holds; what was written until then is part of a message.
pub(super) fn object<'de, D: Deserializer<'de>>(json: D, out: &mut Vec<u8>) -> Result<(), D::Error> {
    json.deserialize_map(Object { out, depth: 1 })
}

/// Begins a field that has a length; [`end`] writes the length.
fn begin(out: &mut Vec<u8>, key: u8) -> usize {
    out.extend([key, 0]);
    out.len()
}

/// Ends the field whose content starts at `start`.
fn end(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out[start - 1] = short,
        _ => {
            let more = encoded_len_varint(length as u64) - 1;
            out.resize(out.len() + more, 0);
            out.copy_within(start..start + length, start + more);
            encode_varint(length as u64, &mut &mut out[start - 1..start + more]);
        }
    }
}

/// Takes back the field whose content starts at `start`.
fn undo(out: &mut Vec<u8>, start: usize) {
    out.truncate(start - 2);
}

fn string(out: &mut Vec<u8>, key: u8, text: &str) {
    let start = begin(out, key);
    out.extend_from_slice(text.as_bytes());
    end(out, start);
}

/// Writes the fields of a Struct.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { out, depth } = self;
        loop {
            let entry = begin(out, key::STRUCT_FIELDS);
            if map.next_key_seed(Name(out))?.is_none() {
                undo(out, entry);
                return Ok(());
            }
            let value = begin(out, key::ENTRY_VALUE);
            map.next_value_seed(Value { out, depth })?;
            end(out, value);
            end(out, entry);
        }
    }
}

/// Writes the key of an entry.
struct Name<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<(), D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        string(self.0, key::ENTRY_KEY, name);
        Ok(())
    }
}

/// Writes the fields of a Value that stands in an array or object of this depth.
struct Value<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.extend([key::NULL_VALUE, 0]);
        Ok(())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.out.extend([key::BOOL_VALUE, flag.into()]);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a Struct has no other numbers")]
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "a Struct has no other numbers")]
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.out.push(key::NUMBER_VALUE);
        self.out.extend(number.to_le_bytes());
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        string(self.out, key::STRING_VALUE, text);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { out, depth } = self;
        if depth == MAX_DEPTH {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Value { out, depth }.visit_unit();
        }
        let start = begin(out, key::STRUCT_VALUE);
        Object { out, depth: depth + 1 }.visit_map(map)?;
        end(out, start);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { out, depth } = self;
        if depth == MAX_DEPTH {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Value { out, depth }.visit_unit();
        }
        let start = begin(out, key::LIST_VALUE);
        loop {
            let item = begin(out, key::LIST_VALUES);
            if items.next_element_seed(Value { out, depth: depth + 1 })?.is_none() {
                undo(out, item);
                break;
            }
            end(out, item);
        }
        end(out, start);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::value::Kind;
    use prost_types::{ListValue, Struct};
    use serde_json::{Map, Number, json};

    use super::*;

    fn transcoded(text: &str) -> Result<Struct, String> {
        let mut bytes = Vec::new();
        object(&mut serde_json::Deserializer::from_str(text), &mut bytes).map_err(|error| error.to_string())?;
        Struct::decode(bytes.as_slice()).map_err(|error| error.to_string())
    }

    /// The same by way of two trees.
    fn tree(fields: Map<String, serde_json::Value>) -> Struct {
        Struct { fields: fields.into_iter().map(|(name, value)| (name, branch(value))).collect() }
    }

    fn branch(value: serde_json::Value) -> prost_types::Value {
        let kind = match value {
            serde_json::Value::Null => Kind::NullValue(0),
            serde_json::Value::Bool(flag) => Kind::BoolValue(flag),
            serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().expect("a double")),
            serde_json::Value::String(text) => Kind::StringValue(text),
            serde_json::Value::Array(items) => {
                Kind::ListValue(ListValue { values: items.into_iter().map(branch).collect() })
            }
            serde_json::Value::Object(fields) => Kind::StructValue(tree(fields)),
        };
        prost_types::Value { kind: Some(kind) }
    }

    /// xorshift.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, end: u64) -> u64 {
            self.next() % end
        }

        /// Around the lengths at which a length takes one more byte, once in a while.
        fn length(&mut self) -> u64 {
            match self.below(40) {
                0 => 120 + self.below(12),
                1 => 16_370 + self.below(20),
                _ => self.below(10),
            }
        }

        fn text(&mut self) -> String {
            let letters = ['a', '"', '\\', '/', '\n', '\u{1}', '\u{7f}', '\u{e9}', '\u{ffff}', '\u{1f4f7}'];
            (0..self.length()).map(|_| letters[usize::from(self.next().to_le_bytes()[7]) % letters.len()]).collect()
        }

        fn number(&mut self) -> Number {
            let bits = self.next();
            let double = Number::from_f64(f64::from_bits(bits)).unwrap_or_else(|| 0.into());
            match self.below(4) {
                0 => bits.into(),
                1 => (-bits.cast_signed().saturating_abs()).into(),
                2 => self.below(1000).into(),
                _ => double,
            }
        }

        fn value(&mut self, levels: u64) -> serde_json::Value {
            match self.below(if levels == 0 { 4 } else { 6 }) {
                0 => serde_json::Value::Null,
                1 => (self.below(2) == 0).into(),
                2 => self.number().into(),
                3 => self.text().into(),
                4 => (0..self.below(8)).map(|_| self.value(levels - 1)).collect(),
                _ => self.fields(levels - 1).into(),
            }
        }

        fn fields(&mut self, levels: u64) -> Map<String, serde_json::Value> {
            (0..self.below(8)).map(|_| (self.text(), self.value(levels))).collect()
        }
    }

    #[test]
    fn object_is_what_two_trees_would_be() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..500 {
            let fields = random.fields(round % 8);
            let text = serde_json::to_string_pretty(&fields).expect("JSON");

            assert_eq!(transcoded(&text), Ok(tree(fields)), "{text}");
        }
    }

    #[test]
    fn object_reads_what_a_database_may_hold() {
        let text = "{\"\": 1.0000000000000000001, \"b\": 18446744073709551616, \"a\": [ ], \"c\": -0.0, \"d\": 1e-400}";

        let expected = json!({"": 1.0, "b": 18_446_744_073_709_551_616.0, "a": [], "c": -0.0, "d": 0.0});
        let serde_json::Value::Object(expected) = expected else { panic!("an object") };
        assert_eq!(transcoded(text), Ok(tree(expected)));
    }

    #[test]
    fn object_writes_null_for_what_is_too_deep() {
        for (open, close) in [("[", "]"), ("{\"a\": ", "}")] {
            let nested = |levels: usize, inner: &str| {
                format!("{{\"a\": {}{inner}{}, \"z\": 1}}", open.repeat(levels - 1), close.repeat(levels - 1))
            };

            let bottom = transcoded(&nested(MAX_DEPTH, "true"));
            let cut = transcoded(&nested(MAX_DEPTH, "null"));

            assert!(bottom.is_ok() && bottom != cut);
            assert_eq!(transcoded(&nested(MAX_DEPTH + 1, "true")), cut);
            assert_eq!(transcoded(&nested(100_000, "true")), cut);
        }
    }

    #[test]
    fn object_refuses_what_is_none() {
        for text in ["null", "[]", "1", "\"a\"", "true", "{\"a\": 1e400}"] {
            assert!(transcoded(text).is_err(), "{text}");
        }
    }
}
