//! How many photos become rows: each is inserted on its own, and what was not inserted is explained.

use super::model::{NewPhoto, Photo};
use super::write;
use crate::auth::Caller;
use crate::batch::settle;
use crate::db::{Access, Db, Tx};
use crate::error::{Error, Resource, Result};

/// A photo, and whether it is new; or why it was not registered.
pub(super) type Outcome = Result<(Photo, bool)>;

/// Registers photos within a transaction, each on its own.
pub(super) async fn within(tx: &Tx, items: &[NewPhoto]) -> Result<Vec<Outcome>> {
    let insert = async |open: Vec<usize>| write::insert(tx, items, &open).await;
    let explain = async |open: Vec<usize>| write::explain(tx, items, &open).await;
    settle(items.len(), insert, explain, |place| unseen(&items[place])).await
}

/// Registers photos, each on its own: a flight that inserts, and where something is left a second one that explains it.
pub(super) async fn each(db: &Db, caller: &Caller, items: Vec<NewPhoto>) -> Result<Vec<Outcome>> {
    let items = items.as_slice();
    let insert = async |open: Vec<usize>| {
        db.once(caller, Access::Write, async |tx| write::insert(&tx, items, &open).await).await
    };
    let explain = async |open: Vec<usize>| {
        db.once(caller, Access::Read, async |tx| write::explain(&tx, items, &open).await).await
    };
    settle(items.len(), insert, explain, |place| unseen(&items[place])).await
}

/// A photo has the key that the caller may not see.
fn unseen(wanted: &NewPhoto) -> Error {
    Error::AlreadyExists(Resource::Photo, wanted.s3_key.clone())
}
