//! How soon is there an answer where nothing was before? One command starts the program on an empty folder, several times,
//! and asks for the photos of the demo organization as soon as it says where it listens.

#[path = "comparison.rs"]
#[expect(dead_code, reason = "this comparison has one line, and no table in a page")]
mod comparison;
#[path = "cpu.rs"]
#[expect(dead_code, reason = "processor time is not compared")]
mod cpu;
#[path = "process.rs"]
mod process;
#[path = "server.rs"]
#[expect(dead_code, reason = "its database is not looked into")]
mod server;
#[path = "session.rs"]
mod session;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use photometa::pb;
use photometa::pb::photo_service_client::PhotoServiceClient;

use self::comparison::{Bound, Line, Place, Unit, columns};
use self::server::Server;
use self::session::session;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The demo organization.
const DEMO: &str = "de300101-0000-8000-8000-000000000001";
/// What a newcomer waits for without wondering, in milliseconds.
const PATIENCE: f64 = 10_000.0;
const DEADLINE: Duration = Duration::from_secs(5);

/// Measures the time from the start on an empty folder to the first answer.
#[derive(Debug, Parser)]
#[command(name = "first", max_term_width = 110)]
struct First {
    /// How often.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measure this program instead of the one that cargo has built beside the benchmark.
    #[arg(long)]
    photometa: Option<PathBuf>,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let first = First::parse();
    let program = first.photometa.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_photometa")));
    let (mut took, mut place) = (Vec::new(), Place::here());
    for _ in 0..first.rounds.max(1) {
        let started = Instant::now();
        let server = Server::start_with(&program, None, &[], &[]).await?;
        let token = server.token("service", DEMO, None).await?;
        let mut photos = PhotoServiceClient::new(session(server.address, &token, Some(DEADLINE)).await?);
        photos.list_photos(pb::ListPhotosRequest::default()).await?;
        took.push(started.elapsed().as_secs_f64() * 1000.0);
        place.postgresql.clone_from(&server.postgresql);
    }
    let line = Line {
        bound: Bound::AtMost(1.0),
        ..Line::of(
            "from nothing to the first ListPhotos",
            "ten seconds",
            Unit::Milliseconds,
            &took,
            &vec![PATIENCE; took.len()],
        )
    };
    let kept = line.bound.holds(line.result());
    println!("{}", columns(&[line]));
    println!("{}", place.told());
    if kept { Ok(()) } else { Err("it takes too long".into()) }
}
