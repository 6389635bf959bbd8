//! What ends a stream that goes on.

use std::time::Instant;

use tokio::sync::watch;

use crate::auth::Term;
use crate::error::{CredentialProblem, Error};

/// Waits until the server drains, the connection is about to end, or the credential expires.
pub async fn stopped(mut draining: watch::Receiver<bool>, term: Term) -> Error {
    tokio::select! {
        _ = draining.wait_for(|draining| *draining) => Error::Draining,
        () = at(term.ends) => Error::Draining,
        () = at(term.expires) => Error::Credential(CredentialProblem::Expired),
    }
}

/// Waits for a moment, for ever without one.
pub async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
