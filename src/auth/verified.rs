//! Tokens that were verified already: workers send the same one with every call, and its signature does not change.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use ring::digest::{SHA256, digest};

use super::token::Claims;

/// Most tokens that are kept.
const MOST: usize = 4096;

/// By its SHA-256: tokens are secrets, and not kept.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a token.
    pub(super) fn of(token: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(bytes)
    }
}

/// What verified tokens say. Only those get in, so nobody can fill it with inventions.
#[derive(Debug, Default)]
pub(super) struct Verified(RwLock<HashMap<Fingerprint, Claims>>);

impl Verified {
    /// What a token says that was verified before; it may have expired since.
    pub(super) fn get(&self, token: &Fingerprint) -> Option<Claims> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Keeps what a token says. When there are too many, those that have expired make room, or else all of them.
    pub(super) fn keep(&self, token: Fingerprint, claims: Claims, now: u64) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.retain(|_, claims| claims.exp >= now);
        }
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(token, claims);
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
            verified.keep(token(number), claims(if number % 2 == 0 { 100 } else { 300 }), 50);
        }

        verified.keep(token(MOST), claims(300), 200);

        assert!(verified.get(&token(0)).is_none());
        assert!(verified.get(&token(1)).is_some());
        assert_eq!(verified.get(&token(MOST)).map(|claims| claims.exp), Some(300));
    }

    #[test]
    fn keep_never_holds_more_than_its_bound() {
        let verified = Verified::default();
        for number in 0..3 * MOST {
            verified.keep(token(number), claims(300), 200);
        }

        assert!(verified.0.read().unwrap().len() <= MOST);
        assert!(verified.get(&token(3 * MOST - 1)).is_some());
    }
}
