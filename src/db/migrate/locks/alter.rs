//! What does `alter table` lock and do? Told action by action, and only where every action is listed here: of the
//! others some rewrite the table.

use super::{Effect, Lock, Work, effect, names, references};

/// Types of which a new column is no work. A domain is checked on every row, and a serial column is numbered.
const TYPES: [&str; 19] = [
    "bigint",
    "boolean",
    "bool",
    "bytea",
    "date",
    "float8",
    "int",
    "int4",
    "int8",
    "integer",
    "json",
    "jsonb",
    "numeric",
    "real",
    "smallint",
    "text",
    "timestamptz",
    "uuid",
    "varchar",
];

/// Settings of a table under which PostgreSQL lets others read and write on.
const SETTINGS: [&str; 4] = ["fillfactor", "autovacuum_", "toast.autovacuum_", "parallel_workers"];

/// The effects of what stands behind `alter table`.
pub(super) fn alter(rest: &[&str]) -> Option<Vec<Effect>> {
    let at = rest.iter().position(|word| !["if", "exists", "only"].contains(word))?;
    let (table, actions) = (rest[at], divided(&rest[at + 1..]));
    let known: Vec<(Lock, Work)> = actions.iter().map(|words| action(words)).collect::<Option<_>>()?;
    // PostgreSQL takes the strongest lock of all actions at once, and reads or rewrites the rows once for all.
    let lock = known.iter().map(|(lock, _)| *lock).max()?;
    let work = known.iter().map(|(_, work)| *work).max()?;
    let mut found = vec![Effect { name: table.to_owned(), lock, work }];
    for (words, (_, work)) in actions.into_iter().zip(known) {
        // Whoever compares rows with a table reads that too.
        found.extend(references(words, table, work));
        found.extend(keys(words, table));
    }
    Some(found)
}

/// The actions: what stands between commas outside of parentheses.
fn divided<'a, 'b>(words: &'a [&'b str]) -> Vec<&'a [&'b str]> {
    let mut depth = 0;
    let comma = |word: &&str| {
        depth += i32::from(["(", "["].contains(word)) - i32::from([")", "]"].contains(word));
        depth == 0 && *word == ","
    };
    words.split(comma).collect()
}

/// The other tables of foreign keys that an action takes away or makes anew: they lose triggers of their own.
fn keys(words: &[&str], table: &str) -> Vec<Effect> {
    let of = |column: &str| vec![effect(&format!("{table}.{column}"), Lock::AccessExclusive)];
    match words {
        ["drop", "constraint", rest @ ..] => names(rest).map(|name| effect(name, Lock::AccessExclusive)).collect(),
        ["drop", "column", rest @ ..] | ["drop", rest @ ..] => names(rest).next().map(of).unwrap_or_default(),
        ["alter", "column", column, "type", ..]
        | ["alter", "column", column, "set", "data", "type", ..]
        | ["alter", column, "type", ..]
        | ["alter", column, "set", "data", "type", ..] => of(column),
        _ => Vec::new(),
    }
}

fn action(words: &[&str]) -> Option<(Lock, Work)> {
    let unnamed = ["check", "foreign", "unique", "primary", "exclude"];
    match words {
        ["add", "constraint", _, rest @ ..] => constraint(rest),
        ["add", rest @ ..] if rest.first().is_some_and(|word| unnamed.contains(word)) => constraint(rest),
        ["add", "column", "if", "not", "exists", _, rest @ ..]
        | ["add", "if", "not", "exists", _, rest @ ..]
        | ["add", "column", _, rest @ ..]
        | ["add", _, rest @ ..] => Some((Lock::AccessExclusive, column(rest)?)),
        // What depends on it may be anywhere; and what follows has another name.
        ["drop", .., "cascade"] | ["alter", "constraint", ..] | ["rename", "to", _] => None,
        ["alter", "column", _, rest @ ..] | ["alter", _, rest @ ..] => altered(rest),
        ["drop" | "rename", ..]
        | ["owner", "to", _]
        | ["enable" | "disable" | "force", "row", "level", "security"]
        | ["no", "force", "row", "level", "security"] => Some((Lock::AccessExclusive, Work::Catalogue)),
        ["enable" | "disable", "trigger", _] | ["enable", "always" | "replica", "trigger", _] => {
            Some((Lock::ShareRowExclusive, Work::Catalogue))
        }
        ["validate", "constraint", _] => Some((Lock::ShareUpdateExclusive, Work::Reads)),
        ["set" | "reset", "(", rest @ ..] if divided(rest).iter().all(|words| setting(words)) => {
            Some((Lock::ShareUpdateExclusive, Work::Catalogue))
        }
        _ => None,
    }
}

fn setting(words: &[&str]) -> bool {
    words.first().is_some_and(|name| SETTINGS.iter().any(|known| name.starts_with(known)))
}

