//! A client that has no clock of its own: what it is told in time, the server has told it.

use std::error::Error as _;
use std::time::{Duration, Instant};

use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use photometa::pb::detection_service_client::DetectionServiceClient;
use photometa::pb::feedback_service_client::FeedbackServiceClient;
use photometa::pb::photo_service_client::PhotoServiceClient;
use photometa::pb::tag_service_client::TagServiceClient;
use tonic::body::Body;
use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use super::record::Record;
use crate::harness::{Bearer, Who, token};
use crate::random::Random;

/// How long a call may be tried again and again, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(90);
/// Deadlines of calls, in milliseconds.
const BUDGETS: [u64; 5] = [100, 300, 1000, 2000, 5000];

type Connection = InterceptedService<Http<HttpConnector, Body>, Bearer>;

pub struct Caller {
    pub photos: PhotoServiceClient<Connection>,
    pub detections: DetectionServiceClient<Connection>,
    pub tags: TagServiceClient<Connection>,
    pub feedback: FeedbackServiceClient<Connection>,
    pub random: Random,
    pub address: String,
    record: Record,
}

/// An answer that is certain.
pub struct Settled<T> {
    pub answer: Result<T, Status>,
    /// An attempt before it may have been carried out.
    pub repeated: bool,
}

impl<T> Settled<T> {
    pub fn expect(self, what: &str) -> T {
        self.answer.unwrap_or_else(|status| panic!("{what}: {status:?}"))
    }
}

impl Caller {
    pub fn new(address: &str, who: Who, record: Record, random: Random) -> Self {
        let http = Http::builder(TokioExecutor::new()).http2_only(true).build_http();
        let bearer = Bearer::new(&format!("Bearer {}", token(who)));
        let connection = InterceptedService::new(http, bearer);
        let origin: http::Uri = address.parse().unwrap();
        Self {
            photos: PhotoServiceClient::with_origin(connection.clone(), origin.clone()),
            detections: DetectionServiceClient::with_origin(connection.clone(), origin.clone()),
            tags: TagServiceClient::with_origin(connection.clone(), origin.clone()),
            feedback: FeedbackServiceClient::with_origin(connection, origin),
            random,
            address: address.to_owned(),
            record,
        }
    }

    /// Makes a call once. A deadline that has passed without an answer is a fault of the server's, unless it could do
    /// nothing about it.
    pub async fn once<M, T, F>(&mut self, message: M, send: impl FnOnce(Request<M>) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let budget = Duration::from_millis(self.random.pick(&BUDGETS));
        let mut request = Request::new(message);
        request.set_timeout(budget);
        self.record.called();
        let started = Instant::now();
        let answer = tokio::time::timeout(budget + self.record.slack(), send(request)).await;
        let answer = answer.unwrap_or_else(|_| {
            assert!(
                self.record.is_excused(started),
                "a call with a deadline of {budget:?} has no answer after {:?}",
                started.elapsed()
            );
            Err(Status::from_error("no answer".into()))
        });
        match answer {
            Ok(answer) => {
                self.record.answered();
                Ok(answer.into_inner())
            }
            Err(status) => {
                if passes(&status) {
                    self.record.refused(&status);
                }
                Err(status)
            }
        }
    }

    /// Makes a call again and again until the answer is certain.
    pub async fn settle<C, M, T, F>(&mut self, client: C, message: M, send: impl Fn(C, Request<M>) -> F) -> Settled<T>
    where
        C: Clone,
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let started = Instant::now();
        let mut repeated = false;
        loop {
            match self.once(message.clone(), |request| send(client.clone(), request)).await {
                Err(status) if passes(&status) => {
                    assert!(started.elapsed() < PATIENCE, "no certain answer after {PATIENCE:?}: {status:?}");
                    repeated = true;
                    let pause = u64::try_from(self.random.below(100)).unwrap();
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                answer => return Settled { answer, repeated },
            }
        }
    }
}

/// Whether a refusal passes by itself, and nobody knows whether the call was carried out.
pub fn passes(status: &Status) -> bool {
    // No answer of the server's.
    if status.source().is_some() {
        return true;
    }
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted => {
            assert!(status.get_details_retry_info().is_some(), "nobody says when to try again: {status:?}");
            true
        }
        Code::DeadlineExceeded => {
            assert_eq!(reason, "DEADLINE_EXCEEDED", "{status:?}");
            true
        }
        Code::Aborted => reason == "CONCURRENT_CHANGE",
        _ => false,
    }
}
