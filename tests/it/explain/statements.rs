//! Every statement of the service as its source shows it: its name, and the indexes that its comment names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One `const …: Sql` or `const …: Source`.
pub struct Statement {
    /// `photo::query::LOCK`.
    pub name: String,
    /// What its comment names.
    pub indexes: BTreeSet<String>,
}

/// Reads all of them, and what is wrong with their comments.
pub fn statements() -> (Vec<Statement>, Vec<String>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for path in crate::layout::files("src").iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let module = module(path);
        let text = fs::read_to_string(path).unwrap();
        let mut comment = Vec::new();
        for line in text.lines() {
            if let Some(words) = line.trim_start().strip_prefix("///") {
                comment.push(words.trim());
                continue;
            }
            let found_here = constant(line).and_then(|rest| rest.split_once(": "));
            if let Some((name, _)) =
                found_here.filter(|(_, kind)| kind.starts_with("Sql =") || kind.starts_with("Source ="))
            {
                let name = format!("{module}::{name}");
                match indexes(&comment) {
                    Some(indexes) => found.push(Statement { name, indexes }),
                    None => problems.push(format!("{name}: its comment ends with no line `Index: ….`")),
                }
            }
            comment.clear();
        }
    }
    (found, problems)
}

/// What follows `const` or `static`, whoever may see it.
fn constant(line: &str) -> Option<&str> {
    let words = line.trim_start();
    let words = words.strip_prefix("pub").map_or(words, |rest| rest.split_once(' ').map_or("", |(_, rest)| rest));
    words.strip_prefix("const ").or_else(|| words.strip_prefix("static "))
}

/// `src/photo/query.rs` is `photo::query`.
fn module(path: &Path) -> String {
    let path = path.display().to_string();
    let (_, inside) = path.rsplit_once("/src/").unwrap();
    inside.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::")
}

/// What follows `Index:` to the end of the comment, over as many lines as it takes.
fn indexes(comment: &[&str]) -> Option<BTreeSet<String>> {
    let start = comment.iter().position(|line| line.starts_with("Index: "))?;
    let list = comment[start..].join(" ");
    let list = list.strip_prefix("Index: ")?.strip_suffix('.')?;
    let names = list.split(',').map(|name| name.trim().to_owned());
    Some(names.filter(|name| name != "none").collect())
}
