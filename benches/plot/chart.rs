//! A frame with two axes, and where values are in it.

use super::canvas::{Anchor, Canvas};

/// Space for the labels of the upright axis.
const LEFT: f64 = 34.0;
const HEAD: f64 = 14.0;

/// A chart.
#[derive(Debug)]
pub struct Chart {
    /// Left end of its head's baseline.
    pub corner: (f64, f64),
    /// Width with the labels on the left, and height between the axes.
    pub size: (f64, f64),
    /// First and last value on the level axis.
    pub across: (f64, f64),
    /// Lowest and highest value on the upright axis.
    pub up: (f64, f64),
}

impl Chart {
    /// Where a pair of values is.
    pub fn place(&self, (across, up): (f64, f64)) -> (f64, f64) {
        let part = |value: f64, (first, last): (f64, f64)| (value - first) / (last - first);
        (
            self.corner.0 + LEFT + part(across, self.across) * (self.size.0 - LEFT),
            self.corner.1 + HEAD + (1.0 - part(up, self.up)) * self.size.1,
        )
    }

    /// Draws head and level axis.
    pub fn frame(&self, canvas: &mut Canvas, head: &str) {
        canvas.text(self.corner, Anchor::Start, "head", head);
    }

    /// Draws lines from 0 to about the highest value.
    pub fn up_to(&self, canvas: &mut Canvas, highest: f64, label: impl Fn(f64) -> String) {
        let step =
            [0.2, 1.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0].into_iter().find(|step| highest / step <= 6.0);
        let step = step.unwrap_or(1000.0);
        let mut value = 0.0;
        while value <= self.up.1 {
            let (left, y) = self.place((self.across.0, value));
            canvas.line("grid", &[(left, y), (self.corner.0 + self.size.0, y)]);
            canvas.text((left - 6.0, y + 4.0), Anchor::End, "small", &label(value));
            value += step;
        }
    }

    /// Labels a value of the level axis.
    pub fn across_at(&self, canvas: &mut Canvas, value: f64, label: &str) {
        let (x, y) = self.place((value, self.up.0));
        canvas.line("grid", &[(x, y), (x, y + 5.0)]);
        canvas.text((x, y + 18.0), Anchor::Middle, "small", label);
    }

    /// Draws what is required or allowed, named at one end: the start's below the line, the end's above.
    pub fn limit(&self, canvas: &mut Canvas, value: f64, end: Anchor, label: &str) {
        let (left, y) = self.place((self.across.0, value));
        let right = self.corner.0 + self.size.0;
        canvas.line("limit", &[(left, y), (right, y)]);
        let place = if matches!(end, Anchor::Start) { (left + 6.0, y + 15.0) } else { (right, y - 6.0) };
        canvas.text(place, end, "small", label);
    }
}
