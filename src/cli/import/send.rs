//! Sending in chunks, several under way at a time. Items are made only when their turn comes, so that memory
//! holds the file and a few chunks, whatever the number of items.

use std::collections::HashSet;
use std::fmt;

use futures_util::StreamExt as _;
use prost::Message;
use serde::Serialize;
use tonic::Status;

use super::coco::Coco;
use super::convert::{Target, by_image, categories};
use super::outline::leaves_rest;
use crate::cli::Failure;
use crate::cli::client::{Clients, describe, item_status, pause, progress, refused};
use crate::pb::{self, WriteOutcome};

const CHUNK_ITEMS: usize = 200;
/// Largest chunk in bytes, unless one item alone is larger; well under what the server takes.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// What became of one item: `true` when it is new.
type Outcome = Result<bool, Status>;

/// Counts outcomes.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    created: usize,
    unchanged: usize,
    /// Objects in stored detections.
    pub(super) objects: usize,
    /// Those of them without a box.
    pub(super) unboxed: usize,
    /// Those of them with outlines that are in their attributes only.
    pub(super) cut: usize,
    /// Items not sent because what they belong to was refused.
    pub(super) held_back: usize,
    /// Items the server refused.
    pub(super) refusals: Vec<Refusal>,
}

/// A refused item.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    /// What people know it by.
    pub(super) name: String,
    /// Why.
    pub(super) problem: String,
}

impl Tally {
    /// How many are stored now.
    pub(super) fn stored(&self) -> usize {
        self.created + self.unchanged
    }

    /// Counts one outcome; answers whether the item is stored.
    fn count(&mut self, outcome: Outcome, name: impl FnOnce() -> String) -> bool {
        match outcome {
            Ok(true) => self.created += 1,
            Ok(false) => self.unchanged += 1,
            Err(status) => {
                self.refusals.push(Refusal { name: name(), problem: describe(&status) });
                return false;
            }
        }
        true
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} created, {} unchanged", self.created, self.unchanged)?;
        if !self.refusals.is_empty() {
            write!(f, ", {} refused", self.refusals.len())?;
        }
        if self.held_back > 0 {
            write!(f, ", {} not sent because their photo was refused", self.held_back)?;
        }
        Ok(())
    }
}

/// What became of the photos.
#[derive(Debug, Default)]
pub(super) struct Photos {
    pub(super) tally: Tally,
    /// Indexes of the images whose photos were refused.
    refused: HashSet<usize>,
}

/// Sends the photos that are not `there` yet.
pub(super) async fn photos(
    clients: &Clients,
    data: &Coco,
    target: &Target,
    there: &HashSet<usize>,
    concurrency: usize,
) -> Result<Photos, Failure> {
    let call = async |photos| {
        let request = pb::BatchCreatePhotosRequest { photos, partial: true };
        let results = clients.photos.clone().batch_create_photos(request).await?.into_inner().results;
        Ok(results.into_iter().map(|result| outcome(result.outcome, result.status.as_ref())).collect())
    };
    let new = data.images.iter().enumerate().filter(|(index, _)| !there.contains(index));
    let all = new.map(|(index, image)| (index, target.photo(image)));
    let bar = progress("photos", (data.images.len() - there.len()) as u64);
    let mut under_way =
        futures_util::stream::iter(chunks(all)).map(|chunk| settle(chunk, &call)).buffer_unordered(concurrency);
    let tally = Tally { unchanged: there.len(), ..Tally::default() };
    let mut sent = Photos { tally, ..Photos::default() };
    while let Some(chunk) = under_way.next().await {
        for (index, photo, outcome) in chunk.map_err(refused)? {
            bar.inc(1);
            if !sent.tally.count(outcome, || format!("photo {}", photo.s3_key)) {
                sent.refused.insert(index);
            }
        }
    }
    bar.finish_and_clear();
    Ok(sent)
}

