//! Users in the database.

use tokio_postgres::Row;

use super::model::{Change, NewUser, SortKey, User};
use crate::db::{Sql, Tx};
use crate::error::{Error, OnConstraint as _, Precondition, Resource, Result};
use crate::id::{UserId, now};
use crate::sql;

macro_rules! columns {
    () => {
        "u.organization_id, u.id, u.email, u.first_name, u.last_name, u.role, u.created_at, u.updated_at"
    };
}

impl TryFrom<Row> for User {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.try_get("organization_id")?,
            id: row.try_get("id")?,
            email: row.try_get("email")?,
            first_name: row.try_get("first_name")?,
            last_name: row.try_get("last_name")?,
            role: row.try_get("role")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

fn not_found(id: UserId) -> Error {
    Error::NotFound(Resource::User, id.to_string())
}

/// Index: none.
const INSERT: Sql = sql!(
    INSERT,
    "insert into companycam_photos.users as u
       (organization_id, id, email, first_name, last_name, role, created_at, updated_at)
     values ($1, $2, $3, $4, $5, $6, $7, $7)
     on conflict do nothing
     returning ",
    columns!()
);

/// What stands in the way of an insert, as far as the organization sees: one row, two when the id is one's and the
/// email another's, none when the email is another organization's. The collation is that of the unique index.
///
/// Index: users_pkey*.
const TAKEN: Sql = sql!(
    TAKEN,
    "select ",
    columns!(),
    r#" from companycam_photos.users u
     where u.organization_id = $1 and (u.id = $2 or lower(u.email) = lower($3::text collate "C"))"#
);

/// Creates a user, or answers the one that the same call created before: `true` when it is new.
pub(super) async fn insert(tx: &Tx, new: &NewUser) -> Result<(User, bool)> {
    let organization = tx.organization();
    let inserted = tx
        .query_opt(&INSERT, &[organization, &new.id, &new.email, &new.first_name, &new.last_name, &new.role, &now()])
        .await
        .on_constraint("users_organization_id_fkey", || {
            Error::NotFound(Resource::Organization, organization.to_string())
        })?;
    if let Some(row) = inserted {
        return Ok((User::try_from(row)?, true));
    }
    let rows = tx.query(&TAKEN, &[organization, &new.id, &new.email]).await?;
    let taken = rows.into_iter().map(User::try_from).collect::<Result<Vec<_>>>()?;
    settle(new, taken).map(|user| (user, false))
}

/// The user of the same call, or what is taken. An email elsewhere reads as one here with other content.
fn settle(new: &NewUser, mut taken: Vec<User>) -> Result<User> {
    let email_taken = || Error::AlreadyExists(Resource::User, new.email.clone());
    let found = taken.pop().ok_or_else(email_taken)?;
    let same_email = found.email.eq_ignore_ascii_case(&new.email);
    if !taken.is_empty() || (same_email && !is_same(new, &found)) {
        return Err(email_taken());
    }
    if same_email { Ok(found) } else { Err(Error::AlreadyExists(Resource::User, new.id.to_string())) }
}

fn is_same(new: &NewUser, found: &User) -> bool {
    (found.id == new.id || !new.id_chosen)
        && found.first_name == new.first_name
        && found.last_name == new.last_name
        && found.role == new.role
}

/// Index: users_pkey.
const GET: Sql =
    sql!(GET, "select ", columns!(), " from companycam_photos.users u where u.organization_id = $1 and u.id = $2");

/// Reads a user.
pub(super) async fn get(tx: &Tx, id: UserId) -> Result<User> {
    tx.query_opt(&GET, &[tx.organization(), &id]).await?.ok_or_else(|| not_found(id))?.try_into()
}

/// Index: users_organization_id_email_idx, users_pkey.
const LIST: Sql = sql!(
    LIST,
    "select ",
    columns!(),
    " from companycam_photos.users u
     where u.organization_id = $1 and (u.email, u.id) > ($2, $3)
     order by u.email, u.id
     limit $4"
);

/// Lists at most `limit` users after `after`. The first page starts after '' and nil, before every row.
pub(super) async fn list(tx: &Tx, after: Option<SortKey>, limit: i64) -> Result<Vec<User>> {
    let (email, id) = after.unwrap_or_default();
    let rows = tx.query(&LIST, &[tx.organization(), &email, &id, &limit]).await?;
    rows.into_iter().map(User::try_from).collect()
}

/// A field's comparison is null, which is not true, where the change leaves it alone.
///
/// Index: users_pkey.
const UPDATE: Sql = sql!(
    UPDATE,
    "update companycam_photos.users as u
     set first_name = coalesce($3, u.first_name), last_name = coalesce($4, u.last_name), role = coalesce($5, u.role),
         updated_at = case when $3 <> u.first_name or $4 <> u.last_name or $5 <> u.role then $6 else u.updated_at end
     where u.organization_id = $1 and u.id = $2
     returning ",
    columns!()
);

/// Changes a user. What stays the same leaves its time of change alone.
pub(super) async fn update(tx: &Tx, change: &Change) -> Result<User> {
    let Change { id, first_name, last_name, role } = change;
    let row = tx.query_opt(&UPDATE, &[tx.organization(), id, first_name, last_name, role, &now()]).await?;
    row.ok_or_else(|| not_found(*id))?.try_into()
}

/// Index: users_pkey.
const DELETE: Sql =
    sql!(DELETE, "delete from companycam_photos.users u where u.organization_id = $1 and u.id = $2 returning u.id");

/// Deletes a user, whose memberships go by cascade.
pub(super) async fn delete(tx: &Tx, id: UserId) -> Result<()> {
    tx.query_opt(&DELETE, &[tx.organization(), &id])
        .await
        .on_constraint("photos_user_id_fkey", || Error::Precondition(Precondition::UserInUse, format!("users/{id}")))?
        .map(|_| ())
        .ok_or_else(|| not_found(id))
}
