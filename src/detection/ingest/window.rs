//! What a stream has read and not yet stored, and how much of it goes into the next statement.

use std::collections::VecDeque;

use crate::batch::fitting;
use crate::detection::model::NewDetection;

/// Items that wait before nothing more is read.
pub(crate) const WINDOW_ITEMS: usize = 500;
/// Bytes of items that wait, as they came, before nothing more is read.
pub(crate) const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// An item as it was read.
#[derive(Debug)]
pub(super) struct Item {
    /// The client's name for it.
    pub(super) sequence: i64,
    /// What is to be stored, or why it is refused: as the client will see it, because that is bounded.
    pub(super) detection: Result<NewDetection, tonic_types::Status>,
    /// Its size on the wire.
    pub(super) bytes: usize,
}

/// The items that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Window {
    items: VecDeque<Item>,
    bytes: usize,
}

impl Window {
    /// Tells whether one more message may be read.
    pub(super) fn has_room(&self) -> bool {
        self.items.len() < WINDOW_ITEMS && self.bytes < WINDOW_BYTES
    }

    /// Takes an item in.
    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.bytes;
        self.items.push_back(item);
    }

    /// Takes out what one statement stores: no more than [`WINDOW_ITEMS`] and [`WINDOW_BYTES`], but one at least.
    pub(super) fn take(&mut self) -> Vec<Item> {
        let count = fitting(self.items.iter().map(|item| item.bytes), WINDOW_ITEMS, WINDOW_BYTES);
        let taken: Vec<Item> = self.items.drain(..count).collect();
        self.bytes -= taken.iter().map(|item| item.bytes).sum::<usize>();
        taken
    }
}
