//! What would the missing versions do to a database that is in use? Nothing is executed: the statements' locks come
//! from their words, and the rows from the statistics that the database has of its tables.

use std::collections::HashMap;
use std::fmt;

use tokio_postgres::Client;

use super::locks::{Effect, Lock, Work, effects};
use super::statement::split;
use super::version::Version;

/// One missing version.
#[derive(Debug)]
pub struct Planned {
    /// `V0008__json_checks`.
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
    /// The stronger lock under which it does so, because an earlier statement of the version took it, and the number of
    /// that statement, counted from 1.
    pub held: Option<(Lock, usize)>,
    /// What it does under it.
    pub work: Work,
    /// About how many rows the table has; `None` where nobody has counted them yet.
    pub rows: Option<i64>,
    /// About how large the table is, such as `12 MB`.
    pub size: String,
}

impl fmt::Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, lock, held, work, rows, size } = self;
        write!(f, "{table}: {lock}")?;
        match held {
            // Where no row is touched the statement is over at once, and what is held is no news.
            Some((held, since)) if *work > Work::Catalogue => {
                write!(f, ", but under {held}, held since statement {since}, which blocks {}", held.blocks())?;
            }
            _ => write!(f, ", which blocks {}", lock.blocks())?,
        }
        write!(f, "; {work} (")?;
        match rows {
            Some(rows) => write!(f, "about {rows}")?,
            None => f.write_str("unknown number of")?,
        }
        write!(f, " rows, {size})")
    }
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
    // A version is one transaction: what a statement has locked stays locked for those after it.
    let mut strongest: HashMap<String, (Lock, usize)> = HashMap::new();
    let mut statements = Vec::new();
    for (number, statement) in (1..).zip(split(version.up)) {
        let mut touched = effects(&statement).map(|effects| touched(&effects, tables));
        for touched in touched.iter_mut().flatten() {
            let held = strongest.entry(touched.table.clone()).or_insert((touched.lock, number));
            if held.0 < touched.lock {
                *held = (touched.lock, number);
            }
            touched.held = (held.0 > touched.lock).then_some(*held);
        }
        statements.push(PlannedStatement { text: statement.text, touched });
    }
    Planned { name: version.name, statements }
}

fn touched(effects: &[Effect], tables: &HashMap<String, Vec<Table>>) -> Vec<Touched> {
    let mut found: Vec<Touched> = Vec::new();
    for effect in effects {
        for table in tables.get(&effect.name).into_iter().flatten() {
            let new = Touched {
                table: table.name.clone(),
                lock: effect.lock,
                held: None,
                work: effect.work,
                rows: table.rows,
                size: table.size.clone(),
            };
            match found.iter_mut().find(|old| old.table == new.table) {
                // Each by itself: the rows may be read under a lock that another part of the statement takes.
                Some(old) => (old.lock, old.work) = (old.lock.max(new.lock), old.work.max(new.work)),
                None => found.push(new),
            }
        }
    }
    found
}

/// The tables that a name stands for: itself, an index's, both of a foreign key, those that a table refers to, those at
/// the other end of a column's foreign keys.
async fn tables(client: &Client) -> Result<HashMap<String, Vec<Table>>, tokio_postgres::Error> {
    let rows = client
        .query(
            "with t as (
                 select oid, relname::text as name, case when reltuples >= 0 then reltuples::bigint end as rows,
                        pg_size_pretty(pg_table_size(oid)) as size
                 from pg_class where relnamespace = to_regnamespace('companycam_photos') and relkind in ('r', 'p')
             ), k as (
                 select conname::text as name, conrelid, confrelid, conkey, confkey from pg_constraint where contype = 'f'
             )
             select t.name as alias, t.name, t.rows, t.size from t
             union all
             select i.relname::text, t.name, t.rows, t.size
             from pg_index x join pg_class i on i.oid = x.indexrelid join t on t.oid = x.indrelid
             union all
             select k.name, t.name, t.rows, t.size from k join t on t.oid in (k.conrelid, k.confrelid)
             union all
             select own.name || ' references', t.name, t.rows, t.size
             from k join t own on own.oid = k.conrelid join t on t.oid = k.confrelid
             union all
             select own.name || '.' || attname, t.name, t.rows, t.size
             from (select conrelid, confrelid, conkey from k union all select confrelid, conrelid, confkey from k)
                      as e (here, there, key)
             join t own on own.oid = e.here join t on t.oid = e.there
             join pg_attribute on attrelid = e.here and attnum = any (e.key)",
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
