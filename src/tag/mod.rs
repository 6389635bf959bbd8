//! Tags: words on photos, from people and from models. A tag stands once per photo and source, whatever its
//! case; models write AI tags, people USER tags, administrators both.

mod convert;
mod model;
mod query;
mod service;

use std::collections::HashMap;

use crate::db::Tx;
use crate::error::Result;
use crate::id::PhotoId;
use crate::pb;

pub(crate) use convert::folded;
pub use service::Service;

/// Reads the tags of photos, by tag, then source: at most `most` of each photo. Photos without tags have no entry.
pub(crate) async fn of_photos(tx: &Tx, ids: &[PhotoId], most: usize) -> Result<HashMap<PhotoId, Vec<pb::Tag>>> {
    let mut tags: HashMap<PhotoId, Vec<pb::Tag>> = HashMap::with_capacity(ids.len());
    for tag in query::of_photos(tx, ids, most).await? {
        tags.entry(tag.photo_id).or_default().push(convert::to_pb(tag));
    }
    Ok(tags)
}
