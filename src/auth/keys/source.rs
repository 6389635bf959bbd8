//! Keeps the keys of one source up to date: files are looked at every second, URLs fetched again every few minutes, and
//! both when a token names a key that is not there. What cannot be read replaces nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fetch::{self, Fetched};
use super::round::{Outcome, Rounds};
use super::{Key, KeyError, Place, Ring, jwks};
use crate::chance;
use crate::digest::sha256;
use crate::tls::Trust;

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Most often that a set is fetched because it says that it is soon out of date.
const SHORTEST_AGE: Duration = Duration::from_secs(30);
/// Time until the next attempt after the first that failed; it doubles.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Where keys are, and of which form.
#[derive(Debug)]
pub(super) struct Source {
    place: Place,
    is_set: bool,
    trust: Trust,
    refresh: Duration,
}

impl Source {
    /// A public key in a PEM file.
    pub(super) fn pem(path: PathBuf) -> Self {
        Self { place: Place::File(path), is_set: false, trust: Trust::System, refresh: LOOK }
    }

    /// A key set.
    ///
    /// # Errors
    /// When nobody can be trusted for its URL.
    pub(super) fn jwks(place: Place, trust: Trust, refresh: Duration) -> Result<Self, KeyError> {
        let refresh = if let Place::Url(_) = place {
            trust.client(None).map_err(|error| KeyError::new(error.to_string()))?;
            refresh
        } else {
            LOOK
        };
        Ok(Self { place, is_set: true, trust, refresh })
    }

    /// Reads it for the first time.
    ///
    /// # Errors
    /// When a file cannot be read or has no key that is of use.
    pub(super) async fn open(self, ring: Arc<Ring>, part: usize, rounds: Arc<Rounds>) -> Result<Followed, KeyError> {
        let is_file = matches!(self.place, Place::File(_));
        let mut followed =
            Followed { source: self, ring, part, rounds, seen: None, trouble: None, failures: 0, due: Instant::now() };
        followed.round(false).await;
        match &followed.trouble {
            Some(problem) if is_file => Err(KeyError::new(format!("{}: {problem}", followed.source.place))),
            _ => Ok(followed),
        }
    }

    async fn fetch(&self) -> Result<Fetched, KeyError> {
        match &self.place {
            Place::File(path) => fetch::file(path).await,
            Place::Url(uri) => fetch::url(uri, &self.trust).await,
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<jwks::Found, KeyError> {
        if self.is_set {
            jwks::read(bytes)
        } else {
            Key::from_pem(bytes).map(|key| jwks::Found { keys: vec![key], complaints: Vec::new() })
        }
    }
}

/// A source, and what was had of it.
pub(super) struct Followed {
    source: Source,
    ring: Arc<Ring>,
    part: usize,
    rounds: Arc<Rounds>,
    /// The digest of what the keys of now were read from.
    seen: Option<[u8; 32]>,
    trouble: Option<KeyError>,
    failures: u32,
    due: Instant,
}

impl Followed {
    /// Reads it again and again.
    pub(super) async fn go_on(mut self) {
        loop {
            let rounds = Arc::clone(&self.rounds);
            let asked = tokio::select! {
                () = tokio::time::sleep_until(self.due.into()) => false,
                () = rounds.asked() => true,
            };
            self.round(asked).await;
        }
    }

    async fn round(&mut self, asked: bool) {
        self.rounds.begin();
        let (outcome, wait) = match self.source.fetch().await.and_then(|fetched| self.take(&fetched)) {
            Ok((outcome, max_age)) => {
                if self.trouble.take().is_some() {
                    tracing::info!(source = %self.source.place, "the keys can be read again");
                }
                self.failures = 0;
                let age = max_age.map_or(self.source.refresh, |age| age.max(SHORTEST_AGE));
                (outcome, jittered(self.source.refresh.min(age)))
            }
            Err(problem) => {
                self.complain(problem);
                let retry = FIRST_RETRY.saturating_mul(1 << self.failures.min(8));
                self.failures += 1;
                (Outcome::Failed, self.source.refresh.min(LONGEST_RETRY).min(jittered(retry)))
            }
        };
        self.due = Instant::now() + wait;
        self.rounds.end(outcome, asked);
    }

    /// Takes over what was read, if it is something else than before.
    fn take(&mut self, fetched: &Fetched) -> Result<(Outcome, Option<Duration>), KeyError> {
        let seen = sha256(&fetched.bytes);
        if self.seen == Some(seen) {
            return Ok((Outcome::Same, fetched.max_age));
        }
        let found = self.source.read(&fetched.bytes)?;
        for complaint in found.complaints {
            tracing::warn!(source = %self.source.place, "{complaint}");
        }
        tracing::info!(source = %self.source.place, keys = found.keys.len(), "credentials are verified with these keys");
        self.ring.replace(self.part, found.keys);
        self.seen = Some(seen);
        Ok((Outcome::Changed, fetched.max_age))
    }

    /// Says it once for each trouble. A file that was never read ends the start, which says it, too.
    fn complain(&mut self, problem: KeyError) {
        if self.trouble.as_ref() != Some(&problem) {
            match (&self.seen, &self.source.place) {
                (Some(_), place) => {
                    tracing::warn!(source = %place, %problem, "the keys cannot be read; the keys from before stay");
                }
                (None, place @ Place::Url(_)) => {
                    tracing::warn!(source = %place, %problem, "the keys cannot be read; until then, calls by them are UNAVAILABLE");
                }
                (None, Place::File(_)) => {}
            }
        }
        self.trouble = Some(problem);
    }
}

/// Up to a tenth less, so that replicas do not ask all at once.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(1.0 - chance::fraction() / 10.0)
}
