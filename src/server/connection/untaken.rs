//! Answers that nobody takes. A client decides how much it is sent (flow control), and one that takes nothing keeps an
//! answer here, ready, for as long as it likes. After a while its call is taken back; the connection and its other calls
//! go on.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::rt::Executor;
use tonic::Status;
use tonic::body::Body;

use super::life::Running;

/// Most bytes of an answer that are given away at once. Whoever sends them asks for a byte of the client's window, takes a whole
/// piece for it, and keeps that where nobody watches it.
const PIECE: usize = 16 * 1024;

tokio::task_local! {
    /// The answer of the call that this task is.
    static READY: Arc<Ready>;
}

/// Since when a part of an answer is ready, and nobody has asked for the next one.
#[derive(Debug, Default)]
struct Ready(Mutex<Option<Instant>>);

impl Ready {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Waits until it is so for so long, or up to twice as long.
    async fn untaken(&self, limit: Duration) {
        loop {
            tokio::time::sleep(limit).await;
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if since.is_some_and(|since| since.elapsed() >= limit) {
                return;
            }
        }
    }
}

/// Runs the calls of a connection, each as a task, until its answer is taken or has not been for so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls(pub(super) Duration);

impl<F> Executor<F> for Calls
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        tokio::spawn(self.watch(call));
    }
}

impl Calls {
    /// Runs what answers, until one of its answers has not been taken for so long.
    pub(super) fn watch(self, answers: impl Future<Output = ()>) -> impl Future<Output = ()> {
        let (limit, ready) = (self.0, Arc::<Ready>::default());
        let watched = Arc::clone(&ready);
        READY.scope(ready, async move {
            tokio::select! {
                biased;
                () = answers => {}
                // What is dropped here is reset.
                () = watched.untaken(limit) => tracing::debug!("an answer was not taken; its call is taken back"),
            }
        })
    }
}

/// The body of an answer; its call runs until it is gone.
pub(super) struct Answer {
    body: Body,
    /// What of its last frame was not asked for yet.
    rest: Bytes,
    _running: Running,
}

impl Answer {
    /// Of a call that runs.
    pub(super) fn new(body: Body, running: Running) -> Self {
        let answer = Self { body, rest: Bytes::new(), _running: running };
        if !hyper::body::Body::is_end_stream(&answer) {
            tell(Some(Instant::now()));
        }
        answer
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
        let piece = self.rest.split_to(PIECE.min(self.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // There is nothing left to take.
        tell(None);
    }
}

/// Tells the task of this call since when something is ready.
fn tell(since: Option<Instant>) {
    // Outside of such a task there is nobody to be told.
    let _ = READY.try_with(|ready| ready.set(since));
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = self.next(cx);
        // Whoever asks has taken what was before; there may be nothing yet that could be taken.
        tell(frame.is_ready().then(Instant::now));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (u64::try_from(self.rest.len()).unwrap_or(u64::MAX), self.body.size_hint());
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}
