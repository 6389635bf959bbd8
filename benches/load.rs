//! How many calls a second does a server answer, how soon, and for how much processor time?

mod calls;
mod content;
mod cpu;
mod session;
mod work;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, ValueEnum as _};
use serde::Serialize;
use uuid::Uuid;

use self::calls::{Seen, Window};
use self::cpu::{Used, Watch};
use self::work::{Clients, Rpc};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Calls a server on this machine as fast as it answers, and prints rate, latency and processor time.
#[derive(Debug, Parser)]
#[command(name = "load", max_term_width = 110)]
struct Load {
    /// Address of the server, such as 127.0.0.1:50051; loopback only.
    #[arg(long, value_parser = loopback)]
    address: SocketAddr,
    /// Credential of the role service, as `photometa token` prints it.
    #[arg(long, env = "PHOTOMETA_TOKEN", hide_env_values = true)]
    token: String,
    /// What to call.
    #[arg(long, value_enum, default_value_t = Rpc::CreateDetection)]
    rpc: Rpc,
    /// Project that gets the 1000 photos to work on; needed by every call but who-am-i.
    #[arg(long)]
    project: Option<Uuid>,
    /// Calls under way at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Connections that the callers share [default: one for each, at most 64].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: Option<u16>,
    /// How long to measure; at most 10 minutes.
    #[arg(long, default_value = "10s", value_parser = bounded)]
    duration: Duration,
    /// How long to call before measuring.
    #[arg(long, default_value = "1s", value_parser = bounded)]
    warmup: Duration,
    /// Process whose processor time is the service's.
    #[arg(long)]
    service_pid: Option<u32>,
    /// First process of PostgreSQL; its children count too.
    #[arg(long)]
    postgres_pid: Option<u32>,
    /// The server's data folder, to find PostgreSQL's first process.
    #[arg(long, conflicts_with = "postgres_pid")]
    data_dir: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "give an IP address and a port".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("a load is for servers on this machine".to_owned()) }
}

fn bounded(text: &str) -> Result<Duration, String> {
    let given = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if given <= Duration::from_secs(600) { Ok(given) } else { Err("10 minutes at most".to_owned()) }
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    rpc: Rpc,
    concurrency: u16,
    connections: u16,
    seconds: f64,
    requests: usize,
    errors: usize,
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Microseconds of processor time per request.
    service_cpu_us: Option<f64>,
    postgres_cpu_us: Option<f64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rpc = self.rpc.to_possible_value();
        let rpc = rpc.as_ref().map_or("a call", |value| value.get_name());
        let Self { concurrency, connections, requests, errors, rate, p50_ms, p99_ms, .. } = self;
        write!(f, "{rpc} by {concurrency} callers on {connections} connections: {rate:.0}/s, ")?;
        write!(f, "p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, {requests} calls, {errors} errors")?;
        for (whose, used) in [("service", self.service_cpu_us), ("PostgreSQL", self.postgres_cpu_us)] {
            if let Some(used) = used {
                write!(f, ", {whose} {used:.0} µs CPU per call")?;
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
fn report(load: &Load, connections: u16, seen: &Seen, used: Used) -> Report {
    let requests = seen.latencies.len();
    let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
    let each = |used: Option<Duration>| {
        let used = used?.as_secs_f64();
        (requests > 0).then(|| rounded(used * 1_000_000.0 / requests as f64))
    };
    Report {
        rpc: load.rpc,
        concurrency: load.concurrency,
        connections,
        seconds: load.duration.as_secs_f64(),
        requests,
        errors: seen.errors,
        rate: rounded(requests as f64 / load.duration.as_secs_f64()),
        p50_ms: rounded(seen.percentile_ms(50)),
        p99_ms: rounded(seen.percentile_ms(99)),
        service_cpu_us: each(used.service),
        postgres_cpu_us: each(used.postgres),
    }
}

async fn run(load: &Load) -> Result<Report, Failure> {
    let postmaster = load.data_dir.as_deref().map(cpu::postmaster).transpose()?.or(load.postgres_pid);
    let watch = Watch { service: load.service_pid, postmaster };
    let connections = load.connections.unwrap_or(load.concurrency).min(load.concurrency).min(64);
    if load.rpc != Rpc::WhoAmI && load.project.is_none() {
        return Err("this call needs photos; say in which --project".into());
    }
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Clients::connect(load.address, &load.token, load.project.unwrap_or_default()).await?);
    }
    clients[0].call(Rpc::WhoAmI, 0).await?;
    if load.rpc != Rpc::WhoAmI {
        clients[0].register_photos().await?;
    }

    let window = Window::after(load.warmup, load.duration);
    let (all, used) = work::run(&clients, load.rpc, usize::from(load.concurrency), window, watch).await?;
    if let Some(refusal) = &all.refusal {
        eprintln!("load: {} calls failed, one of them so: {refusal}", all.errors);
    }
    Ok(report(load, connections, &all, used))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // `cargo bench` and `cargo test --benches` run this too, with flags of the test harness and no server.
    if !std::env::args().any(|argument| argument.starts_with("--address") || argument == "--help") {
        println!("load needs a running server; benches/README.md tells how to start one:\n");
        println!("{}", Load::command().render_help());
        return Ok(());
    }
    let load = Load::parse();
    let report = run(&load).await?;
    if load.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
