//! What becomes of the service when ten times as much is asked of it as it can do, and what becomes of one organization
//! when another one floods? One command starts the service on a database of its own, finds out what it can do, overloads
//! it, and looks how soon it is itself again. README.md beside the other benchmarks says more.

#[path = "../comparison.rs"]
#[expect(dead_code, reason = "rounds here have no duration, and nothing counts rows")]
mod comparison;
#[path = "../cpu.rs"]
#[expect(dead_code, reason = "processor time is not compared")]
mod cpu;
#[path = "../process.rs"]
mod process;
#[path = "../readme.rs"]
mod readme;
#[path = "../server.rs"]
#[expect(dead_code, reason = "nothing of ours is put into its folder")]
mod server;
#[path = "../session.rs"]
mod session;
#[path = "../skim.rs"]
mod skim;
#[path = "../status.rs"]
mod status;

mod generator;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use photometa::pb;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use self::comparison::{Bound, Line, Place, Unit, columns, markdown};
use self::generator::{Caller, Seen, percentile};
use self::server::Server;
use self::status::mebibytes;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const FILL: &str = include_str!("fill.sql");
/// The organization that floods, and the one that does not.
const FLOOD: &str = "0000000a-0000-4000-8000-000000000001";
const QUIET: &str = "0000000a-0000-4000-8000-000000000002";
/// Callers of the closed loop in which the service does what it can.
const CALLERS: usize = 32;
/// How many times that is offered.
const TIMES: f64 = 10.0;
/// Callers of the quiet organization, and how long each thinks between two calls.
const QUIET_CALLERS: usize = 2;
const THINKS: Duration = Duration::from_millis(40);
/// What is not counted at the beginning of each part.
const WARMUP: Duration = Duration::from_secs(1);

