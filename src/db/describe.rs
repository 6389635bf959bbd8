//! The schema's documentation, made from a live database: the diagram, the data dictionary and the table of indexes
//! of `migrations/README.md`. What people wrote comes from `comment on`; everything else from the catalogue.

use std::fmt::Write as _;

use tokio_postgres::{GenericClient, Row};

/// The generated parts of `migrations/README.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// A Mermaid diagram of tables, keys and references.
    pub diagram: String,
    /// Every table and column.
    pub dictionary: String,
    /// Every index.
    pub indexes: String,
}

const COLUMNS: &str = "
    select c.relname::text as table, obj_description(c.oid, 'pg_class') as about, a.attname::text as column,
           replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz') as type,
           not a.attnotnull as nullable, pg_get_expr(d.adbin, d.adrelid) as default,
           col_description(c.oid, a.attnum) as meaning,
           exists (select from pg_constraint k where k.conrelid = c.oid and contype = 'p' and a.attnum = any (conkey)) as pk,
           exists (select from pg_constraint k where k.conrelid = c.oid and contype = 'f' and a.attnum = any (conkey)) as fk,
           exists (select from pg_index x where x.indrelid = c.oid and indisunique and not indisprimary and a.attnum = any (indkey)) as uk
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = 'companycam_photos'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'refinery_schema_history'
    order by c.oid, a.attnum";

const REFERENCES: &str = "
    select f.relname::text as parent, c.relname::text as child,
           exists (select from pg_attribute where attrelid = c.oid and attnum = any (conkey) and not attnotnull) as optional,
           case confdeltype when 'c' then 'cascade' else 'restrict' end as meaning
    from pg_constraint k join pg_class c on c.oid = conrelid join pg_class f on f.oid = confrelid
    where k.connamespace = 'companycam_photos'::regnamespace and contype = 'f'
    order by c.oid, conname";

const INDEXES: &str = "
    select t.relname::text as table, i.relname::text as index,
           case when indisunique then 'unique ' else '' end
           || regexp_replace(lower(regexp_replace(pg_get_indexdef(i.oid), '^.* USING ', '')), '^btree ', '') as columns,
           obj_description(i.oid, 'pg_class') as serves
    from pg_index x join pg_class i on i.oid = indexrelid join pg_class t on t.oid = indrelid
    where t.relnamespace = 'companycam_photos'::regnamespace and t.relname <> 'refinery_schema_history'
    order by t.oid, not indisprimary, i.relname";

/// Describes the schema of a database.
///
/// # Errors
/// The driver's.
pub async fn describe(client: &impl GenericClient) -> Result<Description, tokio_postgres::Error> {
    let columns: Vec<Column> =
        client.query(COLUMNS, &[]).await?.into_iter().map(Column::try_from).collect::<Result<_, _>>()?;
    let references = client.query(REFERENCES, &[]).await?;
    let indexes = client.query(INDEXES, &[]).await?;
    Ok(Description {
        diagram: diagram(&columns, &references)?,
        dictionary: dictionary(&columns),
        indexes: table_of_indexes(&indexes)?,
    })
}

struct Column {
    table: String,
    about: String,
    name: String,
    kind: String,
    nullable: bool,
    default: Option<String>,
    meaning: String,
    keys: Vec<&'static str>,
}

impl TryFrom<Row> for Column {
    type Error = tokio_postgres::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let mut keys = Vec::new();
        for (name, key) in [("pk", "PK"), ("fk", "FK"), ("uk", "UK")] {
            if row.try_get(name)? {
                keys.push(key);
            }
        }
        Ok(Self {
            table: row.try_get("table")?,
            about: row.try_get::<_, Option<String>>("about")?.unwrap_or_default(),
            name: row.try_get("column")?,
            kind: row.try_get("type")?,
            nullable: row.try_get("nullable")?,
            default: row.try_get("default")?,
            meaning: row.try_get::<_, Option<String>>("meaning")?.unwrap_or_default(),
            keys,
        })
    }
}

/// Keys only: the dictionary has the rest.
fn diagram(columns: &[Column], references: &[Row]) -> Result<String, tokio_postgres::Error> {
    let mut text = "```mermaid\nerDiagram\n".to_owned();
    for row in references {
        let (parent, child, meaning): (&str, &str, &str) =
            (row.try_get("parent")?, row.try_get("child")?, row.try_get("meaning")?);
        let one = if row.try_get("optional")? { "|o" } else { "||" };
        let _ = writeln!(text, "    {parent} {one}--o{{ {child} : \"{meaning}\"");
    }
    for table in columns.chunk_by(|left, right| left.table == right.table) {
        let _ = writeln!(text, "\n    {} {{", table[0].table);
        for column in table.iter().filter(|column| !column.keys.is_empty()) {
            let _ =
                writeln!(text, "        {} {} {}", column.kind.replace(' ', "_"), column.name, column.keys.join(", "));
        }
        text += "    }\n";
    }
    text += "```\n";
    Ok(text)
}

fn dictionary(columns: &[Column]) -> String {
    let mut text = String::new();
    for table in columns.chunk_by(|left, right| left.table == right.table) {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = write!(text, "### {}\n\n{}\n\n", table[0].table, table[0].about);
        text += "| column | type | null | default | meaning |\n|---|---|---|---|---|\n";
        for Column { name, kind, nullable, default, meaning, .. } in table {
            let null = if *nullable { "yes" } else { "" };
            let default = default.as_ref().map(|default| format!("`{default}`")).unwrap_or_default();
            let _ = writeln!(text, "| {name} | {kind} | {null} | {default} | {} |", meaning.replace('|', "\\|"));
        }
    }
    text
}

fn table_of_indexes(rows: &[Row]) -> Result<String, tokio_postgres::Error> {
    let mut text = "| table | index | columns | serves |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let (table, index, columns): (&str, &str, &str) =
            (row.try_get("table")?, row.try_get("index")?, row.try_get("columns")?);
        let serves: Option<&str> = row.try_get("serves")?;
        let _ = writeln!(text, "| {table} | {index} | {columns} | {} |", serves.unwrap_or_default());
    }
    Ok(text)
}

impl Description {
    /// Puts the generated parts into a page, between its marks.
    ///
    /// # Errors
    /// The name of the part whose marks are missing.
    pub fn written_into(&self, page: &str) -> Result<String, &'static str> {
        let parts = [("diagram", &self.diagram), ("dictionary", &self.dictionary), ("indexes", &self.indexes)];
        let mut page = page.to_owned();
        for (name, part) in parts {
            let (begin, end) = (format!("<!-- begin generated {name} -->\n"), format!("<!-- end generated {name} -->"));
            let (Some(start), Some(stop)) = (page.find(&begin), page.find(&end)) else { return Err(name) };
            page.replace_range(start + begin.len()..stop, &format!("\n{part}\n"));
        }
        Ok(page)
    }
}
