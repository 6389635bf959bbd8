//! The life of one connection: its calls, and what ends it. An end is said first (GOAWAY, or "connection: close"): calls that run
//! go on for a while, and a client that has others to make connects again without losing one.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

use super::ConnectionLimits;
use super::first::Protocol;
use super::peer::Peer;
use super::room::Place;
use super::untaken::{self, Answer};
use crate::chance;

/// How much of a request may wait to be read. A stream that is not read from takes no more than this of its
/// connection's share, so that the other calls of the connection still come through.
const STREAM_WINDOW: u32 = 256 * 1024;
/// How much of all requests of a connection may wait to be read.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Most calls of a connection at once.
const CALLS: u32 = 256;
/// Largest metadata of a call that reach us, who refuse more than 16 KiB with a reason; HTTP/2 refuses more than this.
const METADATA_BYTES: u32 = 64 * 1024;
/// Most calls that a client may take back before they were looked at: more is a flood, and the connection ends.
const TAKEN_BACK: usize = 20;
/// Most calls that may break the rules of HTTP/2 in one connection.
const BROKEN: usize = 1024;

/// How long before its connection is cut a stream ends by itself.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What answers calls.
pub(in crate::server) trait Answers:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Answers for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// Serves a connection to its end.
pub(super) async fn live<IO, S>(
    io: IO,
    protocol: Protocol,
    mut peer: Peer,
    place: Option<Place>,
    service: S,
    limits: &ConnectionLimits,
    closing: watch::Receiver<bool>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Answers,
{
    let (address, age) = (peer.address, about(limits.age));
    // Streams end by themselves a little earlier than they would be cut, with all that they have to say.
    let last = limits.grace.saturating_sub(LAST_WORDS.min(limits.grace / 4));
    peer.ends = Instant::now().checked_add(age).and_then(|told| told.checked_add(last));
    let place = place.map(Arc::new);
    peer.place = place.as_ref().map(Arc::downgrade).unwrap_or_default();
    let calls = Arc::new(Calls { place, state: Mutex::new((0, Instant::now())) });
    let entrance = Entrance { service, peer, calls: Arc::clone(&calls) };
    match protocol {
        Protocol::Http2 => {
            let connection = pin!(http2(limits).serve_connection(TokioIo::new(io), entrance));
            last_until_its_end(connection, address, age, &calls, limits, closing).await;
        }
        Protocol::Http1 => {
            let connection = pin!(http1(limits).serve_connection(TokioIo::new(io), entrance));
            let life = last_until_its_end(connection, address, age, &calls, limits, closing);
            // Its calls come one after the other, and are no tasks of their own.
            untaken::Calls(limits.untaken).watch(life).await;
        }
    }
}

/// A connection that can be told to take no more calls.
trait Connection: Future<Output = hyper::Result<()>> {
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<IO, S> Connection for http2::Connection<TokioIo<IO>, Entrance<S>, untaken::Calls>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Answers,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        http2::Connection::graceful_shutdown(self);
    }
}

impl<IO, S> Connection for http1::Connection<TokioIo<IO>, Entrance<S>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Answers,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        http1::Connection::graceful_shutdown(self);
    }
}

/// Runs a connection until it ends by itself, or is ended.
async fn last_until_its_end(
    mut connection: Pin<&mut impl Connection>,
    address: Option<SocketAddr>,
    age: Duration,
    calls: &Calls,
    limits: &ConnectionLimits,
    mut closing: watch::Receiver<bool>,
) {
    let mut until = pin!(tokio::time::sleep(age));
    let mut idle = pin!(tokio::time::sleep(limits.idle));
    let mut told = None::<Instant>;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(peer = ?address, %error, "a connection broke");
                }
                return;
            }
            () = told_to_close(&mut closing), if told.is_none() => {
                connection.as_mut().graceful_shutdown();
                told = Some(Instant::now());
                // Whoever drains has a bound of its own.
                until.as_mut().reset((Instant::now() + limits.grace).into());
            }
            () = &mut until => match told {
                // A call may have crossed what an idle connection was told.
                Some(since) if since.elapsed() < limits.grace && calls.idle_since().is_none() => {
                    until.as_mut().reset((since + limits.grace).into());
                }
                Some(_) => {
                    tracing::debug!(peer = ?address, "a connection is ended with the calls that still ran");
                    return;
                }
                None => {
                    connection.as_mut().graceful_shutdown();
                    told = Some(Instant::now());
                    until.as_mut().reset((Instant::now() + limits.grace).into());
                }
            },
            () = &mut idle, if told.is_none() => match calls.idle_since() {
                Some(since) if since.elapsed() >= limits.idle => {
                    connection.as_mut().graceful_shutdown();
                    told = Some(Instant::now());
                    // Nothing runs that would be worth waiting for.
                    until.as_mut().reset((Instant::now() + limits.grace.min(limits.pong)).into());
                }
                since => idle.as_mut().reset((since.unwrap_or_else(Instant::now) + limits.idle).into()),
            },
            () = calls.given() => {
                tracing::debug!(peer = ?address, "a connection without a call makes room");
                return;
            }
        }
    }
}

fn http2(limits: &ConnectionLimits) -> http2::Builder<untaken::Calls> {
    let mut builder = http2::Builder::new(untaken::Calls(limits.untaken));
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(CALLS)
        .max_header_list_size(METADATA_BYTES)
        .max_pending_accept_reset_streams(TAKEN_BACK)
        .max_local_error_reset_streams(BROKEN)
        // A header block that does not end is bounded by it too: nothing else may come in between, the answer least of all.
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.pong);
    builder
}

fn http1(limits: &ConnectionLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // From the end of one answer to the end of the next header, so that it bounds silence in between as well.
        .header_read_timeout(limits.handshake)
        .max_buf_size(METADATA_BYTES as usize);
    builder
}

/// Waits until the server ends.
pub(super) async fn told_to_close(closing: &mut watch::Receiver<bool>) {
    // Without anybody who could say so, it has ended.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// A tenth more or less, so that connections that came together do not go together.
fn about(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.2 * chance::fraction())
}

/// The calls of a connection: how many run, and since when none does.
struct Calls {
    place: Option<Arc<Place>>,
    state: Mutex<(usize, Instant)>,
}

impl Calls {
    fn begin(self: &Arc<Self>) -> Running {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        Running(Arc::clone(self))
    }

    fn idle_since(&self) -> Option<Instant> {
        let (running, since) = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (running == 0).then_some(since)
    }

    async fn given(&self) {
        match &self.place {
            Some(place) => place.given().await,
            None => std::future::pending().await,
        }
    }
}

/// A call runs for as long as there is one of these.
pub(super) struct Running(Arc<Calls>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (state.0 - 1, Instant::now());
    }
}

/// Where the calls of a connection come in.
struct Entrance<S> {
    service: S,
    peer: Peer,
    calls: Arc<Calls>,
}

impl<S: Answers> hyper::service::Service<Request<Incoming>> for Entrance<S> {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let running = self.calls.begin();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer.clone());
        let answer = self.service.clone().oneshot(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Answer::new(body, running))) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_is_a_tenth_more_or_less() {
        let times: Vec<_> = (0..200).map(|_| about(Duration::from_secs(100))).collect();

        assert!(times.iter().all(|time| (89..=111).contains(&time.as_secs())), "{times:?}");
        assert!(times.iter().min() != times.iter().max());
    }
}
