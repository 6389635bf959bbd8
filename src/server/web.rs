//! Browsers: gRPC-Web is translated before a call comes in, so that what is inside knows nothing of it; and which pages may
//! call is told to the browser (CORS), or refused. Why it is so: docs/adr/0028.

use std::future::{self, Ready};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::Either;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};
use tower_http::cors::{Any, Cors, CorsLayer};

use super::layer::{REQUEST_ID, TIMEOUT};
use crate::config::{Origin, Web};
use crate::lsn;
use crate::seldom::Seldom;

/// How long a browser need not ask again whether a page may call: two hours are the most that Chromium believes.
const ASKED: Duration = Duration::from_secs(2 * 3600);
/// What content types of gRPC-Web begin with.
const GRPC_WEB: &[u8] = b"application/grpc-web";
const NOT_ALLOWED: &str = "pages of this origin may not call here; PHOTOMETA_CORS_ALLOW_ORIGIN names those that may\n";
const NOT_SPOKEN: &str = "this port speaks gRPC (HTTP/2, content-type application/grpc), and gRPC-Web where \
                          PHOTOMETA_CORS_ALLOW_ORIGIN names whose pages may call\n";

/// Lets browsers call.
#[derive(Debug, Clone)]
pub(super) struct WebLayer {
    cors: CorsLayer,
    /// None for all of them.
    allowed: Option<Arc<[HeaderValue]>>,
    refused: Arc<Seldom>,
}

impl WebLayer {
    /// For the pages that may call; none when browsers are not wanted.
    pub(super) fn of(settings: &Web) -> Option<Self> {
        let mut exact = Vec::new();
        let mut any = false;
        for origin in &settings.cors_allow_origin {
            match origin {
                Origin::Any => any = true,
                Origin::Exact(origin) => exact.push(origin.clone()),
            }
        }
        if !any && exact.is_empty() {
            return None;
        }
        let taken =
            ["x-grpc-web", TIMEOUT, "x-user-agent", REQUEST_ID, "traceparent", "tracestate", "baggage", lsn::HEADER];
        let told = ["grpc-status", "grpc-message", "grpc-status-details-bin", REQUEST_ID, lsn::HEADER];
        let cors = CorsLayer::new()
            .allow_methods([Method::POST])
            .allow_headers(
                [AUTHORIZATION, CONTENT_TYPE].into_iter().chain(taken.map(HeaderName::from_static)).collect::<Vec<_>>(),
            )
            .expose_headers(told.map(HeaderName::from_static))
            .max_age(ASKED);
        let (cors, allowed) =
            if any { (cors.allow_origin(Any), None) } else { (cors.allow_origin(exact.clone()), Some(exact.into())) };
        Some(Self { cors, allowed, refused: Arc::default() })
    }
}

impl<S> Layer<S> for WebLayer
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone,
{
    type Service = Browsers<S>;

    fn layer(&self, inner: S) -> Browsers<S> {
        let web = self.cors.layer(GrpcWebLayer::new().layer(inner.clone()));
        Browsers { web, other: inner, allowed: self.allowed.clone(), refused: self.refused.clone() }
    }
}

/// A service that browsers may call, beside others.
#[derive(Debug, Clone)]
pub(super) struct Browsers<S> {
    web: Cors<GrpcWebService<S>>,
    other: S,
    allowed: Option<Arc<[HeaderValue]>>,
    refused: Arc<Seldom>,
}

/// Whose a request is.
enum Whose {
    /// A browser's: a call, or the question whether a page may make one.
    Browser,
    /// Somebody's who speaks gRPC itself.
    Other,
    /// Somebody's who speaks something else.
    Unspoken,
    /// A page's that may not call.
    Stranger,
}

impl<S> Browsers<S> {
    fn whose<B>(&self, request: &Request<B>) -> Whose {
        let headers = request.headers();
        let web = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC_WEB));
        if !web && request.method() != Method::OPTIONS {
            return match request.version() {
                Version::HTTP_2 => Whose::Other,
                _ => Whose::Unspoken,
            };
        }
        match (headers.get(ORIGIN), &self.allowed) {
            (Some(origin), Some(allowed)) if !allowed.contains(origin) => Whose::Stranger,
            _ => Whose::Browser,
        }
    }
}

impl<S> Service<Request<Body>> for Browsers<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<
        Ready<Result<Response<Body>, S::Error>>,
        Either<<Cors<GrpcWebService<S>> as Service<Request<Body>>>::Future, S::Future>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(Service::<Request<Body>>::poll_ready(&mut self.web, context))?;
        self.other.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.whose(&request) {
            Whose::Browser => Either::Right(Either::Left(self.web.call(request))),
            Whose::Other => Either::Right(Either::Right(self.other.call(request))),
            Whose::Unspoken => Either::Left(future::ready(Ok(unspoken()))),
            Whose::Stranger => {
                // Its operator sees a page that does not work, and nothing else of ours.
                if let Some(times) = self.refused.again() {
                    let origin = request.headers().get(ORIGIN);
                    tracing::warn!(
                        times,
                        ?origin,
                        "pages were refused: PHOTOMETA_CORS_ALLOW_ORIGIN does not name their origin"
                    );
                }
                Either::Left(future::ready(Ok(said(StatusCode::FORBIDDEN, NOT_ALLOWED))))
            }
        }
    }
}

/// Whether a request says that it is a gRPC call. One that does not is none, even where its bytes would do: a browser sends
/// `text/plain` for any page without asking first, with its user's certificate.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// What is answered to a request that is no call.
pub(super) fn unspoken() -> Response<Body> {
    said(StatusCode::UNSUPPORTED_MEDIA_TYPE, NOT_SPOKEN)
}

fn said(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
