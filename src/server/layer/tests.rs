//! The layer around services of the tests' own: what they do wrong is the end of one call.

use std::convert::Infallible;

use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::oneshot;
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::auth::Role;
use crate::auth::token::{Expectations, sign_hs256};
use crate::config::Limits;

const SECRET: &[u8] = b"the secret of the layer's own tests, 32 bytes";
const RPC: &str = "photometa.v1.PhotoService/GetPhoto";

/// The layer, and what ends its calls.
struct Scene {
    layer: CallLayer,
    cut: watch::Sender<bool>,
}

impl Scene {
    fn new(calls: u32) -> Self {
        let cut = watch::Sender::new(false);
        let limits = Limits { max_concurrent_calls: calls, ..Limits::default() };
        let layer = CallLayer {
            verifier: Arc::new(Verifier::hs256(SECRET, &Expectations::default())),
            longest: Duration::from_secs(30),
            admission: Arc::new(Admission::new(&limits)),
            prepared: watch::channel(true).1,
            cut: cut.subscribe(),
        };
        Self { layer, cut }
    }

    /// Calls a service, and answers what its client would see in the end.
    async fn call<F>(
        &self,
        request: Request<Body>,
        handler: impl Fn(Request<Body>) -> F + Clone + Send + 'static,
    ) -> Seen
    where
        F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
    {
        let service = self.layer.layer(tower::service_fn(handler));
        let response = service.oneshot(request).await.unwrap();
        let id = response.headers().get(REQUEST_ID).cloned();
        let headers = Status::from_header_map(response.headers());
        let body = response.into_body().collect().await.unwrap();
        let trailers = body.trailers().and_then(Status::from_header_map);
        let mut seen = Seen { code: Code::Ok, reason: String::new(), message: String::new(), bytes: 0, id };
        if let Some(status) = headers.or(trailers) {
            seen.reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
            (seen.code, seen.message) = (status.code(), status.message().to_owned());
        }
        Seen { bytes: body.to_bytes().len(), ..seen }
    }
}

struct Seen {
    code: Code,
    reason: String,
    message: String,
    bytes: usize,
    id: Option<HeaderValue>,
}

impl Seen {
    fn is(&self, code: Code, reason: &str) -> bool {
        (self.code, self.reason.as_str()) == (code, reason)
    }
}

fn request(rpc: &str) -> Request<Body> {
    let request = Request::builder().uri(format!("/{rpc}")).header(CONTENT_TYPE, "application/grpc");
    request.header(REQUEST_ID, "mine").body(Body::empty()).unwrap()
}

fn asking(timeout: &'static str) -> Request<Body> {
    let mut request = of(1);
    request.headers_mut().insert(TIMEOUT, HeaderValue::from_static(timeout));
    request
}

/// A request of an organization's machine.
fn of(organization: u128) -> Request<Body> {
    let (sub, org) = (Uuid::from_u128(1), Some(Uuid::from_u128(organization)));
    let claims = Claims { sub, org, role: Role::Service, exp: u64::MAX >> 2, iss: None, aud: None };
    let mut request = request(RPC);
    let bearer = format!("Bearer {}", sign_hs256(&claims, SECRET).unwrap());
    request.headers_mut().insert(http::header::AUTHORIZATION, bearer.parse().unwrap());
    request
}

async fn fine(_request: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

async fn never(_request: Request<Body>) -> Result<Response<Body>, Infallible> {
    std::future::pending().await
}

/// A body of seven bytes, behind which `last` happens and nothing more comes.
fn broken(last: fn()) -> Response<Body> {
    let mut sent = false;
    let frames = futures_util::stream::poll_fn(move |_context| {
        if std::mem::replace(&mut sent, true) {
            last();
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok::<_, Status>(Frame::data(bytes::Bytes::from_static(b"seven..")))))
    });
    Response::new(Body::new(StreamBody::new(frames)))
}

#[tokio::test]
async fn panic_of_a_handler_is_internal_for_that_call_alone_and_keeps_its_words() {
    let scene = Scene::new(1);

    for _ in 0..3 {
        let seen = scene.call(of(1), |_| async { panic!("the password is {}", 7) }).await;

        assert!(seen.is(Code::Internal, "INTERNAL"), "{} {}", seen.code, seen.reason);
        assert!(!seen.message.contains("password"), "{}", seen.message);
        assert_eq!(seen.id.unwrap(), "mine");
        // Its permit is free again: there is one only.
        assert_eq!(scene.call(of(1), fine).await.code, Code::Ok);
    }
}

#[tokio::test]
async fn panic_before_the_handler_waits_for_anything_is_internal_too() {
    let scene = Scene::new(1);

    let seen = scene.call(of(1), |_| -> std::future::Ready<_> { panic!("at once") }).await;

    assert!(seen.is(Code::Internal, "INTERNAL"));
    assert_eq!(scene.call(of(1), fine).await.code, Code::Ok);
}

