//! Callers that cost little: requests are encoded once and answers are not decoded, because they share the processors with
//! the service that they load.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

use super::Failure;
use super::server::Server;
use super::session::{Session, session};
use super::skim::Skim;

/// Connections of one kind of caller: the service takes 256 calls at a time from each.
const CONNECTIONS: usize = 8;
/// Deadline of each call, as every real client has one.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often the calls of an open loop are begun.
const TICK: Duration = Duration::from_millis(2);

/// A call of an organization's, ready to be made many times.
#[derive(Clone)]
pub struct Caller {
    sessions: Arc<Vec<Session>>,
    path: PathAndQuery,
    request: Bytes,
}

/// What callers saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// When each call was answered, since the begin, and how long it took.
    pub answered: Vec<(Duration, Duration)>,
    /// Calls that the server refused to take on, and how long that took.
    pub refused: Vec<Duration>,
    /// Calls that ended otherwise.
    pub failed: usize,
    /// One of their reasons.
    pub failure: Option<Status>,
}

impl Seen {
    /// Answers in a second, of those that came after `warmup`, over `duration`.
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
    pub fn rate(&self, warmup: Duration, duration: Duration) -> f64 {
        let counted = self.answered.iter().filter(|(at, _)| (warmup..warmup + duration).contains(at)).count();
        counted as f64 / duration.as_secs_f64()
    }

    /// A percentile in milliseconds of the answers' latencies.
    pub fn percentile(&self, percent: usize) -> f64 {
        percentile(self.answered.iter().map(|(_, took)| *took).collect(), percent)
    }

    /// The same of all calls: one that was not answered took as long as its caller would have waited.
    pub fn percentile_of_all(&self, percent: usize) -> f64 {
        let others = std::iter::repeat_n(DEADLINE, self.refused.len() + self.failed);
        percentile(self.answered.iter().map(|(_, took)| *took).chain(others).collect(), percent)
    }

    fn add(&mut self, begin: Instant, started: Instant, outcome: Result<(), Status>) {
        match outcome {
            Ok(()) => self.answered.push((begin.elapsed(), started.elapsed())),
            Err(status) if status.code() == Code::ResourceExhausted => self.refused.push(started.elapsed()),
            Err(status) => {
                self.failed += 1;
                self.failure.get_or_insert(status);
            }
        }
    }
}

/// A percentile in milliseconds.
pub fn percentile(mut all: Vec<Duration>, percent: usize) -> f64 {
    all.sort_unstable();
    let found = all.get((all.len() * percent / 100).min(all.len().saturating_sub(1)));
    found.copied().unwrap_or_default().as_secs_f64() * 1000.0
}

impl Caller {
    /// Connects as an administrator of an organization.
    ///
    /// # Errors
    /// When the service is not there.
    pub async fn connect(
        server: &Server,
        organization: &str,
        path: &'static str,
        request: &impl Message,
    ) -> Result<Self, Failure> {
        let token = server.token("org_admin", organization, None).await?;
        let mut sessions = Vec::new();
        for _ in 0..CONNECTIONS {
            sessions.push(session(server.address, &token, Some(DEADLINE)).await?);
        }
        let (path, request) = (PathAndQuery::from_static(path), Bytes::from(request.encode_to_vec()));
        Ok(Self { sessions: Arc::new(sessions), path, request })
    }

    async fn call(&self, number: usize) -> Result<(), Status> {
        let mut client = Grpc::new(self.sessions[number % self.sessions.len()].clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        client.unary(Request::new(self.request.clone()), self.path.clone(), Skim).await.map(drop)
    }

    /// Each of `callers` makes its next call when its last one is answered; `pause` lies between two of them.
    pub async fn closed(&self, callers: usize, pause: Duration, duration: Duration) -> Seen {
        let begin = Instant::now();
        let mut running = JoinSet::new();
        for number in 0..callers {
            let caller = self.clone();
            running.spawn(async move {
                let mut seen = Seen::default();
                while begin.elapsed() < duration {
                    let started = Instant::now();
                    let outcome = caller.call(number).await;
                    let refused = outcome.is_err();
                    seen.add(begin, started, outcome);
                    sleep(if refused { pause.max(Duration::from_millis(10)) } else { pause }).await;
                }
                seen
            });
        }
        running.join_all().await.into_iter().fold(Seen::default(), |mut all, seen| {
            all.answered.extend(seen.answered);
            all.refused.extend(seen.refused);
            all.failed += seen.failed;
            all.failure = all.failure.or(seen.failure);
            all
        })
    }

    /// Begins `rate` calls in each second, whatever becomes of them, and waits for all of their ends.
    pub async fn open(&self, rate: f64, duration: Duration) -> Seen {
        let begin = Instant::now();
        let (ends, mut ended) = mpsc::unbounded_channel();
        let offer = async {
            let (mut ticks, mut begun) = (interval(TICK), 0_usize);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while begin.elapsed() < duration {
                ticks.tick().await;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of calls")]
                let due = (begin.elapsed().as_secs_f64() * rate) as usize;
                for number in begun..due {
                    let (caller, ends) = (self.clone(), ends.clone());
                    tokio::spawn(async move {
                        let started = Instant::now();
                        let outcome = caller.call(number).await;
                        let _ = ends.send((started, outcome));
                    });
                }
                begun = begun.max(due);
            }
            drop(ends);
        };
        let gather = async {
            let mut seen = Seen::default();
            while let Some((started, outcome)) = ended.recv().await {
                seen.add(begin, started, outcome);
            }
            seen
        };
        tokio::join!(offer, gather).1
    }
}
