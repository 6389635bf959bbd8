//! Many detections: IngestDetections against the service's statement with 1000 rows, and against COPY.

use std::path::Path;

use futures_util::stream;
use photometa::pb;
use photometa::pb::detection_service_client::DetectionServiceClient;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::calls::Window;
use super::comparison::{Bound, Line, Unit};
use super::cpu::Used;
use super::direct::{Copy, Flight};
use super::plan::Plan;
use super::report::Report;
use super::rows::{Batch, ORGANIZATION, ROLE, Walk};
use super::server::Server;
use super::session::{Session, session};
use super::{Failure, content, fill};

/// Streams, and writers on the other sides.
pub const STREAMS: usize = 4;
/// Items of a message.
const MESSAGE: usize = 250;
/// Rows of a statement: as many as the service's have at most.
const STATEMENT: usize = photometa::MAX_BATCH;
const PHOTOS: usize = 20_000;

#[derive(Debug, Clone, Copy)]
enum Side {
    Service,
    Unnest,
    Copy,
}

pub async fn run(plan: &Plan, program: &Path, report: &mut Report) -> Result<(), Failure> {
    let server = Server::start(program, None).await?;
    report.place.postgresql.clone_from(&server.postgresql);
    fill::photos(&server, PHOTOS).await?;
    let sides = [Side::Service, Side::Unnest, Side::Copy];
    // Connections, prepared statements and warm caches before anything counts.
    for side in sides {
        rate(side, &server, Window::after(plan.warmup, plan.warmup)).await?;
    }
    fill::settle(&server).await?;
    same_rows(&server).await?;
    let (mut ours, mut unnest, mut copy) = (Vec::new(), Vec::new(), Vec::new());
    let (mut service_cpu, mut postgres_cpu) = (Vec::new(), Vec::new());
    for side in plan.turns(&sides) {
        let (rate, used) = rate(side, &server, Window::after(plan.warmup, plan.duration)).await?;
        eprintln!("{side:?}: {rate:.0} rows/s");
        match side {
            Side::Service => {
                let each = |used: Option<std::time::Duration>| {
                    used.unwrap_or_default().as_secs_f64() * 1e6 / (rate * plan.duration.as_secs_f64())
                };
                ours.push(rate);
                service_cpu.push(each(used.service));
                postgres_cpu.push(each(used.postgres));
            }
            Side::Unnest => unnest.push(rate),
            Side::Copy => copy.push(rate),
        }
    }
    let measure = format!("IngestDetections, {STREAMS} streams");
    let against = |other: &str, theirs: &[f64]| Line::of(&measure, other, Unit::RowsPerSecond, &ours, theirs);
    report.add(Line { bound: Bound::AtLeast(0.85), ..against("unnest of 1000 rows, 4 writers", &unnest) });
    report.add(Line { bound: Bound::AtLeast(0.5), ..against("COPY of 1000 rows, 4 writers", &copy) });
    let line = Line::of(
        "service CPU per row, streaming",
        "PostgreSQL CPU per row",
        Unit::Microseconds,
        &service_cpu,
        &postgres_cpu,
    );
    report.add(Line { bound: Bound::AtMost(0.25), ..line });
    Ok(())
}

async fn rate(side: Side, server: &Server, window: Window) -> Result<(f64, Used), Failure> {
    match side {
        Side::Service => ingest(server, STREAMS, PHOTOS, window).await,
        Side::Unnest => {
            let mut writers = JoinSet::new();
            for number in 0..STREAMS {
                let (flight, mut photos) = (Flight::connect(server).await?, Walk::of(number, STREAMS, PHOTOS));
                writers.spawn(repeat(window, async move || flight.store(&Batch::new(photos.next(STATEMENT))).await));
            }
            total(writers, server, window).await
        }
        Side::Copy => {
            let mut writers = JoinSet::new();
            for number in 0..STREAMS {
                let (copy, mut photos) = (Copy::connect(server).await?, Walk::of(number, STREAMS, PHOTOS));
                writers.spawn(repeat(window, async move || copy.store(&Batch::new(photos.next(STATEMENT))).await));
            }
            total(writers, server, window).await
        }
    }
}

/// Stores detections through so many streams, each on a connection of its own and as fast as it is read from; answers
/// how many were acknowledged per second.
///
/// # Errors
/// When a stream or one of its items is refused.
pub async fn ingest(server: &Server, streams: usize, photos: usize, window: Window) -> Result<(f64, Used), Failure> {
    let token = server.token(ROLE, ORGANIZATION, None).await?;
    let mut writers = JoinSet::new();
    for number in 0..streams {
        let session = session(server.address, &token, None).await?;
        writers.spawn(send(session, Walk::of(number, streams, photos), window));
    }
    total(writers, server, window).await
}

async fn send(session: Session, mut photos: Walk, window: Window) -> Result<usize, Failure> {
    let mut sequence = 0;
    // It is asked for the next message when the connection has room for it.
    let messages =
        std::iter::from_fn(move || (Instant::now() < window.end).then(|| message(&mut photos, &mut sequence)));
    let mut client = DetectionServiceClient::new(session);
    let mut answers = client.ingest_detections(stream::iter(messages)).await?.into_inner();
    let mut rows = 0;
    while let Some(answer) = answers.message().await? {
        let now = Instant::now();
        if let Some(status) = answer.acks.iter().find_map(|ack| ack.status.as_ref()) {
            return Err(format!("an item is refused: {}", status.message).into());
        }
        if (window.begin..window.end).contains(&now) {
            rows += answer.acks.len();
        }
    }
    Ok(rows)
}

fn message(photos: &mut Walk, sequence: &mut i64) -> pb::IngestDetectionsRequest {
    let item = |photo| {
        *sequence += 1;
        let detection = pb::Detection { id: Uuid::now_v7().to_string(), ..content::detection(photo) };
        pb::IngestDetectionsItem { sequence: *sequence, detection: Some(detection) }
    };
    pb::IngestDetectionsRequest { items: photos.next(MESSAGE).map(item).collect() }
}

/// Stores a statement's rows again and again; answers how many were stored inside the window.
async fn repeat(window: Window, mut store: impl AsyncFnMut() -> Result<(), Failure>) -> Result<usize, Failure> {
    let mut rows = 0;
    loop {
        store().await?;
        let now = Instant::now();
        if now >= window.end {
            return Ok(rows);
        }
        if now >= window.begin {
            rows += STATEMENT;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
async fn total(
    mut writers: JoinSet<Result<usize, Failure>>,
    server: &Server,
    window: Window,
) -> Result<(f64, Used), Failure> {
    let watch = async { Ok(window.watch(server.watch()?).await?) };
    let rows = async {
        let mut rows = 0;
        while let Some(stored) = writers.join_next().await {
            rows += stored??;
        }
        Ok::<_, Failure>(rows)
    };
    let (used, rows) = tokio::try_join!(watch, rows)?;
    Ok((rows as f64 / (window.end - window.begin).as_secs_f64(), used))
}

/// Makes sure that all sides store the same, but for ids, times and digests.
async fn same_rows(server: &Server) -> Result<(), Failure> {
    let query = "select count(distinct (project_id, detection_type, model_version, run_id, results, confidence,
                                        processing_time_ms, user_confirmed, user_feedback, version))
                 from companycam_photos.detections";
    let different: i64 = server.superuser().await?.query_one(query, &[]).await?.try_get(0)?;
    if different == 1 { Ok(()) } else { Err(format!("the sides store {different} different things").into()) }
}
