//! How does exporting training data compare with COPY of the same rows? One command starts the service on a database of
//! its own, measures both in turn, the service's memory with it, and cuts an export many times to compare the bytes.
//! README.md beside the other benchmarks says more.

#[path = "../comparison.rs"]
#[expect(dead_code, reason = "rounds here have no duration")]
mod comparison;
#[path = "../cpu.rs"]
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
#[path = "../status.rs"]
mod status;

mod client;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use futures_util::TryStreamExt as _;
use tokio::signal::unix::{SignalKind, signal};

use self::client::{Client, Exported};
use self::comparison::{Bound, Line, Place, Unit, columns, markdown};
use self::server::Server;
use self::status::mebibytes;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const FILL: &str = include_str!("fill.sql");
const ORGANIZATION: &str = "00000001-0000-4000-8000-000000000000";
/// The rows that an export with negatives reads, with what it writes of them.
const COPY: &str = "
    copy (
        select p.id, p.project_id, p.s3_key, p.s3_url, p.width, p.height, p.orientation, p.captured_at, d.id, d.detection_type,
               d.model_version, d.user_feedback ->> 'verdict', d.results, d.corrections
        from companycam_photos.photos p join companycam_photos.detections d
          on d.organization_id = p.organization_id and d.photo_id = p.id
        where p.organization_id = '00000001-0000-4000-8000-000000000000'
    ) to stdout";

/// Compares exporting training data with COPY of the same rows.
#[derive(Debug, Parser)]
#[command(name = "export", max_term_width = 110)]
struct Export {
    /// A twentieth of the objects.
    #[arg(long)]
    quick: bool,
    /// Write the table of README.md too.
    #[arg(long)]
    write: bool,
    /// Measure this program instead of the one that cargo has built beside the benchmark.
    #[arg(long)]
    photometa: Option<PathBuf>,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Bytes and seconds of a COPY.
async fn copy(server: &Server) -> Result<(usize, f64), Failure> {
    let superuser = server.superuser().await?;
    let begun = Instant::now();
    let rows = superuser.copy_out(COPY).await?;
    let bytes = rows.try_fold(0, async |bytes, row| Ok(bytes + row.len())).await?;
    Ok((bytes, begun.elapsed().as_secs_f64()))
}

async fn measure(export: &Export, program: &Path) -> Result<(Vec<Line>, Place), Failure> {
    let objects: u32 = if export.quick { 50_000 } else { 1_000_000 };
    let server = Server::start(program, None).await?;
    let mut place = Place::here();
    place.postgresql.clone_from(&server.postgresql);
    let superuser = server.superuser().await?;
    superuser.batch_execute(&format!("set bench.objects = {objects}")).await?;
    for statement in FILL.split_inclusive(";\n") {
        superuser.batch_execute(statement).await?;
    }
    eprintln!("{objects} objects are there");
    let token = server.token("org_admin", ORGANIZATION, None).await?;
    let mut client = Client::new(session::session(server.address, &token, None).await?);
    let status = format!("/proc/{}/status", server.pid());

    let mut lines = Vec::new();
    for (name, format) in [("COCO", 1), ("JSON Lines", 2)] {
        let (mut ours, mut theirs, mut peaks, mut starts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut service, mut postgresql) = (Vec::new(), Vec::new());
        // The first one gives the labels their numbers and PostgreSQL its plans.
        let mut whole = client.whole(format).await?;
        for _ in 0..3 {
            let (copied, seconds) = copy(&server).await?;
            fs::write(format!("/proc/{}/clear_refs", server.pid()), "5")?;
            starts.push(mebibytes(&status, "VmRSS:")?);
            let (watch, begun) = (server.watch()?, Instant::now());
            let before = watch.read()?;
            let exported = client.whole(format).await?;
            let spent = begun.elapsed().as_secs_f64();
            let used = watch.read()?.since(before);
            service.push(used.service.unwrap_or_default().as_secs_f64() * 1e6 / f64::from(objects));
            postgresql.push(used.postgres.unwrap_or_default().as_secs_f64() * 1e6 / f64::from(objects));
            peaks.push(mebibytes(&status, "VmHWM:")?);
            eprintln!(
                "{name}: {} objects, {} MB in {spent:.2} s; COPY: {} MB in {seconds:.2} s",
                exported.objects,
                exported.bytes / 1_000_000,
                copied / 1_000_000
            );
            if exported.digest != whole.digest {
                return Err(format!("{name}: two exports of the same rows differ").into());
            }
            ours.push(f64::from(objects) / spent);
            theirs.push(f64::from(objects) / seconds);
            whole = exported;
        }
        if whole.objects != u64::from(objects) {
            return Err(format!("{name}: {} objects came of {objects}", whole.objects).into());
        }
        let against = "COPY of the same rows";
        lines.push(Line {
            bound: Bound::AtLeast(0.3),
            ..Line::of(&format!("ExportTrainingData, {name}, objects"), against, Unit::RowsPerSecond, &ours, &theirs)
        });
        lines.push(Line {
            bound: Bound::AtMost(64.0),
            ..Line::of(&format!("service memory, {name}"), "before it", Unit::Mebibytes, &peaks, &starts)
        });
        let measure = format!("service's processor time, {name}, an object");
        lines.push(Line::of(&measure, "PostgreSQL's meanwhile", Unit::Microseconds, &service, &postgresql));
        let Exported { digest, bytes, .. } = client.cut(format, 50, whole.messages).await?;
        if digest != whole.digest {
            return Err(format!("{name}: cut 50 times, {bytes} bytes came, and others").into());
        }
        eprintln!("{name}: cut and resumed 50 times, the same {bytes} bytes");
    }
    Ok((lines, place))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let export = Export::parse();
    let program = export.photometa.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_photometa")));
    let mut interrupted = signal(SignalKind::interrupt())?;
    let (lines, place) = tokio::select! {
        measured = measure(&export, &program) => measured?,
        _ = interrupted.recv() => return Err("interrupted".into()),
    };
    println!("{}", columns(&lines));
    println!("{}", place.told());
    if export.write {
        let form =
            if export.quick { "Quick form, 50,000 objects" } else { "1,000,000 objects in 250,000 photos, 3 rounds" };
        let text = format!("{}\n{form}. {}.\n", markdown(&lines), place.told());
        readme::update(&Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), "export", &text)?;
    }
    let missed = lines.iter().filter(|line| !line.bound.holds(line.result())).count();
    if missed > 0 && !export.quick { Err(format!("{missed} requirements are missed").into()) } else { Ok(()) }
}
