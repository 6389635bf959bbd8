//! Every named constraint and unique index of the schema, driven through the wire: each gives the reason that the
//! contract documents, and whatever the database says, no word of it reaches a client.

use std::collections::BTreeSet;

use photometa::auth::Role;
use serde_json::Value;
use tonic::Code;
use uuid::Uuid;

use crate::cluster::{TestDatabase, connect};
use crate::harness::{A, App, OPERATOR, Who, paths, reason, token};
use crate::isolation::seen::Outcome;
use crate::rpcs::Rpc;
use crate::world::World;

mod entry;
mod faults;
mod fields;
mod references;
mod words;

use entry::{By, Call, Entry};
use words::Words;

/// An id that nobody has.
const NOBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn entries() -> impl Iterator<Item = &'static Entry> {
    let fields = [
        fields::ORGANIZATIONS,
        fields::USERS,
        fields::PROJECTS,
        fields::PHOTOS,
        fields::DETECTIONS,
        fields::TAGS,
        fields::FEEDBACK,
        fields::CATEGORIES,
    ];
    fields.into_iter().flatten().chain(references::REFERENCES).chain(references::BEYOND)
}

/// A world with something at each end of each reference, and the placeholders that name it.
struct Scene {
    app: App,
    ids: Vec<(&'static str, String)>,
}

impl Scene {
    async fn set() -> Self {
        let app = App::start().await;
        let world = World::grow(&app, A).await;
        let setup = format!(
            "set search_path = companycam_photos;
             insert into organizations values ('{ONLY_USERS}', 'Only users', now()), ('{ONLY_PROJECTS}', 'Only projects', now()),
               ('{ONLY_LABELS}', 'Only labels', now());
             insert into categories values ('{ONLY_LABELS}', 'only', 1, '', now());
             insert into users values ('{ONLY_USERS}', gen_random_uuid(), 'only@example.com', '', '', 'contractor', now(), now());
             insert into projects values ('{ONLY_PROJECTS}', gen_random_uuid(), 'Only', '', 'active', now(), now());
             insert into project_members
             select p.organization_id, '{admin}', p.id, now() from projects p where p.name = 'Yard';
             update photos set user_id = '{member}' where s3_key = 'house/3.jpg';
             update detections set run_id = 'run-1' where id = '{run}';
             insert into tags select organization_id, gen_random_uuid(), project_id, '{tagged}', tag, tag_folded, source, confidence, created_at, photo_created_at
             from tags limit 1",
            admin = A.admin,
            member = A.member,
            run = world.detections[1].id,
            tagged = world.photos[1].id,
        );
        app.postgres.batch_execute(&setup).await.unwrap();
        let on_bridge = format!(
            r#"{{"feedback": {{"detection_id": "{}", "verdict": "VERDICT_CONFIRM"}}}}"#,
            world.bridge_detection.id
        );
        let on_bridge = serde_json::from_str(&on_bridge).unwrap();
        Rpc::named("FeedbackService/CreateFeedback").call(&app, A.as_admin(), on_bridge).await.unwrap();
        let mut ids = vec![
            ("$nobody", NOBODY.to_owned()),
            ("$only_users", ONLY_USERS.to_owned()),
            ("$only_projects", ONLY_PROJECTS.to_owned()),
            ("$only_labels", ONLY_LABELS.to_owned()),
            ("$tagged", world.photos[1].id.clone()),
            ("$reviewed", world.bridge_detection.id.clone()),
            ("$house", A.house.to_string()),
            ("$member", A.member.to_string()),
        ];
        for (placeholder, query) in [
            ("$yard", "select id::text from projects where name = 'Yard'"),
            ("$extra", "select id::text from users where email like 'extra@%'"),
            ("$feedback", "select id::text from feedback limit 1"),
        ] {
            ids.push((placeholder, app.postgres.query_one(query, &[]).await.unwrap().try_get(0).unwrap()));
        }
        // Last: longer names that begin alike are replaced already.
        let own = world.ids();
        for placeholder in crate::rpcs::PLACEHOLDERS {
            ids.push((placeholder, own.of(placeholder).to_owned()));
        }
        Self { app, ids }
    }

    fn fill(&self, text: &str) -> String {
        let long =
            [101, 256, 2001, 10_001].map(|length| (format!("\"$x{length}\""), format!("{:?}", "x".repeat(length))));
        let text = long.iter().fold(text.to_owned(), |text, (name, long)| text.replace(name, long));
        self.ids.iter().fold(text, |text, (name, id)| text.replace(name, id))
    }

