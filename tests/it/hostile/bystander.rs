//! Somebody else, who only wants to be served: calls all the while, and is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use photometa::pb;
use photometa::pb::photo_service_client::PhotoServiceClient;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::harness::Bearer;
use crate::unseen::{was_never_sent, was_refused};

/// How long an answer may take. Generous: many tests share the machine.
const DEADLINE: Duration = Duration::from_secs(20);
/// What a client thinks between calls.
const PAUSE: Duration = Duration::from_millis(10);

/// Calls until it is asked to end.
pub struct Bystander {
    served: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    calls: JoinHandle<(usize, Duration)>,
}

impl Bystander {
    /// Begins to call. No call may fail.
    pub fn begin(channel: Channel, authorization: &str) -> Self {
        Self::call(channel, authorization, false)
    }

    /// The same over connections that end: a call that the server has not seen is made again.
    pub fn reconnecting(channel: Channel, authorization: &str) -> Self {
        Self::call(channel, authorization, true)
    }

    fn call(channel: Channel, authorization: &str, again: bool) -> Self {
        let mut photos = PhotoServiceClient::with_interceptor(channel, Bearer::new(authorization));
        let ended = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&ended);
        let served = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&served);
        let calls = tokio::spawn(async move {
            let (mut calls, mut slowest) = (0, Duration::ZERO);
            while !asked.load(Ordering::Relaxed) || calls == 0 {
                let started = Instant::now();
                let call = photos.list_photos(pb::ListPhotosRequest::default());
                let answer = tokio::time::timeout(DEADLINE, call).await;
                match answer.unwrap_or_else(|_| panic!("call {calls} was not answered in {DEADLINE:?}")) {
                    Err(status) if again && (was_never_sent(&status) || was_refused(&status)) => continue,
                    answer => answer.map(drop).unwrap(),
                }
                (calls, slowest) = (calls + 1, slowest.max(started.elapsed()));
                count.store(calls, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            (calls, slowest)
        });
        Self { served, ended, calls }
    }

    /// How many calls were answered.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// Waits for the first answer: until then, nobody knows it from those who only connect.
    pub async fn known(self) -> Self {
        while self.served() == 0 && !self.calls.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self
    }

    /// Ends; every call was answered.
    pub async fn end(self, during: &str) {
        self.ended.store(true, Ordering::Relaxed);
        let (calls, slowest) = self.calls.await.unwrap();
        println!("{during}: {calls} calls of somebody else answered, the slowest in {slowest:?}");
    }
}
