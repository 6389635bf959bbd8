//! docs/ingest.svg: the results beside what is required, the memory over time, the rate over stored rows.

use super::comparison::Place;
use super::plot::bars;
use super::plot::canvas::{Anchor, Canvas};
use super::plot::chart::Chart;
use super::report::Report;

const TITLE: &str = "Storing detections, with photometa and without it";
const WIDTH: f64 = 920.0;
const CHART: (f64, f64) = (390.0, 190.0);

/// Draws the results.
pub fn draw(report: &Report) -> String {
    let mut canvas = Canvas::default();
    canvas.text((24.0, 36.0), Anchor::Start, "title", TITLE);
    let mut y = 68.0;
    if report.quick {
        canvas.text((24.0, 56.0), Anchor::Start, "bad", "Quick form: impressions, not to be quoted");
        y += 18.0;
    }
    y = bars::draw(&mut canvas, y, &report.lines);
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
    let Place { date, version, processors, processor, postgresql } = &report.place;
    let place = format!(
        "{date}, photometa {version}, PostgreSQL {postgresql}, {processors} processors ({processor}) for client, service \
         and PostgreSQL"
    );
    canvas.text((24.0, y), Anchor::Start, "small", &place);
    canvas.finish(TITLE, (WIDTH, y + 18.0))
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
