//! What does the schema look like in a database, and is it what the versions declare? `migrations/declared.txt` holds
//! every fact of a database after the newest version; `photometa migrate describe --write` makes it, a test compares it.

use std::collections::BTreeMap;
use std::fmt;

use tokio_postgres::{GenericClient, Row};

const FACTS: &str = include_str!("catalog/facts.sql");

/// Every fact after the newest version.
const DECLARED: &str = include_str!("../../migrations/declared.txt");

/// One fact, such as `policy photos.photos_member: permissive for all to org_user …`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    /// `schema`, `table`, `row security`, `column`, `constraint`, `index`, `policy`, `grant`, `default grant`,
    /// `function`, `trigger` or `rule`.
    pub kind: String,
    /// What it is about, such as `photos.photos_member`.
    pub object: String,
    /// What is true of it.
    pub text: String,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind, self.object, self.text)
    }
}

impl TryFrom<Row> for Fact {
    type Error = tokio_postgres::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let text: String = row.try_get("fact")?;
        // One fact a line.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self { kind: row.try_get("kind")?, object: row.try_get("object")?, text })
    }
}

/// How a fact of the database differs from what is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Declared, and not there.
    Missing(Fact),
    /// There, and declared otherwise.
    Changed {
        /// As declared.
        declared: Fact,
        /// What is there instead.
        found: String,
    },
    /// There, and not declared.
    Unexpected(Fact),
}

impl Difference {
    /// The kind of fact.
    pub fn kind(&self) -> &str {
        match self {
            Self::Missing(fact) | Self::Unexpected(fact) | Self::Changed { declared: fact, .. } => &fact.kind,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(fact) => write!(f, "{} {} is missing ({})", fact.kind, fact.object, fact.text),
            Self::Changed { declared, found } => {
                write!(f, "{} {} is {found}, declared as {}", declared.kind, declared.object, declared.text)
            }
            Self::Unexpected(fact) => {
                write!(f, "{} {} is not declared ({})", fact.kind, fact.object, fact.text)
            }
        }
    }
}

/// Reads every fact of the schema as it is in a database, in a transaction with an empty search path.
///
/// # Errors
/// The driver's.
pub async fn facts(client: &impl GenericClient) -> Result<Vec<Fact>, tokio_postgres::Error> {
    client.batch_execute("set local search_path = ''").await?;
    client.query(FACTS, &[]).await?.into_iter().map(Fact::try_from).collect()
}

/// The facts as `migrations/declared.txt` holds them: one a line, sorted.
pub fn text(facts: &[Fact]) -> String {
    let mut lines: Vec<String> = facts.iter().map(ToString::to_string).collect();
    lines.sort();
    lines.into_iter().map(|line| line + "\n").collect()
}

/// What is declared.
pub fn declared() -> Vec<Fact> {
    let parts = |line: &str| {
        let (head, text) = line.split_once(": ")?;
        let kind = KINDS.into_iter().find(|kind| head.strip_prefix(kind).is_some_and(|rest| rest.starts_with(' ')))?;
        let object = head[kind.len() + 1..].to_owned();
        Some(Fact { kind: kind.to_owned(), object, text: text.to_owned() })
    };
    DECLARED.lines().filter_map(parts).collect()
}

const KINDS: [&str; 12] = [
    "schema",
    "table",
    "row security",
    "column",
    "constraint",
    "index",
    "policy",
    "grant",
    "default grant",
    "function",
    "trigger",
    "rule",
];

/// How `found` differs from `declared`.
pub fn differences(declared: &[Fact], found: &[Fact]) -> Vec<Difference> {
    fn keyed(facts: &[Fact]) -> BTreeMap<(&str, &str), &Fact> {
        facts.iter().map(|fact| ((fact.kind.as_str(), fact.object.as_str()), fact)).collect()
    }
    let (declared, found) = (keyed(declared), keyed(found));
    let of_declared = declared.iter().filter_map(|(key, &fact)| match found.get(key) {
        None => Some(Difference::Missing(fact.clone())),
        Some(there) if there.text != fact.text => {
            Some(Difference::Changed { declared: fact.clone(), found: there.text.clone() })
        }
        Some(_) => None,
    });
    let unexpected = found.iter().filter(|(key, _)| !declared.contains_key(*key));
    let unexpected = unexpected.map(|(_, &fact)| Difference::Unexpected(fact.clone()));
    of_declared.chain(unexpected).collect()
}

/// Answers indexes that a failed CREATE INDEX CONCURRENTLY left behind.
///
/// # Errors
/// The driver's.
pub async fn invalid_indexes(client: &impl GenericClient) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = client
        .query(
            "select i.relname::text as name
             from pg_index x join pg_class i on i.oid = x.indexrelid
             where i.relnamespace = to_regnamespace('companycam_photos') and not (x.indisvalid and x.indisready)
             order by 1",
            &[],
        )
        .await?;
    rows.iter().map(|row| row.try_get("name")).collect()
}
