//! What the program tells about itself, as those who take it get it: a collector of OTLP, whoever scrapes it, and the log.

mod admin;
mod lines;
mod metrics;
mod receiver;
mod traces;

use std::process::Command;
use std::time::{Duration, Instant};

use tonic::Request;

use crate::harness::{App, Who, token};
use crate::replica::Replica;

use receiver::Receiver;

/// Long enough for what is sent in the background, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program on the app's database, with these variables beside. Unless they say so, it does not look at backlogs: tests count
/// the statements that wait.
fn program(app: &App, variables: &[(&str, &str)], arguments: &[&str]) -> Replica {
    let url = app.database.url("photometa_app");
    let ours = [("PHOTOMETA_DATABASE_URL", url.as_str()), ("PHOTOMETA_BACKLOG_INTERVAL", "0s")];
    let variables = [&ours, variables].concat();
    let mut replica = Replica::start("telemetry", &variables, arguments);
    replica.wait("ready", Replica::is_ready);
    replica
}

/// The same, which sends what it tells to a receiver at once.
fn sending_to(receiver: &Receiver, app: &App, variables: &[(&str, &str)]) -> Replica {
    let endpoint = receiver.endpoint();
    let at_once = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
    ];
    program(app, &[&at_once, variables].concat(), &[])
}

/// A request of somebody's.
fn of<M>(who: Who, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {}", token(who)).parse().unwrap());
    request
}

/// Asks a program to end, and answers how long that took.
fn end(replica: &mut Replica) -> Duration {
    assert!(Command::new("kill").args(["-TERM", &replica.child.id().to_string()]).status().unwrap().success());
    let started = Instant::now();
    let status = loop {
        if let Some(status) = replica.child.try_wait().unwrap() {
            break status;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "it does not end: {}", replica.log());
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{}", replica.log());
    started.elapsed()
}
