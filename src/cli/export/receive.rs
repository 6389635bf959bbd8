//! Receives one export: goes on behind the last message when the stream breaks, and begins again when something was
//! deleted under it.

use std::ops::AddAssign;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::timeout;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::draft::Sink;
use super::skipped::Skipped;
use crate::cli::client::{Clients, pause, refused, spinner};
use crate::cli::{Failure, complain};
use crate::pb;

/// How often an export is begun again before its refusal stands.
const RESTARTS: u32 = 5;
/// How long the server may say nothing. It says something each second.
const SILENCE: Duration = Duration::from_secs(60);

/// What was written.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Written {
    pub(super) images: i64,
    pub(super) annotations: i64,
    pub(super) negatives: i64,
    pub(super) bytes: u64,
}

impl AddAssign for Written {
    fn add_assign(&mut self, Self { images, annotations, negatives, bytes }: Self) {
        self.images += images;
        self.annotations += annotations;
        self.negatives += negatives;
        self.bytes += bytes;
    }
}

/// One export under way.
pub(super) struct Receiver<'a> {
    clients: &'a Clients,
    sink: &'a mut Sink,
    skipped: &'a mut Skipped,
    bar: ProgressBar,
    written: Written,
    /// Streams since something came, with the one that brought it.
    attempt: u32,
}

/// How a stream ended.
enum End {
    Done,
    Cut(Status),
}

impl<'a> Receiver<'a> {
    pub(super) fn new(clients: &'a Clients, sink: &'a mut Sink, skipped: &'a mut Skipped) -> Self {
        Self { clients, sink, skipped, bar: spinner("exported"), written: Written::default(), attempt: 0 }
    }

    /// Receives all of what is asked for.
    ///
    /// # Errors
    /// When it is refused for good, or cannot be written.
    pub(super) async fn receive(&mut self, mut request: pb::ExportTrainingDataRequest) -> Result<Written, Failure> {
        let begun = self.skipped.mark()?;
        let mut restarts = 0;
        loop {
            self.attempt += 1;
            let status = match self.follow(&mut request).await? {
                End::Done => break,
                End::Cut(status) => status,
            };
            let attempt = if is_change(&status) {
                restarts += 1;
                if restarts > RESTARTS || self.written.bytes > 0 && !self.sink.clear()? {
                    return Err(refused(status));
                }
                self.skipped.back_to(&begun)?;
                request.resume_token.clear();
                self.written = Written::default();
                self.say("something was deleted meanwhile; the export begins again");
                restarts
            } else {
                self.attempt
            };
            tokio::time::sleep(pause(&status, attempt).ok_or_else(|| refused(status))?).await;
        }
        self.bar.finish_and_clear();
        Ok(self.written)
    }

    /// Writes what a stream brings, and remembers in the request how far it came.
    async fn follow(&mut self, request: &mut pb::ExportTrainingDataRequest) -> Result<End, Failure> {
        let mut exports = self.clients.exports.clone();
        let mut answers = match timeout(SILENCE, exports.export_training_data(request.clone())).await {
            Ok(Ok(answers)) => answers.into_inner(),
            Ok(Err(status)) => return Ok(End::Cut(status)),
            Err(_) => return Ok(End::Cut(silent())),
        };
        let mut done = false;
        loop {
            let message = match timeout(SILENCE, answers.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) if done => return Ok(End::Done),
                Ok(Ok(None)) => return Ok(End::Cut(Status::unavailable("the stream ended before its end"))),
                Ok(Err(status)) => return Ok(End::Cut(status)),
                Err(_) => return Ok(End::Cut(silent())),
            };
            let pb::ExportTrainingDataResponse { chunk, resume_token, skipped, progress } = message;
            self.sink.write(&chunk)?;
            self.skipped.add(&skipped)?;
            let progress = progress.unwrap_or_default();
            let pb::TrainingDataProgress { images, annotations, negatives, .. } = progress;
            let bytes = self.written.bytes + chunk.len() as u64;
            self.written = Written { images, annotations, negatives, bytes };
            self.bar.set_message(format!("{images} images, {annotations} annotations"));
            (request.resume_token, self.attempt, done) = (resume_token, 1, progress.done);
        }
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| complain(&text));
    }
}

fn silent() -> Status {
    Status::unavailable(format!("the server said nothing for {} s", SILENCE.as_secs()))
}

/// Whether what an export is made of is not what it was at its beginning.
fn is_change(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.reason == "CONCURRENT_CHANGE")
}

#[cfg(test)]
mod tests;
