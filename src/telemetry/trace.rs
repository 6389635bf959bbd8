//! The spans that are exported: one of each call, one of each group of creates, one of each flight to the database. They
//! are this module's alone, and no others are exported; so those of the logs may say what a trace must not, and the
//! exporter does not trace itself. Names and attributes are those of OpenTelemetry's semantic conventions 1.45. A call that is
//! not sampled has no span, and nothing that is done for it alone has one.

use std::sync::OnceLock;

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, SpanId, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample as _};
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

/// Who decides which calls are traced; nobody, where no traces are taken.
static SAMPLER: OnceLock<Sampler> = OnceLock::new();

/// Has calls sampled from now on. It is decided before there is a span: most of what a trace costs is that spans are made.
pub(super) fn sample(sampler: Sampler) {
    // A second start keeps the first.
    let _ = SAMPLER.set(sampler);
}

/// The trace of a call, from its beginning to its end, which is when this is dropped.
#[derive(Debug)]
pub struct Call {
    span: Span,
    context: Context,
    trace_id: Option<TraceId>,
}

impl Call {
    /// Begins with a request, as the child of the caller's span that its metadata names.
    pub fn begin(method: &'static str, headers: &HeaderMap) -> Self {
        let name = if method == OTHER { "grpc" } else { method };
        let caller = caller(headers);
        let theirs = context_of(&caller);
        let theirs = theirs.is_valid().then(|| theirs.trace_id());
        let Some(sampler) = SAMPLER.get() else { return Self::untraced(theirs) };
        let trace_id = theirs.unwrap_or_else(|| RandomIdGenerator::default().new_trace_id());
        let sampled = sampler.should_sample(Some(&caller), trace_id, name, &SpanKind::Server, &[], &[]);
        if sampled.decision != SamplingDecision::RecordAndSample {
            return Self::untraced(Some(trace_id));
        }
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
        // It has not begun before.
        let _ = span.set_parent(caller);
        let context = span.context();
        let own = context_of(&context);
        let trace_id = if own.is_valid() { Some(own.trace_id()) } else { theirs };
        Self { span, context, trace_id }
    }

    fn untraced(trace_id: Option<TraceId>) -> Self {
        Self { span: Span::none(), context: Context::new(), trace_id }
    }

    /// What has to be current where something is done for the call. Its span is in it, the parent of what is done; to
    /// enter that, at each poll, takes 3 to 5 µs of a call.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The trace and the span, for the log's lines. The trace of what is not sampled is the caller's, or its own.
    pub fn ids(&self) -> (Option<TraceId>, Option<SpanId>) {
        let own = context_of(&self.context);
        (self.trace_id, own.is_valid().then(|| own.span_id()))
    }

    /// Whether a span was made.
    #[cfg(test)]
    pub(super) fn has_span(&self) -> bool {
        !self.span.is_disabled()
    }

    /// Says how it has ended: with this status code, which is an error of the server's or not.
    pub fn ends(&self, code: &'static str, error: bool) {
        self.span.record("rpc.status_code", code);
        if error {
            failed(&self.span, code);
        }
    }
}

/// Most links of a span: a group has one for each of its calls.
pub const MAX_LINKS: u32 = 1024;

/// The span of a group of creates. It belongs to no call more than to another, but a span has one parent: the first call that
/// is sampled, so that there is one whenever a call has one. It is linked with the others that are, and they with it.
pub fn group(kind: &'static str, calls: &[&Context]) -> Span {
    let size = integer(calls.len());
    let mut sampled = calls.iter().filter(|call| is_sampled(call));
    let Some(parent) = sampled.next() else { return Span::none() };
    let span = tracing::info_span!(
        parent: None,
        "group",
        otel.name = %format_args!("group {kind}"),
        photometa.group.size = size,
    );
    // It has not begun before.
    let _ = span.set_parent((*parent).clone());
    let own = context_of(&span.context());
    for call in sampled {
        span.add_link(context_of(call));
        call.span().add_link(own.clone(), Vec::new());
    }
    span
}

/// What has to be current where something is done for a group.
pub fn context(group: &Span) -> Context {
    group.context()
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

/// The span of a flight to the database, in the call or group that is current; what the service asks for itself has none.
/// More than one statement in it are a batch.
pub fn flight(peer: &Peer, summary: &str, statements: usize) -> Span {
    if !Context::map_current(is_sampled) {
        return Span::none();
    }
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

fn is_sampled(context: &Context) -> bool {
    context.span().span_context().is_sampled()
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

/// What is taken of a request: not its `tracestate`, which may say anything at any length, and would be exported with each
/// of the call's spans.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).filter(|_| key == TRACEPARENT).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
