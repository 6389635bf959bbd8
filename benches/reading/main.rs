//! How does reading through the service compare with reading without it, and does it stay as fast deep in a list, in a
//! large organization and for members? One command makes a database with a million photos, measures in turn, and prints
//! one table. README.md beside the other benchmarks says what is compared with what.

#[path = "../calls.rs"]
mod calls;
#[path = "../comparison.rs"]
mod comparison;
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
#[path = "../skim.rs"]
mod skim;
#[path = "../turns.rs"]
mod turns;

mod capture;
mod cases;
mod database;
mod direct;
mod encode;
mod itself;
mod picture;
mod plan;
mod reader;
mod report;
mod script;
mod world;

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use self::plan::{Part, Plan};
use self::report::Report;
use self::server::Server;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const JSON: &str = "docs/reading.json";
const SVG: &str = "docs/reading.svg";
const README: &str = "README.md";
const PAGE: &str = "docs/reading.md";

/// Compares reading photos through the service with reading them without it.
#[derive(Debug, Parser)]
#[command(name = "reading", max_term_width = 110)]
struct Reading {
    #[command(subcommand)]
    command: Command,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures: about half an hour in the full form, after some minutes that make the database.
    Run(Run),
    /// Draws docs/reading.svg and writes the tables of README.md and docs/reading.md again, from docs/reading.json.
    Render,
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Everything at small size, in about three minutes: shows that it works, and roughly where things are.
    #[arg(long)]
    quick: bool,
    /// How often each side is measured; odd, so that there is one in the middle. Otherwise 3, and 1 in the quick form.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only these parts; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Write docs/reading.json, docs/reading.svg and the tables of README.md and docs/reading.md too.
    #[arg(long, conflicts_with = "only")]
    write: bool,
    /// Folder for the database, which stays there for the next run [default: one in /var/tmp that goes].
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Measure this program instead of the one that cargo has built beside the benchmark.
    #[arg(long)]
    photometa: Option<PathBuf>,
}

async fn measure(plan: &Plan, run: &Run, program: &Path) -> Result<Report, Failure> {
    let wanted = |part: Part| run.only.is_empty() || run.only.contains(&part);
    let mut report = Report::new(plan);
    println!("{}", report.form);
    if let Some(kept) = &run.keep {
        database::whole(kept)?;
    }
    let server = Server::start(program, run.keep.as_deref()).await?;
    report.place.postgresql.clone_from(&server.postgresql);
    database::make(&server, plan).await?;
    if wanted(Part::Getphoto) {
        direct::get_photo(plan, &server, &mut report).await?;
    }
    if wanted(Part::Filters) {
        direct::filters(plan, &server, &mut report).await?;
    }
    if wanted(Part::Deep) {
        itself::deep(plan, &server, &mut report).await?;
    }
    if wanted(Part::Growth) {
        itself::growth(plan, &server, &mut report).await?;
    }
    if wanted(Part::Member) {
        itself::member(plan, &server, &mut report).await?;
    }
    if wanted(Part::Encode) {
        encode::run(plan, &server, &mut report).await?;
    }
    Ok(report)
}

fn write(report: &Report) -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::write(root.join(SVG), picture::draw(report))?;
    let table = comparison::markdown(&report.summary());
    let measured = format!("{}. {}.\n", report.form, report.place.told());
    let text = format!("![Results beside what is required of them]({SVG})\n\n{table}\n{measured}");
    readme::update(&root.join(README), "reading", &text)?;
    let table = comparison::markdown(&report.lines());
    readme::update(&root.join(PAGE), "reading", &format!("{table}\n{measured}"))?;
    println!("wrote {SVG} and the tables of {README} and {PAGE}");
    Ok(())
}

fn main() -> Result<(), Failure> {
    // `cargo bench` and `cargo test --benches` run this too, with flags of the test harness: not for half an hour.
    if !std::env::args().skip(1).any(|argument| ["run", "render", "help", "--help"].contains(&argument.as_str())) {
        println!("reading measures when it is told to: cargo bench --bench reading -- run [--quick]\n");
        println!("{}", Reading::command().render_long_help());
        return Ok(());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = match Reading::parse().command {
        Command::Run(run) => run,
        Command::Render => return write(&serde_json::from_slice(&std::fs::read(root.join(JSON))?)?),
    };
    let program = run.photometa.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_photometa")));
    let plan = if run.quick { Plan::quick() } else { Plan::full() };
    let plan = Plan { rounds: run.rounds.unwrap_or(plan.rounds).max(1), ..plan };
    let report = tokio::runtime::Runtime::new()?.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // Whatever was started is stopped and removed when its owner is dropped.
        tokio::select! {
            report = measure(&plan, &run, &program) => report,
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
