//! What a panic says. It ends one call, or one stream: whoever catches it makes an error of it.

use std::any::Any;

use crate::error::Error;

/// The words of a panic.
pub fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

/// A panic as the bug of ours that it is: its words are logged, and never sent.
pub fn error(panic: &(dyn Any + Send)) -> Error {
    Error::Internal(format!("panicked: {}", words(panic)))
}
