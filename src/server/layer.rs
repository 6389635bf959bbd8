//! What every call passes through: it gets a request id, a deadline and a span, its credential is read, it is told
//! where in the database's log its commits are, and whatever refuses it (tonic itself included) does so with a reason.
//! Outermost of our layers: tonic's own deadline answers CANCELLED, so ours comes a little earlier.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Request, Response};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::auth::token::{Claims, Verifier};
use crate::auth::{Caller, Credential, Term};
use crate::error::{CredentialProblem, Error};
use crate::id::OrganizationId;
use crate::lsn::{self, Written};
use crate::pb;

const REQUEST_ID: &str = "x-request-id";
/// What the names of our services begin with.
const OURS: &str = "photometa.";
/// Every RPC of ours, as `photometa.v1.PhotoService/GetPhoto`.
static RPCS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let files = FileDescriptorSet::decode(pb::DESCRIPTOR).map(|set| set.file).unwrap_or_default();
    let rpcs = files.iter().flat_map(|file| {
        let services = file.service.iter();
        services.flat_map(|service| service.method.iter().map(|rpc| (file.package(), service.name(), rpc.name())))
    });
    rpcs.map(|(package, service, rpc)| format!("{package}.{service}/{rpc}")).collect()
});

/// How much earlier than the caller's deadline ours is.
const HEAD_START: Duration = Duration::from_millis(5);

/// Wraps every service.
#[derive(Debug, Clone)]
pub struct CallLayer {
    verifier: Arc<Verifier>,
    longest: Duration,
    prepared: watch::Receiver<bool>,
}

impl CallLayer {
    /// Verifies credentials, ends calls after `longest`, and refuses them until the schema is `prepared`.
    pub fn new(verifier: Arc<Verifier>, longest: Duration, prepared: watch::Receiver<bool>) -> Self {
        Self { verifier, longest, prepared }
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let started = Instant::now();
        let rpc = request.uri().path().trim_start_matches('/').to_owned();
        let id = request_id(request.headers());
        let (longest, asked) = (self.settings.longest, asked_for(request.headers()));
        // Of a stream this covers its beginning only: the handler keeps to the caller's deadline by itself.
        let deadline = started + longest.min(asked.unwrap_or(Duration::MAX));
        let asked = asked.and_then(|asked| started.checked_add(asked));
        let authorization = request.headers().get(http::header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let found = self.settings.verifier.verify(authorization).map(|claims| {
            let term = Term { longest, asked, streams: false, expires: expires(&claims) };
            caller(&claims, rpc.clone(), deadline, term)
        });
        let written = found.as_ref().map(|caller| caller.written.clone()).unwrap_or_default();
        let refusal = self.refusal(&rpc, &found);
        request.extensions_mut().insert(Credential(found));

        let span = tracing::info_span!("rpc", rpc.method = %rpc, request.id = id.to_str().unwrap_or_default());
        let inner = refusal.map_or_else(|| Ok(self.inner.call(request)), Err);
        let answer = async move {
            let mut response = match inner.map(|inner| tokio::time::timeout_at(deadline.into(), inner)) {
                Err(refusal) => Status::from(refusal).into_http(),
                Ok(called) => match called.await {
                    Ok(response) => with_reason(&rpc, response?),
                    Err(_) => Status::from(Error::Deadline).into_http(),
                },
            };
            response.headers_mut().insert(REQUEST_ID, id);
            if let Some(position) = written.position().and_then(|position| position.to_string().parse().ok()) {
                response.headers_mut().insert(lsn::HEADER, position);
            }
            let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
            tracing::debug!(rpc.code = ?code, elapsed = ?started.elapsed(), "answered");
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

impl<S> Call<S> {
    /// Why a call is answered before its message is read: a message costs memory, which is not for everybody. Health and
    /// reflection answer all the same, and that there is no such RPC is no secret.
    fn refusal(&self, rpc: &str, found: &Result<Caller, CredentialProblem>) -> Option<Error> {
        if !rpc.starts_with(OURS) {
            return None;
        }
        if !*self.settings.prepared.borrow() {
            return Some(Error::SchemaPending);
        }
        let problem = found.as_ref().err().filter(|_| RPCS.contains(rpc))?;
        Some(Error::Credential(*problem))
    }
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

/// The caller's deadline from `grpc-timeout`: up to eight digits and a unit.
fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    let asked = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Some(asked.saturating_sub(HEAD_START.min(asked / 10)))
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
mod tests {
    use super::*;

    #[test]
    fn asked_for_reads_every_unit_and_nothing_else() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2S", Some(Duration::from_secs(2))),
            ("100m", Some(Duration::from_millis(100))),
            ("", None),
            ("5", None),
            ("-5S", None),
            ("123456789S", None),
            ("5x", None),
        ] {
            let headers =
                HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), HeaderValue::from_static(text))]);

            let found = asked_for(&headers);

            assert_eq!(found.is_some(), expected.is_some(), "{text}");
            assert!(
                found <= expected && found >= expected.map(|all| all.saturating_sub(HEAD_START)),
                "{text}: {found:?}"
            );
        }
    }
}
