//! Projects in the database.

use tokio_postgres::Row;

use super::model::{Change, NewProject, Project, SortKey};
use crate::db::{Sql, Tx};
use crate::error::{Error, OnConstraint as _, Precondition, Resource, Result};
use crate::id::{ProjectId, now};
use crate::sql;

macro_rules! columns {
    () => {
        "p.organization_id, p.id, p.name, p.description, p.status, p.created_at, p.updated_at"
    };
}

impl TryFrom<Row> for Project {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.try_get("organization_id")?,
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            status: row.try_get("status")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

pub(super) fn not_found(id: ProjectId) -> Error {
    Error::NotFound(Resource::Project, id.to_string())
}

/// Index: none.
const INSERT: Sql = sql!(
    INSERT,
    "insert into companycam_photos.projects as p
       (organization_id, id, name, description, status, created_at, updated_at)
     values ($1, $2, $3, $4, $5, $6, $6)
     on conflict do nothing
     returning ",
    columns!()
);

/// What stands in the way of an insert: one row, or two when the id is one's and the name another's.
///
/// Index: projects_pkey, projects_organization_id_name_key.
const TAKEN: Sql = sql!(
    TAKEN,
    "select ",
    columns!(),
    " from companycam_photos.projects p where p.organization_id = $1 and (p.id = $2 or p.name = $3)"
);

/// Creates a project, or answers the one that the same call created before: `true` when it is new.
pub(super) async fn insert(tx: &Tx, new: &NewProject) -> Result<(Project, bool)> {
    let organization = tx.organization();
    let NewProject { id, id_chosen: _, name, description, status } = new;
    let inserted = tx
        .query_opt(&INSERT, &[organization, id, name, description, status, &now()])
        .await
        .on_constraint("projects_organization_id_fkey", || {
            Error::NotFound(Resource::Organization, organization.to_string())
        })?;
    if let Some(row) = inserted {
        return Ok((Project::try_from(row)?, true));
    }
    let rows = tx.query(&TAKEN, &[organization, id, name]).await?;
    let taken = rows.into_iter().map(Project::try_from).collect::<Result<Vec<_>>>()?;
    settle(new, taken).map(|project| (project, false))
}

/// The project of the same call, or what is taken. Nothing is, when it was deleted in between.
fn settle(new: &NewProject, mut taken: Vec<Project>) -> Result<Project> {
    let found = taken.pop().ok_or(Error::ConcurrentChange)?;
    let same_name = found.name == new.name;
    if !taken.is_empty() || (same_name && !is_same(new, &found)) {
        return Err(Error::AlreadyExists(Resource::Project, new.name.clone()));
    }
    if same_name { Ok(found) } else { Err(Error::AlreadyExists(Resource::Project, new.id.to_string())) }
}

fn is_same(new: &NewProject, found: &Project) -> bool {
    (found.id == new.id || !new.id_chosen) && found.description == new.description && found.status == new.status
}

/// Index: projects_pkey.
const GET: Sql =
    sql!(GET, "select ", columns!(), " from companycam_photos.projects p where p.organization_id = $1 and p.id = $2");

/// Reads a project.
pub(super) async fn get(tx: &Tx, id: ProjectId) -> Result<Project> {
    tx.query_opt(&GET, &[tx.organization(), &id]).await?.ok_or_else(|| not_found(id))?.try_into()
}

/// Index: projects_organization_id_name_key.
const LIST: Sql = sql!(
    LIST,
    "select ",
    columns!(),
    " from companycam_photos.projects p
     where p.organization_id = $1 and (p.name, p.id) > ($2, $3) and ($4::text[] is null or p.status = any($4))
     order by p.name, p.id
     limit $5"
);

/// Lists at most `limit` projects after `after`, of one of `statuses` unless that is empty. The first page starts
/// after '' and nil, before every row.
pub(super) async fn list(tx: &Tx, statuses: &[&str], after: Option<SortKey>, limit: i64) -> Result<Vec<Project>> {
    let (name, id) = after.unwrap_or_default();
    let statuses = (!statuses.is_empty()).then_some(statuses);
    let rows = tx.query(&LIST, &[tx.organization(), &name, &id, &statuses, &limit]).await?;
    rows.into_iter().map(Project::try_from).collect()
}

/// A field's comparison is null, which is not true, where the change leaves it alone.
///
/// Index: projects_pkey.
const UPDATE: Sql = sql!(
    UPDATE,
    "update companycam_photos.projects as p
     set name = coalesce($3, p.name), description = coalesce($4, p.description), status = coalesce($5, p.status),
         updated_at = case when $3 <> p.name or $4 <> p.description or $5 <> p.status then $6 else p.updated_at end
     where p.organization_id = $1 and p.id = $2
     returning ",
    columns!()
);

/// Changes a project. What stays the same leaves its time of change alone.
pub(super) async fn update(tx: &Tx, change: &Change) -> Result<Project> {
    let Change { id, name, description, status } = change;
    tx.query_opt(&UPDATE, &[tx.organization(), id, name, description, status, &now()])
        .await
        .on_constraint("projects_organization_id_name_key", || {
            Error::AlreadyExists(Resource::Project, name.clone().unwrap_or_default())
        })?
        .ok_or_else(|| not_found(*id))?
        .try_into()
}

/// Index: projects_pkey.
const DELETE: Sql =
    sql!(DELETE, "delete from companycam_photos.projects p where p.organization_id = $1 and p.id = $2 returning p.id");

/// Deletes a project without photos; its memberships go by cascade.
pub(super) async fn delete(tx: &Tx, id: ProjectId) -> Result<()> {
    let not_empty = || Error::Precondition(Precondition::ProjectNotEmpty, format!("projects/{id}"));
    tx.query_opt(&DELETE, &[tx.organization(), &id])
        .await
        .on_constraint("photos_project_id_fkey", not_empty)?
        .map(|_| ())
        .ok_or_else(|| not_found(id))
}
