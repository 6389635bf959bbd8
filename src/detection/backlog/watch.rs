//! The backlogs of all organizations together, looked at again and again, for those who run the service: models are named,
//! organizations are not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use opentelemetry::KeyValue;
use uuid::Uuid;

use super::{Backlog, DEFAULT_WINDOW, query};
use crate::auth::{Caller, Role, Term};
use crate::db::{Access, Db};
use crate::error::{Error, Result};
use crate::id::{OrganizationId, now};
use crate::lsn::Written;
use crate::organization;
use crate::telemetry::meter;

/// Most models that are told of, of all organizations and of one: those with the newest results, because what was taken out of
/// use waits longest. An organization names its models as it likes, and must not crowd out the others'.
const MAX_MODELS: usize = 400;
const MAX_MODELS_OF_ONE: usize = 20;
/// Longest time of one organization's backlogs.
const PATIENCE: Duration = Duration::from_secs(20);
/// What was seen is told for so many looks that see nothing.
const LOOKS: u32 = 5;

/// What a model has not seen, of all organizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// damage, material or volume.
    pub detection_type: String,
    /// The model and its version.
    pub model_version: String,
    /// Photos of the last 7 days without a result of it.
    pub photos: i64,
    /// When the oldest of them was created.
    pub oldest: Option<Timestamp>,
}

/// What models had not seen when it was last looked at.
#[derive(Debug, Clone, Default)]
pub struct Backlogs(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    waiting: Vec<Waiting>,
    /// Until when that is worth telling.
    until: Option<Instant>,
}

/// The backlogs of one organization.
#[derive(Debug)]
struct OfOne {
    backlogs: Vec<Backlog>,
    /// Looks since then that did not see it.
    missed: u32,
}

impl Backlogs {
    /// None yet; the metrics tell them.
    pub fn observed() -> Self {
        let (backlogs, meter) = (Self::default(), meter());
        let (photos, ages) = (backlogs.clone(), backlogs.clone());
        let labels = |model: Waiting| {
            [KeyValue::new("detection_type", model.detection_type), KeyValue::new("model_version", model.model_version)]
        };
        let photos = meter
            .i64_observable_gauge("photometa.backlog.photos")
            .with_unit("{photo}")
            .with_description("Photos of the last 7 days without a result of the model")
            .with_callback(move |told| {
                photos.waiting().into_iter().for_each(|model| told.observe(model.photos, &labels(model)));
            });
        let ages = meter
            .f64_observable_gauge("photometa.backlog.age")
            .with_unit("s")
            .with_description("How long the oldest photo without a result of the model has waited")
            .with_callback(move |told| {
                let now = now();
                for model in ages.waiting() {
                    let age = model.oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64());
                    told.observe(age, &labels(model));
                }
            });
        photos.build();
        ages.build();
        backlogs
    }

    /// What waits, by type and model version; nothing when it could not be seen for too long.
    pub fn waiting(&self) -> Vec<Waiting> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.until.is_some_and(|until| Instant::now() < until) { seen.waiting.clone() } else { Vec::new() }
    }

    /// Looks again and again, with this pause in between, until it is dropped.
    pub async fn watch(self, db: Db, pause: Duration) {
        let (mut known, mut troubled) = (HashMap::new(), false);
        loop {
            let begun = Instant::now();
            let outcome = look(&db, &mut known).await;
            if let Some(error) = outcome.as_ref().err().filter(|_| !troubled) {
                tracing::warn!(
                    ?error,
                    "backlogs cannot be seen: the metrics tell older ones for a while, and then none"
                );
            }
            troubled = outcome.is_err();
            if !matches!(outcome, Err(Unseen::All(_))) {
                let until = Instant::now() + (begun.elapsed() + pause + PATIENCE) * LOOKS;
                let seen = Seen { waiting: together(&known), until: Some(until) };
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Why a look is not complete.
#[derive(Debug)]
#[expect(dead_code, reason = "the error is for the log, by Debug")]
enum Unseen {
    /// Not even the organizations.
    All(Error),
    /// Some organizations, of which this is the last.
    Some(OrganizationId, Error),
}

/// Looks at all organizations. One that cannot be seen stays as it was known, and hides no other.
async fn look(db: &Db, known: &mut HashMap<OrganizationId, OfOne>) -> Result<(), Unseen> {
    let since = now() - DEFAULT_WINDOW;
    let operator = caller(OrganizationId::default(), Role::Operator);
    let organizations = organization::ids(db, &operator).await.map_err(Unseen::All)?;
    known.retain(|organization, _| organizations.contains(organization));
    let mut outcome = Ok(());
    for organization in organizations {
        let caller = caller(organization, Role::Service);
        match db.once(&caller, Access::Read, async |tx| query::backlogs(&tx, since).await).await {
            Ok(mut backlogs) => {
                newest(&mut backlogs, MAX_MODELS_OF_ONE);
                known.insert(organization, OfOne { backlogs, missed: 0 });
            }
            Err(error) => {
                known.entry(organization).and_modify(|one| one.missed += 1);
                outcome = Err(Unseen::Some(organization, error));
            }
        }
    }
    known.retain(|_, one| one.missed < LOOKS);
    outcome
}

/// Keeps those with the newest results.
fn newest(backlogs: &mut Vec<Backlog>, most: usize) {
    backlogs.sort_by_key(|backlog| Reverse(backlog.newest_result));
    backlogs.truncate(most);
}

/// The backlogs of all organizations, as those of one.
fn together(known: &HashMap<OrganizationId, OfOne>) -> Vec<Waiting> {
    let mut found: BTreeMap<(&str, &str), Backlog> = BTreeMap::new();
    for backlog in known.values().flat_map(|one| &one.backlogs) {
        found
            .entry((&backlog.detection_type, &backlog.model_version))
            .and_modify(|all| {
                all.photos += backlog.photos;
                all.oldest = [all.oldest, backlog.oldest].into_iter().flatten().min();
                all.newest_result = all.newest_result.max(backlog.newest_result);
            })
            .or_insert_with(|| backlog.clone());
    }
    let mut all: Vec<Backlog> = found.into_values().collect();
    newest(&mut all, MAX_MODELS);
    all.sort_by(|one, other| {
        (&one.detection_type, &one.model_version).cmp(&(&other.detection_type, &other.model_version))
    });
    let waiting = all.into_iter().map(|Backlog { detection_type, model_version, photos, oldest, .. }| Waiting {
        detection_type,
        model_version,
        photos,
        oldest,
    });
    waiting.collect()
}

/// The service itself, as one of an organization's service accounts.
fn caller(organization: OrganizationId, role: Role) -> Caller {
    let term = Term { longest: PATIENCE, asked: None, streams: false, expires: None, ends: None };
    let deadline = Instant::now() + PATIENCE;
    let (after, written, rpc) = (None, Written::default(), "backlogs".to_owned());
    Caller { organization, subject: Uuid::nil(), role, rpc, deadline, term, after, written }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_too_long_ago_is_not_told() {
        let waiting = Waiting {
            detection_type: "damage".to_owned(),
            model_version: "cracks-1".to_owned(),
            photos: 1,
            oldest: Some(now()),
        };
        let seen = |until| {
            let seen = Seen { waiting: vec![waiting.clone()], until: Some(until) };
            Backlogs(Arc::new(Mutex::new(seen))).waiting()
        };

        assert_eq!(seen(Instant::now() + Duration::from_secs(60)), std::slice::from_ref(&waiting));
        assert_eq!(seen(Instant::now()), []);
    }
}
