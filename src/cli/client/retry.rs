//! Which refusals pass by themselves, and how long to wait for that: exponentially longer, with jitter so that
//! clients do not return in step, and never less than the server asks for.

use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use crate::chance;

/// How often a call is made before its refusal stands.
const ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Calls until the answer is no refusal that passes by itself. The call must be safe to repeat.
///
/// # Errors
/// The last refusal.
pub(in crate::cli) async fn retry<T, Answer>(mut call: impl FnMut() -> Answer) -> Result<T, Status>
where
    Answer: Future<Output = Result<Response<T>, Status>>,
{
    let mut attempt = 0;
    loop {
        attempt += 1;
        match call().await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) => match pause(&status, attempt) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(status),
            },
        }
    }
}

/// How long to wait before attempt `attempt + 1`; `None` when the refusal stands.
pub(in crate::cli) fn pause(status: &Status, attempt: u32) -> Option<Duration> {
    if attempt >= ATTEMPTS || !passes(status) {
        return None;
    }
    let exponential = FIRST_PAUSE.saturating_mul(1 << (attempt - 1)).min(LONGEST_PAUSE);
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default();
    Some(asked.min(LONGEST_PAUSE) + exponential.mul_f64(0.5 + chance::fraction() / 2.0))
}

fn passes(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted => true,
        Code::Aborted => status.get_details_error_info().is_some_and(|info| info.reason == "CONCURRENT_CHANGE"),
        // No answer at all, such as a connection that broke under the call: only such a status has a source.
        Code::Unknown | Code::Internal | Code::Cancelled => status.source().is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn aborted(reason: &str) -> Status {
        let details = ErrorDetails::with_error_info(reason, "photometa.v1", std::collections::HashMap::new());
        Status::with_error_details(Code::Aborted, "", details)
    }

    #[test]
    fn pause_grows_and_ends() {
        let status = Status::unavailable("");

        let pauses: Vec<_> = (1..=ATTEMPTS).map(|attempt| pause(&status, attempt)).collect();

        assert!(pauses[0].is_some_and(|pause| pause <= FIRST_PAUSE), "{pauses:?}");
        assert!(pauses[5] > pauses[3], "{pauses:?}");
        assert_eq!(pauses[7], None);
    }

    #[test]
    fn pause_honours_what_the_server_asks_for() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(2)));
        let status = Status::with_error_details(Code::ResourceExhausted, "", details);

        assert!(pause(&status, 1).is_some_and(|pause| pause >= Duration::from_secs(2)));
    }

    #[test]
    fn pause_is_none_when_the_refusal_stands() {
        assert!(pause(&aborted("CONCURRENT_CHANGE"), 1).is_some());
        assert_eq!(pause(&aborted("STALE_ETAG"), 1), None);
        assert_eq!(pause(&Status::invalid_argument(""), 1), None);
        assert_eq!(pause(&Status::unknown("answered by the server"), 1), None);
    }
}
