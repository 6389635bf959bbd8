//! Results beside what is required of them.

use super::super::comparison::{Bound, Line};
use super::canvas::{Anchor, Canvas};

/// Where the bars begin.
const BARS: f64 = 388.0;
/// Length of a bar that is just as required.
const REQUIRED: f64 = 155.0;
/// Length of the longest bar, in required ones; longer ones are cut off.
const LONGEST: f64 = 2.0;
const ROW: f64 = 38.0;

/// Draws the lines of which something is required, in two groups; answers where they end.
pub fn draw(canvas: &mut Canvas, top: f64, lines: &[Line]) -> f64 {
    let mut y = top;
    for (head, at_least) in [("at least: reaches the line", true), ("at most: ends before the line", false)] {
        let lines = || {
            lines.iter().filter(move |line| match line.bound {
                Bound::AtLeast(_) => at_least,
                Bound::AtMost(_) => !at_least,
                Bound::Shown => false,
            })
        };
        if lines().count() > 0 {
            y = group(canvas, y, head, lines()) + 22.0;
        }
    }
    y
}

/// Bars below a head; answers where they end.
fn group<'a>(canvas: &mut Canvas, top: f64, head: &str, lines: impl Iterator<Item = &'a Line>) -> f64 {
    canvas.text((BARS + REQUIRED, top), Anchor::Middle, "small", head);
    let mut y = top + 8.0;
    for line in lines {
        bar(canvas, y, line);
        y += ROW;
    }
    canvas.line("limit", &[(BARS + REQUIRED, top + 6.0), (BARS + REQUIRED, y)]);
    y
}

fn bar(canvas: &mut Canvas, y: f64, line: &Line) {
    let (Bound::AtLeast(required) | Bound::AtMost(required)) = line.bound else { return };
    let length = (line.result() / required).clamp(0.0, LONGEST) * REQUIRED;
    let kept = line.bound.holds(line.result());
    canvas.text((BARS - 14.0, y + 16.0), Anchor::End, "", &line.measure);
    canvas.text((BARS - 14.0, y + 31.0), Anchor::End, "small", &format!("against {}", line.against));
    canvas.rect(if kept { "kept" } else { "missed" }, (BARS, y + 7.0), (length.max(1.5), ROW - 14.0));
    let right = BARS + LONGEST * REQUIRED + 14.0;
    canvas.text((right, y + 16.0), Anchor::Start, if kept { "good" } else { "bad" }, &line.told(line.result()));
    canvas.text((right, y + 31.0), Anchor::Start, "small", &format!("required: {}", line.required()));
}
