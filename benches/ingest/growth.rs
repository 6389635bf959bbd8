//! Does the stream keep its rate as the table grows? Two services side by side, one with few rows and one with more
//! and more, measured in turn: what the machine does to one it does to the other.

use std::path::Path;

use super::calls::Window;
use super::comparison::{Bound, Line, Unit};
use super::plan::Plan;
use super::report::{Point, Report};
use super::server::Server;
use super::{Failure, fill, stream};

/// On both sides: only the rows that are stored already differ.
const PHOTOS: usize = 200_000;
/// The smaller table soon grows by the part that brings autovacuum in, and the larger one does not: it would make the
/// smaller one look slow. Both are vacuumed before each measurement.
const BY_HAND: &str = "
    alter table companycam_photos.detections set (autovacuum_enabled = off);
    alter table companycam_photos.detection_events set (autovacuum_enabled = off)";

pub async fn run(plan: &Plan, program: &Path, report: &mut Report) -> Result<(), Failure> {
    let (few, many) = (Server::start(program, None).await?, Server::start(program, None).await?);
    report.place.postgresql.clone_from(&few.postgresql);
    for server in [&few, &many] {
        fill::photos(server, PHOTOS).await?;
        server.superuser().await?.batch_execute(BY_HAND).await?;
    }
    let all = plan.many.last().copied().unwrap_or_default();
    let mut stored = 0;
    for &rows in plan.many {
        fill::detections(&many, PHOTOS, (stored, rows, all)).await?;
        stored = rows;
        let rounds = if rows == all { plan.rounds } else { 1 };
        let (mut on_few, mut on_many) = (Vec::new(), Vec::new());
        for small in plan.turns(&[true, false]).into_iter().take(rounds * 2) {
            let server = if small { &few } else { &many };
            if small {
                // Else the measurements themselves would make it grow.
                fill::empty(&few).await?;
                fill::detections(&few, PHOTOS, (0, plan.few, plan.few)).await?;
            } else {
                fill::settle(&many).await?;
            }
            let window = Window::after(plan.warmup, plan.duration);
            let (rate, _) = stream::ingest(server, stream::STREAMS, PHOTOS, window).await?;
            eprintln!("growth: {rate:.0} rows/s on {} rows", if small { plan.few } else { rows });
            if small { on_few.push(rate) } else { on_many.push(rate) }
        }
        let line = Line::of(
            &format!("IngestDetections, {} streams, {} rows stored", stream::STREAMS, thousands(rows)),
            &format!("{} rows stored", thousands(plan.few)),
            Unit::RowsPerSecond,
            &on_many,
            &on_few,
        );
        report.growth.push(Point { rows, few: line.theirs, many: line.ours });
        if rows == all {
            report.add(Line { bound: Bound::AtLeast(0.8), ..line });
        }
    }
    Ok(())
}

/// "5 million", "50 thousand".
fn thousands(rows: usize) -> String {
    match rows {
        1_000_000.. if rows.is_multiple_of(1_000_000) => format!("{} million", rows / 1_000_000),
        _ => format!("{} thousand", rows / 1000),
    }
}
