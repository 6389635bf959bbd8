//! Which versions are applied, and are they those of this program? refinery's table is the record.

use refinery::Migration;
use tokio_postgres::{GenericClient, Row};

use super::error::MigrateError;
use super::version::Version;

/// One applied version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its number, counted from 1.
    pub number: u32,
    /// Its name without the number, such as `tenancy`.
    pub name: String,
    /// When it was applied, as RFC 3339.
    pub at: String,
    checksum: String,
}

impl TryFrom<Row> for Applied {
    type Error = tokio_postgres::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let number: i32 = row.try_get("version")?;
        Ok(Self {
            number: u32::try_from(number).unwrap_or(0),
            name: row.try_get("name")?,
            at: row.try_get("applied_on")?,
            checksum: row.try_get("checksum")?,
        })
    }
}

/// Reads every applied version, oldest first; none where refinery's table is not there yet.
pub(super) async fn read(client: &impl GenericClient) -> Result<Vec<Applied>, tokio_postgres::Error> {
    let exists = client
        .query_one("select to_regclass('companycam_photos.refinery_schema_history') is not null as found", &[])
        .await?;
    if !exists.try_get::<_, bool>("found")? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select version, name, applied_on, checksum from companycam_photos.refinery_schema_history order by version",
            &[],
        )
        .await?;
    rows.into_iter().map(Applied::try_from).collect()
}

/// Forgets a version that was undone.
pub(super) async fn remove(client: &impl GenericClient, number: u32) -> Result<(), tokio_postgres::Error> {
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    client.execute("delete from companycam_photos.refinery_schema_history where version = $1", &[&number]).await?;
    Ok(())
}

/// Refuses a history with versions that are unknown here, or were applied with another text.
pub(super) fn check(
    applied: &[Applied],
    versions: &'static [Version],
    migrations: &[Migration],
) -> Result<(), MigrateError> {
    let program = u32::try_from(versions.len()).unwrap_or(u32::MAX);
    if let Some(newest) = applied.last().filter(|newest| newest.number > program) {
        return Err(MigrateError::Ahead { database: newest.number, program });
    }
    for (position, applied) in applied.iter().enumerate() {
        if applied.number as usize != position + 1 {
            return Err(MigrateError::Gap(u32::try_from(position + 1).unwrap_or(u32::MAX)));
        }
        if applied.checksum != migrations[position].checksum().to_string() {
            let applied = format!("V{:04}__{} at {}", applied.number, applied.name, applied.at);
            return Err(MigrateError::Edited { name: versions[position].name, applied });
        }
    }
    Ok(())
}
