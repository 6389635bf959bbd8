//! Is detection_events a plain table or TimescaleDB's hypertable, and how does it become one? Whoever could reach a
//! chunk directly would read every tenant's rows, because chunks have no policies; see `deploy/postgres/hypertable.sql`.

use std::fmt;

use tokio_postgres::GenericClient;

use super::Target;
use super::migrate::{MigrateError, Migrator};

const CONVERT: &str = include_str!("../../deploy/postgres/hypertable.sql");

/// How detection_events is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One table.
    Plain,
    /// TimescaleDB's, in so many chunks.
    Hypertable {
        /// Chunks there are now.
        chunks: i64,
    },
    /// A hypertable on a server that does not preload TimescaleDB: rows written now would be invisible later.
    Unloaded,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("detection_events is a plain table"),
            Self::Hypertable { chunks } => write!(f, "detection_events is a hypertable of {chunks} chunks"),
            Self::Unloaded => f.write_str(
                "detection_events is a hypertable, and the server does not load TimescaleDB: what is written now would be \
                 lost to readers; add timescaledb to shared_preload_libraries and restart PostgreSQL",
            ),
        }
    }
}

/// Reads how detection_events is kept. Needs no rights.
///
/// # Errors
/// The driver's.
pub async fn layout(client: &impl GenericClient) -> Result<Layout, tokio_postgres::Error> {
    let row = client
        .query_one(
            "select exists (select from pg_extension where extname = 'timescaledb') as created,
                    exists (select from pg_settings where name = 'timescaledb.max_background_workers') as loaded,
                    (select count(*) from pg_inherits join pg_class c on c.oid = inhparent
                     where c.relname = 'detection_events' and c.relnamespace = to_regnamespace('companycam_photos')) as chunks",
            &[],
        )
        .await?;
    let chunks: i64 = row.try_get("chunks")?;
    match (row.try_get("created")?, row.try_get("loaded")?) {
        (false, _) => return Ok(Layout::Plain),
        (true, false) => return Ok(if chunks > 0 { Layout::Unloaded } else { Layout::Plain }),
        (true, true) => {}
    }
    let found = client
        .query_opt(
            "select from timescaledb_information.hypertables
             where hypertable_schema = 'companycam_photos' and hypertable_name = 'detection_events'",
            &[],
        )
        .await?;
    Ok(if found.is_some() { Layout::Hypertable { chunks } } else { Layout::Plain })
}

/// Answers what is open that should not be: a chunk or a function of TimescaleDB that a role of the service could use
/// past row security, one sentence each.
///
/// # Errors
/// The driver's.
pub async fn openings(client: &impl GenericClient) -> Result<Vec<String>, tokio_postgres::Error> {
    if layout(client).await? == Layout::Plain {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "with role as (
                 select oid, rolname from pg_roles
                 where rolname in ('photometa_app', 'org_admin', 'org_user', 'org_service', 'photometa_operator')
             ), chunk as (
                 select inhrelid as oid from pg_inherits where inhparent = to_regclass('companycam_photos.detection_events')
             )
             select role.rolname || ' may reach the chunk ' || chunk.oid::regclass || ' past row security' as opening
             from chunk, role
             where has_any_column_privilege(role.oid, chunk.oid, 'select, insert, update, references')
                or has_table_privilege(role.oid, chunk.oid, 'select, insert, update, delete, truncate, references, trigger')
             union all
             select role.rolname || ' may call ' || count(*) || ' functions of TimescaleDB, such as ' || min(p.oid::regprocedure::text)
             from pg_depend d
             join pg_extension e on e.oid = d.refobjid and d.refclassid = 'pg_extension'::regclass and e.extname = 'timescaledb'
             join pg_proc p on p.oid = d.objid and d.classid = 'pg_proc'::regclass, role
             where d.deptype = 'e' and has_function_privilege(role.oid, p.oid, 'execute')
             group by role.rolname
             order by 1",
            &[],
        )
        .await?;
    rows.iter().map(|row| row.try_get("opening")).collect()
}

/// Makes detection_events a hypertable, with its rows, in one transaction; again does no harm.
///
/// # Errors
/// [`MigrateError::TimescaleMissing`] and [`MigrateError::TimescaleNotLoaded`] say what the server lacks; otherwise as
/// [`Migrator::up`]. Then nothing has changed.
pub async fn convert(target: impl Into<Target>) -> Result<Layout, MigrateError> {
    let migrator = Migrator::connect(target).await?;
    migrator.up_to_date().await?;
    let client = migrator.client();
    let row = client
        .query_one(
            "select exists (select from pg_available_extensions where name = 'timescaledb') as available,
                    exists (select from pg_settings where name = 'timescaledb.max_background_workers') as loaded",
            &[],
        )
        .await?;
    if !row.try_get::<_, bool>("available")? {
        return Err(MigrateError::TimescaleMissing);
    }
    if !row.try_get::<_, bool>("loaded")? {
        return Err(MigrateError::TimescaleNotLoaded);
    }
    client.batch_execute("reset role; set row_security = on; begin").await?;
    let converted = client.batch_execute(&format!("{CONVERT}; commit")).await;
    if let Err(error) = converted {
        let _ = client.batch_execute("rollback").await;
        return Err(error.into());
    }
    Ok(layout(client).await?)
}
