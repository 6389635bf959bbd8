//! What surrounds the body of every answer: its call's pass is held until its end, a panic inside becomes INTERNAL, and
//! when the drain's time is over it ends as DRAINING. tower-http's CatchPanic covers neither: it ends with the headers.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;

use super::admission::Pass;
use super::observed::Observed;
use crate::error::Error;
use crate::panics;
use crate::streaming::told;

/// The body of an answer.
pub(super) struct Guarded {
    inner: Body,
    pass: Option<Pass>,
    cut: watch::Receiver<bool>,
    /// Made when there is something to wait for.
    cutting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    observed: Observed,
    ended: bool,
}

impl Guarded {
    /// Holds `pass` until the end, which comes early when `cut` says so.
    pub(super) fn new(inner: Body, pass: Option<Pass>, cut: watch::Receiver<bool>, observed: Observed) -> Self {
        Self { inner, pass, cut, cutting: None, observed, ended: false }
    }

    /// Looks whether a frame is the last one, and what it says.
    fn watch(&mut self, frame: Option<&Result<Frame<Bytes>, Status>>) {
        match frame {
            Some(Ok(frame)) => _ = frame.trailers_ref().map(|trailers| self.observed.ends_by(trailers)),
            Some(Err(status)) => self.observed.ends(status),
            None => self.observed.ends_without_status(),
        }
    }

    fn end(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.ended = true;
        self.inner = Body::empty();
        self.pass = None;
        let (status, mut trailers) = (Status::from(error), HeaderMap::new());
        self.observed.ends(&status);
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let inside = this.observed.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.inner).poll_frame(context)));
        drop(inside);
        match polled {
            Err(panic) => this.end(panics::error(&*panic)),
            Ok(Poll::Ready(frame)) => {
                this.watch(frame.as_ref());
                Poll::Ready(frame)
            }
            Ok(Poll::Pending) => {
                let cutting = this.cutting.get_or_insert_with(|| Box::pin(told(this.cut.clone())));
                match cutting.as_mut().poll(context) {
                    Poll::Ready(()) => this.end(Error::Draining),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
