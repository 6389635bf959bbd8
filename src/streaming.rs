//! What ends a stream that goes on.

use std::time::Instant;

use tokio::sync::watch;

use crate::error::{CredentialProblem, Error};

/// Waits until the server drains or the credential expires.
pub async fn stopped(mut draining: watch::Receiver<bool>, expires: Option<Instant>) -> Error {
    tokio::select! {
        _ = draining.wait_for(|draining| *draining) => Error::Draining,
        () = at(expires) => Error::Credential(CredentialProblem::Expired),
    }
}

/// Waits for a moment, for ever without one.
pub async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
