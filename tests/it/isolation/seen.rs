//! What a caller sees of an answer: all of it, to be searched for what is not theirs, and what of it must be the
//! same when an id is foreign and when nobody has it.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use prost_reflect::DynamicMessage;
use serde_json::Value;
use tonic::Status;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::rpcs::POOL;

/// What came of a call.
pub type Outcome = Result<(MetadataMap, Value), Status>;

/// Everything in an answer: values of metadata, raw details and what is inside of tokens and training data too.
pub fn everything(outcome: &Outcome) -> String {
    match outcome {
        Ok((metadata, answer)) => {
            let (mut answer, mut tokens) = (answer.clone(), String::new());
            // What is encoded is looked at as it is read: any three letters may stand in base64, and in a token's tag.
            visit(&mut answer, &mut |name, text| {
                let bytes = match name {
                    // Training data.
                    "chunk" => STANDARD.decode(&*text).unwrap(),
                    // A time and a version: no room for words.
                    "etag" => {
                        let bytes = URL_SAFE_NO_PAD.decode(&*text).unwrap();
                        assert!([0, 12].contains(&bytes.len()), "{text} is no etag");
                        Vec::new()
                    }
                    _ if is_token(name) => {
                        let bytes = URL_SAFE_NO_PAD.decode(&*text).unwrap_or_default();
                        bytes.get(24..).unwrap_or_default().to_vec()
                    }
                    _ => return,
                };
                tokens.push_str(&String::from_utf8_lossy(&bytes));
                text.clear();
            });
            format!("{answer} {metadata:?} {tokens}")
        }
        Err(status) => {
            format!("{status:?} {} {}", details(status), String::from_utf8_lossy(status.details()))
        }
    }
}

fn is_token(name: &str) -> bool {
    name.ends_with("PageToken") || name == "resumeToken"
}

/// What must be the same: the answer without what is new in it, or the error, and the names of the metadata.
pub fn comparable(outcome: &Outcome, since: Timestamp) -> String {
    let names = |metadata: &MetadataMap| {
        let mut names: Vec<_> = metadata.as_ref().keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    match outcome {
        Ok((metadata, answer)) => {
            let mut answer = answer.clone();
            visit(&mut answer, &mut |name, text| {
                let new = name.ends_with("Time") && text.parse().is_ok_and(|time: Timestamp| time >= since);
                // They are made of times and requests, and of all that the server has ever written.
                if new || ["etag", "lsn"].contains(&name) || is_token(name) {
                    "<new>".clone_into(text);
                }
            });
            format!("OK {answer} {:?}", names(metadata))
        }
        Err(status) => {
            format!("{:?} {:?} {} {:?}", status.code(), status.message(), details(status), names(status.metadata()))
        }
    }
}

/// The details as JSON: maps in one order.
fn details(status: &Status) -> Value {
    let message = POOL.get_message_by_name("google.rpc.Status").unwrap();
    serde_json::to_value(DynamicMessage::decode(message, status.details()).unwrap()).unwrap()
}

/// Shows every text of an answer with the name of its field.
fn visit(value: &mut Value, look: &mut impl FnMut(&str, &mut String)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, look)),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) => look(name, text),
                    other => visit(other, look),
                }
            }
        }
        _ => {}
    }
}

/// Replaces the UUIDs that are not `known`: the server made them.
pub fn without_new_ids(text: &str, known: &HashSet<String>) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let id = rest.get(..36).filter(|id| id.as_bytes()[8] == b'-' && Uuid::try_parse(id).is_ok());
        let step = match id {
            Some(id) if !known.contains(id) => {
                shown.push_str("<new>");
                36
            }
            _ => {
                shown.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[step..];
    }
    shown
}
