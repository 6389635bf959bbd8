//! COCO files: what is read of them, and the rules that are checked before anything is sent. Problems name the
//! file and the place, counted from 1.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::marker::PhantomData;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use crate::cli::Failure;

/// Most problems that are told at once.
const TOLD: usize = 20;
/// Most objects of a detection, characters of a key and of a label, and pixels of a side: the contract's.
const MAX_OBJECTS: usize = 1000;
const MAX_KEY: usize = 500;
const MAX_LABEL: usize = 200;
const MAX_PIXELS: i32 = 1_000_000;

/// A COCO file.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a COCO file: an object with images, annotations and categories")]
pub(super) struct Coco {
    #[serde(deserialize_with = "images")]
    pub(super) images: Vec<Image>,
    #[serde(default, deserialize_with = "annotations")]
    pub(super) annotations: Vec<Annotation>,
    #[serde(default, deserialize_with = "categories")]
    pub(super) categories: Vec<Category>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "an image")]
pub(super) struct Image {
    pub(super) id: i64,
    pub(super) file_name: String,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) flickr_url: Option<String>,
    pub(super) coco_url: Option<String>,
    /// Written in many ways, or not at all.
    pub(super) date_captured: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "an annotation")]
pub(super) struct Annotation {
    pub(super) id: i64,
    pub(super) image_id: i64,
    pub(super) category_id: i64,
    /// x, y, width, height in pixels.
    pub(super) bbox: Option<[f64; 4]>,
    pub(super) segmentation: Option<Segmentation>,
    pub(super) area: Option<f64>,
    pub(super) iscrowd: Option<Value>,
    pub(super) score: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Segmentation {
    /// Outlines as x, y, x, y … in pixels.
    Rings(Vec<Vec<f64>>),
    /// Run-length encoded.
    Mask(Value),
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a category")]
pub(super) struct Category {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) supercategory: Option<String>,
}

/// Reads and checks a file.
///
/// # Errors
/// When it cannot be read, is no COCO file, or breaks a rule: the first problems, with their places.
pub(super) fn read(file: &Path) -> Result<Coco, Failure> {
    let bytes = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let data: Coco = serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    let problems = problems(&data);
    if problems.is_empty() {
        return Ok(data);
    }
    let mut text = format!("{}: nothing was sent, because of", file.display());
    for problem in problems.iter().take(TOLD) {
        text.push_str("\n  ");
        text.push_str(problem);
    }
    if problems.len() > TOLD {
        let _ = write!(text, "\n  and {} more", problems.len() - TOLD);
    }
    Err(text.into())
}

fn problems(data: &Coco) -> Vec<String> {
    let mut found = Vec::new();
    let mut names = HashSet::new();
    let mut images = HashMap::new();
    for (index, image) in data.images.iter().enumerate() {
        let mut say = |problem: String| found.push(format!("image {} (id {}): {problem}", index + 1, image.id));
        if images.insert(image.id, 0).is_some() {
            say("another image has the same id".to_owned());
        }
        if !names.insert(image.file_name.as_str()) {
            say(format!("another image has the same file_name {:?}", image.file_name));
        }
        if image.file_name.is_empty() || image.file_name.chars().count() > MAX_KEY {
            say(format!("file_name must have 1 to {MAX_KEY} characters"));
        }
        for (name, side) in [("width", image.width), ("height", image.height)] {
            if !(1..=MAX_PIXELS).contains(&side) {
                say(format!("{name} is {side}; 1 to {MAX_PIXELS} is allowed"));
            }
        }
    }

    let mut categories = HashSet::new();
    for (index, category) in data.categories.iter().enumerate() {
        let mut say = |problem: String| found.push(format!("category {} (id {}): {problem}", index + 1, category.id));
        if !categories.insert(category.id) {
            say("another category has the same id".to_owned());
        }
        if category.name.is_empty() || category.name.chars().count() > MAX_LABEL {
            say(format!("name must have 1 to {MAX_LABEL} characters"));
        }
    }

    for (index, annotation) in data.annotations.iter().enumerate() {
        let mut say =
            |problem: String| found.push(format!("annotation {} (id {}): {problem}", index + 1, annotation.id));
        match images.get_mut(&annotation.image_id) {
            None => say(format!("there is no image {}", annotation.image_id)),
            Some(objects) => {
                *objects += 1;
                if *objects == MAX_OBJECTS + 1 {
                    say(format!("image {} has more than {MAX_OBJECTS} annotations", annotation.image_id));
                }
            }
        }
        if !categories.contains(&annotation.category_id) {
            say(format!("there is no category {}", annotation.category_id));
        }
        if let Some(score) = annotation.score.filter(|score| !(0.0..=1.0).contains(score)) {
            say(format!("score is {score}; 0 to 1 is allowed"));
        }
    }
    found
}

fn images<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Image>, D::Error> {
    deserializer.deserialize_seq(Numbered { what: "image", item: PhantomData })
}

fn annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Annotation>, D::Error> {
    deserializer.deserialize_seq(Numbered { what: "annotation", item: PhantomData })
}

fn categories<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Category>, D::Error> {
    deserializer.deserialize_seq(Numbered { what: "category", item: PhantomData })
}

/// Reads a list whose errors say which item they are about.
struct Numbered<T> {
    what: &'static str,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Numbered<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list, each item {} {}", if self.what.starts_with(['a', 'i']) { "an" } else { "a" }, self.what)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        let name = |index: usize, error: A::Error| de::Error::custom(format_args!("{} {index}: {error}", self.what));
        while let Some(item) = items.next_element().map_err(|error| name(read.len() + 1, error))? {
            read.push(item);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_names_the_item_that_is_wrong() {
        let text = r#"{"images": [{"id": 1, "file_name": "a", "width": 2, "height": 2}, {"id": 2, "file_name": "b", "height": 2}]}"#;

        let error = serde_json::from_str::<Coco>(text).expect_err("the second image has no width").to_string();

        assert!(error.starts_with("image 2: missing field `width` at line 1"), "{error}");
    }

    #[test]
    fn problems_are_all_told_with_their_places() {
        let data = serde_json::from_value(serde_json::json!({
            "images": [
                {"id": 1, "file_name": "a", "width": 0, "height": 2},
                {"id": 1, "file_name": "a", "width": 2, "height": 2},
            ],
            "annotations": [{"id": 7, "image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1]}],
        }));

        let found = problems(&data.expect("the form is right"));

        assert_eq!(
            found,
            [
                "image 1 (id 1): width is 0; 1 to 1000000 is allowed",
                "image 2 (id 1): another image has the same id",
                "image 2 (id 1): another image has the same file_name \"a\"",
                "annotation 1 (id 7): there is no image 9",
                "annotation 1 (id 7): there is no category 3",
            ]
        );
    }
}
