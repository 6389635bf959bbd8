//! Boxes between the stored image and the upright one. Models see pixels of the stored image; people see it
//! upright, as its EXIF orientation says. photometa keeps boxes in fractions of the upright image.

/// A box by its top left corner; in pixels or fractions, as the function says.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Rectangle {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// Turns a box in pixels of a stored image of `width` × `height` into fractions of the upright image.
/// `orientation` is EXIF's, 1 to 8 (TIFF 6.0, tag 274); anything else counts as 1.
pub fn upright(pixels: Rectangle, (width, height): (f64, f64), orientation: i16) -> Rectangle {
    let (x, y) = (pixels.x / width, pixels.y / height);
    let (w, h) = (pixels.width / width, pixels.height / height);
    // The far corner's distance from the far edge is where a mirrored axis begins.
    let (mirrored_x, mirrored_y) = (1.0 - x - w, 1.0 - y - h);
    let (x, y, width, height) = match orientation {
        2 => (mirrored_x, y, w, h),
        3 => (mirrored_x, mirrored_y, w, h),
        4 => (x, mirrored_y, w, h),
        5 => (y, x, h, w),
        6 => (mirrored_y, x, h, w),
        7 => (mirrored_y, mirrored_x, h, w),
        8 => (y, mirrored_x, h, w),
        _ => (x, y, w, h),
    };
    // Rounding may leave a border box a hair outside.
    let (x, y) = (x.max(0.0), y.max(0.0));
    Rectangle { x, y, width: width.min(1.0 - x), height: height.min(1.0 - y) }
}

/// Which picture of a photo pixels are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// As people see it.
    Upright,
    /// As it is stored, before its EXIF orientation is applied.
    Stored,
}

/// Pixels per row and rows of a picture, of a stored image of `width` × `height` and its EXIF orientation.
pub fn size_of(picture: Picture, (width, height): (f64, f64), orientation: i16) -> (f64, f64) {
    if picture == Picture::Upright && (5..=8).contains(&orientation) { (height, width) } else { (width, height) }
}

/// Turns a box in fractions of the upright image into pixels of a picture; the inverse of [`upright`] for the stored one.
/// A box of no size is a point.
pub fn pixels(found: Rectangle, picture: Picture, stored: (f64, f64), orientation: i16) -> Rectangle {
    // A quarter turn back undoes one; all the others undo themselves.
    let back = match orientation {
        6 => 8,
        8 => 6,
        other => other,
    };
    let Rectangle { x, y, width, height } =
        if picture == Picture::Stored { upright(found, (1.0, 1.0), back) } else { found };
    let (wide, high) = size_of(picture, stored, orientation);
    Rectangle { x: x * wide, y: y * high, width: width * wide, height: height * high }
}

/// The area inside a closed outline (the shoelace formula).
pub fn area(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let next = points.clone().cycle().skip(1);
    points.zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>().abs() / 2.0
}

/// The area that two boxes share, as a part of the area that they cover together: 0 to 1. 0 when neither has an area.
pub fn intersection_over_union(a: Rectangle, b: Rectangle) -> f64 {
    let shared = |(a, a_side): (f64, f64), (b, b_side): (f64, f64)| ((a + a_side).min(b + b_side) - a.max(b)).max(0.0);
    let both = shared((a.x, a.width), (b.x, b.width)) * shared((a.y, a.height), (b.y, b.height));
    let either = a.width * a.height + b.width * b.height - both;
    if either > 0.0 { (both / either).clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intersection_over_union_knows_the_same_the_half_and_the_other() {
        let place = |x, width| Rectangle { x, y: 0.25, width, height: 0.5 };

        assert!((intersection_over_union(place(0.1, 0.2), place(0.1, 0.2)) - 1.0).abs() < 1e-12);
        assert!((intersection_over_union(place(0.0, 0.5), place(0.0, 0.25)) - 0.5).abs() < 1e-12);
        assert!(intersection_over_union(place(0.0, 0.25), place(0.5, 0.25)) < 1e-12);
        assert!(intersection_over_union(Rectangle::default(), Rectangle::default()) < 1e-12);
    }

    #[test]
    fn pixels_of_the_stored_image_are_what_upright_began_with() {
        let (size, close) = ((400.0, 200.0), |a: f64, b: f64| (a - b).abs() < 1e-9);
        let given = Rectangle { x: 20.0, y: 30.0, width: 40.0, height: 10.0 };
        for orientation in 1..=8 {
            let found = pixels(upright(given, size, orientation), Picture::Stored, size, orientation);

            assert!(
                close(found.x, 20.0) && close(found.y, 30.0) && close(found.width, 40.0) && close(found.height, 10.0),
                "orientation {orientation}: {found:?}"
            );
        }
    }

    #[test]
    fn upright_follows_the_eight_orientations() {
        // A 400 × 200 image with a 40 × 10 box at (20, 30); expected corner and size in the upright image's pixels.
        let pixels = Rectangle { x: 20.0, y: 30.0, width: 40.0, height: 10.0 };
        for (orientation, (x, y, w, h), (width, height)) in [
            (1, (20.0, 30.0, 40.0, 10.0), (400.0, 200.0)),
            (2, (340.0, 30.0, 40.0, 10.0), (400.0, 200.0)),
            (3, (340.0, 160.0, 40.0, 10.0), (400.0, 200.0)),
            (4, (20.0, 160.0, 40.0, 10.0), (400.0, 200.0)),
            (5, (30.0, 20.0, 10.0, 40.0), (200.0, 400.0)),
            (6, (160.0, 20.0, 10.0, 40.0), (200.0, 400.0)),
            (7, (160.0, 340.0, 10.0, 40.0), (200.0, 400.0)),
            (8, (30.0, 340.0, 10.0, 40.0), (200.0, 400.0)),
        ] {
            let shown = upright(pixels, (400.0, 200.0), orientation);

            let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(
                close(shown.x * width, x)
                    && close(shown.y * height, y)
                    && close(shown.width * width, w)
                    && close(shown.height * height, h),
                "orientation {orientation}: {shown:?}"
            );
        }
    }
}
