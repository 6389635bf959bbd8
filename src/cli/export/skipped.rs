//! What an export had to leave out: counted, the first ones told, and all of them in a file if one is wanted.

use serde::Serialize;

use super::draft::Draft;
use crate::cli::{Failure, complain};
use crate::pb;

/// Most items that are told one by one.
const TOLD: usize = 20;

/// What was left out so far.
#[derive(Debug)]
pub(super) struct Skipped {
    file: Option<Draft>,
    left_out: LeftOut,
}

#[derive(Debug, Clone, Default)]
struct LeftOut {
    photos: usize,
    objects: usize,
    /// The first ones.
    told: Vec<String>,
}

/// How much was left out at some time.
pub(super) struct Mark {
    length: u64,
    left_out: LeftOut,
}

/// An item, as the file has it.
#[derive(Serialize)]
struct Line<'a> {
    reason: &'static str,
    photo_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detection_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    object_id: &'a str,
}

impl Skipped {
    pub(super) fn new(file: Option<Draft>) -> Self {
        Self { file, left_out: LeftOut::default() }
    }

    /// Adds the items of a message.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn add(&mut self, items: &[pb::SkippedData]) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for item in items {
            let pb::SkippedData { reason: _, photo_id, detection_id, object_id } = item;
            let count = if detection_id.is_empty() { &mut self.left_out.photos } else { &mut self.left_out.objects };
            *count += 1;
            if self.left_out.told.len() < TOLD {
                self.left_out.told.push(describe(item));
            }
            if self.file.is_some() {
                let reason = item.reason().as_str_name().trim_start_matches("SKIP_REASON_");
                serde_json::to_writer(&mut lines, &Line { reason, photo_id, detection_id, object_id })?;
                lines.push(b'\n');
            }
        }
        if let Some(file) = self.file.as_mut().filter(|_| !lines.is_empty()) {
            file.write(&lines)?;
        }
        Ok(())
    }

    /// Remembers how much it is.
    ///
    /// # Errors
    /// When the file does not tell its length.
    pub(super) fn mark(&mut self) -> Result<Mark, Failure> {
        let length = self.file.as_mut().map(Draft::length).transpose()?.unwrap_or(0);
        Ok(Mark { length, left_out: self.left_out.clone() })
    }

    /// Forgets what came since.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub(super) fn back_to(&mut self, mark: &Mark) -> Result<(), Failure> {
        self.left_out.clone_from(&mark.left_out);
        self.file.as_mut().map_or(Ok(()), |file| file.cut(mark.length))
    }

    /// Gives the file its name, and tells what is in it.
    ///
    /// # Errors
    /// When it cannot be written or renamed.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.file.map_or(Ok(()), Draft::finish)?;
        self.left_out.tell();
        Ok(())
    }
}

impl LeftOut {
    fn tell(&self) {
        let Self { photos, objects, told } = self;
        let all = photos + objects;
        if all == 0 {
            return;
        }
        for item in told {
            complain(item);
        }
        if all > told.len() {
            complain(&format_args!("and {} more", all - told.len()));
        }
        complain(&format_args!(
            "left out: {photos} photos without width and height, {objects} objects without a place"
        ));
    }
}

fn describe(item: &pb::SkippedData) -> String {
    let pb::SkippedData { reason: _, photo_id, detection_id, object_id } = item;
    match item.reason() {
        pb::SkipReason::NoDimensions => format!("photo {photo_id}: its width and height are not known"),
        pb::SkipReason::NoBox => {
            format!(
                "object {object_id} of detection {detection_id} on photo {photo_id}: it has neither box nor outline"
            )
        }
        pb::SkipReason::Unspecified => format!("photo {photo_id}: left out by the server"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_to_forgets_what_came_since() {
        let photo = pb::SkippedData { reason: pb::SkipReason::NoDimensions.into(), ..pb::SkippedData::default() };
        let object = pb::SkippedData { detection_id: "1".to_owned(), ..photo.clone() };
        let mut skipped = Skipped::new(None);
        skipped.add(std::slice::from_ref(&photo)).expect("there is no file");

        let mark = skipped.mark().expect("there is no file");
        skipped.add(&[photo, object]).expect("there is no file");
        let more = (skipped.left_out.photos, skipped.left_out.objects);
        skipped.back_to(&mark).expect("there is no file");

        assert_eq!((more, skipped.left_out.photos, skipped.left_out.objects), ((2, 1), 1, 0));
        assert_eq!(skipped.left_out.told.len(), 1);
    }
}
