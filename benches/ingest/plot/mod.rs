//! docs/ingest.svg: the results beside what is required, the memory over time, the rate over stored rows. Written by
//! hand: a drawing crate would bring half a dozen packages for some rectangles and lines.

mod canvas;
mod chart;

use super::report::{Bound, Line, Report};
use canvas::{Anchor, Canvas};
use chart::Chart;

const WIDTH: f64 = 920.0;
/// Where the bars begin.
const BARS: f64 = 388.0;
/// Length of a bar that is just as required.
const REQUIRED: f64 = 155.0;
/// Length of the longest bar, in required ones; longer ones are cut off.
const LONGEST: f64 = 2.0;
const ROW: f64 = 38.0;
const CHART: (f64, f64) = (390.0, 190.0);

/// Draws the results.
pub fn draw(report: &Report) -> String {
    let mut canvas = Canvas::default();
    canvas.text((24.0, 36.0), Anchor::Start, "title", "Storing detections, with photometa and without it");
    let mut y = 68.0;
    if report.quick {
        canvas.text((24.0, 56.0), Anchor::Start, "bad", "Quick form: impressions, not to be quoted");
        y += 18.0;
    }
    let lines = |at_least: bool| {
        report.lines.iter().filter(move |line| match line.bound {
            Bound::AtLeast(_) => at_least,
            Bound::AtMost(_) => !at_least,
            Bound::Shown => false,
        })
    };
    for (head, at_least) in [("at least: reaches the line", true), ("at most: ends before the line", false)] {
        let count = lines(at_least).count();
        if count > 0 {
            y = group(&mut canvas, y, head, lines(at_least)) + 22.0;
        }
    }
    y += 12.0;
    if !report.memory.is_empty() {
        memory(&mut canvas, (24.0, y), report);
    }
    if !report.growth.is_empty() {
        growth(&mut canvas, (WIDTH - 24.0 - CHART.0, y), report);
    }
    if !report.memory.is_empty() || !report.growth.is_empty() {
        y += CHART.1 + 70.0;
    }
    let place = format!(
        "{}, photometa {}, PostgreSQL {}, {} processors ({}) for client, service and PostgreSQL",
        report.date, report.version, report.postgresql, report.processors, report.processor
    );
    canvas.text((24.0, y), Anchor::Start, "small", &place);
    canvas.finish((WIDTH, y + 18.0))
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

fn memory(canvas: &mut Canvas, corner: (f64, f64), report: &Report) {
    let start = report.memory[0].1;
    let allowed = start + 50.0;
    let highest = report.memory.iter().map(|sample| sample.1).fold(allowed, f64::max);
    let seconds = report.memory.iter().map(|sample| sample.0).fold(1.0, f64::max);
    let chart = Chart { corner, size: CHART, across: (0.0, seconds), up: (0.0, highest * 1.1) };
    chart.frame(canvas, "Service memory (MiB) on a slow database");
    chart.up_to(canvas, highest, |value| format!("{value:.0}"));
    for part in 0..=5 {
        let second = seconds * f64::from(part) / 5.0;
        let label = if seconds >= 120.0 { format!("{:.0} min", second / 60.0) } else { format!("{second:.0} s") };
        chart.across_at(canvas, second, &label);
    }
    chart.limit(canvas, allowed, Anchor::End, "allowed: 50 MiB more than at start");
    canvas.line("ours", &report.memory.iter().map(|&point| chart.place(point)).collect::<Vec<_>>());
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
fn growth(canvas: &mut Canvas, corner: (f64, f64), report: &Report) {
    // The smaller table of every pair has fifty thousand rows.
    let mut points = vec![(50_000_f64.log10(), 1.0)];
    points.extend(report.growth.iter().map(|point| ((point.rows as f64).log10(), point.many / point.few)));
    let last = points.iter().map(|point| point.0).fold(0.0, f64::max);
    let highest = points.iter().map(|point| point.1).fold(1.0, f64::max);
    let margin = (last - points[0].0) * 0.06;
    let chart = Chart { corner, size: CHART, across: (points[0].0 - margin, last + margin), up: (0.0, highest * 1.2) };
    chart.frame(canvas, "Streaming rate by rows stored (on 50 thousand: 1)");
    chart.up_to(canvas, highest, |value| format!("{value:.1}"));
    let sizes = std::iter::once(50_000).chain(report.growth.iter().map(|point| point.rows));
    for (rows, point) in sizes.zip(&points) {
        let label = if rows >= 1_000_000 { format!("{} M", rows / 1_000_000) } else { format!("{} k", rows / 1000) };
        chart.across_at(canvas, point.0, &label);
    }
    chart.limit(canvas, 0.8, Anchor::Start, "required: 0.8");
    let places: Vec<(f64, f64)> = points.iter().map(|&point| chart.place(point)).collect();
    canvas.line("ours", &places);
    for (&(x, y), point) in places.iter().zip(&points) {
        canvas.dot((x, y));
        canvas.text((x, y - 9.0), Anchor::Middle, "value", &format!("{:.2}", point.1));
    }
}
