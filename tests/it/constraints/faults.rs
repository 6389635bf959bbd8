//! What clients are told when the database refuses what validation let through, or is not as the service knows it:
//! nothing but that, and never in its words.

use serde_json::{Value, json};
use tonic::Code;

use super::words::Words;
use crate::harness::{A, App, TABLES, details, reason, token};
use crate::isolation::seen::Outcome;
use crate::rpcs::RPCS;
use crate::world::World;

/// Something that is wrong with a table, how to put it right again, and what clients are then told.
struct Fault {
    what: &'static str,
    make: &'static str,
    mend: &'static str,
    expected: (Code, &'static str),
}

const INTERNAL: (Code, &str) = (Code::Internal, "INTERNAL");

/// `$table` is the table, `$time` a column of it that the service writes.
const FAULTS: &[Fault] = &[
    Fault {
        what: "a check that nobody knows",
        make: "alter table $table add constraint fault_check check (false) not valid",
        mend: "alter table $table drop constraint fault_check",
        expected: INTERNAL,
    },
    Fault {
        what: "a reference that nobody knows",
        make: "create table nothing (id uuid primary key);
               alter table $table add column fault_id uuid default gen_random_uuid();
               alter table $table add constraint fault_fkey foreign key (fault_id) references nothing (id) not valid",
        mend: "alter table $table drop column fault_id; drop table nothing",
        // What was there a moment ago may be there again: the client may try.
        expected: (Code::Aborted, "CONCURRENT_CHANGE"),
    },
    Fault {
        what: "a value that must be there and has no default",
        make: "create domain filled as text check (value is not null);
               alter table $table add column fault text;
               alter table $table alter column fault type filled using 'x'::filled",
        mend: "alter table $table drop column fault; drop domain filled",
        expected: INTERNAL,
    },
    Fault {
        what: "no right to it",
        make: "revoke all on $table from org_admin, org_user, org_service, photometa_operator",
        mend: "grant all on $table to org_admin, org_user, org_service, photometa_operator",
        expected: INTERNAL,
    },
    Fault {
        what: "no such table",
        make: "alter table $table rename to fault",
        mend: "alter table fault rename to $table",
        expected: INTERNAL,
    },
    Fault {
        what: "no such column",
        make: "alter table $table rename column $time to fault",
        mend: "alter table $table rename column fault to $time",
        expected: INTERNAL,
    },
];

/// Calls every RPC, and answers how many were told what a fault's clients are.
async fn call_all(app: &App, world: &World, words: &Words, fault: &Fault, table: &str) -> usize {
    let (mut hit, last) = (0, fault.what == FAULTS.last().unwrap().what);
    // What takes away comes first where something else puts it back, and last where nothing does.
    let mut rpcs: Vec<_> = RPCS.iter().filter(|rpc| last || !rpc.name.contains("/Delete")).collect();
    rpcs.sort_by_key(|rpc| (rpc.name.contains("/Delete"), !rpc.name.contains("/Remove")));
    for rpc in rpcs {
        let authorization = format!("Bearer {}", token(world.who(rpc.roles[0])));
        let outcome = rpc.exchange(app, Some(&authorization), world.ids().fill(rpc.request)).await;

        let what = format!("{} with {} {table}", rpc.name, fault.what);
        words.search(&what, &outcome);
        hit += usize::from(is_told(&what, &outcome, fault.expected));
    }
    hit
}

/// Whether an answer, or an item of a batch, has this code and reason. Our bugs are told in one way only.
fn is_told(what: &str, outcome: &Outcome, (code, expected): (Code, &str)) -> bool {
    match outcome {
        Ok((_, answer)) => {
            let told = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "photometa.v1", "reason": expected}]);
            let item = |item: &Value| item["status"]["code"] == code as i32 && item["status"]["details"] == told;
            // A stream's only message has acknowledgements.
            let items = answer["results"].as_array().or_else(|| answer[0]["acks"].as_array());
            items.is_some_and(|items| items.iter().any(item))
        }
        Err(status) if status.code() == Code::Internal => {
            let details = details(status);
            assert_eq!(status.message(), "internal error; quote the x-request-id of this answer", "{what}");
            assert_eq!(details.error_info().map(|info| info.metadata.len()), Some(0), "{what}: {details:?}");
            assert!(status.metadata().contains_key("x-request-id"), "{what}");
            reason(status) == expected
        }
        Err(status) => status.code() == code && reason(status) == expected,
    }
}

#[tokio::test]
async fn every_rpc_says_nothing_of_what_the_database_refuses() {
    let tables = TABLES.map(|table| async move {
        let app = App::start().await;
        let world = World::grow(&app, A).await;
        let words = Words::read(&app).await;
        let time = match table {
            "detection_events" => "occurred_at",
            "detection_labels" => "photo_created_at",
            "review_claims" => "expires_at",
            _ => "created_at",
        };
        app.postgres.batch_execute("set search_path = companycam_photos").await.unwrap();
        let put = |sql: &str| sql.replace("$table", table).replace("$time", time);
        let mut hits = 0;
        for fault in FAULTS {
            app.postgres.batch_execute(&put(fault.make)).await.unwrap();
            let hit = call_all(&app, &world, &words, fault, table).await;
            app.postgres.batch_execute(&put(fault.mend)).await.unwrap();

            assert!(hit > 0, "no rpc met {table} with {}", fault.what);
            hits += hit;
        }
        hits
    });
    let hits: usize = futures_util::future::join_all(tables).await.into_iter().sum();

    println!("calls that met a fault: {hits}");
    assert!(hits >= 200, "only {hits}");
}
