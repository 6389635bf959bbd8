//! Is the schema at the program's version, what its versions declare, and by the rules that keep tenants apart?

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::super::catalog::{self, Difference};
use super::super::migrate;
use super::Finding;

/// Where the schema stands: whether it is exactly at this program's version, and what to say of it.
pub(super) async fn version(client: &mut Client) -> Result<(bool, Vec<Finding>), Error> {
    let tx = client.build_transaction().read_only(true).start().await?;
    tx.batch_execute("set local role photometa_operator").await?;
    let standing = migrate::standing(&tx).await;
    tx.rollback().await?;
    let newest = migrate::newest();
    let behind = |database: &str| {
        let message = format!("the schema is at version {database}, behind this program's {newest}");
        Finding::failed("version", message, "run `photometa migrate plan`, then `photometa migrate up`")
    };
    Ok(match standing {
        // Operators may read which versions there are since version 6.
        Err(migrate::MigrateError::Database(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            (false, vec![behind("5 or before")])
        }
        Err(migrate::MigrateError::Database(error)) => return Err(error),
        Err(error) => (false, vec![Finding::from(&error)]),
        Ok(database) if database == newest => {
            (true, vec![Finding::ok("version", format!("the schema is at version {newest}, which is this program's"))])
        }
        Ok(database) => (false, vec![behind(&database.to_string())]),
    })
}

/// Whether a migrating session holds its lock.
pub(super) async fn is_migrating(client: &Client) -> Result<bool, Error> {
    let held = "select exists (
                    select from pg_locks where locktype = 'advisory' and granted
                      and database = (select oid from pg_database where datname = current_database())
                      and (classid::bigint << 32) | objid::bigint = hashtext('photometa migrate')::bigint)";
    client.query_one_scalar(held, &[]).await
}

/// Compares every fact with what the versions declare.
pub(super) async fn declared(client: &mut Client, current: bool) -> Result<Vec<Finding>, Error> {
    if !current {
        let message = "the schema is not at this program's version, so there is nothing to compare it with";
        return Ok(vec![Finding::skipped("declared schema", message)]);
    }
    let tx = client.build_transaction().read_only(true).start().await?;
    let found = catalog::facts(&tx).await?;
    tx.rollback().await?;
    let differences = catalog::differences(&catalog::declared(), &found);
    if differences.is_empty() {
        return Ok(vec![Finding::ok("declared schema", format!("{} facts are as the versions declare", found.len()))]);
    }
    Ok(differences.iter().map(drift).collect())
}

fn drift(difference: &Difference) -> Finding {
    let fix = match difference.kind() {
        "row security" => "alter table … enable row level security, force row level security, as photometa_owner",
        "policy" => "restore the policy as its version in migrations/ makes it, as photometa_owner",
        "grant" | "default grant" | "schema" => "grant or revoke as the versions in migrations/ do, as photometa_owner",
        _ => "undo what was changed by hand, or make it a version in migrations/",
    };
    Finding::failed("declared schema", difference.to_string(), fix)
}

pub(super) async fn indexes(client: &Client) -> Result<Vec<Finding>, Error> {
    let invalid = catalog::invalid_indexes(client).await?;
    if invalid.is_empty() {
        return Ok(vec![Finding::ok("indexes", "every index is valid")]);
    }
    let found = invalid.into_iter().map(|name| {
        let fix = format!("reindex index concurrently companycam_photos.{name}, or drop it and make it again");
        Finding::failed("indexes", format!("the index {name} is invalid: it costs writes and serves no query"), fix)
    });
    Ok(found.collect())
}
