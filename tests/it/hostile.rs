//! Clients that mean harm, or are broken: slow, half-open, many, flooding, lying. Each is bounded, and somebody else is
//! served all the while. PHOTOMETA_TEST_HOSTILE_CONNECTIONS asks for other than 300 connections at once.

mod anybody;
mod bodies;
mod bystander;
mod crowd;
mod floods;
mod frames;
mod life;
mod slow;
mod strangers;

use std::time::Duration;

use photometa::server::{ConnectionLimits, Connections};

use crate::harness::{A, App, token};

use self::bystander::Bystander;

/// Any call.
const WHO_AM_I: &str = "/photometa.v1.SessionService/WhoAmI";

/// A server that is as patient as the test can wait.
fn impatient() -> Connections {
    let limits = ConnectionLimits {
        handshake: Duration::from_secs(1),
        ping: Duration::from_secs(1),
        // Everybody else answers, on a busy machine too.
        pong: Duration::from_secs(3),
        ..ConnectionLimits::default()
    };
    Connections { limits, ..Default::default() }
}

/// Somebody else at that server.
fn bystander(app: &App) -> Bystander {
    Bystander::begin(app.channel.clone(), &format!("Bearer {}", token(A.as_admin())))
}
