//! Does the service's memory stay bounded when its clients are faster than its database?

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::calls::Window;
use super::comparison::{Bound, Line, Unit};
use super::plan::Plan;
use super::report::Report;
use super::server::Server;
use super::status::mebibytes;
use super::{Failure, fill, stream};

const STREAMS: usize = 16;
const PHOTOS: usize = 20_000;
/// Seconds after which the tables are emptied, so that ten minutes of rows do not fill the disk.
const EMPTY: u64 = 30;
/// Every statement that stores detections takes 200 ms longer.
const SLOW: &str = "
    create function companycam_photos.bench_slow() returns trigger language plpgsql as
        $$ begin perform pg_sleep(0.2); return null; end $$;
    create trigger bench_slow before insert on companycam_photos.detections
        for each statement execute function companycam_photos.bench_slow()";

pub async fn run(plan: &Plan, program: &Path, report: &mut Report) -> Result<(), Failure> {
    // A fresh one: what other loads left behind would hide what this one needs.
    let server = Server::start(program, None).await?;
    report.place.postgresql.clone_from(&server.postgresql);
    fill::photos(&server, PHOTOS).await?;
    server.superuser().await?.batch_execute(SLOW).await?;
    let status = format!("/proc/{}/status", server.pid());
    // Forgets the peak of the start.
    fs::write(format!("/proc/{}/clear_refs", server.pid()), "5")?;
    let start = mebibytes(&status, "VmRSS:")?;
    let window = Window::after(Duration::ZERO, plan.memory);
    let watch = async { watch(&server, &status, window).await };
    let ((rate, _), samples) = tokio::try_join!(stream::ingest(&server, STREAMS, PHOTOS, window), watch)?;
    let peak = mebibytes(&status, "VmHWM:")?;
    let last = samples.last().map_or(start, |sample| sample.1);
    eprintln!("memory: {start:.1} MiB at start, {last:.1} at the end, {peak:.1} at most; {rate:.0} rows/s meanwhile");
    report.memory = std::iter::once((0.0, start)).chain(samples).collect();
    let minutes = plan.memory.as_secs_f64() / 60.0;
    let measure = format!("service memory, {minutes} min of a slow database");
    report.add(Line {
        bound: Bound::AtMost(50.0),
        ..Line::of(&measure, "its start", Unit::Mebibytes, &[peak], &[start])
    });
    Ok(())
}

/// Seconds and resident mebibytes, once a second.
async fn watch(server: &Server, status: &str, window: Window) -> Result<Vec<(f64, f64)>, Failure> {
    let mut samples = Vec::new();
    for second in 1.. {
        let at = window.begin + Duration::from_secs(second);
        if at > window.end {
            break;
        }
        sleep_until(at).await;
        samples.push((window.begin.elapsed().as_secs_f64(), mebibytes(status, "VmRSS:")?));
        if second % EMPTY == 0 && at + Duration::from_secs(EMPTY) <= window.end {
            let begun = Instant::now();
            fill::empty(server).await?;
            eprintln!("memory: {second} s, emptied in {:.1} s", begun.elapsed().as_secs_f64());
        }
    }
    Ok(samples)
}
