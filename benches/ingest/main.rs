//! How does storing detections through the service compare with storing them without it? One command starts the
//! service on a database of its own, measures both sides in turn, and prints one table. README.md beside the other
//! benchmarks says what is compared with what, and why that is fair.

#[path = "../calls.rs"]
mod calls;
#[path = "../comparison.rs"]
mod comparison;
#[path = "../content.rs"]
mod content;
#[path = "../cpu.rs"]
mod cpu;
#[path = "../pgbench.rs"]
mod pgbench;
#[path = "../plot/mod.rs"]
mod plot;
#[path = "../process.rs"]
mod process;
#[path = "../readme.rs"]
mod readme;
#[path = "../server.rs"]
mod server;
#[path = "../session.rs"]
mod session;
#[path = "../status.rs"]
mod status;
#[path = "../turns.rs"]
mod turns;
#[path = "../work.rs"]
mod work;

mod direct;
mod fill;
mod growth;
mod memory;
mod picture;
mod plan;
mod report;
mod rows;
mod script;
mod stream;
mod unary;

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use self::plan::{Part, Plan};
use self::report::Report;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const JSON: &str = "docs/ingest.json";
const SVG: &str = "docs/ingest.svg";
const README: &str = "README.md";

/// Compares storing detections through the service with storing them without it.
#[derive(Debug, Parser)]
#[command(name = "ingest", max_term_width = 110)]
struct Ingest {
    #[command(subcommand)]
    command: Command,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures: about half an hour in the full form.
    Run(Run),
    /// Draws docs/ingest.svg and writes the table of README.md again, from docs/ingest.json.
    Render,
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Everything at small size, in about three minutes: shows that it works, and roughly where things are.
    #[arg(long)]
    quick: bool,
    /// Only these parts; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Write docs/ingest.json, docs/ingest.svg and the table of README.md too.
    #[arg(long, conflicts_with = "only")]
    write: bool,
    /// Measure this program instead of the one that cargo has built beside the benchmark.
    #[arg(long)]
    photometa: Option<PathBuf>,
}

async fn measure(plan: &Plan, only: &[Part], program: &Path) -> Result<Report, Failure> {
    let wanted = |part: Part| only.is_empty() || only.contains(&part);
    let mut report = Report::new(plan);
    println!("{}", report.form);
    if wanted(Part::Unary) {
        unary::run(plan, program, &mut report).await?;
    }
    if wanted(Part::Stream) {
        stream::run(plan, program, &mut report).await?;
    }
    if wanted(Part::Memory) {
        memory::run(plan, program, &mut report).await?;
    }
    if wanted(Part::Growth) {
        growth::run(plan, program, &mut report).await?;
    }
    Ok(report)
}

fn write(report: &Report) -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::write(root.join(SVG), picture::draw(report))?;
    let table = comparison::markdown(&report.lines);
    let text = format!(
        "![Results beside what is required of them]({SVG})\n\n{table}\n{}. {}.\n",
        report.form,
        report.place.told()
    );
    readme::update(&root.join(README), "ingest", &text)?;
    println!("wrote {SVG} and the table of {README}");
    Ok(())
}

fn main() -> Result<(), Failure> {
    // `cargo bench` and `cargo test --benches` run this too, with flags of the test harness: not for half an hour.
    if !std::env::args().skip(1).any(|argument| ["run", "render", "help", "--help"].contains(&argument.as_str())) {
        println!("ingest measures when it is told to: cargo bench --bench ingest -- run [--quick]\n");
        println!("{}", Ingest::command().render_long_help());
        return Ok(());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = match Ingest::parse().command {
        Command::Run(run) => run,
        Command::Render => return write(&serde_json::from_slice(&std::fs::read(root.join(JSON))?)?),
    };
    let program = run.photometa.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_photometa")));
    let plan = if run.quick { Plan::quick() } else { Plan::full() };
    let report = tokio::runtime::Runtime::new()?.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // Whatever was started is stopped and removed when its owner is dropped.
        tokio::select! {
            report = measure(&plan, &run.only, &program) => report,
            _ = interrupt.recv() => Err("interrupted".into()),
            _ = terminate.recv() => Err("terminated".into()),
        }
    })?;
    println!("\n{report}");
    if run.write {
        std::fs::write(root.join(JSON), serde_json::to_string_pretty(&report)? + "\n")?;
        write(&report)?;
    }
    Ok(())
}
