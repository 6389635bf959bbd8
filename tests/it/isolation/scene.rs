//! Two sides with everything that the service keeps: the caller's, and another one whose every text is marked and
//! whose every id is known. After each call the database goes back to what it was.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::cells::Cell;
use super::other::{MARK, Scope, mark};
use super::paths::{KINDS, Kind};
use super::seen::{Outcome, comparable, everything, without_new_ids};
use crate::harness::{A, App, B, Who, token};
use crate::rpcs::{Ids, Rpc};
use crate::world::World;

/// One table of the schema.
struct Table {
    name: String,
    /// Names of its columns of ids.
    ids: Vec<String>,
    /// Names of its columns of texts and JSON.
    texts: Vec<String>,
    theirs: String,
}

/// Columns of words that the service chooses, and tables without anything of tenants.
const UNMARKED: [&str; 9] = [
    "detection_type",
    "event_type",
    "organizations",
    "payload",
    "refinery_schema_history",
    "role",
    "source",
    "status",
    "verdict",
];

/// Of each table: a digest of all rows, one of the other side's, and how many there are.
type State = BTreeMap<String, (String, String, i64)>;

/// What a call came to: what the caller sees, and how many rows each table then had.
pub type Seen = (String, Vec<i64>);

/// See the module.
pub struct Scene {
    pub scope: Scope,
    pub app: App,
    pub world: World,
    /// Ids of the other side.
    pub theirs: HashMap<Kind, String>,
    own: Ids,
    forbidden: HashSet<String>,
    known: HashSet<String>,
    tables: Vec<Table>,
    state: State,
    since: Timestamp,
}

impl Scene {
    /// Makes both sides.
    pub async fn set(scope: Scope) -> Self {
        let app = App::start().await;
        let world = World::grow(&app, A).await;
        World::grow(&app, B).await;
        let own = match scope.project {
            Some(project) if project == A.bridge => world.bridge_ids(),
            _ => world.ids(),
        };
        let theirs = mark(&app, scope).await;
        let tables = tables(&app, scope).await;
        let mut scene = Self {
            scope,
            app,
            world,
            theirs,
            own,
            forbidden: HashSet::from([MARK.to_owned()]),
            known: HashSet::new(),
            tables,
            state: State::new(),
            since: Timestamp::now(),
        };
        scene.learn_ids().await;
        scene.find_marks().await;
        scene.keep().await;
        scene
    }

    async fn learn_ids(&mut self) {
        self.known.insert(self.scope.who.subject.to_string());
        self.forbidden.insert(self.theirs[&Kind::Object].clone());
        for table in &self.tables {
            for column in &table.ids {
                let query = format!(
                    "select distinct {column}::text, bool_and({}) from companycam_photos.{} where {column} is not null group by 1",
                    table.theirs, table.name
                );
                for row in self.app.postgres.query(&query, &[]).await.unwrap() {
                    let ids = if row.try_get(1).unwrap() { &mut self.forbidden } else { &mut self.known };
                    ids.insert(row.try_get(0).unwrap());
                }
            }
        }
        self.forbidden.retain(|id| !self.known.contains(id));
        assert!(self.forbidden.len() > 10 && self.known.len() >= 5, "{:?}", self.forbidden);
    }

    /// Asserts that the other side has a mark in every column that has texts.
    async fn find_marks(&self) {
        let marked = |table: &&Table| !UNMARKED.contains(&table.name.as_str()) && table.theirs != "false";
        for table in self.tables.iter().filter(marked) {
            for column in table.texts.iter().filter(|column| !UNMARKED.contains(&column.as_str())) {
                let query = format!(
                    "select count(*) from companycam_photos.{} where {} and {column}::text like '%{MARK}%'",
                    table.name, table.theirs
                );
                assert!(self.app.count(&query).await > 0, "{}.{column} of the other side has no mark", table.name);
            }
        }
    }

    /// Copies every table, to go back to.
    async fn keep(&mut self) {
        let copies = self
            .tables
            .iter()
            .map(|Table { name, .. }| format!("create table kept.{name} as table companycam_photos.{name};"));
        let copies = copies.collect::<String>();
        self.app.postgres.batch_execute(&format!("create schema kept; {copies}")).await.unwrap();
        self.state = self.state().await;
        self.since = Timestamp::now();
    }

    async fn state(&self) -> State {
        let digests = self.tables.iter().map(|Table { name, theirs, .. }| {
            format!(
                "select '{name}', coalesce(md5(string_agg(t::text, '|' order by t::text)), ''),
                        coalesce(md5(string_agg(t::text, '|' order by t::text) filter (where {theirs})), ''), count(*)
                 from companycam_photos.{name} t"
            )
        });
        let query = digests.collect::<Vec<_>>().join(" union all ");
        let rows = self.app.postgres.query(&query, &[]).await.unwrap();
        let rows = rows.iter().map(|row| {
            let digests = (row.try_get(1).unwrap(), row.try_get(2).unwrap(), row.try_get(3).unwrap());
            (row.try_get(0).unwrap(), digests)
        });
        rows.collect()
    }