/// Asks ten times as much of the service as it can do.
#[derive(Debug, Parser)]
#[command(name = "overload", max_term_width = 110)]
struct Overload {
    /// Five seconds of overload instead of a minute.
    #[arg(long)]
    quick: bool,
    /// Write the table of docs/limits.md too.
    #[arg(long)]
    write: bool,
    /// A setting of the service, such as --max-concurrent-calls=256; may be repeated.
    #[arg(long, allow_hyphen_values = true)]
    setting: Vec<String>,
    /// Measure this program instead of the one that cargo has built beside the benchmark.
    #[arg(long)]
    photometa: Option<PathBuf>,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A report over ten weeks: some tens of milliseconds of PostgreSQL, and a small answer.
fn report() -> pb::GetDetectionStatsRequest {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    pb::GetDetectionStatsRequest {
        // From 2026-01-01 to 2026-03-12.
        time: Some(pb::TimeRange { start: at(1_767_225_600), end: at(1_773_273_600) }),
        bucket: pb::StatsBucket::Month.into(),
        ..Default::default()
    }
}

const REPORT: &str = "/photometa.v1.DetectionService/GetDetectionStats";

fn tell(what: &str, seen: &Seen) {
    eprintln!(
        "{what}: {} answered, p50 {:.1} ms, p99 {:.1} ms; {} refused, p50 {:.2} ms, p99 {:.2} ms; {} failed {}",
        seen.answered.len(),
        seen.percentile(50),
        seen.percentile(99),
        seen.refused.len(),
        percentile(seen.refused.clone(), 50),
        percentile(seen.refused.clone(), 99),
        seen.failed,
        seen.failure.as_ref().map(ToString::to_string).unwrap_or_default()
    );
}

async fn measure(overload: &Overload, program: &Path) -> Result<(Vec<Line>, Place), Failure> {
    let seconds = |full: u64, quick: u64| Duration::from_secs(if overload.quick { quick } else { full });
    let (calm, flood) = (seconds(20, 4), seconds(60, 5));
    let settings: Vec<&str> = overload.setting.iter().map(String::as_str).collect();
    let server = Server::start_with(program, None, &settings, &[]).await?;
    let mut place = Place::here();
    place.postgresql.clone_from(&server.postgresql);
    let superuser = server.superuser().await?;
    for statement in FILL.split_inclusive(";\n") {
        superuser.batch_execute(statement).await?;
    }
    let many = Caller::connect(&server, FLOOD, REPORT, &report()).await?;
    let few = Caller::connect(&server, QUIET, REPORT, &report()).await?;
    let status = format!("/proc/{}/status", server.pid());

    let peak = many.closed(CALLERS, Duration::ZERO, calm + WARMUP).await;
    tell("peak", &peak);
    let can = peak.rate(WARMUP, calm);
    let quiet = few.closed(QUIET_CALLERS, THINKS, calm).await;
    tell("quiet", &quiet);

    // Forgets the peak of the start.
    fs::write(format!("/proc/{}/clear_refs", server.pid()), "5")?;
    let before = mebibytes(&status, "VmRSS:")?;
    let alone = many.open(TIMES * can, flood + WARMUP).await;
    let after = many.closed(CALLERS, Duration::ZERO, Duration::from_secs(1)).await;
    let high = mebibytes(&status, "VmHWM:")?;
    tell("overload", &alone);
    tell("the first second after it", &after);
    sleep(WARMUP).await;

    let (flooding, beside) = tokio::join!(many.open(TIMES * can, flood + WARMUP), async {
        sleep(WARMUP).await;
        few.closed(QUIET_CALLERS, THINKS, flood).await
    });
    tell("flood", &flooding);
    tell("quiet beside it", &beside);

    let share = |measure: &str, unit, (ours, theirs): (f64, f64), against: &str, bound| Line {
        bound,
        ..Line::of(measure, against, unit, &[ours], &[theirs])
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
    let refusals = alone.refused.len() as f64 / (flood + WARMUP).as_secs_f64();
    let name = "GetDetectionStats, 10 times as many calls as can be answered";
    let lines = vec![
        share(
            &format!("{name}: answers"),
            Unit::CallsPerSecond,
            (alone.rate(WARMUP, flood), can),
            "the most, with 32 callers",
            Bound::AtLeast(0.8),
        ),
        share(
            &format!("{name}: median latency of answers"),
            Unit::Milliseconds,
            (alone.percentile(50), peak.percentile(50)),
            "with 32 callers",
            Bound::Shown,
        ),
        share(
            &format!("{name}: 99th percentile of answers"),
            Unit::Milliseconds,
            (alone.percentile(99), 2000.0),
            "the pool wait",
            Bound::AtMost(1.5),
        ),
        share(
            &format!("{name}: refusals"),
            Unit::CallsPerSecond,
            (refusals, TIMES * can),
            "all that was offered",
            Bound::Shown,
        ),
        share(
            &format!("{name}: 99th percentile of refusals"),
            Unit::Milliseconds,
            (percentile(alone.refused.clone(), 99), alone.percentile(50)),
            "median latency of answers",
            Bound::Shown,
        ),
        share(&format!("{name}: service memory"), Unit::Mebibytes, (high, before), "before it", Bound::AtMost(50.0)),
        share(
            "the first second after it: answers",
            Unit::CallsPerSecond,
            (after.rate(Duration::ZERO, Duration::from_secs(1)), can),
            "the most, with 32 callers",
            Bound::AtLeast(0.8),
        ),
        share(
            "an organization's 99th percentile beside another's flood",
            Unit::Milliseconds,
            (beside.percentile_of_all(99), quiet.percentile_of_all(99)),
            "without it",
            Bound::AtMost(3.0),
        ),
    ];
    Ok((lines, place))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let overload = Overload::parse();
    let program = overload.photometa.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_photometa")));
    let mut interrupted = signal(SignalKind::interrupt())?;
    let (lines, place) = tokio::select! {
        measured = measure(&overload, &program) => measured?,
        _ = interrupted.recv() => return Err("interrupted".into()),
    };
    println!("{}", columns(&lines));
    println!("{}", place.told());
    if overload.write {
        let form = if overload.quick { "Quick form, 5 s of overload" } else { "60 s of overload, one round" };
        let text = format!("{}\n{form}. {}.\n", markdown(&lines), place.told());
        readme::update(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/limits.md"), "overload", &text)?;
    }
    let missed = lines.iter().filter(|line| !line.bound.holds(line.result())).count();
    if missed > 0 && !overload.quick { Err(format!("{missed} requirements are missed").into()) } else { Ok(()) }
}
