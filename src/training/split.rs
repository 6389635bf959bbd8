//! Which part of split data a photo belongs to: decided by its key and the seed alone, so that it stays there whatever is
//! added to the data.

use ring::digest::{Context, SHA256};

use super::model::Photo;

/// A part of split data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    /// Its name in training data.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// How data are split.
#[derive(Debug)]
pub(crate) struct Split {
    /// Photos of one project stay together.
    pub(crate) by_project: bool,
    /// How many of 100 keys are for validation.
    pub(crate) validation: u8,
    /// How many are for the test.
    pub(crate) test: u8,
    /// Another seed makes another split.
    pub(crate) seed: String,
    /// The part that is exported; without one, all of them.
    pub(crate) part: Option<Part>,
}

impl Split {
    /// The part of a photo.
    pub(crate) fn part_of(&self, photo: &Photo) -> Part {
        let key = if self.by_project { photo.project_id.0 } else { photo.id.0 };
        let mut context = Context::new(&SHA256);
        context.update(self.seed.as_bytes());
        context.update(&[0]);
        context.update(key.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&context.finish().as_ref()[..8]);
        // The top 64 bits as a fraction of 1, in percent.
        let percent = (u128::from(u64::from_be_bytes(first)) * 100) >> 64;
        let (validation, test) = (u128::from(self.validation), u128::from(self.test));
        match percent {
            _ if percent < validation => Part::Validation,
            _ if percent < validation + test => Part::Test,
            _ => Part::Train,
        }
    }

    /// Whether a photo is in what is exported.
    pub(crate) fn takes(&self, photo: &Photo) -> bool {
        self.part.is_none_or(|part| part == self.part_of(photo))
    }
}