/// Sends the detections of the photos that are stored.
pub(super) async fn detections(
    clients: &Clients,
    data: &Coco,
    target: &Target,
    photos: &Photos,
    concurrency: usize,
) -> Result<Tally, Failure> {
    let call = async |detections| {
        let request = pb::BatchCreateDetectionsRequest { detections, partial: true };
        let results = clients.detections.clone().batch_create_detections(request).await?.into_inner().results;
        Ok(results.into_iter().map(|result| outcome(result.outcome, result.status.as_ref())).collect())
    };
    let (annotations, categories) = (by_image(data), categories(data));
    let stored = data.images.iter().enumerate().filter(|(index, _)| !photos.refused.contains(index));
    let all = stored.map(|(index, image)| {
        let its = annotations.get(&image.id).map(Vec::as_slice).unwrap_or_default();
        (index, target.detection(image, its, &categories))
    });
    let bar = progress("objects", data.annotations.len() as u64);
    let mut under_way =
        futures_util::stream::iter(chunks(all)).map(|chunk| settle(chunk, &call)).buffer_unordered(concurrency);
    let mut tally = Tally { held_back: photos.refused.len(), ..Tally::default() };
    while let Some(chunk) = under_way.next().await {
        for (index, detection, outcome) in chunk.map_err(refused)? {
            let objects = detection.results.map(|results| results.objects).unwrap_or_default();
            bar.inc(objects.len() as u64);
            if tally.count(outcome, || format!("detection on {}", data.images[index].file_name)) {
                tally.objects += objects.len();
                tally.unboxed += objects.iter().filter(|object| object.r#box.is_none()).count();
                let its = annotations.get(&data.images[index].id).into_iter().flatten();
                tally.cut += its.filter(|annotation| leaves_rest(annotation.segmentation.as_ref())).count();
            }
        }
    }
    bar.finish_and_clear();
    Ok(tally)
}

fn outcome(outcome: i32, status: Option<&tonic_types::Status>) -> Outcome {
    match status {
        Some(status) => Err(item_status(status)),
        None => Ok(outcome == i32::from(WriteOutcome::Created)),
    }
}

/// Cuts items into chunks that fit a request.
fn chunks<M: Message>(items: impl Iterator<Item = (usize, M)>) -> impl Iterator<Item = Vec<(usize, M)>> {
    let mut items = items.peekable();
    std::iter::from_fn(move || {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while chunk.len() < CHUNK_ITEMS
            && let Some((index, item)) =
                items.next_if(|(_, item)| chunk.is_empty() || bytes + item.encoded_len() <= CHUNK_BYTES)
        {
            bytes += item.encoded_len();
            chunk.push((index, item));
        }
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Sends a chunk until each of its items is stored, or refused for good. Sending again is safe: ids are chosen.
///
/// # Errors
/// When the call as a whole is refused for good.
async fn settle<M: Clone>(
    chunk: Vec<(usize, M)>,
    call: &impl AsyncFn(Vec<M>) -> Result<Vec<Outcome>, Status>,
) -> Result<Vec<(usize, M, Outcome)>, Status> {
    let mut settled = Vec::with_capacity(chunk.len());
    let mut open = chunk;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let wait = match call(open.iter().map(|(_, item)| item.clone()).collect()).await {
            Err(status) => pause(&status, attempt).ok_or(status)?,
            Ok(outcomes) if outcomes.len() != open.len() => {
                return Err(Status::internal(format!(
                    "{} items were answered by {} results",
                    open.len(),
                    outcomes.len()
                )));
            }
            Ok(outcomes) => {
                let mut longest = None;
                for ((index, item), outcome) in std::mem::take(&mut open).into_iter().zip(outcomes) {
                    match outcome.as_ref().err().and_then(|status| pause(status, attempt)) {
                        Some(pause) => {
                            longest = longest.max(Some(pause));
                            open.push((index, item));
                        }
                        None => settled.push((index, item, outcome)),
                    }
                }
                match longest {
                    Some(longest) => longest,
                    None => return Ok(settled),
                }
            }
        };
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn chunks_end_by_count_and_by_size() {
        let large = pb::Photo { s3_url: "x".repeat(CHUNK_BYTES / 2), ..pb::Photo::default() };
        let small = pb::Photo::default();
        let items = (0..=CHUNK_ITEMS).map(|_| small.clone()).chain([large.clone(), large.clone(), large]);

        let sizes: Vec<usize> = chunks(items.enumerate()).map(|chunk| chunk.len()).collect();

        assert_eq!(sizes, [CHUNK_ITEMS, 2, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn settle_sends_again_only_what_may_pass() {
        let calls = Cell::new(0);
        let call = async |items: Vec<char>| {
            calls.set(calls.get() + 1);
            let first = calls.get() == 1;
            let answers = items.into_iter().map(move |item| match item {
                'a' => Ok(true),
                'b' if first => Err(Status::unavailable("")),
                'b' => Ok(false),
                _ => Err(Status::not_found("")),
            });
            Ok(answers.collect())
        };

        let mut settled = settle(vec![(0, 'a'), (1, 'b'), (2, 'c')], &call).await.expect("the calls succeed");

        settled.sort_by_key(|(index, ..)| *index);
        let outcomes: Vec<_> =
            settled.into_iter().map(|(_, _, outcome)| outcome.map_err(|status| status.code())).collect();
        assert_eq!(outcomes, [Ok(true), Ok(false), Err(tonic::Code::NotFound)]);
        assert_eq!(calls.get(), 2);
    }
}
