//! Free JSON: google.protobuf.Struct on the wire, text inside, JSONB in the database. What PostgreSQL or JSON cannot
//! keep is refused here, before the database is asked. What the database keeps is shown without building a tree.

mod message;
mod transcode;

use prost_types::Value as PbValue;
use prost_types::value::Kind;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Number, Value};

pub use self::message::Struct;
use crate::check::{At, Violations};

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 32;

/// Reads a JSON object of at most `max_bytes` as compact text, for those who look into it and for those who keep it.
pub fn object(checks: &mut Violations, at: &At<'_>, value: Struct, max_bytes: usize) -> (Value, Box<RawValue>) {
    let value = checked(checks, at, value);
    let text = text(checks, at, &value, max_bytes);
    (value, text)
}

/// Reads a JSON object whose size is bounded by what it is part of.
pub fn nested(checks: &mut Violations, at: &At<'_>, value: Struct) -> Box<RawValue> {
    raw(&checked(checks, at, value))
}

fn checked(checks: &mut Violations, at: &At<'_>, value: Struct) -> Value {
    let mut problem = None;
    let value = match value.into_tree() {
        Ok(tree) => read_object(tree, 1, &mut problem),
        Err(error) => {
            problem = Some(format!("cannot be decoded: {error}"));
            Value::Null
        }
    };
    if let Some(problem) = problem {
        checks.refuse(at, problem);
    }
    value
}

/// Writes a document as compact text, and refuses more than `max_bytes` of it.
pub fn text(checks: &mut Violations, at: &At<'_>, value: &impl Serialize, max_bytes: usize) -> Box<RawValue> {
    let text = raw(value);
    let size = text.get().len();
    if size > max_bytes {
        checks.refuse(at, format!("is {size} bytes as JSON; {max_bytes} are allowed"));
    }
    text
}

/// Writes a document as compact text.
pub fn raw(value: &impl Serialize) -> Box<RawValue> {
    // Ours are made of strings, numbers and names that are strings: they can always be written.
    to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn read_object(object: prost_types::Struct, depth: usize, problem: &mut Option<String>) -> Value {
    if depth > MAX_DEPTH {
        *problem = Some(format!("is nested more than {MAX_DEPTH} levels deep"));
        return Value::Null;
    }
    let mut fields = Map::with_capacity(object.fields.len());
    for (name, value) in object.fields {
        if name.contains('\0') {
            *problem = Some("contains a NUL character in a name".to_owned());
        }
        fields.insert(name, read(value, depth, problem));
    }
    Value::Object(fields)
}

fn read(value: PbValue, depth: usize, problem: &mut Option<String>) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::StringValue(text)) => {
            if text.contains('\0') {
                *problem = Some("contains a NUL character".to_owned());
            }
            Value::String(text)
        }
        Some(Kind::NumberValue(number)) => self::number(number).unwrap_or_else(|| {
            *problem = Some("contains a number that is NaN or infinite".to_owned());
            Value::Null
        }),
        Some(Kind::StructValue(object)) => read_object(object, depth + 1, problem),
        Some(Kind::ListValue(_)) if depth + 1 > MAX_DEPTH => {
            *problem = Some(format!("is nested more than {MAX_DEPTH} levels deep"));
            Value::Null
        }
        Some(Kind::ListValue(list)) => {
            Value::Array(list.values.into_iter().map(|item| read(item, depth + 1, problem)).collect())
        }
    }
}

/// A finite number; whole numbers become JSON integers, which is what people wrote and SQL users expect.
pub fn number(number: f64) -> Option<Value> {
    // 2^53: above it, neighbours are further than 1 apart.
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return Some(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number)
}

/// Shows a stored JSON object as the wire does. What is nested more than [`MAX_DEPTH`] levels deep shows as null, because
/// clients' decoders refuse deeper messages; what is no object shows as an empty one.
pub fn to_struct(kept: &RawValue) -> Struct {
    let mut bytes = Vec::with_capacity(kept.get().len());
    if let Err(error) = transcode::object(kept, &mut bytes) {
        tracing::warn!(%error, "stored JSON is shown as an empty object");
        bytes.clear();
    }
    Struct::encoded(bytes)
}
