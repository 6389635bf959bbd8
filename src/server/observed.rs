//! What is told of a call when it has ended, in whatever way: its answer's last frame, a refusal, or a client that is gone.

use std::time::Instant;

use http::{HeaderMap, HeaderValue};
use opentelemetry::{ContextGuard, KeyValue};
use tonic::{Code, Status};
use tracing::Span;
use tracing::span::Entered;

use crate::contract;
use crate::error::is_planned;
use crate::telemetry::{ERROR_TYPE, RPC_METHOD, RPC_STATUS_CODE, metrics, trace};

/// RPCs that are served beside the contract's.
const BESIDE: [&str; 5] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/List",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// A call from its beginning to its end, which is when this is dropped.
#[derive(Debug)]
pub(super) struct Observed {
    method: &'static str,
    started: Instant,
    /// What it ended with, and whether that was our fault.
    end: Option<(Code, bool)>,
    /// Whether it was let in.
    pub(super) admitted: bool,
    /// Of its log lines.
    pub(super) log: Span,
    pub(super) trace: trace::Call,
}

impl Observed {
    /// Begins with a request.
    pub(super) fn begin(started: Instant, rpc: &str, request_id: &HeaderValue, headers: &HeaderMap) -> Self {
        let method = method(rpc);
        let trace = trace::Call::begin(method, headers);
        let (trace_id, span_id) = trace.ids();
        let log = tracing::info_span!(
            "rpc",
            rpc.method = %rpc,
            request.id = request_id.to_str().unwrap_or_default(),
            trace_id = trace_id.map(display),
            span_id = span_id.map(display),
        );
        Self { method, started, end: None, admitted: false, log, trace }
    }

    /// Its answer ends with this. What comes first is what the client sees.
    pub(super) fn ends(&mut self, status: &Status) {
        self.end.get_or_insert_with(|| (status.code(), is_error(status)));
    }

    /// Its answer ends without one: that is UNKNOWN to its client.
    pub(super) fn ends_without_status(&mut self) {
        self.end.get_or_insert((Code::Unknown, true));
    }

    /// The same as [`Self::ends`], where headers or trailers say so.
    pub(super) fn ends_by(&mut self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.ends(&status);
        }
    }

    /// Is inside of the call for a while.
    pub(super) fn enter(&self) -> (ContextGuard, Entered<'_>) {
        (self.trace.context().clone().attach(), self.log.enter())
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        // Nobody has read the end: its client has hung up, or its deadline has passed.
        let (code, is_error) = self.end.unwrap_or((Code::Cancelled, false));
        let (status, elapsed) = (name(code), self.started.elapsed());
        self.trace.ends(status, is_error);
        let labels = [
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new(RPC_METHOD, self.method),
            KeyValue::new(RPC_STATUS_CODE, status),
            KeyValue::new(ERROR_TYPE, status),
        ];
        let known = if is_error { 4 } else { 3 };
        metrics().call_duration.record(elapsed.as_secs_f64(), &labels[..known]);
        if code == Code::ResourceExhausted {
            let reason = if self.admitted { "pool" } else { "permits" };
            metrics().calls_refused.add(1, &[KeyValue::new("reason", reason)]);
        }
        let _inside = self.log.enter();
        tracing::debug!(rpc.status_code = status, ?elapsed, "ended");
    }
}

/// The name of an RPC that is served here: traces and metrics have one for each, whatever is asked for.
fn method(rpc: &str) -> &'static str {
    let beside = || BESIDE.into_iter().find(|beside| *beside == rpc);
    contract::name(rpc).or_else(beside).unwrap_or(trace::OTHER)
}

/// Whether a server has to answer for it. The conventions for gRPC say of which codes; what ends as it was meant to is none of
/// those, or every stream would be a failure in the end.
fn is_error(status: &Status) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(status.code(), Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
        && !is_planned(status)
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_whatever_is_called() {
        assert_eq!(method("photometa.v1.PhotoService/GetPhoto"), "photometa.v1.PhotoService/GetPhoto");
        assert_eq!(method("grpc.health.v1.Health/Check"), "grpc.health.v1.Health/Check");
        for stranger in ["photometa.v1.PhotoService/GetPhotos", "", "a/b", "photometa.v1.PhotoService/getphoto"] {
            assert_eq!(method(stranger), "_OTHER");
        }
    }

    #[test]
    fn every_code_has_the_name_that_grpc_gives_it() {
        for number in 0..=16 {
            let code = Code::from_i32(number);
            let plain = name(code).to_lowercase().replace('_', "");

            assert_eq!(plain, format!("{code:?}").to_lowercase());
        }
    }
}
