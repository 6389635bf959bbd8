//! What tonic's client says of calls that no server has looked at, and that gRPC's other clients make again by themselves.

use std::error::Error;

use tonic::Status;

/// A call that was waiting for a connection when that was closed.
pub fn was_never_sent(status: &Status) -> bool {
    causes(status).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled))
}

/// A call that met a GOAWAY without an error (RFC 9113, 6.8).
pub fn was_refused(status: &Status) -> bool {
    causes(status)
        .filter_map(|cause| cause.downcast_ref::<h2::Error>())
        .any(|error| error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR))
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(status.source(), |&cause| cause.source())
}
