//! Rolls a bad model version back: some detections at a time, each time for good, until all are gone or most of the call's
//! time is used. The same call again goes on. What people gave feedback on stays, unless it is asked for: also what somebody
//! answers to while this runs, because rows are locked before it is looked whether there is feedback.

use crate::auth::Caller;
use crate::db::{Access, Db, Tx};
use crate::error::Result;

use super::model::Rollback;
use super::{query, write};

/// Detections that are deleted together.
const CHUNK: i64 = 1000;

/// What a call came to.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Rolled {
    /// How many went, or would.
    pub(super) deleted: i64,
    /// How many stay because of people's feedback.
    pub(super) kept: i64,
    /// How many are left to delete.
    pub(super) remaining: i64,
}

/// Counts what would go and what would stay.
pub(super) async fn count(db: &Db, caller: &Caller, rollback: &Rollback) -> Result<Rolled> {
    let (all, reviewed) = db.once(caller, Access::Check, async |tx| query::count_of_model(&tx, rollback).await).await?;
    let kept = if rollback.include_reviewed { 0 } else { reviewed };
    Ok(Rolled { deleted: all - kept, kept, remaining: 0 })
}

/// Deletes for two thirds of the time that is left.
pub(super) async fn run(db: &Db, caller: &Caller, rollback: &Rollback) -> Result<Rolled> {
    let reserve = caller.remaining() / 3;
    let (mut deleted, mut after, mut done) = (0, None, false);
    while !done && caller.remaining() > reserve {
        let work = async |tx: Tx| {
            let locked = query::lock_of_model(&tx, rollback, after, CHUNK).await?;
            let ids: Vec<_> = locked.iter().map(|(_, id)| *id).collect();
            let deleted = write::delete(&tx, &ids, rollback.include_reviewed).await?;
            Ok((locked.len(), locked.last().copied(), deleted))
        };
        let (locked, last, gone) = db.scoped(caller, Access::Write, work).await?;
        deleted += gone;
        after = last;
        done = i64::try_from(locked).is_ok_and(|locked| locked < CHUNK);
    }
    let left = count(db, caller, rollback).await?;
    // What came while it ran is the next call's, if it is the same model's.
    Ok(Rolled { deleted, kept: left.kept, remaining: if done { 0 } else { left.deleted } })
}
