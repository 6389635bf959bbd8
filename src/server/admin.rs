//! The admin port: plain HTTP for those who look after the process, apart from the calls. `/livez` says that it runs,
//! `/readyz` whether it takes calls, as gRPC's health says it, and `/metrics` what it counts. It has few connections, each
//! for one request and for a moment: who says nothing goes when somebody else comes, and keeps nobody from anything.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection::{Place, Room};
use crate::telemetry::{self, Scrape};

/// Most connections at once. When half of them have not asked yet, the oldest of those makes room for the next one.
const CONNECTIONS: usize = 32;
/// How long a request's headers may take.
const HEADERS: Duration = Duration::from_secs(5);
/// How long a connection may take in all.
const CONNECTION: Duration = Duration::from_secs(10);
/// How long to wait where no connection can be taken, because files are all in use.
const PAUSE: Duration = Duration::from_millis(100);
/// Most bytes of a request.
const REQUEST_BYTES: usize = 8 * 1024;
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Whether the server takes calls: none when it does, and otherwise why not.
#[derive(Debug, Clone)]
pub struct Condition(watch::Sender<Option<String>>);

impl Default for Condition {
    fn default() -> Self {
        let condition = Self(watch::Sender::new(None));
        condition.tell(Some("it is starting"));
        condition
    }
}

impl Condition {
    /// Says so from now on.
    pub(super) fn tell(&self, trouble: Option<&str>) {
        telemetry::metrics().ready.record(u64::from(trouble.is_none()), &[]);
        self.0.send_replace(trouble.map(str::to_owned));
    }
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, condition: Condition, scrape: Scrape) {
    let (room, scrape) = (Room::new(CONNECTIONS), Arc::new(scrape));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Without a place, it is closed.
        let Some(place) = room.enter() else { continue };
        let (condition, scrape) = (condition.clone(), Arc::clone(&scrape));
        tokio::spawn(async move {
            // Who is gone or too slow needs no answer.
            tokio::select! {
                _ = tokio::time::timeout(CONNECTION, converse(socket, &place, &condition, &scrape)) => {}
                () = place.given() => {}
            }
        });
    }
}

async fn converse(socket: TcpStream, place: &Place, condition: &Condition, scrape: &Scrape) -> hyper::Result<()> {
    let service = service_fn(async |request: Request<Incoming>| {
        place.prove();
        Ok::<_, Infallible>(answer(request.method(), request.uri().path(), condition, scrape))
    });
    http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(REQUEST_BYTES)
        .serve_connection(TokioIo::new(socket), service)
        .await
}

fn answer(method: &Method, path: &str, condition: &Condition, scrape: &Scrape) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(method) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    match path {
        "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => match &*condition.0.borrow() {
            None => text(StatusCode::OK, "ok\n".to_owned()),
            Some(trouble) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
        },
        "/metrics" => match scrape.text() {
            Ok((metrics, form)) => {
                let mut response = text(StatusCode::OK, metrics);
                response.headers_mut().insert(CONTENT_TYPE, form);
                response
            }
            Err(error) => {
                tracing::warn!(%error, "metrics cannot be written");
                text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n".to_owned())
            }
        },
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}
