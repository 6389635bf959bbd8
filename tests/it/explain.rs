//! The index that each statement's comment names is the one that PostgreSQL reads, under row security, on a
//! hundred thousand rows and more: as it plans for given parameters, and as it plans for any. No table is read from
//! end to end, by the statements or by the foreign keys behind them.

mod cases;
mod plans;
mod statements;

use std::collections::{BTreeMap, BTreeSet};

use photometa::auth::Role;
use serde_json::{Value, json};
use tokio_postgres::Client;
use tonic::Status;
use uuid::Uuid;

use self::cases::{ANY, Case, NONE, cases};
use self::plans::{Log, Plan, SETTINGS, VERSIONS};
use self::statements::statements;
use crate::cluster::{TestDatabase, connect, each_table, log};
use crate::harness::{A, App, B, OPERATOR, Organization, Who};
use crate::rpcs::Rpc;

/// How row security asks for a membership, in every statement of an ordinary user.
const MEMBERSHIP: [&str; 2] = ["project_members_pkey", "project_members_project_id_idx"];

/// A typical organization and a large one as PostgreSQL plans for given parameters, as it does at first; then as
/// it plans once for all parameters, as it does later when that looks no worse.
const ROUNDS: [(Organization, &str); 3] =
    [(A, "force_custom_plan"), (B, "force_custom_plan"), (A, "force_generic_plan")];

#[tokio::test]
async fn every_statement_reads_by_the_indexes_that_its_comment_names() {
    let database = TestDatabase::clone_big().await;
    let admin = connect(&database.superuser()).await;
    // Statistics are the template's: with those that autovacuum takes when it comes along, statements have other plans where
    // this takes longer.
    admin.batch_execute(&each_table("set (autovacuum_enabled = false)")).await.unwrap();
    for setting in SETTINGS {
        set(&admin, setting).await;
    }
    let before = sequential_scans(&admin).await;
    let app = App::start_on(database).await;

    let mut seen = Seen::new(&app);
    for (round, (organization, mode)) in ROUNDS.into_iter().enumerate() {
        set(&admin, &format!("plan_cache_mode = {mode}")).await;
        disconnect(&admin).await;
        for case in cases().filter(|case| round != 1 || case.reads()) {
            seen.run(case, organization, round == 0).await;
        }
    }
    disconnect(&admin).await;

    let mut problems = seen.problems.clone();
    problems.extend(seen.compare_with_comments());
    problems.extend(seen.compare_with_foreign_keys(&admin).await);
    let grown = sequential_scans(&admin).await.into_iter().filter(|(table, scans)| before.get(table) != Some(scans));
    problems.extend(grown.map(|(table, _)| format!("{table}: read from end to end, say the statistics")));
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Changes a setting of the database for its next sessions.
async fn set(admin: &Client, setting: &str) {
    let change = format!(
        "do $$ begin execute format('alter database %I set {}', current_database()); end $$",
        setting.replace('\'', "''")
    );
    admin.batch_execute(&change).await.unwrap();
}

/// How often each table of tenants was read from end to end, as PostgreSQL counts it when a session ends.
async fn sequential_scans(admin: &Client) -> BTreeMap<String, i64> {
    let query = "select relname::text, seq_scan from pg_stat_user_tables
                 where schemaname = 'companycam_photos' and relname <> $1";
    let rows = admin.query(query, &[&VERSIONS]).await.unwrap();
    rows.iter().map(|row| (row.try_get(0).unwrap(), row.try_get(1).unwrap())).collect()
}

/// Ends the service's sessions.
async fn disconnect(admin: &Client) {
    let end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
               where datname = current_database() and usename = 'photometa_app'";
    admin.query(end, &[]).await.unwrap();
}

/// Whether one of the names is among those found.
fn one_of(names: &str, found: &BTreeSet<String>) -> bool {
    names.split(" or ").any(|name| found.contains(name) || found.contains(&format!("{name}*")))
}

/// What the plans of all calls have shown.
struct Seen<'a> {
    app: &'a App,
    log: Log,
    /// Makes each call's own things different from another's.
    calls: u32,
    /// The indexes of each statement.
    indexes: BTreeMap<String, BTreeSet<String>>,
    /// The names in each question that a foreign key asked.
    foreign: BTreeSet<BTreeSet<String>>,
    problems: Vec<String>,
}

impl<'a> Seen<'a> {
    fn new(app: &'a App) -> Self {
        let log = Log::open(log());
        let (indexes, foreign, problems) = Default::default();
        Self { app, log, calls: 0, indexes, foreign, problems }
    }

    /// Makes a case's call as each role that may, and for a list the next page too.
    async fn run(&mut self, case: &Case, organization: Organization, strict: bool) {
        let rpc = Rpc::named(case.rpc);
        for &role in rpc.roles {
            let who = match role {
                Role::Operator => OPERATOR,
                Role::OrgAdmin => organization.as_admin(),
                Role::OrgUser => organization.as_member(),
                Role::Service => organization.as_service(),
            };
            let mut request = self.fill(case.request, organization);
            let answer = self.call(case, who, &request, strict).await;
            let token = answer.as_ref().ok().and_then(|answer| answer["nextPageToken"].as_str());
            if let Some(token) = token.filter(|token| !token.is_empty()) {
                request["page_token"] = json!(token);
                let _ = self.call(case, who, &request, strict).await;
            }
        }
    }