    async fn call(&self, call: &Call) -> Outcome {
        let who = match call.by {
            By::Operator => OPERATOR,
            By::Admin => A.as_admin(),
            By::Nobody => {
                Who { role: Role::OrgAdmin, organization: Some(NOBODY.parse().unwrap()), subject: Uuid::now_v7() }
            }
        };
        let rpc = Rpc::named(call.rpc);
        let mut request: Value = serde_json::from_str(&self.fill(rpc.request)).unwrap();
        lay(&mut request, serde_json::from_str(&self.fill(call.request)).unwrap());
        rpc.exchange(&self.app, Some(&format!("Bearer {}", token(who))), request).await
    }
}

const ONLY_USERS: &str = "c0000000-0000-4000-8000-000000000001";
const ONLY_PROJECTS: &str = "c0000000-0000-4000-8000-000000000002";
const ONLY_LABELS: &str = "c0000000-0000-4000-8000-000000000003";

/// Lays fields over those of a request.
fn lay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                lay(under.entry(name).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// An outcome as the entries have it.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Ok((_, answer)) => {
            let mut answer = answer.clone();
            answer.as_object_mut().unwrap().retain(|_, value| !value.is_object() && !value.is_array());
            format!("OK {answer}")
        }
        Err(status) if status.code() == Code::InvalidArgument => {
            format!("{:?} {} {}", status.code(), reason(status), paths(status).join(" "))
        }
        Err(status) => format!("{:?} {}", status.code(), reason(status)),
    }
}

#[tokio::test]
async fn table_names_exactly_the_constraints_of_the_schema() {
    let database = TestDatabase::clone_template().await;
    let query = "select conname::text from pg_constraint join pg_class on pg_class.oid = conrelid
                 where connamespace = 'companycam_photos'::regnamespace and relname <> 'refinery_schema_history'
                   and contype in ('p', 'u', 'f', 'c', 'x')
                 union
                 select i.relname::text from pg_index join pg_class i on i.oid = indexrelid join pg_class t on t.oid = indrelid
                 where t.relnamespace = 'companycam_photos'::regnamespace and t.relname <> 'refinery_schema_history' and indisunique";
    let rows = connect(&database.superuser()).await.query(query, &[]).await.unwrap();
    let schema: BTreeSet<String> = rows.iter().map(|row| row.try_get(0).unwrap()).collect();

    let known: Vec<_> = entries().map(|entry| entry.name.to_owned()).collect();

    let unique: BTreeSet<_> = known.iter().cloned().collect();
    assert_eq!(known.len(), unique.len(), "an entry stands twice");
    assert!(schema.len() > 50, "only {}", schema.len());
    let difference: Vec<_> = unique.symmetric_difference(&schema).collect();
    assert!(difference.is_empty(), "tests/it/constraints and the schema differ in {difference:?}");
}

#[tokio::test]
async fn statement_of_every_entry_breaks_its_constraint() {
    let scene = Scene::set().await;

    for entry in entries() {
        if entry.sql.is_empty() {
            assert!(!entry.beyond.is_empty(), "{}", entry.name);
            continue;
        }
        let error = scene.app.postgres.batch_execute(&scene.fill(entry.sql)).await.expect_err(entry.name);

        let error = error.as_db_error().unwrap();
        assert_eq!(error.constraint(), Some(entry.name), "{}: {}", entry.sql, error.message());
    }
}

#[tokio::test]
async fn every_constraint_has_its_documented_reason() {
    let scene = Scene::set().await;
    let words = Words::read(&scene.app).await;
    let ends = |call: &&Call| call.rpc.contains("/Delete");
    let calls = || entries().flat_map(|entry| entry.calls.iter().map(move |call| (entry, call)));
    let first = calls().filter(|(_, call)| !ends(call));
    let mut refused = 0;

    // What ends things comes last.
    for (entry, call) in first.chain(calls().filter(|(_, call)| ends(call))) {
        let outcome = scene.call(call).await;

        let what = format!("{}: {} {}", entry.name, call.rpc, call.request);
        words.search(&what, &outcome);
        assert_eq!(told(&outcome), call.expected, "{what}: {outcome:?}");
        refused += usize::from(outcome.is_err());
    }

    assert!(refused > 50, "only {refused}");
    assert!(entries().all(|entry| entry.calls.is_empty() != entry.beyond.is_empty()));
}
