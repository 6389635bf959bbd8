//! Words of the database that no client may read: names of its tables, columns and constraints, and what PostgreSQL says.

use std::collections::BTreeSet;

use crate::harness::App;
use crate::isolation::seen::{Outcome, everything};
use crate::rpcs::POOL;

/// What PostgreSQL says.
const SAID: [&str; 29] = [
    "_check",
    "_fkey",
    "_idx",
    "_pkey",
    "cached plan",
    "column",
    "companycam_photos",
    "constraint",
    "dberror",
    "deadlock",
    "duplicate",
    "foreign key",
    "insert ",
    "null value",
    "operator does not exist",
    "permission denied",
    "pg_",
    "postgres",
    "query",
    "refinery",
    "relation",
    "row security",
    "row-level",
    "select ",
    "sql",
    "syntax",
    "tokio",
    "transaction",
    "violates",
];

/// Names of COCO, which training data are written in.
const COCO: [&str; 1] = ["category_id"];

/// See the module.
pub struct Words(BTreeSet<String>);

impl Words {
    /// Reads the names of the schema; what is a name of the contract too may be said.
    pub async fn read(app: &App) -> Self {
        let query = "select table_name::text from information_schema.columns where table_schema = 'companycam_photos'
                     union select column_name::text from information_schema.columns where table_schema = 'companycam_photos'
                     union select conname::text from pg_constraint where connamespace = 'companycam_photos'::regnamespace
                     union select relname::text from pg_class where relnamespace = 'companycam_photos'::regnamespace";
        let rows = app.postgres.query(query, &[]).await.unwrap();
        let fields: BTreeSet<String> = POOL
            .all_messages()
            .flat_map(|message| message.fields().map(|field| field.name().to_owned()).collect::<Vec<_>>())
            .collect();
        let names = rows.iter().map(|row| row.try_get::<_, String>(0).unwrap());
        // Single words are English.
        let known = |name: &str| fields.contains(name) || COCO.contains(&name);
        let names: BTreeSet<_> = names.filter(|name| name.contains('_') && !known(name)).collect();
        assert!(names.contains("content_digest") && names.contains("detection_events"), "{names:?}");
        Self(names.into_iter().chain(SAID.map(str::to_owned)).collect())
    }

    /// Asserts that an answer has none of them.
    pub fn search(&self, what: &str, outcome: &Outcome) {
        let text = everything(outcome).to_lowercase();
        if let Some(word) = self.0.iter().find(|word| text.contains(word.as_str())) {
            panic!("{what} says {word:?}: {text}");
        }
    }
}
