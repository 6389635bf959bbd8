//! Tags as plain data.

use jiff::Timestamp;

use crate::id::{PhotoId, ProjectId, TagId};

/// Who put a tag on a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A model.
    Ai,
    /// A person.
    User,
}

impl Source {
    /// The name in the database.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ai => "ai",
            Self::User => "user",
        }
    }

    /// The source of that name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        [Self::Ai, Self::User].into_iter().find(|source| source.name() == name)
    }
}

/// A tag to be put on photos.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NewTag {
    /// As people read it: trimmed, white space folded, Unicode NFC.
    pub(super) tag: String,
    /// As it is compared: in lower case.
    pub(super) folded: String,
    /// Who says so.
    pub(super) source: Source,
    /// How sure the model is; `None` changes nothing that is stored.
    pub(super) confidence: Option<f64>,
}

/// Tags and the photos to put each of them on, both without repetitions.
#[derive(Debug)]
pub(super) struct Addition {
    /// The photos, in the order of the request.
    pub(super) photo_ids: Vec<PhotoId>,
    /// The tags.
    pub(super) tags: Vec<NewTag>,
}

/// How many pairs of photo and tag were written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    /// New ones.
    pub(super) added: i32,
    /// Those that took a newer confidence.
    pub(super) updated: i32,
}

/// Tags to take off photos.
#[derive(Debug)]
pub(super) struct Removal {
    /// The photos, in the order of the request.
    pub(super) photo_ids: Vec<PhotoId>,
    /// The tags as they are compared.
    pub(super) folded: Vec<String>,
    /// Only of these sources.
    pub(super) sources: Vec<Source>,
}

/// A tag on a photo.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "the word on the photo is the tag, in the contract too")]
pub(super) struct Tag {
    /// Identity.
    pub(super) id: TagId,
    /// The photo.
    pub(super) photo_id: PhotoId,
    /// The word or phrase.
    pub(super) tag: String,
    /// Who put it there.
    pub(super) source: Source,
    /// How sure the model is.
    pub(super) confidence: Option<f64>,
    /// When it was first put there.
    pub(super) created_at: Timestamp,
}

/// Which part of the vocabulary a list shows.
#[derive(Debug)]
pub(super) struct Filter {
    /// In this project; `None` means all.
    pub(super) project_id: Option<ProjectId>,
    /// Start of the tag as it is compared; empty means any.
    pub(super) prefix: String,
}

/// How the vocabulary is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Most used first, ties by tag.
    CountDescending,
    /// Alphabetically.
    Tag,
}

/// A tag and how often it is used.
#[derive(Debug, Clone)]
pub(super) struct TagCount {
    /// The spelling that sorts first.
    pub(super) tag: String,
    /// The tag as it is compared.
    pub(super) folded: String,
    /// How many photos carry it.
    pub(super) count: i64,
}

/// Sort key of a tag in the vocabulary: its count, then the tag as it is compared.
pub(super) type SortKey = (i64, String);

impl TagCount {
    /// Where the tag stands in the vocabulary, in either order.
    pub(super) fn sort_key(&self) -> SortKey {
        (self.count, self.folded.clone())
    }
}
