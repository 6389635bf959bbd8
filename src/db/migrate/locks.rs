//! Which locks does a statement of a version take, and does it read or rewrite whole tables? Told from its words, by
//! the rules of PostgreSQL's manual (Explicit Locking, and the page of each command); a test compares what is told
//! here with what pg_locks shows.

mod alter;

use std::fmt;

use self::alter::alter;
use super::statement::{Statement, split};

/// A table lock, weakest first. Weaker ones, which only reading takes, hinder nobody and are not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are PostgreSQL's")]
pub enum Lock {
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    AccessExclusive,
}

impl Lock {
    /// What others have to wait with while it is held.
    pub fn blocks(self) -> &'static str {
        match self {
            Self::RowExclusive => "nothing but other changes of the schema",
            Self::ShareUpdateExclusive => "other changes of the schema and vacuum",
            Self::Share | Self::ShareRowExclusive => "writes",
            Self::AccessExclusive => "reads and writes",
        }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        })
    }
}

/// How long a lock is held depends on what is done under it. The least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// The catalogue alone changes.
    Catalogue,
    /// Every row is read.
    Reads,
    /// The rows that it names are found and written.
    Writes,
    /// Every row is written anew, and every index built.
    Rewrites,
    /// Every row goes, and none is read for it.
    Loses,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Catalogue => "no row is touched",
            Self::Reads => "every row is read",
            Self::Writes => "the rows that it names are found and written",
            Self::Rewrites => "every row is rewritten",
            Self::Loses => "every row is lost, at once",
        })
    }
}

/// What a statement does to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The table; or an index or foreign key, of which the tables are meant; or `… references`: the tables that the
    /// foreign keys of a table refer to; or `photos.user_id`: the other tables of the foreign keys that have the column.
    pub name: String,
    /// The lock it takes.
    pub lock: Lock,
    /// What it does under it.
    pub work: Work,
}

/// The effects of a statement; `None` when its kind is not known here and must be read by somebody.
pub(super) fn effects(statement: &Statement) -> Option<Vec<Effect>> {
    let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["do", ..] => nested(statement.body.as_deref()?),
        ["begin", _, ..] => effects(&Statement { words: statement.words[1..].to_vec(), ..statement.clone() }),
        // What depends on it may be anywhere.
        ["drop" | "truncate", .., "cascade"] => None,
        ["set" | "reset" | "grant" | "revoke" | "begin" | "end", ..]
        | ["create", "or", "replace", "function", ..]
        | ["create" | "drop" | "alter", "function" | "schema" | "role", ..]
        | ["select", "place", ..]
        | ["comment", "on", "schema" | "function" | "index" | "policy" | "constraint", ..] => Some(Vec::new()),
        ["comment", "on", "table", table, ..] => one(table, Lock::ShareUpdateExclusive),
        ["comment", "on", "column", column, ..] => one(column.split('.').next()?, Lock::ShareUpdateExclusive),
        // The parent is locked too.
        ["create", "table", rest @ ..] if rest.contains(&"inherits") || rest.contains(&"partition") => None,
        ["create", "table", rest @ ..] => Some(references(rest, "", Work::Catalogue)),
        ["create", "index", rest @ ..] | ["create", "unique", "index", rest @ ..] => index(rest),
        ["create" | "drop" | "alter", "policy", rest @ ..] => one(after(rest, "on")?, Lock::AccessExclusive),
        ["create", "trigger", rest @ ..] => one(after(rest, "on")?, Lock::ShareRowExclusive),
        ["drop", "table", rest @ ..] => {
            // The tables it refers to lose triggers of theirs.
            let others = |name| effect(&format!("{name} references"), Lock::AccessExclusive);
            Some(names(rest).flat_map(|name| [lost(name), others(name)]).collect())
        }
        ["truncate", rest @ ..] => Some(names(rest).map(lost).collect()),
        ["drop", "index", rest @ ..] => Some(names(rest).map(|name| effect(name, Lock::AccessExclusive)).collect()),
        ["alter", "table", rest @ ..] => alter(rest),
        ["insert", "into", table, ..] | ["delete", "from", table, ..] | ["update", table, ..] => {
            Some(vec![Effect { name: (*table).to_owned(), lock: Lock::RowExclusive, work: Work::Writes }])
        }
        ["select", "protect", "(", table, ..] => {
            one(table.trim_matches('\'').rsplit('.').next()?, Lock::AccessExclusive)
        }
        _ => None,
    }
}

fn effect(name: &str, lock: Lock) -> Effect {
    Effect { name: name.to_owned(), lock, work: Work::Catalogue }
}

fn lost(name: &str) -> Effect {
    Effect { work: Work::Loses, ..effect(name, Lock::AccessExclusive) }
}

#[expect(clippy::unnecessary_wraps, reason = "the arms of `effects` answer an option")]
fn one(name: &str, lock: Lock) -> Option<Vec<Effect>> {
    Some(vec![effect(name, lock)])
}

/// What stands in a `do` block.
fn nested(body: &str) -> Option<Vec<Effect>> {
    let found: Option<Vec<_>> = split(body).iter().map(effects).collect();
    Some(found?.into_iter().flatten().collect())
}

fn after<'a>(words: &[&'a str], word: &str) -> Option<&'a str> {
    let at = words.iter().position(|found| *found == word)?;
    words.get(at + 1).copied()
}

/// The names of a list, `if exists` and the like left out.
fn names<'a>(words: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let noise = ["if", "exists", "only", "concurrently", ",", "table", "cascade", "restrict"];
    words.iter().copied().filter(move |word| !noise.contains(word))
}

fn index(rest: &[&str]) -> Option<Vec<Effect>> {
    let lock = if rest.contains(&"concurrently") { Lock::ShareUpdateExclusive } else { Lock::Share };
    let name = names(&rest[rest.iter().position(|word| *word == "on")? + 1..]).next()?.to_owned();
    Some(vec![Effect { name, lock, work: Work::Reads }])
}

/// Tables that foreign keys refer to are locked against writes while the key is made.
fn references(words: &[&str], without: &str, work: Work) -> Vec<Effect> {
    let referred = words.windows(2).filter(|pair| pair[0] == "references" && pair[1] != without);
    referred.map(|pair| Effect { work, ..effect(pair[1], Lock::ShareRowExclusive) }).collect()
}
