//! Which keys a server trusts, now: a shared secret, a public key in a file, and a set of them in a file or behind a
//! URL, which outlive their source. How they are kept up to date is in [`source`].

mod fetch;
mod jwks;
mod key;
mod place;
mod round;
mod source;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use tokio::task::JoinHandle;

pub(super) use self::key::Key;
pub use self::place::Place;
use self::round::Rounds;
use self::source::Source;
use super::verified::{Fingerprint, Verified};
use crate::tls::Trust;

/// What is wrong with a key, or where keys come from. The text never shows one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError(String);

impl KeyError {
    fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}

/// Where keys come from. Tokens may be signed with any of them.
#[derive(Clone)]
pub struct Sources {
    /// HS256 secret.
    pub secret: Option<Vec<u8>>,
    /// PEM file of an RS256, ES256 or EdDSA key.
    pub public_key: Option<PathBuf>,
    /// A JSON Web Key Set.
    pub jwks: Option<Place>,
    /// Whom to trust for a set behind https.
    pub trust: Trust,
    /// How often to fetch a set from a URL again.
    pub refresh: Duration,
}

impl Default for Sources {
    fn default() -> Self {
        Self { secret: None, public_key: None, jwks: None, trust: Trust::System, refresh: Duration::from_secs(300) }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secret, public_key, jwks, trust, refresh } = self;
        f.debug_struct("Sources")
            .field("secret", &secret.as_ref().map(|_| "***"))
            .field("public_key", public_key)
            .field("jwks", jwks)
            .field("trust", trust)
            .field("refresh", refresh)
            .finish()
    }
}

/// The keys of one moment, and what was verified with them: a key that goes takes that along.
#[derive(Debug, Default)]
pub(super) struct Set {
    keys: Vec<Arc<Key>>,
    pub(super) verified: Verified,
}

impl Set {
    /// Tells whether a key has this name.
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The keys that may have signed a token: the ones it names; else, those without a name; without a kid, all of them.
    /// Only keys of its algorithm.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&Key> {
        let named = kid.filter(|kid| self.knows(kid));
        let fits = |key: &&Key| {
            key.algorithm == algorithm
                && match (named, kid) {
                    (Some(named), _) => key.kid.as_deref() == Some(named),
                    (None, Some(_)) => key.kid.is_none(),
                    (None, None) => true,
                }
        };
        self.keys.iter().map(AsRef::as_ref).filter(fits).collect()
    }
}

/// The set of now, and the parts that it is made of, one for each source.
#[derive(Debug, Default)]
struct Ring {
    current: RwLock<Arc<Set>>,
    parts: Mutex<Vec<Vec<Arc<Key>>>>,
}

impl Ring {
    fn current(&self) -> Arc<Set> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives a source other keys.
    fn replace(&self, part: usize, keys: Vec<Key>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.len() <= part {
            parts.resize_with(part + 1, Vec::new);
        }
        parts[part] = keys.into_iter().map(Arc::new).collect();
        let keys = parts.iter().flatten().cloned().collect();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Set { keys, verified: Verified::default() });
    }
}

/// The keys that a server trusts, kept up to date while it is there.
#[derive(Debug)]
pub struct Keyring {
    ring: Arc<Ring>,
    rounds: Option<Arc<Rounds>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Keyring {
    /// A shared secret and nothing else.
    pub fn secret(secret: &[u8]) -> Self {
        let ring = Arc::new(Ring::default());
        ring.replace(0, vec![Key::hs256(secret)]);
        Self { ring, rounds: None, tasks: Vec::new() }
    }

    /// Reads every source, and goes on reading them. A URL that does not answer is asked again later.
    ///
    /// # Errors
    /// When a file cannot be read or has no key that is of use.
    pub async fn open(sources: Sources) -> Result<Self, KeyError> {
        let Sources { secret, public_key, jwks, trust, refresh } = sources;
        let mut keyring = secret
            .as_deref()
            .map_or_else(|| Self { ring: Arc::new(Ring::default()), rounds: None, tasks: Vec::new() }, Self::secret);
        if let Some(path) = public_key {
            keyring.follow(Source::pem(path), 1).await?;
        }
        if let Some(place) = jwks {
            keyring.rounds = Some(keyring.follow(Source::jwks(place, trust, refresh)?, 2).await?);
        }
        Ok(keyring)
    }

    async fn follow(&mut self, source: Source, part: usize) -> Result<Arc<Rounds>, KeyError> {
        let rounds = Arc::new(Rounds::default());
        let followed = source.open(Arc::clone(&self.ring), part, Arc::clone(&rounds)).await?;
        self.tasks.push(tokio::spawn(followed.go_on()));
        Ok(rounds)
    }

    /// The keys of now.
    pub(super) fn current(&self) -> Arc<Set> {
        self.ring.current()
    }

    /// Tells whether a key of this name may come: there is a set, and it does not have it.
    pub(super) fn may_learn(&self, set: &Set, kid: Option<&str>) -> bool {
        self.rounds.as_ref().is_some_and(|rounds| match kid {
            Some(kid) => !set.knows(kid),
            // Only the names of keys tell that one is new.
            None => !rounds.had_any(),
        })
    }

    /// Has the set read again, and waits until it has been. Answers when it has the key, or surely not.
    ///
    /// # Errors
    /// When that cannot be known yet: how long to wait before asking again.
    pub(super) async fn learn(&self, kid: Option<&str>, until: Instant) -> Result<(), Duration> {
        let Some(rounds) = &self.rounds else { return Ok(()) };
        let known = || kid.map_or_else(|| rounds.had_any(), |kid| self.current().knows(kid));
        rounds.learn(Fingerprint::of(kid.unwrap_or_default().as_bytes()), until, known).await
    }
}
