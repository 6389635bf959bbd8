//! What a stream runs in, and what ends it: the server drains, its credential or its deadline passes, its client is
//! silent for too long, or its own work ends, by a panic even. However it ends, the client is told, and who reads slowly
//! keeps nothing of the server's alive but what it has not read.

use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use futures_util::stream::{self, Stream};
use opentelemetry::context::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;
use tonic::Status;
use tracing::Instrument as _;

use crate::auth::Term;
use crate::error::{CredentialProblem, Error, Result};
use crate::panics;

/// What bounds the streams of a server.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Set when the server drains.
    pub draining: watch::Receiver<bool>,
    /// How long a client may send nothing, or read nothing.
    pub idle: Duration,
}

/// The answers of a stream. Dropping them, as happens when the client hangs up, ends it.
pub type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// Takes answers to the client.
#[derive(Debug)]
pub struct Out<M> {
    messages: mpsc::Sender<M>,
    patience: Duration,
}

impl<M> Out<M> {
    /// Hands a message on, once there is room for it. A client that has hung up needs none.
    ///
    /// # Errors
    /// [`Error::Idle`] when the client reads nothing for too long.
    pub async fn send(&self, message: M) -> Result<()> {
        match tokio::time::timeout(self.patience, self.messages.send(message)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Idle("read nothing")),
        }
    }
}

/// Runs `work` in a task of its own, which goes on while the client reads nothing, and answers what it sends and how it
/// ends. Whatever runs is dropped when the client hangs up or its deadline passes.
pub fn answer<M, F>(bounds: &Bounds, term: Term, work: impl FnOnce(Out<M>) -> F) -> Answers<M>
where
    M: Send + 'static,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (messages, mut answers) = mpsc::channel(1);
    let work = work(Out { messages: messages.clone(), patience: bounds.idle });
    let task = async move {
        tokio::select! {
            () = messages.closed() => Ok(()),
            () = at(term.asked) => Err(Error::Deadline.into()),
            end = work => end,
        }
    };
    // Its lines and its statements are the call's.
    let mut task = Some(tokio::spawn(task.in_current_span().with_current_context()));
    Box::pin(stream::poll_fn(move |context| {
        if let Some(message) = ready!(answers.poll_recv(context)) {
            return Poll::Ready(Some(Ok(message)));
        }
        // Behind all messages, without waiting for a place among them.
        let Some(running) = &mut task else { return Poll::Ready(None) };
        let end = ready!(Pin::new(running).poll(context));
        task = None;
        let end = end.unwrap_or_else(|failed| Err(why(failed).into()));
        Poll::Ready(end.err().map(Err))
    }))
}

fn why(failed: JoinError) -> Error {
    match failed.try_into_panic() {
        Ok(panic) => panics::error(&*panic),
        Err(failed) => Error::Internal(failed.to_string()),
    }
}

/// Waits until the server drains, the connection is about to end, or the credential expires.
pub async fn stopped(draining: watch::Receiver<bool>, term: Term) -> Error {
    tokio::select! {
        () = told(draining) => Error::Draining,
        () = at(term.ends) => Error::Draining,
        () = at(term.expires) => Error::Credential(CredentialProblem::Expired),
    }
}

/// Waits until something is said; for ever when nobody is left to say it.
pub async fn told(mut what: watch::Receiver<bool>) {
    if what.wait_for(|said| *said).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for a moment, for ever without one.
pub async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tonic::Code;

    use super::*;

    fn term(asked: Option<Duration>) -> Term {
        let asked = asked.map(|asked| tokio::time::Instant::now().into_std() + asked);
        Term { longest: Duration::from_secs(30), asked, streams: true, expires: None, ends: None }
    }

    fn bounds() -> Bounds {
        Bounds { draining: watch::channel(false).1, idle: Duration::from_secs(60) }
    }

    async fn all(answers: Answers<u32>) -> (Vec<u32>, Option<Code>) {
        let (mut messages, mut end) = (Vec::new(), None);
        for answer in answers.collect::<Vec<_>>().await {
            match answer {
                Ok(message) => messages.push(message),
                Err(status) => end = Some(status.code()),
            }
        }
        (messages, end)
    }

    #[tokio::test]
    async fn end_is_told_behind_all_messages() {
        let answers = answer(&bounds(), term(None), |out| async move {
            for number in 0..5 {
                out.send(number).await?;
            }
            Err(Error::Draining.into())
        });

        assert_eq!(all(answers).await, (vec![0, 1, 2, 3, 4], Some(Code::Unavailable)));
    }

    #[tokio::test]
    async fn panic_of_the_task_is_told_and_is_no_end_like_others() {
        let answers = answer(&bounds(), term(None), |out| async move {
            out.send(1).await?;
            panic!("as a bug does")
        });

        assert_eq!(all(answers).await, (vec![1], Some(Code::Internal)));
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_does_not_read_ends_the_work_and_is_told_when_it_reads() {
        let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
        let answers = answer(&bounds(), term(None), |out| async move {
            let _alive = alive;
            for number in 0.. {
                out.send(number).await?;
            }
            Ok(())
        });

        // Nobody reads, and the work ends.
        assert!(tokio::time::timeout(Duration::from_secs(70), dropped).await.unwrap().is_err());

        assert_eq!(all(answers).await, (vec![0], Some(Code::DeadlineExceeded)));
    }

    #[tokio::test(start_paused = true)]
    async fn deadline_ends_work_that_is_stuck() {
        let answers = answer(&bounds(), term(Some(Duration::from_secs(3))), |_out| std::future::pending());

        let started = tokio::time::Instant::now();
        assert_eq!(all(answers).await, (vec![], Some(Code::DeadlineExceeded)));
        assert!(started.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn hanging_up_drops_the_work() {
        let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
        let answers: Answers<u32> = answer(&bounds(), term(None), |_out| async move {
            let _alive = alive;
            std::future::pending().await
        });
        tokio::task::yield_now().await;

        drop(answers);

        assert!(dropped.await.is_err());
    }
}
