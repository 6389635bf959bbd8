//! The whole server but its sockets and its database, in this thread: layer, codec, services. The pool has no
//! connections, so that whatever passes every check is answered RESOURCE_EXHAUSTED. Its clock stands still while there
//! is work, and jumps when there is none: a call that would wait ends at its deadline at once.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use photometa::auth::Role;
use photometa::auth::token::{Claims, Expectations, Verifier, sign_hs256};
use photometa::config;
use photometa::db::{Db, PoolSettings};
use photometa::page::Pages;
use photometa::server::layer::CallLayer;
use photometa::server::services;
use photometa::streaming::Bounds;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::util::BoxCloneService;
use tower::{Layer as _, ServiceExt as _};
use uuid::Uuid;

/// What tokens are signed with.
pub const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";
/// The organization of every caller but operators.
pub const ORGANIZATION: Uuid = Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);
/// The caller.
pub const SUBJECT: Uuid = Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8058);
/// Every role.
pub const ROLES: [Role; 4] = [Role::OrgAdmin, Role::Service, Role::OrgUser, Role::Operator];
/// Longest time of a call, by a clock that does not wait.
const LONGEST: Duration = Duration::from_secs(60);

/// The server.
pub struct Stack {
    runtime: Runtime,
    service: BoxCloneService<Request<Body>, Response<Body>, Infallible>,
    bearers: [HeaderValue; 4],
    _ends: watch::Sender<bool>,
}

/// How a call ended.
#[derive(Debug)]
pub struct Answer {
    /// It was no gRPC, and told so.
    pub no_call: bool,
    /// What came before the messages.
    pub headers: HeaderMap,
    /// How it ended.
    pub status: Status,
    /// Bytes of messages, with their frames.
    pub bytes: usize,
}

impl Answer {
    /// What a refusal says besides its words.
    pub fn details(&self) -> ErrorDetails {
        self.status.get_error_details()
    }

    /// Why it was refused; empty when it was not.
    pub fn reason(&self) -> String {
        self.details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
    }

    /// Whether nothing was left to check: the database was asked, or there was no need to.
    pub fn is_valid(&self) -> bool {
        matches!(self.status.code(), Code::ResourceExhausted | Code::Ok)
    }
}

/// Claims that hold for a long time.
pub fn claims(role: Role) -> Claims {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let org = (role != Role::Operator).then_some(ORGANIZATION);
    Claims { sub: SUBJECT, org, role, exp: now + 1_000_000, iss: None, aud: None }
}

/// A credential.
///
/// # Panics
/// Never: claims can be signed.
pub fn bearer(role: Role) -> String {
    let token = sign_hs256(&claims(role), SECRET).expect("claims can be signed");
    format!("Bearer {token}")
}

impl Default for Stack {
    fn default() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let nothing = PoolSettings { size: 0, share: 1, wait: Duration::ZERO };
        let db = Db::new(tokio_postgres::Config::new(), nothing).expect("a pool of nothing");
        let ends = watch::Sender::new(false);
        let (_, prepared) = watch::channel(true);
        let bounds = Bounds { draining: ends.subscribe(), idle: LONGEST };
        let verifier = Verifier::hs256(SECRET, &Expectations::default());
        let calls = CallLayer::new(verifier, LONGEST, &config::Limits::default(), prepared, ends.subscribe());
        let service = {
            let _guard = runtime.enter();
            calls.layer(services(Routes::default(), &db, &Pages::new(SECRET), &bounds).prepare())
        };
        let bearers = ROLES.map(|role| bearer(role).parse().expect("a token is ASCII"));
        Self { runtime, service: BoxCloneService::new(service), bearers, _ends: ends }
    }
}

/// A message as gRPC frames it.
pub fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], length.as_slice(), message].concat().into()
}

impl Stack {
    /// Calls an RPC with one message, as somebody.
    pub fn call(&self, path: &str, role: usize, message: &[u8]) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(http::header::AUTHORIZATION, self.bearers[role % ROLES.len()].clone());
        self.send(path, headers, framed(message))
    }

    /// Sends a request as it is.
    ///
    /// # Panics
    /// When there is no answer, which is what this is about.
    pub fn send(&self, path: &str, headers: HeaderMap, body: Bytes) -> Answer {
        let mut request = Request::new(Body::new(Full::new(body)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = path.parse().expect("a path");
        *request.headers_mut() = headers;
        let service = self.service.clone();
        self.runtime.block_on(async move {
            let Ok(response) = service.oneshot(request).await;
            let (parts, body) = response.into_parts();
            let body = body.collect().await;
            let (trailers, bytes, broken) = match body {
                Ok(body) => (body.trailers().cloned(), body.to_bytes().len(), None),
                Err(status) => (None, 0, Some(status)),
            };
            let told = trailers.as_ref().and_then(Status::from_header_map);
            let status = broken.or(told).or_else(|| Status::from_header_map(&parts.headers));
            let no_call = parts.status == StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let status = status.or_else(|| no_call.then(|| Status::unknown("no call")));
            let status = status.unwrap_or_else(|| panic!("no status: {:?} {:?}", parts.status, parts.headers));
            Answer { no_call, headers: parts.headers, status, bytes }
        })
    }
}
