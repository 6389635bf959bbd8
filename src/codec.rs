//! The wire codec: prost's, with two differences. Bytes that are no message are the caller's mistake, so they are answered
//! INVALID_ARGUMENT with a reason, where tonic's own codec says INTERNAL. And what would take far more memory than it has
//! bytes is refused before it is decoded.

mod weight;

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::LazyLock;

use bytes::Buf as _;
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder};
use tonic_prost::ProstCodec;

use crate::contract;
use crate::error::Error;

/// Every field of a message of the contract, as `Photo.exif_data`.
static FIELDS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let messages = contract::files().iter().flat_map(|file| &file.message_type);
    let fields =
        messages.flat_map(|message| message.field.iter().map(|field| format!("{}.{}", message.name(), field.name())));
    fields.collect()
});

/// The codec that the generated services use.
#[derive(Debug, Clone)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as tonic::codec::Codec>::Encoder;
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder(PhantomData)
    }
}

/// Decodes one message.
#[derive(Debug)]
pub struct MessageDecoder<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for MessageDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buf.copy_to_bytes(buf.remaining());
        if weight::is_too_heavy(&U::full_name(), &bytes) {
            return Err(Error::TooLarge.into());
        }
        match U::decode(bytes) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(refusal(&error.to_string()).into()),
        }
    }
}

/// Turns prost's words into an error. Free JSON nested too deeply for the decoder breaks the same rule as
/// JSON that is only too deep for us, so it is told the same way, with the path that prost names from the
/// inside out: `failed to decode Protobuf message: Value.kind: Struct.fields: Photo.exif_data: CreatePhotoRequest.photo: …`.
/// It names a oneof, and not which of its fields is set: there the path ends.
fn refusal(message: &str) -> Error {
    let message = message.trim_start_matches("failed to decode Protobuf message: ");
    if !message.contains("recursion limit") {
        return Error::Malformed(message.to_owned());
    }
    let path: Vec<&str> = message
        .split(": ")
        .map_while(|step| step.split_once('.'))
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .take_while(|(owner, field)| FIELDS.contains(&format!("{owner}.{field}")))
        .take_while(|(owner, _)| !matches!(*owner, "Struct" | "Value" | "ListValue"))
        .map(|(_, field)| field)
        .collect();
    if path.is_empty() {
        return Error::Malformed(message.to_owned());
    }
    Error::invalid(path.join("."), "is nested more than 32 levels deep")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_the_field_when_json_is_too_deep() {
        let said = "failed to decode Protobuf message: Value.kind: Struct.fields: Value.kind: Struct.fields: \
                    Photo.exif_data: CreatePhotoRequest.photo: recursion limit reached";

        let Error::Invalid(violations) = refusal(said) else { panic!("not a field violation") };

        assert_eq!(violations[0].path, "photo.exif_data");
    }

    #[test]
    fn refusal_names_what_a_oneof_is_in() {
        let said = "failed to decode Protobuf message: Value.kind: Struct.fields: DetectedObject.attributes: AddObject.object: \
                    ObjectEdit.edit: Feedback.edits: CreateFeedbackRequest.feedback: recursion limit reached";

        let Error::Invalid(violations) = refusal(said) else { panic!("not a field violation") };

        assert_eq!(violations[0].path, "feedback.edits");
    }

    #[test]
    fn refusal_is_malformed_for_other_bytes() {
        assert!(matches!(refusal("failed to decode Protobuf message: invalid wire type"), Error::Malformed(_)));
    }
}
