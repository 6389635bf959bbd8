//! google.protobuf.Struct in the service's messages: the tree that a client sent, or bytes made of stored text.
//! Stored JSON is only shown, so no tree is built of it.

use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};

/// A google.protobuf.Struct. What is decoded becomes a tree whose names are sorted, so that a content digest does not
/// hang on the order in which a client writes them.
#[derive(Debug, Clone)]
pub struct Struct(Form);

#[derive(Debug, Clone)]
enum Form {
    Tree(prost_types::Struct),
    /// The message as it is encoded, without its length.
    Encoded(Vec<u8>),
}

impl Struct {
    /// `bytes` are an encoded Struct.
    pub(super) fn encoded(bytes: Vec<u8>) -> Self {
        Self(Form::Encoded(bytes))
    }

    /// The tree.
    ///
    /// # Errors
    /// The bytes are no Struct, which those made here are not.
    pub fn into_tree(self) -> Result<prost_types::Struct, DecodeError> {
        match self.0 {
            Form::Tree(tree) => Ok(tree),
            Form::Encoded(bytes) => prost_types::Struct::decode(bytes.as_slice()),
        }
    }
}

impl From<prost_types::Struct> for Struct {
    fn from(tree: prost_types::Struct) -> Self {
        Self(Form::Tree(tree))
    }
}

impl Default for Struct {
    fn default() -> Self {
        prost_types::Struct::default().into()
    }
}

/// The order of names does not count.
impl PartialEq for Struct {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Tree(this), Form::Tree(other)) => this == other,
            (Form::Encoded(this), Form::Encoded(other)) if this == other => true,
            _ => self.clone().into_tree().is_ok_and(|this| other.clone().into_tree() == Ok(this)),
        }
    }
}

impl Message for Struct {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        match &self.0 {
            Form::Tree(tree) => tree.encode_raw(buf),
            Form::Encoded(bytes) => buf.put_slice(bytes),
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut tree = std::mem::take(self).into_tree()?;
        let merged = tree.merge_field(tag, wire_type, buf, ctx);
        self.0 = Form::Tree(tree);
        merged
    }

    fn encoded_len(&self) -> usize {
        match &self.0 {
            Form::Tree(tree) => tree.encoded_len(),
            Form::Encoded(bytes) => bytes.len(),
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Value;

    use super::*;

    fn tree(name: &str, value: f64) -> prost_types::Struct {
        prost_types::Struct { fields: [(name.to_owned(), Value::from(value))].into() }
    }

    #[test]
    fn bytes_and_tree_are_the_same_message() {
        let (one, other) = (tree("a", 1.0), tree("a", 2.0));
        let encoded = Struct::encoded(one.encode_to_vec());

        assert_eq!(encoded, Struct::from(one.clone()));
        assert_ne!(encoded, Struct::from(other.clone()));
        assert_eq!(encoded.encode_to_vec(), one.encode_to_vec());
        assert_eq!(encoded.encoded_len(), one.encoded_len());
        assert_eq!(Struct::decode(one.encode_to_vec().as_slice()), Ok(encoded.clone()));
        assert_eq!(encoded.into_tree(), Ok(one));
    }

    #[test]
    fn merging_into_bytes_adds_to_them() {
        let mut message = Struct::encoded(tree("a", 1.0).encode_to_vec());

        message.merge(tree("b", 2.0).encode_to_vec().as_slice()).expect("a Struct");
        let merged = message.clone();
        message.clear();

        let expected = prost_types::Struct {
            fields: [tree("a", 1.0), tree("b", 2.0)].map(|tree| tree.fields).into_iter().flatten().collect(),
        };
        assert_eq!(merged, expected.into());
        assert_eq!(message, Struct::default());
    }
}
