//! Tokens that were verified already: workers send the same one with every call, and its signature does not change.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::token::Claims;
use crate::digest::sha256;

/// Most tokens that are kept.
const MOST: usize = 4096;
/// How often those that have expired are forgotten.
const SWEEP_SECONDS: u64 = 60;

/// By its SHA-256: tokens are secrets, and not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a token.
    pub(super) fn of(token: &[u8]) -> Self {
        Self(sha256(token))
    }
}

/// What verified tokens say. Only those get in, so nobody can fill it with inventions.
#[derive(Debug, Default)]
pub(super) struct Verified(RwLock<Kept>);

#[derive(Debug, Default)]
struct Kept {
    tokens: HashMap<Fingerprint, Claims>,
    /// When those that had expired were last forgotten, in seconds since 1970.
    swept: u64,
}

impl Verified {
    /// What a token says that was verified before; it may have expired since.
    pub(super) fn get(&self, token: &Fingerprint) -> Option<Claims> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).tokens.get(token).cloned()
    }

    /// Keeps what a token says. Those that have expired are forgotten every minute; when there are too many all the
    /// same, all of them.
    pub(super) fn keep(&self, token: Fingerprint, claims: Claims, now: u64) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.tokens.len() >= MOST || now.abs_diff(kept.swept) >= SWEEP_SECONDS {
            kept.tokens.retain(|_, claims| claims.exp >= now);
            kept.swept = now;
        }
        if kept.tokens.len() >= MOST {
            kept.tokens.clear();
        }
        kept.tokens.insert(token, claims);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::Role;
    use super::*;

    fn claims(exp: u64) -> Claims {
        Claims { sub: Uuid::nil(), org: None, role: Role::Operator, exp, iss: None, aud: None }
    }

    fn token(number: usize) -> Fingerprint {
        Fingerprint::of(number.to_string().as_bytes())
    }

    #[test]
    fn keep_makes_room_by_forgetting_expired_tokens_first() {
        let verified = Verified::default();
        for number in 0..MOST {
            verified.keep(token(number), claims(if number % 2 == 0 { 100 } else { 300 }), 90);
        }

        verified.keep(token(MOST), claims(300), 101);

        assert!(verified.get(&token(0)).is_none());
        assert!(verified.get(&token(1)).is_some());
        assert_eq!(verified.get(&token(MOST)).map(|claims| claims.exp), Some(300));
    }

    #[test]
    fn keep_forgets_expired_tokens_within_a_minute() {
        let verified = Verified::default();
        verified.keep(token(1), claims(100), 90);
        verified.keep(token(2), claims(300), 101);
        assert!(verified.get(&token(1)).is_some(), "not at once: it would cost every call");

        verified.keep(token(3), claims(300), 150);

        assert!(verified.get(&token(1)).is_none());
        assert!(verified.get(&token(2)).is_some());
    }

    #[test]
    fn keep_never_holds_more_than_its_bound() {
        let verified = Verified::default();
        for number in 0..3 * MOST {
            verified.keep(token(number), claims(300), 200);
        }

        assert!(verified.0.read().unwrap().tokens.len() <= MOST);
        assert!(verified.get(&token(3 * MOST - 1)).is_some());
    }
}
