//! COCO files: what is read of them. A place in a file is told by the name of the list and the number in it, from 1.

use std::fmt;
use std::fs;
use std::marker::PhantomData;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use uuid::Uuid;

use super::check::check;
use crate::cli::Failure;
use crate::geometry::Picture;

/// A COCO file.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a COCO file: an object with images, annotations and categories")]
pub(super) struct Coco {
    info: Option<Value>,
    #[serde(deserialize_with = "images")]
    pub(super) images: Vec<Image>,
    #[serde(default, deserialize_with = "annotations")]
    pub(super) annotations: Vec<Annotation>,
    #[serde(default, deserialize_with = "categories")]
    pub(super) categories: Vec<Category>,
}

impl Coco {
    /// Which picture its pixels are of, as our own exports say.
    pub(super) fn picture(&self) -> Picture {
        match self.info.as_ref().and_then(|info| info.get("frame")).and_then(Value::as_str) {
            Some("stored") => Picture::Stored,
            _ => Picture::Upright,
        }
    }
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
    /// Of our own exports, as are the next two: the photo that it is.
    pub(super) photo_id: Option<Value>,
    pub(super) project_id: Option<Value>,
    pub(super) exif_orientation: Option<i16>,
}

impl Image {
    /// The photo that it is, if it says so.
    pub(super) fn photo(&self) -> Option<Uuid> {
        uuid(self.photo_id.as_ref())
    }

    /// The project of that photo.
    pub(super) fn project(&self) -> Option<Uuid> {
        self.photo().and(uuid(self.project_id.as_ref()))
    }
}

fn uuid(written: Option<&Value>) -> Option<Uuid> {
    written?.as_str()?.parse().ok()
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
    /// Of our own exports: what the object is called in its detection.
    pub(super) object_id: Option<Value>,
}

/// What a model writes: an annotation of less, with a score.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a prediction")]
struct Prediction {
    image_id: i64,
    category_id: i64,
    bbox: Option<[f64; 4]>,
    segmentation: Option<Segmentation>,
    score: f64,
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

/// A file of predictions.
#[derive(Deserialize)]
struct Predictions(#[serde(deserialize_with = "predictions")] Vec<Prediction>);

/// Reads and checks a file. With a file of predictions, those stand in place of its annotations; their ids are their
/// numbers in it.
///
/// # Errors
/// When one cannot be read, is not what it should be, or breaks a rule: the first problems, with their places.
pub(super) fn read(file: &Path, predicted: Option<&Path>) -> Result<Coco, Failure> {
    let mut data = parse(file, &load(file)?)?;
    if let Some(predicted) = predicted {
        data.annotations = parse_predictions(predicted, &load(predicted)?)?;
    }
    check(&data, file, predicted)?;
    Ok(data)
}

fn load(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()).into())
}

/// Reads the bytes of a file.
pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<Coco, Failure> {
    let list = "this is a list, as files of predictions are; give the file of the images and categories first:\n  \
                photometa import coco DATASET.json --predictions PREDICTIONS.json --model-version NAME";
    if is_list(bytes) { Err(format!("{}: {list}", file.display()).into()) } else { of_json(file, bytes) }
}

/// Reads the bytes of a file of predictions.
pub(super) fn parse_predictions(file: &Path, bytes: &[u8]) -> Result<Vec<Annotation>, Failure> {
    if !is_list(bytes) {
        let list = "predictions are a list of objects with image_id, category_id, bbox or segmentation, and score";
        return Err(format!("{}: {list}", file.display()).into());
    }
    let Predictions(predictions) = of_json(file, bytes)?;
    Ok((1..).zip(predictions).map(|(number, prediction)| prediction.numbered(number)).collect())
}

fn of_json<T: DeserializeOwned>(file: &Path, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn is_list(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"[")
}

impl Prediction {
    fn numbered(self, id: i64) -> Annotation {
        let Self { image_id, category_id, bbox, segmentation, score } = self;
        let (area, iscrowd, object_id) = (None, None, None);
        Annotation { id, image_id, category_id, bbox, segmentation, area, iscrowd, score: Some(score), object_id }
    }
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

fn predictions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Prediction>, D::Error> {
    deserializer.deserialize_seq(Numbered { what: "prediction", item: PhantomData })
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
    fn reading_names_the_prediction_that_is_wrong() {
        let text = r#"[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}, {"image_id": 1, "category_id": 1}]"#;

        let error = serde_json::from_str::<Predictions>(text).err().expect("the second one has no score").to_string();

        assert!(error.starts_with("prediction 2: missing field `score` at line 1"), "{error}");
    }
}
