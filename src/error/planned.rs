//! Ends that are no failures, although their codes are those of failures.

use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt as _};

use super::reason_name;
use crate::pb::ErrorReason;

/// In a status's ErrorInfo: that a stream ends because its client was silent, and in which way.
pub(super) const SILENT: &str = "silent";

/// Whether a status tells that something ended as it was meant to: a drain, a connection's age, a client's silence.
pub fn is_planned(status: &Status) -> bool {
    let drained = |info: &ErrorInfo| info.reason == reason_name(ErrorReason::Draining);
    let planned = |info: ErrorInfo| drained(&info) || info.metadata.contains_key(SILENT);
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
        && status.get_details_error_info().is_some_and(planned)
}

#[cfg(test)]
mod tests {
    use super::super::{CredentialProblem, Error};
    use super::*;

    #[test]
    fn only_what_ends_as_it_was_meant_to_is_planned() {
        for planned in [Error::Draining, Error::Idle("sent nothing"), Error::Idle("read nothing")] {
            assert!(is_planned(&planned.into()));
        }
        for failed in [
            Error::Deadline,
            Error::Overloaded,
            Error::DatabaseUnavailable("away".to_owned()),
            Error::Internal("a bug".to_owned()),
            Error::Credential(CredentialProblem::Expired),
        ] {
            assert!(!is_planned(&failed.into()));
        }
    }
}
