//! Readiness as grpc.health.v1 tells it: every service is SERVING while the database answers, and NOT_SERVING
//! when it does not, its schema is another version's, or the server drains. "" stands for the whole server. The admin port
//! says the same, and why.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::admin::Condition;
use crate::db::Db;
use crate::error::Error;
use crate::panics;

const INTERVAL: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(2);
/// Every how many rounds the schema's version is asked for, once it was right.
const SCHEMA_EVERY: u32 = 20;

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
    told: Told,
    watcher: JoinHandle<()>,
}

/// Asks the database whether it answers and whether its schema is at `version`, and then again and again. The first
/// answer is there before the first call: a reporter by itself says SERVING from the start. Once the schema was right,
/// `prepared` is told, and a newer schema is only complained of: replicas are replaced one after the other.
pub(super) async fn watch(
    db: Db,
    (reporter, condition): (HealthReporter, Condition),
    version: u32,
    prepared: watch::Sender<bool>,
) -> Readiness {
    let mut asked =
        Asked { db, version, prepared, was_right: false, older: false, trouble: None, mismatch: None, rounds: 0 };
    let told = Told { reporter, condition };
    let mut before = asked.unready().await;
    told.tell(before.as_deref()).await;
    let watched = told.clone();
    let watcher = tokio::spawn(async move {
        loop {
            tokio::time::sleep(INTERVAL).await;
            // Whoever watches must not be left with what was said before a bug.
            let now = AssertUnwindSafe(asked.unready()).catch_unwind().await.unwrap_or_else(|panic| {
                tracing::error!(panic = panics::words(&*panic), "the database could not be asked");
                Some("the database could not be asked".to_owned())
            });
            if now != before {
                if now.is_none() != before.is_none() {
                    tracing::warn!(ready = now.is_none(), "readiness changed");
                }
                watched.tell(now.as_deref()).await;
                before = now;
            }
        }
    });
    Readiness { told, watcher }
}

/// What is asked of the database, and what was last said of it.
struct Asked {
    db: Db,
    version: u32,
    prepared: watch::Sender<bool>,
    /// Whether the schema was ever seen at this program's version.
    was_right: bool,
    /// Whether the schema was last seen at a version before this program's.
    older: bool,
    /// What was last said of the database, and of its schema.
    trouble: Option<String>,
    mismatch: Option<String>,
    rounds: u32,
}

impl Asked {
    /// Why the server is of no use now, if it is not.
    async fn unready(&mut self) -> Option<String> {
        self.rounds = self.rounds.wrapping_add(1);
        let answer = self.db.ping(PATIENCE).await;
        if !matches!(answer, Ok(()) | Err(Error::Overloaded)) {
            let why = match answer {
                Err(Error::DatabaseUnavailable(why)) => format!("the database is of no use: {why}"),
                _ => "the database does not answer".to_owned(),
            };
            say(&mut self.trouble, Some(why.clone()));
            return Some(why);
        }
        self.trouble = None;
        if self.was_right && !self.older && !self.rounds.is_multiple_of(SCHEMA_EVERY) {
            return None;
        }
        let found = match tokio::time::timeout(PATIENCE, self.db.schema_version()).await {
            Ok(Ok(found)) => found,
            // Busy is not away: as it was.
            Ok(Err(Error::Overloaded)) => return self.unfit(),
            Ok(Err(_)) | Err(_) => return Some("the database does not say which schema it has".to_owned()),
        };
        self.older = found.is_none_or(|found| found < self.version);
        say(&mut self.mismatch, mismatch(found, self.version));
        self.was_right |= found == Some(self.version);
        let ready = self.unfit().is_none();
        // Calls are refused as well: on an older schema their statements would fail.
        self.prepared.send_if_modified(|prepared| std::mem::replace(prepared, ready) != ready);
        self.unfit()
    }

    /// Why its schema is of no use, as far as it was seen.
    fn unfit(&self) -> Option<String> {
        let fit = self.was_right && !self.older;
        (!fit).then(|| self.mismatch.clone().unwrap_or_else(|| "the schema was not seen yet".to_owned()))
    }
}

/// Says what is wrong, once.
fn say(last: &mut Option<String>, now: Option<String>) {
    if let Some(text) = now.as_ref().filter(|_| now != *last) {
        tracing::warn!("{text}");
    }
    *last = now;
}

/// What to say of a schema that is not at the version of this program. Which one it is can be read since version 6.
fn mismatch(found: Option<u32>, known: u32) -> Option<String> {
    match found {
        Some(found) if found == known => None,
        Some(found) if found > known => Some(format!(
            "the database is at version {found}, and this program knows {known}; run a newer photometa, or go back with the newer one's `photometa migrate down --to {known}`"
        )),
        Some(found) => Some(format!(
            "the database is at version {found}, and this program needs {known}; run `photometa migrate up` with PHOTOMETA_MIGRATION_URL set"
        )),
        None => Some(format!(
            "the database is at a version before 6, and this program needs {known}, or this login may not become photometa_operator; `photometa doctor` tells which"
        )),
    }
}

/// Who is told.
#[derive(Clone)]
struct Told {
    reporter: HealthReporter,
    condition: Condition,
}

impl Told {
    async fn tell(&self, unready: Option<&str>) {
        let status = if unready.is_none() { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.condition.tell(unready);
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

impl Readiness {
    /// Says NOT_SERVING from now on.
    pub(super) async fn drain(&mut self) {
        self.watcher.abort();
        // What it was about to say comes before what is said now.
        let _ = (&mut self.watcher).await;
        self.told.tell(Some("it is draining")).await;
    }

    /// Ends the Watch streams, which would otherwise outlive every drain.
    pub(super) async fn end(mut self) {
        for name in NAMES {
            self.told.reporter.clear_service_status(name).await;
        }
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}
