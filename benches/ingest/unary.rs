//! One detection at a time: CreateDetection against pgbench, and against the same transaction in one flight.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::calls::{Seen, Window};
use super::comparison::{Bound, Line, Unit};
use super::cpu::Watch;
use super::direct::Flight;
use super::plan::Plan;
use super::report::Report;
use super::rows::{Batch, ORGANIZATION, PROJECT, ROLE, Walk};
use super::script::{self, Form};
use super::server::Server;
use super::work::{self, Clients, Rpc};
use super::{Failure, content, fill};

/// Clients at a time, and how much of pgbench's rate is required.
const CLIENTS: [(usize, f64); 2] = [(32, 2.5), (8, 0.75)];
const NOTHING: Watch = Watch { service: None, postmaster: None };

pub async fn run(plan: &Plan, program: &Path, report: &mut Report) -> Result<(), Failure> {
    let server = Server::start(program, None).await?;
    report.place.postgresql.clone_from(&server.postgresql);
    let project = PROJECT.parse()?;
    let token = server.token(ROLE, ORGANIZATION, None).await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS[0].0 {
        clients.push(Clients::connect(server.address, &token, project).await?);
    }
    clients[0].register_photos().await?;
    service(plan, &clients[..8]).await?;
    fill::settle(&server).await?;
    for (count, required) in CLIENTS {
        against_pgbench(plan, &server, &clients[..count], required, report).await?;
    }
    against_flight(plan, &server, &clients[..1], report).await
}

/// Each client has a connection of its own, as pgbench's have.
async fn service(plan: &Plan, clients: &[Clients]) -> Result<Seen, Failure> {
    let window = Window::after(plan.warmup, plan.duration);
    let (seen, _) = work::run(clients, Rpc::CreateDetection, clients.len(), window, NOTHING).await?;
    match seen.refusal {
        Some(refusal) => Err(format!("{} calls failed, one of them so: {refusal}", seen.errors).into()),
        None => Ok(seen),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
async fn against_pgbench(
    plan: &Plan,
    server: &Server,
    clients: &[Clients],
    required: f64,
    report: &mut Report,
) -> Result<(), Failure> {
    let count = clients.len();
    let (mut ours, mut plain, mut pipelined) = (Vec::new(), Vec::new(), Vec::new());
    for side in plan.turns(&[None, Some(Form::Plain), Some(Form::Pipelined)]) {
        match side {
            None => {
                let answered = service(plan, clients).await?.latencies.len();
                ours.push(answered as f64 / plan.duration.as_secs_f64());
            }
            Some(Form::Plain) => plain.push(script::rate(server, Form::Plain, count, plan.duration).await?),
            Some(Form::Pipelined) => pipelined.push(script::rate(server, Form::Pipelined, count, plan.duration).await?),
        }
    }
    let measure = format!("CreateDetection, {count} clients");
    report.add(Line {
        bound: Bound::AtLeast(required),
        ..Line::of(&measure, &format!("pgbench, {count} clients"), Unit::CallsPerSecond, &ours, &plain)
    });
    report.add(Line::of(
        &measure,
        &format!("pgbench, pipelined, {count} clients"),
        Unit::CallsPerSecond,
        &ours,
        &pipelined,
    ));
    Ok(())
}

async fn against_flight(plan: &Plan, server: &Server, client: &[Clients], report: &mut Report) -> Result<(), Failure> {
    let flight = Flight::connect(server).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for through_service in plan.turns(&[true, false]) {
        if through_service {
            ours.push(service(plan, client).await?.percentile_ms(50));
        } else {
            theirs.push(alone(plan, &flight).await?.percentile_ms(50));
        }
    }
    report.add(Line {
        bound: Bound::AtMost(1.6),
        ..Line::of("CreateDetection, 1 client, median latency", "the same flight", Unit::Milliseconds, &ours, &theirs)
    });
    Ok(())
}

/// One row after the other.
async fn alone(plan: &Plan, flight: &Flight) -> Result<Seen, Failure> {
    let mut photos = Walk::of(0, 1, content::PHOTOS);
    let window = Window::after(plan.warmup, plan.duration);
    let mut latencies: Vec<Duration> = Vec::new();
    loop {
        let started = Instant::now();
        flight.store(&Batch::new(photos.next(1))).await?;
        let finished = Instant::now();
        if finished >= window.end {
            latencies.sort_unstable();
            return Ok(Seen { latencies, ..Seen::default() });
        }
        if finished >= window.begin {
            latencies.push(finished - started);
        }
    }
}
