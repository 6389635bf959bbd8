//! docs/reading.svg: the results beside what is required, and the latency of each filter as an organization grows.

use super::comparison::Place;
use super::plot::bars;
use super::plot::canvas::{Anchor, Canvas};
use super::plot::chart::Chart;
use super::report::Report;

const TITLE: &str = "Reading photos, with photometa and without it";
const WIDTH: f64 = 920.0;
const CHART: (f64, f64) = (872.0, 190.0);

/// Draws the results.
pub fn draw(report: &Report) -> String {
    let mut canvas = Canvas::default();
    canvas.text((24.0, 36.0), Anchor::Start, "title", TITLE);
    let mut y = 68.0;
    if report.quick {
        canvas.text((24.0, 56.0), Anchor::Start, "bad", "Quick form: impressions, not to be quoted");
        y += 18.0;
    }
    y = bars::draw(&mut canvas, y, &report.summary()) + 12.0;
    if report.cases.iter().any(|case| case.group == "growth") {
        growth(&mut canvas, (24.0, y), report);
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

/// A line for each filter: its median latency by photos of the organization, beside that of the smallest one.
#[expect(clippy::cast_precision_loss, reason = "counts of photos are far below 2^52")]
fn growth(canvas: &mut Canvas, corner: (f64, f64), report: &Report) {
    let across: Vec<f64> = report.sizes.iter().map(|photos| (*photos as f64).log10()).collect();
    let (Some(first), Some(last)) = (across.first(), across.last()) else { return };
    let cases: Vec<Vec<f64>> = report
        .cases
        .iter()
        .filter(|case| case.group == "growth")
        .map(|case| case.sides.iter().map(|(_, timing)| timing.p50_ms / case.sides[0].1.p50_ms).collect())
        .collect();
    let highest = cases.iter().flatten().copied().fold(1.3, f64::max);
    let margin = (last - first) * 0.03;
    let chart = Chart { corner, size: CHART, across: (first - margin, last + margin), up: (0.0, highest * 1.2) };
    chart.frame(canvas, "Median latency by photos in the organization, a line for each filter (in the smallest: 1)");
    chart.up_to(canvas, highest, |value| format!("{value:.1}"));
    for (photos, place) in report.sizes.iter().zip(&across) {
        let label =
            if *photos >= 1_000_000 { format!("{} M", photos / 1_000_000) } else { format!("{} k", photos / 1000) };
        chart.across_at(canvas, *place, &label);
    }
    chart.limit(canvas, 1.3, Anchor::End, "allowed: 1.3");
    for case in cases {
        let points: Vec<_> = across.iter().zip(&case).map(|(across, ratio)| chart.place((*across, *ratio))).collect();
        canvas.line("ours", &points);
        for point in points {
            canvas.dot(point);
        }
    }
}
