//! What does it cost that the service tells what it does? One command starts five services, each on a database of its
//! own: one sends a trace of every call and all metrics to a collector, one that of one call in ten, one its metrics alone,
//! the others tell nothing. The same clients call each in turn. How far the two silent ones are apart is the noise.

#[path = "../calls.rs"]
#[expect(dead_code, reason = "latencies are not compared")]
mod calls;
#[path = "../comparison.rs"]
#[expect(dead_code, reason = "the table goes to the terminal only")]
mod comparison;
#[path = "../content.rs"]
mod content;
#[path = "../cpu.rs"]
mod cpu;
#[path = "../process.rs"]
mod process;
#[path = "../server.rs"]
#[expect(dead_code, reason = "its database is not looked into")]
mod server;
#[path = "../session.rs"]
mod session;
#[path = "../turns.rs"]
mod turns;
#[path = "../work.rs"]
mod work;

mod collector;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use self::calls::Window;
use self::collector::Collector;
use self::comparison::{Bound, Line, Place, Unit, columns};
use self::server::Server;
use self::work::{Clients, Rpc};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CLIENTS: usize = 8;
/// The demo organization, and a project of it.
const ORGANIZATION: &str = "de300101-0000-8000-8000-000000000001";
const PROJECT: &str = "de300301-0000-8000-8000-000000000001";
const ROLE: &str = "service";
const WARMUP: Duration = Duration::from_secs(1);
/// How much of a silent service's rate one that tells must keep.
const REQUIRED: f64 = 0.95;
const SETTINGS: [&str; 2] = ["--pool-size", "16"];

/// Measures what traces and metrics cost.
#[derive(Debug, Parser)]
#[command(name = "telemetry", max_term_width = 110)]
struct Telemetry {
    /// How often each service is called.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// For how long each time, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Measure this program instead of the one that cargo has built beside the benchmark.
    #[arg(long)]
    photometa: Option<PathBuf>,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a service tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Told,
    Sampled,
    Measured,
    Silent,
    SilentToo,
}

const SIDES: [Side; 5] = [Side::Silent, Side::Told, Side::Sampled, Side::Measured, Side::SilentToo];

impl Side {
    /// In the table.
    fn name(self) -> &'static str {
        match self {
            Self::Told => "everything told",
            Self::Sampled => "metrics and a tenth of traces told",
            Self::Measured => "metrics told",
            Self::Silent | Self::SilentToo => "nothing told",
        }
    }

    /// What it hears of the collector, by its environment.
    fn variables(self, endpoint: &str) -> Vec<(&'static str, &str)> {
        match self {
            Self::Told => vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)],
            Self::Sampled => vec![
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
            ],
            Self::Measured => vec![("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint)],
            Self::Silent | Self::SilentToo => Vec::new(),
        }
    }
}

struct Service {
    server: Server,
    clients: Vec<Clients>,
}

impl Service {
    async fn start(program: &Path, variables: &[(&str, &str)]) -> Result<Self, Failure> {
        let server = Server::start_with(program, None, &SETTINGS, variables).await?;
        let token = server.token(ROLE, ORGANIZATION, None).await?;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(Clients::connect(server.address, &token, PROJECT.parse()?).await?);
        }
        clients[0].register_photos().await?;
        Ok(Self { server, clients })
    }

    /// Calls in a second, and the service's processor time for each, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
    async fn called(&self, rpc: Rpc, duration: Duration) -> Result<(f64, f64), Failure> {
        let window = Window::after(WARMUP, duration);
        let (seen, used) = work::run(&self.clients, rpc, CLIENTS, window, self.server.watch()?).await?;
        if let Some(refusal) = seen.refusal {
            return Err(format!("{} calls failed, one of them so: {refusal}", seen.errors).into());
        }
        let calls = seen.latencies.len() as f64;
        let used = used.service.ok_or("there is no processor time")?.as_secs_f64() * 1e6;
        Ok((calls / duration.as_secs_f64(), used / calls))
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let telemetry = Telemetry::parse();
    let program = telemetry.photometa.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_photometa")));
    let duration = Duration::from_secs(telemetry.seconds.max(1));
    let collector = Collector::default();
    let endpoint = format!("http://{}", collector.start().await?);
    let mut services = Vec::new();
    for side in SIDES {
        services.push((side, Service::start(&program, &side.variables(&endpoint)).await?));
    }
    let mut place = Place::here();
    place.postgresql.clone_from(&services[0].1.server.postgresql);

    let mut lines = Vec::new();
    let sides: Vec<_> = services.iter().collect();
    for (rpc, name) in [(Rpc::CreateDetection, "CreateDetection"), (Rpc::GetPhoto, "GetPhoto")] {
        let mut rates = [const { Vec::new() }; SIDES.len()];
        let mut costs = [const { Vec::new() }; SIDES.len()];
        for (side, service) in turns::turns(telemetry.rounds.max(1), &sides) {
            let spans = collector.counted().0;
            let (rate, cost) = service.called(rpc, duration).await?;
            if *side == Side::Told && collector.counted().0 == spans {
                return Err("no span came".into());
            }
            rates[*side as usize].push(rate);
            costs[*side as usize].push(cost);
        }
        let silent = Side::Silent as usize;
        for side in [Side::Measured, Side::Sampled, Side::Told] {
            let (told, other) = (format!("{name}, {}", side.name()), Side::Silent.name());
            lines.push(Line {
                bound: Bound::AtLeast(REQUIRED),
                ..Line::of(&told, other, Unit::CallsPerSecond, &rates[side as usize], &rates[silent])
            });
            let cost = format!("{told}, the service's processor time for a call");
            lines.push(Line::of(&cost, other, Unit::Microseconds, &costs[side as usize], &costs[silent]));
        }
        let same = &rates[Side::SilentToo as usize];
        lines.push(Line::of(&format!("{name}, nothing told"), "the same", Unit::CallsPerSecond, same, &rates[silent]));
    }
    println!("{}", columns(&lines));
    let (spans, metrics) = collector.counted();
    println!("{spans} spans came, and metrics {metrics} times. {}", place.told());
    if metrics == 0 {
        return Err("no metrics came".into());
    }
    let kept = lines.iter().all(|line| line.bound.holds(line.result()));
    if kept { Ok(()) } else { Err("telemetry costs too much".into()) }
}
