//! One IngestDetections stream: what is read while a statement runs waits for the next one, and each item is
//! acknowledged after its commit. Nothing is read while the window is full or acknowledgements wait for the client,
//! and only a running statement holds a connection.

mod window;

use std::pin::pin;

use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use opentelemetry::KeyValue;
use prost::Message as _;
use tokio::time::{Instant, sleep};
use tonic::{Status, Streaming};

use super::convert;
use super::model::NewDetection;
use super::store;
use crate::auth::Caller;
use crate::db::Db;
use crate::error::{Error, Result, item_status};
use crate::lsn::Lsn;
use crate::pb;
use crate::streaming::{Answers, Bounds, Out, answer, stopped};
use crate::telemetry::{Held, metrics};

use window::{Item, Window};
pub(crate) use window::{WINDOW_BYTES, WINDOW_ITEMS};

/// Largest answer in bytes, or little more: a thousand refusals are more than clients accept at once.
const ANSWER_BYTES: usize = 1024 * 1024;

/// What a stream works with. One caller: all its statements are one organization's and one role's.
#[derive(Debug)]
pub(super) struct Ingest {
    pub(super) db: Db,
    pub(super) caller: Caller,
    pub(super) bounds: Bounds,
}

impl Ingest {
    /// Stores what the client sends, in a task of its own: a transaction must go on while the client reads nothing. One
    /// that is dropped is rolled back, and its statement cancelled.
    pub(super) fn answer(
        self,
        messages: Streaming<pb::IngestDetectionsRequest>,
    ) -> Answers<pb::IngestDetectionsResponse> {
        let (bounds, term) = (self.bounds.clone(), self.caller.term);
        answer(&bounds, term, |out| async move { self.run(messages, &out).await })
    }

    /// Reads, stores and acknowledges until there is an end of reading and everything read is acknowledged.
    async fn run(
        &self,
        mut messages: Streaming<pb::IngestDetectionsRequest>,
        out: &Out<pb::IngestDetectionsResponse>,
    ) -> Result<(), Status> {
        let _held = Held::new(&metrics().ingest_streams, None);
        let mut window = Window::default();
        let mut end = None;
        let mut stopped = pin!(stopped(self.bounds.draining.clone(), self.caller.term));
        let mut silence = pin!(sleep(self.bounds.idle));
        let mut flight = pin!(Fuse::terminated());
        loop {
            if flight.is_terminated() {
                let batch = window.take();
                match end {
                    _ if !batch.is_empty() => flight.set(self.store(batch).fuse()),
                    Some(end) => return end,
                    None => silence.as_mut().reset(Instant::now() + self.bounds.idle),
                }
            }
            tokio::select! {
                biased;
                acks = &mut flight, if !flight.is_terminated() => tell(out, acks?).await?,
                error = &mut stopped, if end.is_none() => end = Some(Err(error.into())),
                message = messages.message(), if end.is_none() && window.has_room() => {
                    end = read(&mut window, message).transpose();
                }
                // With nothing of the client's at hand.
                () = &mut silence, if end.is_none() && flight.is_terminated() => {
                    end = Some(Err(Error::Idle("sent nothing").into()));
                }
            }
        }
    }

    /// Stores a batch, and answers what became of each item, and where the log was after that.
    async fn store(&self, batch: Vec<Item>) -> Result<(Vec<pb::IngestDetectionsAck>, Option<Lsn>)> {
        let caller = self.caller.apart();
        let mut acks = Vec::with_capacity(batch.len());
        let mut new = Vec::with_capacity(batch.len());
        for (place, Item { sequence, detection, .. }) in batch.into_iter().enumerate() {
            let mut ack = pb::IngestDetectionsAck { sequence, ..Default::default() };
            match detection {
                Ok(detection) => new.push((place, detection)),
                Err(status) => ack.status = Some(status),
            }
            acks.push(ack);
        }
        let (places, new): (Vec<usize>, Vec<NewDetection>) = new.into_iter().unzip();
        let outcomes = store::each(&self.db, &caller, new).await?;
        let mut errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        if let Some(trouble) = errors.find(|error| error.is_trouble()) {
            return Err(trouble.clone());
        }
        for (place, outcome) in places.into_iter().zip(outcomes) {
            match outcome {
                Ok((detection, created)) => {
                    acks[place].detection_id = detection.id.to_string();
                    acks[place].set_outcome(pb::WriteOutcome::of(created));
                }
                Err(error) => acks[place].status = Some(item_status(error)),
            }
        }
        count(&acks);
        Ok((acks, caller.written.position()))
    }
}

/// Counts what became of items.
fn count(acks: &[pb::IngestDetectionsAck]) {
    let named = |ack: &pb::IngestDetectionsAck| match (&ack.status, ack.outcome()) {
        (Some(_), _) => "failed",
        (None, pb::WriteOutcome::Unchanged) => "unchanged",
        (None, _) => "created",
    };
    for outcome in ["created", "unchanged", "failed"] {
        let number = acks.iter().filter(|ack| named(ack) == outcome).count();
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        metrics().ingest_items.add(number, &[KeyValue::new("outcome", outcome)]);
    }
}

/// Takes what was read into the window. Answers the end of reading, if this is it.
fn read(
    window: &mut Window,
    message: Result<Option<pb::IngestDetectionsRequest>, Status>,
) -> Result<Option<()>, Status> {
    let told = |status| Error::of_tonic(&status).map_or(status, Status::from);
    let Some(message) = message.map_err(told)? else { return Ok(Some(())) };
    let sizes: Vec<usize> = message.items.iter().map(prost::Message::encoded_len).collect();
    for ((sequence, detection), bytes) in convert::ingest(message)?.zip(sizes) {
        window.push(Item { sequence, detection: detection.map_err(item_status), bytes });
    }
    Ok(None)
}

/// Sends acknowledgements. A client that has hung up needs none.
async fn tell(
    out: &Out<pb::IngestDetectionsResponse>,
    (acks, position): (Vec<pb::IngestDetectionsAck>, Option<Lsn>),
) -> Result<()> {
    let lsn = position.map(|position| position.to_string()).unwrap_or_default();
    let (mut told, mut bytes) = (Vec::new(), 0);
    for ack in acks {
        bytes += ack.encoded_len();
        told.push(ack);
        if bytes >= ANSWER_BYTES {
            bytes = 0;
            let acks = std::mem::take(&mut told);
            out.send(pb::IngestDetectionsResponse { acks, lsn: lsn.clone() }).await?;
        }
    }
    if !told.is_empty() {
        out.send(pb::IngestDetectionsResponse { acks: told, lsn }).await?;
    }
    Ok(())
}