#[tokio::test]
async fn panic_inside_a_body_is_internal_behind_what_was_sent() {
    let scene = Scene::new(1);

    let seen = scene.call(of(1), |_| async { Ok(broken(|| panic!("in the middle"))) }).await;

    assert!(seen.is(Code::Internal, "INTERNAL"), "{} {}", seen.code, seen.reason);
    assert_eq!(seen.bytes, 7);
    assert_eq!(scene.call(of(1), fine).await.code, Code::Ok);
}

#[tokio::test]
async fn calls_and_bodies_that_outlast_the_drain_are_told() {
    let scene = Scene::new(8);
    scene.cut.send_replace(true);

    let call = scene.call(of(1), never).await;
    let body = scene.call(of(1), |_| async { Ok(broken(|| ())) }).await;

    assert!(call.is(Code::Unavailable, "DRAINING") && body.is(Code::Unavailable, "DRAINING"), "{}", body.code);
    assert_eq!(body.bytes, 7);
}

#[tokio::test]
async fn permit_is_held_until_the_body_ends() {
    let scene = Scene::new(1);
    let service = scene.layer.layer(tower::service_fn(|_| async { Ok::<_, Infallible>(broken(|| ())) }));

    let response = service.oneshot(of(1)).await.unwrap();

    assert!(scene.call(of(2), fine).await.is(Code::ResourceExhausted, "OVERLOADED"));
    drop(response);
    assert_eq!(scene.call(of(2), fine).await.code, Code::Ok);
}

#[tokio::test]
async fn organization_that_floods_leaves_room_and_health_needs_none() {
    let scene = Scene::new(4);
    let mut held = Vec::new();
    for _ in 0..2 {
        let (entered, inside) = oneshot::channel();
        let entered = Arc::new(std::sync::Mutex::new(Some(entered)));
        let service = scene.layer.layer(tower::service_fn(move |_| {
            let _ = entered.lock().unwrap().take().unwrap().send(());
            never(request(RPC))
        }));
        held.push(tokio::spawn(service.oneshot(of(1))));
        inside.await.unwrap();
    }

    let refused = scene.call(of(1), |_| -> std::future::Ready<_> { panic!("it was let in") }).await;

    assert!(refused.is(Code::ResourceExhausted, "OVERLOADED"), "{} {}", refused.code, refused.message);
    assert_eq!(scene.call(of(2), fine).await.code, Code::Ok);
    assert_eq!(scene.call(of(3), fine).await.code, Code::Ok);
    assert_eq!(scene.call(request("grpc.health.v1.Health/Check"), fine).await.code, Code::Ok);
    for call in held {
        call.abort();
    }
}

#[tokio::test]
async fn deadline_that_is_over_is_told_without_a_call() {
    let scene = Scene::new(8);

    for over in ["0n", "0S", "00000000H"] {
        let seen = scene.call(asking(over), |_| -> std::future::Ready<_> { panic!("it was let in") }).await;
        assert!(seen.is(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{over}: {}", seen.code);
    }
}

#[tokio::test(start_paused = true)]
async fn deadline_of_a_call_is_told_as_one() {
    let scene = Scene::new(8);

    for short in ["1n", "1u", "1m", "250m"] {
        let seen = scene.call(asking(short), never).await;
        assert!(seen.is(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{short}: {}", seen.code);
    }
}

#[tokio::test]
async fn deadline_that_cannot_be_read_is_refused() {
    let scene = Scene::new(8);

    for text in ["", "5", "S", "-5S", "+5S", "5.0S", "123456789S", "5x", "5 S"] {
        let seen = scene.call(asking(text), fine).await;
        assert!(seen.is(Code::InvalidArgument, "INVALID_FIELDS"), "{text:?}: {}", seen.code);
        assert!(seen.message.contains("grpc-timeout"), "{}", seen.message);
    }
}

#[tokio::test]
async fn metadata_is_bounded_in_entries_and_bytes() {
    let scene = Scene::new(8);
    let with = |entries: usize, bytes: usize| {
        let mut request = of(1);
        for number in 0..entries {
            let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
            request.headers_mut().insert(name, HeaderValue::try_from("v".repeat(bytes)).unwrap());
        }
        request
    };

    assert_eq!(scene.call(with(90, 10), fine).await.code, Code::Ok);
    assert_eq!(scene.call(with(3, 5000), fine).await.code, Code::Ok);
    for over in [with(100, 10), with(3, 6000)] {
        let seen = scene.call(over, fine).await;
        assert!(seen.is(Code::InvalidArgument, "INVALID_FIELDS"), "{}", seen.code);
        assert!(seen.message.starts_with("metadata "), "{}", seen.message);
    }
}

#[test]
fn asked_for_reads_every_unit_and_nothing_else() {
    for (text, expected) in [
        ("1H", Duration::from_secs(3600)),
        ("3M", Duration::from_secs(180)),
        ("2S", Duration::from_secs(2)),
        ("100m", Duration::from_millis(100)),
        ("99999999u", Duration::from_micros(99_999_999)),
        ("7n", Duration::from_nanos(7)),
    ] {
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static(TIMEOUT), HeaderValue::from_static(text))]);

        let found = asked_for(&headers).unwrap().unwrap();

        assert!(found <= expected && found >= expected.saturating_sub(HEAD_START), "{text}: {found:?}");
    }
}
