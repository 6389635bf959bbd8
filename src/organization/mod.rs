//! Organizations: the tenants. Only operators see them, all of them; an organization's name is unique and never
//! changes, and it goes only when it has no users and no projects.

mod convert;
mod model;
mod query;
mod service;

pub use service::Service;

use crate::auth::Caller;
use crate::db::{Access, Db};
use crate::error::Result;
use crate::id::OrganizationId;

/// Organizations that are read at a time.
const PAGE: i64 = 1000;

/// Reads the ids of all organizations, for an operator.
pub(crate) async fn ids(db: &Db, operator: &Caller) -> Result<Vec<OrganizationId>> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = db.once(operator, Access::Read, async |tx| query::list(&tx, after.clone(), PAGE).await).await?;
        ids.extend(page.iter().map(|organization| organization.id));
        match page.last() {
            Some(last) => after = Some(last.sort_key()),
            None => return Ok(ids),
        }
    }
}
