//! Objects in pixels, and what COCO asks of them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::model::Photo;
use crate::detection::{Object, Outline};
use crate::geometry::{self, Picture, Rectangle, pixels, size_of};

/// Most characters of a label.
const MAX_LABEL: usize = 200;

/// An object's place in pixels.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    /// x, y, width, height.
    pub(super) bbox: [f64; 4],
    pub(super) segmentation: Segmentation<'a>,
    pub(super) area: f64,
    pub(super) iscrowd: u8,
}

/// An object's outlines.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Segmentation<'a> {
    /// As x, y, x, y …
    Rings(Vec<Vec<f64>>),
    /// Run-length encoded, as it was brought in.
    Mask(&'a RawValue),
}

/// What is read of an object's attributes.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Attributes<'a> {
    #[serde(borrow)]
    iscrowd: Option<&'a RawValue>,
    #[serde(borrow)]
    area: Option<&'a RawValue>,
    #[serde(borrow)]
    supercategory: Option<&'a RawValue>,
    #[serde(borrow)]
    segmentation: Option<&'a RawValue>,
}

impl<'a> Attributes<'a> {
    /// Those of an object.
    pub(super) fn of(object: &'a Object) -> Self {
        object.attributes.as_deref().and_then(|kept| serde_json::from_str(kept.get()).ok()).unwrap_or_default()
    }

    /// What the label is a kind of.
    pub(super) fn supercategory(&self) -> String {
        let found: Option<String> = self.supercategory.and_then(|kept| serde_json::from_str(kept.get()).ok());
        found.filter(|found| found.chars().count() <= 200).unwrap_or_default()
    }

    fn number(kept: Option<&RawValue>) -> Option<f64> {
        let text = kept?.get();
        serde_json::from_str::<f64>(text)
            .ok()
            .or_else(|| Some(f64::from(u8::from(serde_json::from_str::<bool>(text).ok()?))))
    }
}

/// The size of a mask, as rows and columns.
#[derive(Deserialize)]
struct Mask {
    size: [f64; 2],
}

/// A millionth of a pixel is enough, and short to write.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// Whether an object has a place.
pub(super) fn is_placed(object: &Object) -> bool {
    object.bounding_box.is_some() || object.polygon.is_some()
}

/// The label by which an object is numbered. What was not written by the service may have none, or a longer one.
pub(super) fn label(object: &Object) -> &str {
    match object.label.char_indices().nth(MAX_LABEL) {
        _ if object.label.is_empty() => "unlabelled",
        Some((end, _)) => &object.label[..end],
        None => &object.label,
    }
}

/// The place of an object in a picture of its photo, whose size is known; none of an object without a place. `stays`: it is
/// where whoever brought it saw it, so that what they measured of it holds.
pub(super) fn shape<'a>(
    photo: &Photo,
    size: (i32, i32),
    picture: Picture,
    object: &Object,
    (attributes, stays): (&Attributes<'a>, bool),
) -> Option<Shape<'a>> {
    let stored = (f64::from(size.0), f64::from(size.1));
    let place = |found: Rectangle| pixels(found, picture, stored, photo.orientation);
    let outlines = object.polygon.iter().chain(&object.parts);
    let ring = |outline: &Outline| -> Vec<f64> {
        let points =
            outline.points.iter().map(|point| place(Rectangle { x: point.x, y: point.y, ..Rectangle::default() }));
        points.flat_map(|point| [rounded(point.x), rounded(point.y)]).collect()
    };
    let rings: Vec<Vec<f64>> = outlines.map(ring).collect();
    let found = object.bounding_box.map(place).or_else(|| around(&rings))?;
    let (width, height) = size_of(picture, stored, photo.orientation);
    let (x, y) = (rounded(found.x).clamp(0.0, width), rounded(found.y).clamp(0.0, height));
    let bbox = [x, y, rounded(found.width.min(width - x)), rounded(found.height.min(height - y))];
    let mask = attributes.segmentation.filter(|kept| {
        let fits = |mask: Mask| (mask.size[0] - height).abs() < 0.5 && (mask.size[1] - width).abs() < 0.5;
        let told = is_told(picture, stored, photo.orientation);
        rings.is_empty() && stays && told && serde_json::from_str(kept.get()).is_ok_and(fits)
    });
    let measured = Attributes::number(attributes.area).filter(|area| stays && *area >= 0.0);
    let area = measured.unwrap_or_else(|| {
        let outlined: f64 =
            rings.iter().map(|ring| geometry::area(ring.chunks_exact(2).map(|point| (point[0], point[1])))).sum();
        rounded(if outlined > 0.0 { outlined } else { found.width * found.height })
    });
    let iscrowd = u8::from(Attributes::number(attributes.iscrowd).is_some_and(|flag| flag != 0.0));
    let segmentation = mask.map_or(Segmentation::Rings(rings), Segmentation::Mask);
    Some(Shape { bbox, segmentation, area, iscrowd })
}

/// Whether a mask that has the size of a picture is one of it: the stored image and the upright one may have the same size,
/// and models see the stored one.
fn is_told(picture: Picture, (width, height): (f64, f64), orientation: i16) -> bool {
    let turned = size_of(Picture::Upright, (width, height), orientation) != (width, height);
    picture == Picture::Stored || turned || orientation == 1
}

/// The box around outlines.
fn around(rings: &[Vec<f64>]) -> Option<Rectangle> {
    let points = || rings.iter().flat_map(|ring| ring.chunks_exact(2));
    let ends = |at: usize| {
        let numbers = || points().map(move |point| point[at]);
        Some((numbers().reduce(f64::min)?, numbers().reduce(f64::max)?))
    };
    let ((left, right), (top, bottom)) = (ends(0)?, ends(1)?);
    Some(Rectangle { x: left, y: top, width: right - left, height: bottom - top })
}
