//! The rules that files are checked against before anything is sent. Problems name the file and the place.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use super::coco::{Category, Coco, Image};
use crate::cli::Failure;

/// Most problems that are told at once.
const TOLD: usize = 20;
/// Most objects of a detection, characters of a key and of a label, and pixels of a side: the contract's.
const MAX_OBJECTS: usize = 1000;
const MAX_KEY: usize = 500;
const MAX_LABEL: usize = 200;
const MAX_PIXELS: i32 = 1_000_000;

/// Checks a file, and the file of predictions that its annotations came from, if they did.
///
/// # Errors
/// The first problems, with their places.
pub(super) fn check(data: &Coco, file: &Path, predicted: Option<&Path>) -> Result<(), Failure> {
    let mut problems = images(&data.images);
    problems.extend(categories(&data.categories));
    let of_objects = objects(data, predicted.is_some());
    let mut text = String::new();
    if predicted.is_none() {
        problems.extend(of_objects);
        tell(&mut text, file, &problems);
    } else {
        tell(&mut text, file, &problems);
        tell(&mut text, predicted.unwrap_or(file), &of_objects);
    }
    if text.is_empty() { Ok(()) } else { Err(text.into()) }
}

fn tell(text: &mut String, file: &Path, problems: &[String]) {
    if problems.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = write!(text, "{}: nothing was sent, because of", file.display());
    for problem in problems.iter().take(TOLD) {
        let _ = write!(text, "\n  {problem}");
    }
    if problems.len() > TOLD {
        let _ = write!(text, "\n  and {} more", problems.len() - TOLD);
    }
}

fn images(images: &[Image]) -> Vec<String> {
    let mut found = Vec::new();
    let (mut ids, mut names, mut photos) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (index, image) in images.iter().enumerate() {
        let mut say = |problem: String| found.push(format!("image {} (id {}): {problem}", index + 1, image.id));
        if !ids.insert(image.id) {
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
        match (image.photo(), &image.photo_id) {
            (None, None) => {}
            (None, Some(written)) => {
                say(format!("photo_id is {written}; it must be a UUID of photometa's, or be left out"));
            }
            (Some(photo), _) => {
                if !photos.insert(photo) {
                    say(format!("another image has the same photo_id {photo}"));
                }
                if let Some(turn) = image.exif_orientation.filter(|turn| !(1..=8).contains(turn)) {
                    say(format!("exif_orientation is {turn}; 1 to 8 is allowed"));
                }
            }
        }
    }
    found
}

fn categories(categories: &[Category]) -> Vec<String> {
    let mut found = Vec::new();
    let mut ids = HashSet::new();
    for (index, category) in categories.iter().enumerate() {
        let mut say = |problem: String| found.push(format!("category {} (id {}): {problem}", index + 1, category.id));
        if !ids.insert(category.id) {
            say("another category has the same id".to_owned());
        }
        if category.name.is_empty() || category.name.chars().count() > MAX_LABEL {
            say(format!("name must have 1 to {MAX_LABEL} characters"));
        }
        if category.supercategory.as_ref().is_some_and(|above| above.chars().count() > MAX_LABEL) {
            say(format!("supercategory must have at most {MAX_LABEL} characters"));
        }
    }
    found
}

fn objects(data: &Coco, predicted: bool) -> Vec<String> {
    let mut found = Vec::new();
    let categories: HashSet<i64> = data.categories.iter().map(|category| category.id).collect();
    let mut images: HashMap<i64, usize> = data.images.iter().map(|image| (image.id, 0)).collect();
    let many = if predicted { "predictions" } else { "annotations" };
    for (index, annotation) in data.annotations.iter().enumerate() {
        let mut say = |problem: String| {
            found.push(if predicted {
                format!("prediction {}: {problem}", index + 1)
            } else {
                format!("annotation {} (id {}): {problem}", index + 1, annotation.id)
            });
        };
        match images.get_mut(&annotation.image_id) {
            None => say(format!("there is no image {}", annotation.image_id)),
            Some(objects) => {
                *objects += 1;
                if *objects == MAX_OBJECTS + 1 {
                    say(format!("image {} has more than {MAX_OBJECTS} {many}", annotation.image_id));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(data: serde_json::Value, predicted: Option<&str>) -> String {
        let data = serde_json::from_value(data).expect("the form is right");
        check(&data, Path::new("data.json"), predicted.map(Path::new)).expect_err("something is wrong").to_string()
    }

    #[test]
    fn problems_are_all_told_with_their_places() {
        let text = told(
            json!({
                "images": [
                    {"id": 1, "file_name": "a", "width": 0, "height": 2, "photo_id": 7},
                    {"id": 1, "file_name": "a", "width": 2, "height": 2},
                ],
                "annotations": [{"id": 7, "image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1]}],
            }),
            None,
        );

        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "data.json: nothing was sent, because of",
                "  image 1 (id 1): width is 0; 1 to 1000000 is allowed",
                "  image 1 (id 1): photo_id is 7; it must be a UUID of photometa's, or be left out",
                "  image 2 (id 1): another image has the same id",
                "  image 2 (id 1): another image has the same file_name \"a\"",
                "  annotation 1 (id 7): there is no image 9",
                "  annotation 1 (id 7): there is no category 3",
            ]
        );
    }

    #[test]
    fn problems_of_predictions_name_their_file() {
        let text = told(
            json!({
                "images": [{"id": 1, "file_name": "a", "width": 2, "height": 2}],
                "categories": [{"id": 3, "name": "crack"}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "score": 1.5}],
            }),
            Some("predictions.json"),
        );

        assert_eq!(
            text,
            "predictions.json: nothing was sent, because of\n  prediction 1: score is 1.5; 0 to 1 is allowed"
        );
    }
}
