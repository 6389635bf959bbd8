//! What would the missing versions do to a database that is in use? Nothing is executed: the statements' locks come
//! from their words, and the rows from the statistics that the database has of its tables.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::locks::{Effect, Lock, Work, effects};
use super::statement::split;
use super::version::Version;

/// One missing version.
#[derive(Debug)]
pub struct Planned {
    /// `V0007__json_checks`.
    pub name: &'static str,
    /// Its statements, in order.
    pub statements: Vec<PlannedStatement>,
}

/// One statement of a missing version.
#[derive(Debug)]
pub struct PlannedStatement {
    /// Its text.
    pub text: String,
    /// What it does to tables that are there already; `None` when somebody has to read it to know.
    pub touched: Option<Vec<Touched>>,
}

/// What a statement does to one table that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The table.
    pub table: String,
    /// The lock it takes.
    pub lock: Lock,
    /// What it does under it.
    pub work: Work,
    /// About how many rows the table has; `None` where nobody has counted them yet.
    pub rows: Option<i64>,
    /// About how large the table is, such as `12 MB`.
    pub size: String,
}

/// A table that is there.
struct Table {
    name: String,
    rows: Option<i64>,
    size: String,
}

/// Plans versions.
pub(super) async fn plan(client: &Client, versions: &[Version]) -> Result<Vec<Planned>, tokio_postgres::Error> {
    let tables = tables(client).await?;
    Ok(versions.iter().map(|version| planned(*version, &tables)).collect())
}

fn planned(version: Version, tables: &HashMap<String, Vec<Table>>) -> Planned {
    let statements = split(version.up)
        .into_iter()
        .map(|statement| {
            let touched = effects(&statement).map(|effects| touched(&effects, tables));
            PlannedStatement { text: statement.text, touched }
        })
        .collect();
    Planned { name: version.name, statements }
}

fn touched(effects: &[Effect], tables: &HashMap<String, Vec<Table>>) -> Vec<Touched> {
    let mut found: Vec<Touched> = Vec::new();
    for effect in effects {
        for table in tables.get(&effect.name).into_iter().flatten() {
            let new = Touched {
                table: table.name.clone(),
                lock: effect.lock,
                work: effect.work,
                rows: table.rows,
                size: table.size.clone(),
            };
            match found.iter_mut().find(|old| old.table == new.table) {
                Some(old) if old.lock < new.lock => *old = new,
                Some(_) => {}
                None => found.push(new),
            }
        }
    }
    found
}

/// The tables that a name stands for: itself, an index's, both of a foreign key, those that a table refers to.
async fn tables(client: &Client) -> Result<HashMap<String, Vec<Table>>, tokio_postgres::Error> {
    let rows = client
        .query(
            "with t as (
                 select oid, relname::text as name, case when reltuples >= 0 then reltuples::bigint end as rows,
                        pg_size_pretty(pg_table_size(oid)) as size
                 from pg_class where relnamespace = to_regnamespace('companycam_photos') and relkind in ('r', 'p')
             ), k as (
                 select conname::text as name, conrelid, confrelid from pg_constraint where contype = 'f'
             )
             select t.name as alias, t.name, t.rows, t.size from t
             union all
             select i.relname::text, t.name, t.rows, t.size
             from pg_index x join pg_class i on i.oid = x.indexrelid join t on t.oid = x.indrelid
             union all
             select k.name, t.name, t.rows, t.size from k join t on t.oid in (k.conrelid, k.confrelid)
             union all
             select own.name || ' references', t.name, t.rows, t.size
             from k join t own on own.oid = k.conrelid join t on t.oid = k.confrelid",
            &[],
        )
        .await?;
    let mut tables: HashMap<String, Vec<Table>> = HashMap::new();
    for row in rows {
        let table = Table { name: row.try_get("name")?, rows: row.try_get("rows")?, size: row.try_get("size")? };
        tables.entry(row.try_get("alias")?).or_default().push(table);
    }
    Ok(tables)
}