    /// Asserts that nothing of the other side has changed and, if it is `still`, nothing at all; then takes back
    /// what did change, and answers how many rows each table had.
    async fn settle(&self, what: &str, still: bool) -> Vec<i64> {
        let after = self.state().await;
        let mut changed = Vec::new();
        for (table, (all, theirs, _)) in &after {
            assert_eq!(*theirs, self.state[table].1, "{what} changed {table} of the other side");
            if *all != self.state[table].0 {
                assert!(!still, "{what} changed {table}");
                changed.push(table.as_str());
            }
        }
        self.restore(changed.into_iter()).await;
        after.into_values().map(|(.., count)| count).collect()
    }

    /// Takes tables back to what was kept. Without foreign keys: all their rows go and come.
    async fn restore(&self, tables: impl Iterator<Item = &str>) {
        let undo = tables.map(|table| {
            format!("delete from companycam_photos.{table}; insert into companycam_photos.{table} table kept.{table};")
        });
        let undo = undo.collect::<String>();
        if !undo.is_empty() {
            let undo = format!("begin; set local session_replication_role = replica; {undo} commit");
            self.app.postgres.batch_execute(&undo).await.unwrap();
        }
    }

    /// Fills a request with these ids of the other side and own ones.
    pub fn fill(&self, request: &Value, theirs: &HashMap<Kind, String>) -> Value {
        let filled = KINDS.iter().fold(request.to_string(), |request, (kind, _, name)| {
            request.replace(name, theirs.get(kind).map_or("", String::as_str))
        });
        self.own.fill(&filled)
    }

    /// Asserts that nothing of the other side is in an answer, but for what the caller sent.
    pub fn search(&self, what: &str, outcome: &Outcome, sent: &[&str]) {
        let text = sent.iter().fold(everything(outcome).to_lowercase(), |text, id| text.replace(id, "<id>"));
        if let Some(found) = self.forbidden.iter().find(|word| text.contains(*word)) {
            panic!("{what} shows {found} of the other side: {text}");
        }
    }

    /// Calls the RPC of a cell for somebody, with these ids of the other side.
    pub async fn ask(&self, cell: &Cell, who: Who, theirs: &HashMap<Kind, String>, still: bool) -> Seen {
        let what = format!("{} as {:?}, {}", cell.rpc.name, who.role, cell.what);
        let outcome = self.call(cell.rpc, who, self.fill(&cell.request, theirs)).await;
        let sent: Vec<&str> = cell.kinds().map(|kind| theirs[&kind].as_str()).collect();
        self.search(&what, &outcome, &sent);
        let text = comparable(&outcome, self.since);
        assert!(!text.contains("INTERNAL"), "{what}: {text}");
        let text = sent.iter().fold(text, |text, id| text.replace(id, "<id>"));
        (without_new_ids(&text, &self.known), self.settle(&what, still).await)
    }

    /// Calls an RPC for somebody.
    pub async fn call(&self, rpc: &Rpc, who: Who, request: Value) -> Outcome {
        rpc.exchange(&self.app, Some(&format!("Bearer {}", token(who))), request).await
    }

    /// Asserts that the other side's ids are there for somebody of the other side.
    pub async fn owner_sees(&self, cell: &Cell) {
        let (owner, ..) = self.scope.other();
        let outcome = self.call(cell.rpc, owner, self.fill(&cell.request, &self.theirs)).await;
        let missing = outcome.as_ref().err().filter(|status| status.code() == tonic::Code::NotFound);
        assert!(missing.is_none(), "{}, {}: its owner does not find it: {missing:?}", cell.rpc.name, cell.what);
        self.restore(self.tables.iter().map(|table| table.name.as_str())).await;
    }
}

/// Ids of each kind that nobody has.
pub fn unknown() -> HashMap<Kind, String> {
    KINDS.into_iter().map(|(kind, ..)| (kind, Uuid::now_v7().to_string())).collect()
}

async fn tables(app: &App, scope: Scope) -> Vec<Table> {
    let query = "select table_name::text, array_agg(column_name::text), array_agg(udt_name::text)
                 from information_schema.columns natural join information_schema.tables
                 where table_schema = 'companycam_photos' and table_type = 'BASE TABLE' group by 1 order by 1";
    let rows = app.postgres.query(query, &[]).await.unwrap();
    let tables = rows.iter().map(|row| {
        let (name, columns): (String, Vec<String>) = (row.try_get(0).unwrap(), row.try_get(1).unwrap());
        let types: Vec<String> = row.try_get(2).unwrap();
        let of_type = |wanted: &[&str]| {
            let typed = columns.iter().zip(&types).filter(|(_, found)| wanted.contains(&found.as_str()));
            typed.map(|(column, _)| column.clone()).collect()
        };
        let (ids, texts) = (of_type(&["uuid"]), of_type(&["text", "varchar", "jsonb"]));
        let theirs = scope.theirs(&name, &columns.iter().cloned().collect());
        Table { name, ids, texts, theirs }
    });
    tables.collect()
}