    /// Makes a call and looks at its plans. It may fail: what counts is that its statements were run.
    async fn call(&mut self, case: &Case, who: Who, request: &Value, strict: bool) -> Result<Value, Status> {
        self.log.plans(&[]);
        let answer = Rpc::named(case.rpc).call(self.app, who, request.clone()).await;
        let sessions = "select pid from pg_stat_activity
                        where datname = current_database() and usename = 'photometa_app'";
        let sessions = self.app.postgres.query(sessions, &[]).await.unwrap();
        let sessions: Vec<i32> = sessions.iter().map(|row| row.try_get(0).unwrap()).collect();
        let plans = self.log.plans(&sessions);

        let call = format!("{} {request} as {}", case.rpc, who.role.name());
        for plan in &plans {
            if !plan.sequential.is_empty() {
                self.problems.push(format!("{}: reads {:?} from end to end in {call}", plan.name(), plan.sequential));
            }
            if plan.role.is_some() {
                self.indexes.entry(plan.name().to_owned()).or_default().extend(plan.indexes.iter().cloned());
            } else {
                let names = plan.identifiers();
                // Three names are the schema, the table and organization_id.
                if names.len() > 3 && plan.indexes.iter().any(|index| index.ends_with('*')) {
                    self.problems.push(format!("{}: reads by {:?} in {call}", plan.name(), plan.indexes));
                }
                self.foreign.insert(names);
            }
        }
        for (name, index) in case.plans {
            let of_statement = |plan: &&Plan| plan.name() == *name && plan.role.as_deref() == Some(who.role.name());
            let indexes: Vec<_> = plans.iter().filter(of_statement).map(|plan| &plan.indexes).collect();
            if indexes.is_empty() {
                self.problems.push(format!("{name}: not run by {call}, which answered {answer:?}"));
            } else if strict && ![NONE, ANY].contains(index) && !indexes.iter().any(|found| one_of(index, found)) {
                self.problems.push(format!("{name}: reads by {indexes:?}, not by {index}, in {call}"));
            }
        }
        answer
    }

    /// Puts ids of `big.sql` into a request; what a call deletes is no other call's.
    fn fill(&mut self, request: &str, organization: Organization) -> Value {
        self.calls += 1;
        let calls = u128::from(self.calls);
        let id = |last: u128| Uuid::from_u128(organization.id.as_u128() - 1 + last).to_string();
        // The number of a photo in House: every eighth of an organization's, B having every tenth of all, and A every
        // fifty-first of the others.
        let photo = |nth: u128| if organization.id == B.id { nth * 80 } else { nth * 408 + (nth * 408 - 1) / 9 };
        let (some, doomed) = (photo(1), photo(2 + calls % 200));
        let ids = [
            ("$empty_org", format!("c000100{}-0000-4000-8000-000000000001", calls % 10)),
            ("$org", organization.id.to_string()),
            ("$house", organization.house.to_string()),
            ("$bridge", organization.bridge.to_string()),
            ("$admin", organization.admin.to_string()),
            ("$member", organization.member.to_string()),
            ("$outsider", organization.outsider.to_string()),
            ("$idle_user", id(0x1000 + 20 + calls % 4)),
            ("$idle_project", id(0x2000 + 8 + calls % 4)),
            ("$doomed_photo", id(0x10_0000 + doomed)),
            ("$doomed_detection", id(0x20_0000 + doomed)),
            ("$doomed_model", format!("model-{}", 1 + calls % 7)),
            ("$photo", id(0x10_0000 + some)),
            ("$detection", id(0x20_0000 + some)),
            ("$uuid", Uuid::new_v4().to_string()),
        ];
        let filled = ids.into_iter().fold(request.to_owned(), |request, (name, id)| request.replace(name, &id));
        serde_json::from_str(&filled).unwrap()
    }

    /// Where the comments of the source say something else.
    fn compare_with_comments(&self) -> Vec<String> {
        let (statements, mut problems) = statements();
        for statement in &statements {
            let name = statement.name.as_str();
            if !cases().any(|case| case.plans.iter().any(|(planned, _)| *planned == name)) {
                problems.push(format!("{name}: no case in tests/it/explain/cases.rs"));
            }
            let mut indexes = self.indexes.get(name).cloned().unwrap_or_default();
            let all = indexes.clone();
            indexes.retain(|index| !all.contains(&format!("{index}*")));
            indexes.retain(|index| statement.indexes.contains(index) || !MEMBERSHIP.contains(&index.as_str()));
            if indexes != statement.indexes {
                problems.push(format!("{name}: its comment names {:?}, its plans {indexes:?}", statement.indexes));
            }
        }
        let known = |name: &str| statements.iter().any(|statement| statement.name == name);
        let strangers = self.indexes.keys().filter(|name| !known(name));
        problems.extend(strangers.map(|name| format!("{name}: no constant of this name is where its text says")));
        problems
    }

    /// Foreign keys of which no plan was seen, on the side that refers or on the other.
    async fn compare_with_foreign_keys(&self, admin: &Client) -> Vec<String> {
        let sides = "select conname || ' asks ' || side.relation::text, side.relation::oid::regclass::text,
                            array(select attname::text from pg_attribute where attrelid = side.relation and attnum = any(side.key))
                     from pg_constraint,
                          lateral (values (conrelid::regclass, conkey), (confrelid::regclass, confkey)) as side (relation, key)
                     where contype = 'f' and connamespace = 'companycam_photos'::regnamespace";
        let mut problems = Vec::new();
        for row in admin.query(sides, &[]).await.unwrap() {
            let (what, table): (String, String) = (row.try_get(0).unwrap(), row.try_get(1).unwrap());
            let columns: Vec<String> = row.try_get(2).unwrap();
            let names = table.split('.').map(str::to_owned).chain(columns).collect();
            if !self.foreign.contains(&names) {
                problems.push(format!("{what}: in no call"));
            }
        }
        problems
    }
}
