//! Boxes and outlines in pixels of a file's picture to fractions of the upright photo, as the contract has them.

use serde_json::{Value, json};

use super::coco::Segmentation;
use crate::geometry::{self, Picture, Rectangle, upright};
use crate::pb;

/// Points of an outline, and most further outlines: the contract's.
const POINTS: std::ops::RangeInclusive<usize> = 3..=2000;
const MAX_PARTS: usize = 100;

/// The picture that pixels are of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    /// Pixels per row, and rows.
    size: (i32, i32),
    /// The stored photo's, as EXIF has it.
    orientation: i16,
    picture: Picture,
}

impl Page {
    pub(super) fn new(size: (i32, i32), orientation: i16, picture: Picture) -> Self {
        Self { size, orientation, picture }
    }

    pub(super) fn orientation(self) -> i16 {
        self.orientation
    }

    /// Width and height of the photo as it is stored.
    pub(super) fn stored(self) -> (i32, i32) {
        let (width, height) = self.size;
        let turned = self.picture == Picture::Upright && (5..=8).contains(&self.orientation);
        if turned { (height, width) } else { (width, height) }
    }

    fn extent(self) -> (f64, f64) {
        (f64::from(self.size.0), f64::from(self.size.1))
    }

    fn place(self, pixels: Rectangle) -> Rectangle {
        upright(pixels, self.extent(), if self.picture == Picture::Stored { self.orientation } else { 1 })
    }

    /// The part of a box that lies inside; COCO boxes may leave their image by fractions of a pixel. `None` without one.
    pub(super) fn bounding_box(self, [x, y, width, height]: [f64; 4]) -> Option<pb::BoundingBox> {
        let (most_x, most_y) = self.extent();
        let (left, top) = (rounded(x.clamp(0.0, most_x)), rounded(y.clamp(0.0, most_y)));
        let (right, bottom) = ((x + width).clamp(0.0, most_x), (y + height).clamp(0.0, most_y));
        let (width, height) = (rounded(right - left), rounded(bottom - top));
        let Rectangle { x, y, width, height } = self.place(Rectangle { x: left, y: top, width, height });
        (width > 0.0 && height > 0.0).then_some(pb::BoundingBox { x, y, width, height })
    }

    fn polygon(self, ring: &[f64]) -> pb::Polygon {
        let points = self.inside(ring).map(|(x, y)| {
            let Rectangle { x, y, .. } = self.place(Rectangle { x, y, ..Rectangle::default() });
            pb::Point { x, y }
        });
        pb::Polygon { points: points.collect() }
    }

    /// The points of a ring; those outside are moved to the border.
    fn inside(self, ring: &[f64]) -> impl Iterator<Item = (f64, f64)> + Clone {
        let (most_x, most_y) = self.extent();
        ring.chunks_exact(2).map(move |pair| {
            let (x, y) = (pair[0].clamp(0.0, most_x), pair[1].clamp(0.0, most_y));
            (rounded(x), rounded(y))
        })
    }

    /// The area inside a ring.
    fn area(self, ring: &[f64]) -> f64 {
        geometry::area(self.inside(ring))
    }
}

/// A millionth of a pixel, as exports write it: what comes back is the same to the last bit.
fn rounded(pixels: f64) -> f64 {
    (pixels * 1e6).round() / 1e6
}

/// What a segmentation becomes.
#[derive(Debug, PartialEq)]
pub(super) struct Outlines {
    /// The largest outline.
    pub(super) first: Option<pb::Polygon>,
    /// The others.
    pub(super) others: Vec<pb::Polygon>,
    /// What cannot be an outline: rings of too few or too many points, rings beyond the limit, or a mask as it is written.
    pub(super) rest: Option<Value>,
}

/// Whether a ring can be an outline.
fn is_outline(ring: &[f64]) -> bool {
    ring.len().is_multiple_of(2) && POINTS.contains(&(ring.len() / 2))
}

/// Whether a segmentation has rings that cannot all be outlines of an object.
pub(super) fn leaves_rest(written: Option<&Segmentation>) -> bool {
    let Some(Segmentation::Rings(rings)) = written else { return false };
    let outlines = rings.iter().filter(|ring| is_outline(ring)).count();
    outlines < rings.len() || outlines > 1 + MAX_PARTS
}

