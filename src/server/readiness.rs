//! Readiness as grpc.health.v1 tells it: every service is SERVING while the database answers, and NOT_SERVING
//! when it does not or the server drains. "" stands for the whole server.

use std::time::Duration;

use tokio::task::JoinHandle;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::db::Db;

const INTERVAL: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(2);

/// Every name that health is asked for.
const NAMES: &[&str] = &[
    "",
    "photometa.v1.PhotoService",
    "photometa.v1.DetectionService",
    "photometa.v1.TagService",
    "photometa.v1.FeedbackService",
    "photometa.v1.OrganizationService",
    "photometa.v1.UserService",
    "photometa.v1.ProjectService",
    "photometa.v1.SessionService",
];

/// Keeps health up to date until it is told to drain.
pub(super) struct Readiness {
    reporter: HealthReporter,
    watcher: JoinHandle<()>,
}

/// Asks the database whether it answers, and then again and again. The first answer is there before the first
/// call: a reporter by itself says SERVING from the start.
pub(super) async fn watch(db: Db, reporter: HealthReporter) -> Readiness {
    let mut before = answers(&db).await;
    if !before {
        tracing::warn!(ready = before, "the database does not answer");
    }
    tell(&reporter, before).await;
    let watched = reporter.clone();
    let watcher = tokio::spawn(async move {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let now = answers(&db).await;
            if now != before {
                tracing::warn!(ready = now, "readiness changed");
                tell(&watched, now).await;
                before = now;
            }
        }
    });
    Readiness { reporter, watcher }
}

async fn answers(db: &Db) -> bool {
    let answer = tokio::time::timeout(PATIENCE, db.ping()).await;
    matches!(answer, Ok(Ok(()) | Err(crate::error::Error::Overloaded)))
}

async fn tell(reporter: &HealthReporter, ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in NAMES {
        reporter.set_service_status(name, status).await;
    }
}

impl Readiness {
    /// Says NOT_SERVING from now on.
    pub(super) async fn drain(&self) {
        self.watcher.abort();
        tell(&self.reporter, false).await;
    }

    /// Ends the Watch streams, which would otherwise outlive every drain.
    pub(super) async fn end(mut self) {
        for name in NAMES {
            self.reporter.clear_service_status(name).await;
        }
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}
