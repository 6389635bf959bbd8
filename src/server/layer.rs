//! What every call passes through: it gets a request id, a deadline and a span, comes in or is refused, its credential is
//! read, it is told where in the database's log its commits are, and whatever refuses it (tonic itself included) does so
//! with a reason. A panic is the end of one call. Clients end a call at their deadline by themselves: ours comes a little earlier.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry::context::FutureExt as _;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;
use uuid::Uuid;

use super::admission::{Admission, Pass};
use super::connection::Peer;
use super::guard::Guarded;
use super::observed::Observed;
use super::web;
use crate::auth::token::{Claims, Verifier};
use crate::auth::{Caller, Credential, Term};
use crate::config::Limits;
use crate::contract;
use crate::error::{Error, Result};
use crate::id::OrganizationId;
use crate::lsn::{self, Written};
use crate::panics;
use crate::streaming::told;

pub(super) const REQUEST_ID: &str = "x-request-id";
pub(super) const TIMEOUT: &str = "grpc-timeout";
/// What the names of our services begin with.
const OURS: &str = "photometa.";
/// How much earlier than the caller's deadline ours is.
const HEAD_START: Duration = Duration::from_millis(5);
/// Most entries of a call's metadata, those of the protocol among them.
const MAX_ENTRIES: usize = 100;
/// Most bytes of a call's metadata, as HTTP/2 counts them: 32 for each entry beside its name and value.
const MAX_METADATA_BYTES: usize = 16 * 1024;

/// Wraps every service.
#[derive(Debug, Clone)]
pub struct CallLayer {
    /// Verifies credentials.
    pub(super) verifier: Arc<Verifier>,
    /// Longest time of a call.
    pub(super) longest: Duration,
    /// Counts calls in flight.
    pub(super) admission: Arc<Admission>,
    /// Whether the schema is there; calls are refused until then.
    pub(super) prepared: watch::Receiver<bool>,
    /// Set when the drain's time is over: calls end without their answer.
    pub(super) cut: watch::Receiver<bool>,
}

impl CallLayer {
    /// Ends calls after `longest`, lets as many in as `limits` say, refuses them until the schema is `prepared`, and ends
    /// them without their answer once they are `cut` off.
    pub fn new(
        verifier: Verifier,
        longest: Duration,
        limits: &Limits,
        prepared: watch::Receiver<bool>,
        cut: watch::Receiver<bool>,
    ) -> Self {
        Self { verifier: Arc::new(verifier), longest, admission: Arc::new(Admission::new(limits)), prepared, cut }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Call<S>;

    fn layer(&self, inner: S) -> Call<S> {
        Call { inner, settings: self.clone() }
    }
}

/// A service in the layer.
#[derive(Debug, Clone)]
pub struct Call<S> {
    inner: S,
    settings: CallLayer,
}

/// A call that has come in.
struct Admitted {
    request: Request<Body>,
    deadline: Instant,
    written: Written,
    pass: Pass,
}

impl<S> Service<Request<Body>> for Call<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !web::is_grpc(request.headers()) {
            return Box::pin(async { Ok(web::unspoken()) });
        }
        let started = Instant::now();
        let rpc = request.uri().path().trim_start_matches('/').to_owned();
        let id = request_id(request.headers());
        let mut observed = Observed::begin(started, &rpc, &id, request.headers());
        let (log, trace) = (observed.log.clone(), observed.trace.context().clone());
        // This one was asked whether it is ready; its clone was not.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let settings = self.settings.clone();
        let answer = async move {
            let admitted = settings.admit(request, &rpc, started).await;
            let cut = settings.cut;
            let mut written = Written::default();
            let (mut response, pass) = match admitted {
                Err(error) => (Status::from(error).into_http(), None),
                Ok(call) => {
                    observed.admitted = true;
                    written = call.written;
                    let called = AssertUnwindSafe(async { inner.call(call.request).await }).catch_unwind();
                    let ended = tokio::select! {
                        biased;
                        called = tokio::time::timeout_at(call.deadline.into(), called) => match called {
                            Ok(Ok(response)) => Ok(with_reason(&rpc, response?)),
                            Ok(Err(panic)) => Err(panics::error(&*panic)),
                            Err(_) => Err(Error::Deadline),
                        },
                        () = told(cut.clone()) => Err(Error::Draining),
                    };
                    (ended.unwrap_or_else(|error| Status::from(error).into_http()), Some(call.pass))
                }
            };
            response.headers_mut().insert(REQUEST_ID, id);
            if let Some(position) = written.position().and_then(|position| position.to_string().parse().ok()) {
                response.headers_mut().insert(lsn::HEADER, position);
            }
            observed.ends_by(response.headers());
            Ok(response.map(|body| Body::new(Guarded::new(body, pass, cut, observed))))
        };
        Box::pin(answer.instrument(log).with_context(trace))
    }
}

