//! The plans that PostgreSQL made for the service: auto_explain writes each one that was executed into the server's
//! log, those of foreign keys too. Nothing is explained a second time, with other parameters or another role.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::Value;

/// What makes PostgreSQL log every plan of a database's new sessions.
pub const SETTINGS: &[&str] = &[
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_format = 'json'",
    "auto_explain.log_nested_statements = on",
];

/// One plan that was executed.
pub struct Plan {
    /// Whose statement it is; none for what foreign keys ask.
    pub role: Option<String>,
    /// The indexes that it reads, or finds conflicts with; with an asterisk, if by the organization alone.
    pub indexes: BTreeSet<String>,
    /// The tables and indexes that it reads from end to end.
    pub sequential: BTreeSet<String>,
    text: String,
}

impl Plan {
    fn read(json: &str) -> Self {
        let value: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"));
        let text = value["Query Text"].as_str().unwrap().to_owned();
        let role = comment(&text).map(|(role, _)| role.to_owned());
        let mut plan = Self { role, indexes: BTreeSet::new(), sequential: BTreeSet::new(), text };
        plan.walk(&value["Plan"]);
        plan
    }

    /// `photo::query::LOCK`, or the text of what a foreign key asks.
    pub fn name(&self) -> &str {
        comment(&self.text).map_or(&self.text, |(_, name)| name)
    }

    /// The quoted names in its text: schema, table and columns of what a foreign key asks.
    pub fn identifiers(&self) -> BTreeSet<String> {
        self.text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
    }

    fn walk(&mut self, node: &Value) {
        let arbiters = node["Conflict Arbiter Indexes"].as_array().into_iter().flatten();
        self.indexes.extend(arbiters.filter_map(Value::as_str).map(str::to_owned));
        if let Some(index) = node["Index Name"].as_str() {
            match node["Index Cond"].as_str() {
                Some(condition) if of_organization(condition) => self.indexes.insert(format!("{index}*")),
                Some(_) => self.indexes.insert(index.to_owned()),
                None => self.sequential.insert(index.to_owned()),
            };
        }
        if matches!(node["Node Type"].as_str(), Some("Seq Scan" | "Sample Scan")) {
            self.sequential.insert(node["Relation Name"].as_str().unwrap().to_owned());
        }
        for child in node["Plans"].as_array().into_iter().flatten() {
            self.walk(child);
        }
    }
}

/// Whether `((organization_id = …) AND (id = …))` names nothing but the organization.
fn of_organization(condition: &str) -> bool {
    condition.split(" AND ").all(|part| part.trim_start_matches('(').starts_with("organization_id "))
}

/// Role and name of `/* org_user photometa::photo::query::LOCK */ …`.
fn comment(text: &str) -> Option<(&str, &str)> {
    let (role, name) = text.strip_prefix("/* ")?.split_once(" */")?.0.split_once(' ')?;
    Some((role, name.strip_prefix("photometa::")?))
}

/// Reads the server's log from where it ended before.
pub struct Log(File);

impl Log {
    /// Starts at its end.
    pub fn open(path: &Path) -> Self {
        let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.seek(SeekFrom::End(0)).unwrap();
        Self(file)
    }

    /// The plans since the last time, of these sessions: other tests have the same server. A session logs a plan
    /// before its transaction ends, so those of a call are there when it has answered.
    pub fn plans(&mut self, sessions: &[i32]) -> Vec<Plan> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let mut plans = Vec::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            // 2026-01-31 12:00:00.000 UTC [4711] LOG:  duration: 0.012 ms  plan:
            let session = line.split_once('[').and_then(|(_, rest)| rest.split_once(']')?.0.parse().ok());
            if !line.ends_with("  plan:") || !session.is_some_and(|session| sessions.contains(&session)) {
                continue;
            }
            let mut json = String::new();
            while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
                json.push_str(more);
            }
            plans.push(Plan::read(&json));
        }
        plans
    }
}
