//! Claims: who works on which detection of the review queue, until when. A claim keeps others from being given the same
//! detection; it forbids nothing. Those of one organization are handed out one after the other, so that who comes
//! second sees what the first one got.

mod convert;
mod query;

use std::collections::HashSet;

use jiff::Timestamp;
use prost::Message as _;

pub(super) use self::convert::{claim as read, release as read_release};
pub(super) use self::query::release;
use super::model::{Claim, Detection, QueueKey};
use super::{list, to_pb};
use crate::db::Tx;
use crate::error::Result;
use crate::id::{DetectionId, UserId, now};
use crate::page::MAX_BYTES;
use crate::pb;

/// Hands out at most as many detections as are asked for and a response takes, first those that the person holds, and
/// answers them in the order of the queue, with the time until which they are held.
pub(super) async fn claim(tx: &Tx, person: UserId, claim: &Claim) -> Result<(Vec<pb::Detection>, Timestamp)> {
    query::lock(tx).await?;
    let now = now();
    let until = now + claim.duration;
    let mut hand = Hand { claim, bytes: 0, full: false, chosen: Vec::new() };
    let mut claimed: Vec<(QueueKey, pb::Detection)> = Vec::new();
    hand.take(query::held(tx, person, claim, now).await?);
    loop {
        let wanted = claim.count.saturating_sub(claimed.len() + hand.chosen.len());
        if wanted > 0 && !hand.full {
            let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
            hand.take(list::queue(tx, &claim.queue, Some(now), None, limit).await?);
        }
        if hand.chosen.is_empty() {
            break;
        }
        let ids: Vec<DetectionId> = hand.chosen.iter().map(|((_, id), _)| *id).collect();
        let settled: HashSet<DetectionId> = query::claim(tx, person, &ids, until).await?.into_iter().collect();
        claimed.extend(hand.chosen.drain(..).filter(|((_, id), _)| settled.contains(id)));
        // What was answered or deleted in between is in the queue no longer: others take its place.
        if settled.len() == ids.len() {
            break;
        }
    }
    claimed.sort_by(|((one, one_id), _), ((other, other_id), _)| one.total_cmp(other).then(one_id.cmp(other_id)));
    Ok((claimed.into_iter().map(|(_, shown)| shown).collect(), until))
}

/// What is about to be claimed: as much as one response takes.
struct Hand<'a> {
    claim: &'a Claim,
    bytes: usize,
    full: bool,
    chosen: Vec<(QueueKey, pb::Detection)>,
}

impl Hand<'_> {
    fn take(&mut self, found: Vec<Detection>) {
        for detection in found {
            let key = (self.claim.queue.key(&detection), detection.id);
            let shown = to_pb(detection, true);
            let bytes = shown.encoded_len();
            self.full |= self.bytes > 0 && self.bytes + bytes > MAX_BYTES;
            if self.full {
                return;
            }
            self.bytes += bytes;
            self.chosen.push((key, shown));
        }
    }
}