/// A table's constraint, behind its name.
fn constraint(words: &[&str]) -> Option<(Lock, Work)> {
    let (lock, mut outside, mut depth) = (Lock::AccessExclusive, Vec::new(), 0);
    for word in words {
        depth += i32::from(*word == "(") - i32::from(*word == ")");
        // A column of an expression may be called valid.
        if depth == 0 {
            outside.push(*word);
        }
    }
    let has = |pair: [&str; 2]| outside.windows(2).any(|found| found == pair);
    let checked = if has(["not", "valid"]) { Work::Catalogue } else { Work::Reads };
    match words {
        ["foreign", ..] => Some((Lock::ShareRowExclusive, checked)),
        ["check", ..] => Some((lock, checked)),
        // Columns that may be null are read for a primary key.
        ["primary", ..] if has(["using", "index"]) => None,
        ["unique", ..] if has(["using", "index"]) => Some((lock, Work::Catalogue)),
        ["unique" | "primary" | "exclude", ..] => Some((lock, Work::Reads)),
        _ => None,
    }
}

/// A column's change, behind its name.
fn altered(words: &[&str]) -> Option<(Lock, Work)> {
    match words {
        ["set", "default", ..]
        | ["drop", "default"]
        | ["drop", "not", "null"]
        | ["set", "storage" | "compression", _] => Some((Lock::AccessExclusive, Work::Catalogue)),
        ["set", "not", "null"] => Some((Lock::AccessExclusive, Work::Reads)),
        ["type", ..] | ["set", "data", "type", ..] => Some((Lock::AccessExclusive, Work::Rewrites)),
        ["set", "statistics", ..] | ["set" | "reset", "(", ..] => Some((Lock::ShareUpdateExclusive, Work::Catalogue)),
        _ => None,
    }
}

/// A new column, behind its name. Since PostgreSQL 11 a default that is the same for every row is kept once.
fn column(words: &[&str]) -> Option<Work> {
    let mut rest = typed(words)?;
    let (mut work, mut filled, mut bound, mut refers) = (Work::Catalogue, false, false, false);
    while !rest.is_empty() {
        rest = match rest {
            ["constraint" | "collate", _, rest @ ..]
            | ["null", rest @ ..]
            | ["default", "null", rest @ ..]
            | ["on", "delete" | "update", "set" | "no", _, rest @ ..]
            | ["on", "delete" | "update", "cascade" | "restrict", rest @ ..] => rest,
            ["not", "null", rest @ ..] => {
                bound = true;
                rest
            }
            ["default", rest @ ..] => {
                filled = true;
                constant(rest)?
            }
            ["unique", rest @ ..] | ["primary", "key", rest @ ..] => {
                work = Work::Reads;
                rest
            }
            ["check", rest @ ..] => {
                work = Work::Reads;
                grouped(rest)?
            }
            ["references", _, rest @ ..] => {
                refers = true;
                grouped(rest).unwrap_or(rest)
            }
            _ => return None,
        };
    }
    // Nulls need no look at what they refer to, and break `not null`.
    let read = if filled { refers } else { bound };
    Some(if read { work.max(Work::Reads) } else { work })
}

/// What stands behind a type, where it is one of those.
fn typed<'a, 'b>(words: &'a [&'b str]) -> Option<&'a [&'b str]> {
    let rest = match words {
        ["double", "precision", rest @ ..] | ["timestamp", "with" | "without", "time", "zone", rest @ ..] => rest,
        [name, rest @ ..] if TYPES.contains(name) => rest,
        _ => return None,
    };
    let mut rest = grouped(rest).unwrap_or(rest);
    while let ["[", "]", behind @ ..] = rest {
        rest = behind;
    }
    Some(rest)
}

/// What stands behind a value that is the same for every row: a constant, or the time.
fn constant<'a, 'b>(words: &'a [&'b str]) -> Option<&'a [&'b str]> {
    let number = |word: &str| word.starts_with(|first: char| first.is_ascii_digit());
    let rest = match words {
        ["true" | "false" | "current_timestamp" | "current_date", rest @ ..] | ["now", "(", ")", rest @ ..] => rest,
        ["-", word, rest @ ..] if number(word) => rest,
        [word, rest @ ..] if number(word) || word.starts_with('\'') => rest,
        _ => return None,
    };
    match rest {
        ["::", rest @ ..] => typed(rest),
        rest => Some(rest),
    }
}

/// What stands behind the parentheses that the words begin with.
fn grouped<'a, 'b>(words: &'a [&'b str]) -> Option<&'a [&'b str]> {
    if words.first() != Some(&"(") {
        return None;
    }
    let mut depth = 0;
    let end = words.iter().position(|word| {
        depth += i32::from(*word == "(") - i32::from(*word == ")");
        depth == 0
    })?;
    Some(&words[end + 1..])
}
