//! The spans that are exported: one of each call, one of each group of creates, one of each flight to the database. They
//! are this module's alone, and no others are exported; so those of the logs may say what a trace must not, and the
//! exporter does not trace itself. Names and attributes are those of OpenTelemetry's semantic conventions 1.45. While
//! nothing is exported, no span is made.

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, SpanId, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Where a caller's span stands.
const TRACEPARENT: &str = "traceparent";

/// What a method is called that the server does not have.
pub const OTHER: &str = "_OTHER";

/// Tells whether a span is one of these.
pub(super) fn is_exported(metadata: &Metadata<'_>) -> bool {
    metadata.target() == module_path!()
}

/// The span of a call, as the child of the caller's span that its metadata names.
pub fn call(method: &'static str, headers: &HeaderMap) -> Span {
    let name = if method == OTHER { "grpc" } else { method };
    let span = tracing::info_span!(
        parent: None,
        "call",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.status_code = Empty,
        "error.type" = Empty,
    );
    if !span.is_disabled() {
        // It has not begun before.
        let _ = span.set_parent(caller(headers));
    }
    span
}

/// The trace of a call and its span, for its log lines; without a span of ours, the caller's trace.
pub fn ids(span: &Span, headers: &HeaderMap) -> (Option<TraceId>, Option<SpanId>) {
    let own = context_of(&span.context());
    if own.is_valid() {
        return (Some(own.trace_id()), Some(own.span_id()));
    }
    let theirs = context_of(&caller(headers));
    (theirs.is_valid().then(|| theirs.trace_id()), None)
}

/// Says how a call has ended: with this status code, which is an error of the server's or not.
pub fn called(span: &Span, code: &'static str, error: bool) {
    // A span ends where it was left last.
    let _inside = span.enter();
    span.record("rpc.status_code", code);
    if error {
        failed(span, code);
    }
}

/// Most links of a span: a group has one for each of its calls.
pub const MAX_LINKS: u32 = 1024;

/// The span of a group of creates. It belongs to no call more than to another, but a span has one parent: the first call whose
/// trace is sampled, so that there is one whenever a call has one. It is linked with the others, and they with it.
pub fn group(kind: &'static str, calls: &[&Context]) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "group",
        otel.name = %format_args!("group {kind}"),
        photometa.group.size = integer(calls.len()),
    );
    if span.is_disabled() {
        return span;
    }
    let parent = calls.iter().position(|call| context_of(call).is_sampled()).unwrap_or_default();
    let others = || calls.iter().enumerate().filter(|(index, _)| *index != parent).map(|(_, call)| call);
    if let Some(parent) = calls.get(parent) {
        // It has not begun before.
        let _ = span.set_parent((*parent).clone());
    }
    others().for_each(|call| span.add_link(context_of(call)));
    let own = context_of(&span.context());
    others().for_each(|call| call.span().add_link(own.clone(), Vec::new()));
    span
}

/// A number as the exporter knows numbers: of unsigned ones it would make words.
fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Where statements are sent.
#[derive(Debug, Default)]
pub struct Peer {
    /// Name of the database.
    pub namespace: Option<String>,
    /// Host or folder of sockets, where there is one alone.
    pub address: Option<String>,
    /// Its port.
    pub port: Option<u16>,
}

/// The span of a flight to the database, in the current call. More than one statement in it are a batch.
pub fn flight(peer: &Peer, summary: &str, statements: usize) -> Span {
    tracing::info_span!(
        "flight",
        otel.name = summary,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "postgresql",
        db.namespace = peer.namespace,
        db.query.summary = summary,
        db.operation.batch.size = (statements > 1).then(|| integer(statements)),
        db.response.status_code = Empty,
        server.address = peer.address,
        server.port = peer.port.map(integer),
        "error.type" = Empty,
    )
}

/// Says that a flight has failed, with PostgreSQL's SQLSTATE where that is why.
pub fn flight_failed(span: &Span, class: &str, sqlstate: bool) {
    if sqlstate {
        span.record("db.response.status_code", class);
    }
    failed(span, class);
}

fn failed(span: &Span, class: &str) {
    span.record("error.type", class);
    span.record("otel.status_code", "ERROR");
}

fn context_of(context: &Context) -> SpanContext {
    context.span().span_context().clone()
}

/// The caller's span.
fn caller(headers: &HeaderMap) -> Context {
    if !headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).is_some_and(is_whole) {
        return Context::new();
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers))
}

/// Whether the parts of a `traceparent` have the lengths that W3C gives them: the propagator takes shorter numbers, too.
fn is_whole(value: &str) -> bool {
    let lengths: Vec<usize> = value.split('-').map(str::len).collect();
    lengths.starts_with(&[2, 32, 16, 2])
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