impl CallLayer {
    /// Lets a call in, by what stands in its metadata: nothing of its message was read.
    async fn admit(&self, mut request: Request<Body>, rpc: &str, started: Instant) -> Result<Admitted> {
        // What anybody may call answers always.
        let ours = rpc.starts_with(OURS);
        if ours && !*self.prepared.borrow() {
            return Err(Error::SchemaPending);
        }
        // The cheapest refusal comes first.
        let gate = ours.then(|| self.admission.gate(rpc)).transpose()?;
        let headers = request.headers();
        let asked = match asked_for(headers) {
            Err(error) if ours => return Err(error),
            asked => asked.unwrap_or_default(),
        };
        if ours {
            bounded(headers)?;
            if asked.is_some_and(|asked| asked.is_zero()) {
                return Err(Error::Deadline);
            }
        }
        // Of a stream this covers its beginning only: the handler keeps to the caller's deadline by itself.
        let deadline = started + self.longest.min(asked.unwrap_or(Duration::MAX));
        let asked = asked.and_then(|asked| started.checked_add(asked));
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let ends = peer.ends;
        // Where there is a token, it decides: a certificate does not make up for a bad one.
        let certified = if headers.contains_key(AUTHORIZATION) { None } else { peer.claims() };
        let claims = if let Some(claims) = certified {
            claims
        } else {
            let entries = headers.get_all(AUTHORIZATION).into_iter().map(HeaderValue::as_bytes);
            let mut verified = pin!(self.verifier.verify(entries, deadline));
            if let Some(claims) = verified.as_mut().now_or_never() {
                claims
            } else {
                // It waits for a key that is new, as one of those of whom nobody knows who they are.
                let _waiting = gate.map(|gate| gate.enter(None)).transpose()?;
                verified.await
            }
        };
        let found = claims.map(|claims| {
            let term = Term { longest: self.longest, asked, streams: false, expires: expires(&claims), ends };
            caller(&claims, rpc.to_owned(), deadline, term)
        });
        let tenant = found.as_ref().ok().map(|caller| caller.organization);
        let pass = match gate {
            Some(gate) => Pass::Ours(gate.enter(tenant)?),
            None => self.admission.anybodys(&peer, rpc)?,
        };
        // A message costs memory, which is not for everybody. That there is no such RPC is no secret.
        if let Some(problem) = found.as_ref().err().filter(|_| contract::has(rpc)) {
            return Err(Error::Credential(*problem));
        }
        if found.is_ok() {
            peer.prove();
        }
        let written = found.as_ref().map(|caller| caller.written.clone()).unwrap_or_default();
        request.extensions_mut().insert(Credential(found));
        Ok(Admitted { request, deadline, written, pass })
    }
}

/// Refuses more metadata than anybody needs.
fn bounded(headers: &HeaderMap) -> Result<()> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    if headers.len() > MAX_ENTRIES {
        return Err(Error::invalid("metadata", format!("has {} entries; {MAX_ENTRIES} are allowed", headers.len())));
    }
    if bytes > MAX_METADATA_BYTES {
        return Err(Error::invalid("metadata", format!("is {bytes} bytes; {MAX_METADATA_BYTES} are allowed")));
    }
    Ok(())
}

fn caller(claims: &Claims, rpc: String, deadline: Instant, term: Term) -> Caller {
    let organization = OrganizationId(claims.org.unwrap_or_default());
    let (after, written) = (None, Written::default());
    Caller { organization, subject: claims.sub, role: claims.role, rpc, deadline, term, after, written }
}

/// When a credential is first refused: the second that `exp` names still counts.
fn expires(claims: &Claims) -> Option<Instant> {
    let end = Duration::from_secs(claims.exp.checked_add(1)?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::now().checked_add(end.saturating_sub(now))
}

/// The caller's id when it is short and printable, otherwise a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|id| (1..=128).contains(&id.len()) && id.to_str().is_ok());
    given.cloned().unwrap_or_else(|| {
        let made = Uuid::now_v7().to_string();
        HeaderValue::from_str(&made).unwrap_or_else(|_| HeaderValue::from_static("-"))
    })
}

/// The caller's deadline from `grpc-timeout`: up to eight digits and a unit. One that cannot be read is refused: whoever
/// sent it would wait for longer than it means to.
fn asked_for(headers: &HeaderMap) -> Result<Option<Duration>> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let asked = value.to_str().ok().and_then(timeout).ok_or_else(|| {
        Error::invalid(TIMEOUT, "is no timeout; send up to eight digits and one of H, M, S, m, u, n, such as 500m")
    })?;
    Ok(Some(asked.saturating_sub(HEAD_START.min(asked / 10))))
}

fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Gives refusals of our RPCs that tonic itself made a reason of ours. Health and reflection speak for themselves.
fn with_reason(rpc: &str, response: Response<Body>) -> Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    let ours = rpc.starts_with(OURS) || status.code() == Code::Unimplemented;
    if status.code() == Code::Ok || !ours {
        return response;
    }
    Error::of_tonic(&status).map_or(response, |error| Status::from(error).into_http())
}

#[cfg(test)]
mod tests;
