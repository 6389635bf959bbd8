//! How many calls a second does a server answer, how soon, and for how much processor time?
//! A closed loop: each of `--concurrency` callers makes its next call when its last one is answered. The measured
//! window begins after a warm-up, in which connections are made and statements prepared.

mod cpu;
mod work;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;
use uuid::Uuid;

use self::cpu::{Used, Watch};
use self::work::{Clients, Rpc};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Pause of a caller that was refused, so that a server in trouble is not called in a tight loop.
const REFUSED: Duration = Duration::from_millis(10);

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
        let Self { rpc, concurrency, connections, requests, errors, rate, p50_ms, p99_ms, .. } = self;
        write!(f, "{} by {concurrency} callers on {connections} connections: {rate:.0}/s, ", rpc.name())?;
        write!(f, "p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, {requests} calls, {errors} errors")?;
        for (whose, used) in [("service", self.service_cpu_us), ("PostgreSQL", self.postgres_cpu_us)] {
            if let Some(used) = used {
                write!(f, ", {whose} {used:.0} µs CPU per call")?;
            }
        }
        Ok(())
    }
}

/// The measured part of a run.
#[derive(Debug, Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

/// What one caller saw inside the window.
#[derive(Debug, Default)]
struct Seen {
    latencies: Vec<Duration>,
    errors: usize,
    refusal: Option<Status>,
}

async fn caller(mut clients: Clients, rpc: Rpc, mut number: usize, window: Window) -> Seen {
    let mut seen = Seen::default();
    loop {
        let started = Instant::now();
        let outcome = clients.call(rpc, number).await;
        let finished = Instant::now();
        if finished >= window.end {
            return seen;
        }
        number += 1;
        match outcome {
            Ok(()) if finished >= window.begin => seen.latencies.push(finished - started),
            Ok(()) => {}
            Err(status) => {
                seen.errors += 1;
                seen.refusal.get_or_insert(status);
                sleep(REFUSED).await;
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
fn report(load: &Load, connections: u16, mut seen: Seen, before: Used, after: Used) -> Report {
    seen.latencies.sort_unstable();
    let requests = seen.latencies.len();
    let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
    let percentile = |percent: usize| {
        let found = seen.latencies.get((requests * percent / 100).min(requests.saturating_sub(1)));
        rounded(found.copied().unwrap_or_default().as_secs_f64() * 1000.0)
    };
    let each = |before: Option<Duration>, after: Option<Duration>| {
        let used = after?.saturating_sub(before?).as_secs_f64();
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
        p50_ms: percentile(50),
        p99_ms: percentile(99),
        service_cpu_us: each(before.service, after.service),
        postgres_cpu_us: each(before.postgres, after.postgres),
    }
}

async fn run(load: &Load) -> Result<Report, Failure> {
    let postmaster = load.data_dir.as_deref().map(cpu::postmaster).transpose()?.or(load.postgres_pid);
    let watch = Watch { service: load.service_pid, postmaster };
    let connections = load.connections.unwrap_or(load.concurrency).min(load.concurrency).min(64);
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Clients::connect(load.address, &load.token).await?);
    }
    clients[0].call(Rpc::WhoAmI, 0).await?;
    if load.rpc != Rpc::WhoAmI {
        clients[0].register_photos(load.project.ok_or("this call needs photos; say in which --project")?).await?;
    }

    let begin = Instant::now() + load.warmup;
    let window = Window { begin, end: begin + load.duration };
    let mut callers: JoinSet<Seen> = (0..usize::from(load.concurrency))
        // Far apart, so that they seldom meet on a photo.
        .map(|index| caller(clients[index % clients.len()].clone(), load.rpc, index * 37, window))
        .collect();
    sleep_until(window.begin).await;
    let before = watch.read()?;
    sleep_until(window.end).await;
    let after = watch.read()?;
    let mut all = Seen::default();
    while let Some(seen) = callers.join_next().await {
        let Seen { latencies, errors, refusal } = seen?;
        all.latencies.extend(latencies);
        all.errors += errors;
        all.refusal = all.refusal.or(refusal);
    }
    if let Some(refusal) = &all.refusal {
        eprintln!("load: {} calls failed, one of them so: {refusal}", all.errors);
    }
    Ok(report(load, connections, all, before, after))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // `cargo bench` and `cargo test --benches` run this too, with flags of the test harness and no server.
    if !std::env::args().any(|argument| argument.starts_with("--address") || argument == "--help") {
        println!("load needs a running server; benches/compare.sh brings one, and benches/README.md tells more:\n");
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
