//! Organizations in the database. Operators belong to none, so no statement here names the caller's.

use tokio_postgres::Row;

use super::model::{NewOrganization, Organization, SortKey};
use crate::db::{Sql, Tx};
use crate::error::{Error, OnConstraint as _, Precondition, Resource, Result};
use crate::id::{OrganizationId, now};
use crate::sql;

macro_rules! columns {
    () => {
        "o.id, o.name, o.created_at"
    };
}

impl TryFrom<Row> for Organization {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self { id: row.try_get("id")?, name: row.try_get("name")?, created_at: row.try_get("created_at")? })
    }
}

/// Index: none.
const INSERT: Sql = sql!(
    INSERT,
    "insert into companycam_photos.organizations as o (id, name, created_at)
     values ($1, $2, $3)
     on conflict do nothing
     returning ",
    columns!()
);

/// What stands in the way of an insert: one row, or two when the id is one's and the name another's.
///
/// Index: organizations_pkey, organizations_name_key.
const TAKEN: Sql =
    sql!(TAKEN, "select ", columns!(), " from companycam_photos.organizations o where o.id = $1 or o.name = $2");

/// Creates an organization, or answers the one that the same call created before: `true` when it is new.
pub(super) async fn insert(tx: &Tx, new: &NewOrganization) -> Result<(Organization, bool)> {
    if let Some(row) = tx.query_opt(&INSERT, &[&new.id, &new.name, &now()]).await? {
        return Ok((Organization::try_from(row)?, true));
    }
    let rows = tx.query(&TAKEN, &[&new.id, &new.name]).await?;
    let mut taken = rows.into_iter().map(Organization::try_from).collect::<Result<Vec<_>>>()?;
    let Some(found) = taken.pop() else { return Err(Error::ConcurrentChange) };
    let same_name = found.name == new.name;
    if taken.is_empty() && same_name && (found.id == new.id || !new.id_chosen) {
        return Ok((found, false));
    }
    let name = if taken.is_empty() && !same_name { new.id.to_string() } else { new.name.clone() };
    Err(Error::AlreadyExists(Resource::Organization, name))
}

/// Index: organizations_pkey.
const GET: Sql = sql!(GET, "select ", columns!(), " from companycam_photos.organizations o where o.id = $1");

/// Reads an organization.
pub(super) async fn get(tx: &Tx, id: OrganizationId) -> Result<Organization> {
    let row = tx.query_opt(&GET, &[&id]).await?;
    row.ok_or_else(|| Error::NotFound(Resource::Organization, id.to_string()))?.try_into()
}

/// Index: organizations_name_key.
const LIST: Sql = sql!(
    LIST,
    "select ",
    columns!(),
    " from companycam_photos.organizations o
     where (o.name, o.id) > ($1, $2)
     order by o.name, o.id
     limit $3"
);

/// Lists at most `limit` organizations after `after`. The first page starts after '' and nil, before every row.
pub(super) async fn list(tx: &Tx, after: Option<SortKey>, limit: i64) -> Result<Vec<Organization>> {
    let (name, id) = after.unwrap_or_default();
    tx.query(&LIST, &[&name, &id, &limit]).await?.into_iter().map(Organization::try_from).collect()
}

/// Index: organizations_pkey.
const DELETE: Sql = sql!(DELETE, "delete from companycam_photos.organizations o where o.id = $1 returning o.id");

/// Deletes an organization that is empty.
pub(super) async fn delete(tx: &Tx, id: OrganizationId) -> Result<()> {
    let not_empty = || Error::Precondition(Precondition::OrganizationNotEmpty, format!("organizations/{id}"));
    tx.query_opt(&DELETE, &[&id])
        .await
        .on_constraint("users_organization_id_fkey", not_empty)
        .on_constraint("projects_organization_id_fkey", not_empty)?
        .map(|_| ())
        .ok_or_else(|| Error::NotFound(Resource::Organization, id.to_string()))
}