/// Reads a segmentation.
pub(super) fn outlines(page: Page, written: Option<&Segmentation>) -> Outlines {
    let rings = match written {
        None => return Outlines { first: None, others: Vec::new(), rest: None },
        Some(Segmentation::Mask(mask)) => {
            return Outlines { first: None, others: Vec::new(), rest: Some(mask.clone()) };
        }
        Some(Segmentation::Rings(rings)) => rings,
    };
    let (mut outlines, mut rest): (Vec<&Vec<f64>>, Vec<&Vec<f64>>) = rings.iter().partition(|ring| is_outline(ring));
    // The first of the largest: which it is must not depend on rounding, or an export would change with each round.
    let most = outlines.iter().map(|ring| page.area(ring)).fold(0.0, f64::max) * (1.0 - 1e-6);
    let largest = outlines.iter().position(|ring| page.area(ring) >= most).map(|index| outlines.remove(index));
    rest.extend(outlines.drain(outlines.len().min(MAX_PARTS)..));
    Outlines {
        first: largest.map(|ring| page.polygon(ring)),
        others: outlines.into_iter().map(|ring| page.polygon(ring)).collect(),
        rest: (!rest.is_empty()).then(|| json!(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page::new((400, 200), 1, Picture::Upright)
    }

    #[test]
    fn bounding_box_cuts_what_leaves_the_image() {
        let inside = page().bounding_box([-0.5, 10.0, 20.0, 190.7]).expect("a box");

        assert_eq!((inside.x, inside.y, inside.width, inside.height), (0.0, 0.05, 19.5 / 400.0, 0.95));
        assert_eq!(page().bounding_box([400.0, 10.0, 5.0, 5.0]), None);
        assert_eq!(page().bounding_box([5.0, 10.0, 0.0, 5.0]), None);
    }

    #[test]
    fn pixels_of_the_stored_image_are_turned() {
        // A quarter turn to the right: what was at the left is at the top.
        let stored = Page::new((400, 200), 6, Picture::Stored);

        let turned = stored.bounding_box([0.0, 50.0, 100.0, 100.0]).expect("a box");
        let corner = stored.polygon(&[0.0, 0.0, 400.0, 0.0, 400.0, 200.0]).points;

        assert_eq!((turned.x, turned.y, turned.width, turned.height), (0.25, 0.0, 0.5, 0.25));
        assert_eq!(corner, [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(x, y)| pb::Point { x, y }));
        assert_eq!((stored.stored(), Page::new((200, 400), 6, Picture::Upright).stored()), ((400, 200), (400, 200)));
    }

    #[test]
    fn outlines_begin_with_the_largest_ring_and_keep_what_is_none() {
        let small = vec![0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
        let large = vec![0.0, 0.0, 9.0, 0.0, 9.0, 9.0, 0.0, 9.0];
        let rings = Segmentation::Rings(vec![small.clone(), large.clone(), vec![1.0, 2.0]]);

        let found = outlines(page(), Some(&rings));

        assert!(leaves_rest(Some(&rings)));
        assert_eq!((found.first, found.others), (Some(page().polygon(&large)), vec![page().polygon(&small)]));
        assert_eq!(found.rest, Some(json!([[1.0, 2.0]])));
    }

    #[test]
    fn outlines_keep_what_is_beyond_the_limit_of_parts() {
        let ring = vec![0.0, 0.0, 1.0, 0.0, 1.0, 1.0];

        let found = outlines(page(), Some(&Segmentation::Rings(vec![ring.clone(); MAX_PARTS + 3])));

        assert_eq!((found.others.len(), found.rest), (MAX_PARTS, Some(json!([ring, ring]))));
    }

    #[test]
    fn outlines_of_one_size_stay_in_their_order() {
        let ring = |x: f64| vec![x, 0.0, x + 0.1, 0.0, x + 0.1, 0.1];
        let rings = Segmentation::Rings([0.3, 0.0, 0.7].map(ring).to_vec());

        let found = outlines(page(), Some(&rings));

        assert!(!leaves_rest(Some(&rings)));
        assert_eq!(found.first, Some(page().polygon(&ring(0.3))));
        assert_eq!(found.others, [0.0, 0.7].map(|x| page().polygon(&ring(x))));
    }

    #[test]
    fn outlines_keep_a_mask_as_it_is() {
        let mask = json!({"size": [2, 2], "counts": "04"});

        let found = outlines(page(), Some(&Segmentation::Mask(mask.clone())));

        assert_eq!(found, Outlines { first: None, others: Vec::new(), rest: Some(mask) });
    }
}
