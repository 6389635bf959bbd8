//! Members of projects in the database. Each statement also says whether the caller sees the project.

use tokio_postgres::Row;

use super::model::{Member, Membership};
use super::query::not_found;
use crate::db::{Sql, Tx};
use crate::error::{Error, OnConstraint as _, Resource, Result};
use crate::id::{ProjectId, UserId, now};
use crate::sql;

/// Adds everybody or, when one of them is missing, nobody. Sorted, so that two calls do not lock each other out. Each is
/// looked up by its key: a join would read all users of a small organization.
///
/// Index: projects_pkey, users_pkey.
const ADD: Sql = sql!(
    ADD,
    "with missing as materialized (
         select w.id
         from unnest($3::uuid[]) with ordinality as w (id, position)
         where (select u.id from companycam_photos.users u where u.organization_id = $1 and u.id = w.id) is null
         order by w.position
         limit 1
     ), added as (
         insert into companycam_photos.project_members (organization_id, user_id, project_id, created_at)
         select p.organization_id, w.id, p.id, $4
         from companycam_photos.projects p cross join unnest($3::uuid[]) as w (id)
         where p.organization_id = $1 and p.id = $2 and not exists (select 1 from missing)
         order by w.id
         on conflict do nothing
         returning user_id
     )
     select (select p.id from companycam_photos.projects p where p.organization_id = $1 and p.id = $2) as project_id,
            (select m.id from missing m) as missing_user_id,
            (select count(*)::int from added) as number"
);

/// Makes users members, and answers how many were none.
pub(super) async fn add(tx: &Tx, membership: &Membership) -> Result<i32> {
    let Membership { project_id, user_ids } = membership;
    let row = tx
        .query_one(&ADD, &[tx.organization(), project_id, user_ids, &now()])
        .await
        // Deleted since the statement began.
        .on_constraint("project_members_project_id_fkey", || not_found(*project_id))
        .on_constraint("project_members_user_id_fkey", || Error::ConcurrentChange)?;
    let number = number(&row, *project_id)?;
    match row.try_get::<_, Option<UserId>>("missing_user_id")? {
        Some(user_id) => Err(Error::NotFound(Resource::User, user_id.to_string())),
        None => Ok(number),
    }
}

/// Index: projects_pkey, project_members_project_id_idx.
const REMOVE: Sql = sql!(
    REMOVE,
    "with removed as (
         delete from companycam_photos.project_members m
         where m.organization_id = $1 and m.project_id = $2 and m.user_id = any($3)
         returning m.user_id
     )
     select (select p.id from companycam_photos.projects p where p.organization_id = $1 and p.id = $2) as project_id,
            (select count(*)::int from removed) as number"
);

/// Ends memberships, and answers how many there were.
pub(super) async fn remove(tx: &Tx, membership: &Membership) -> Result<i32> {
    let Membership { project_id, user_ids } = membership;
    let row = tx.query_one(&REMOVE, &[tx.organization(), project_id, user_ids]).await?;
    number(&row, *project_id)
}

/// What a statement counted, if the project is there.
fn number(row: &Row, id: ProjectId) -> Result<i32> {
    row.try_get::<_, Option<ProjectId>>("project_id")?.ok_or_else(|| not_found(id))?;
    Ok(row.try_get("number")?)
}

/// Without members, one row of nulls for a project that is there; no row for one that is not.
///
/// Index: projects_pkey, project_members_project_id_idx.
const LIST: Sql = sql!(
    LIST,
    "select m.user_id, m.created_at
     from companycam_photos.projects p
     left join lateral (
         select m.user_id, m.created_at
         from companycam_photos.project_members m
         where m.organization_id = $1 and m.project_id = p.id and m.user_id > $3
         order by m.user_id
         limit $4
     ) m on true
     where p.organization_id = $1 and p.id = $2
     order by m.user_id"
);

/// Lists at most `limit` members of a project after `after`.
pub(super) async fn list(tx: &Tx, id: ProjectId, after: Option<UserId>, limit: i64) -> Result<Vec<Member>> {
    let rows = tx.query(&LIST, &[tx.organization(), &id, &after.unwrap_or_default(), &limit]).await?;
    if rows.is_empty() {
        return Err(not_found(id));
    }
    rows.iter().filter_map(|row| member(row).transpose()).collect()
}

fn member(row: &Row) -> Result<Option<Member>> {
    let user_id: Option<UserId> = row.try_get("user_id")?;
    user_id.map(|user_id| Ok(Member { user_id, created_at: row.try_get("created_at")? })).transpose()
}
