//! `migrate plan` against the truth: every statement of every version, and a collection of others, is executed in a
//! transaction of its own, and PostgreSQL shows which locks it really took and which tables it really read or rewrote.

use std::collections::BTreeMap;

use photometa::db::migrate::{Lock, Migrator, Planned, PlannedStatement, VERSIONS, Version, Work, newest};
use tokio_postgres::Client;

use self::statements::{OTHERS, UNKNOWN};
use crate::cluster::{TestDatabase, connect};

mod statements;

const LOCKS: [Lock; 5] =
    [Lock::RowExclusive, Lock::ShareUpdateExclusive, Lock::Share, Lock::ShareRowExclusive, Lock::AccessExclusive];

/// The versions of this program and one more.
fn with(up: &'static str) -> &'static [Version] {
    let next = Version { name: "V9999__next", up, down: "" };
    VERSIONS.iter().copied().chain([next]).collect::<Vec<_>>().leak()
}

/// `ACCESS EXCLUSIVE` as pg_locks writes it.
fn mode(lock: Lock) -> String {
    let words = lock.to_string();
    let word = |word: &str| format!("{}{}", &word[..1], word[1..].to_lowercase());
    words.split(' ').map(word).collect::<String>() + "Lock"
}

/// How often a table was read from end to end, and the file it is in.
type State = (i64, Option<u32>);

/// The tables by their identity, because a dropped one has no name any more.
async fn states(session: &Client) -> BTreeMap<u32, (String, State)> {
    let query = "select oid, relname::text, pg_stat_get_xact_numscans(oid), pg_relation_filenode(oid) from pg_class
                 where relnamespace = 'companycam_photos'::regnamespace and relkind in ('r', 'p')";
    let rows = session.query(query, &[]).await.unwrap();
    let state = |row: &tokio_postgres::Row| {
        (row.try_get(0).unwrap(), (row.try_get(1).unwrap(), (row.try_get(2).unwrap(), row.try_get(3).unwrap())))
    };
    rows.iter().map(state).collect()
}

/// The strongest lock of this transaction on each table, where it is one that hinders somebody.
async fn taken(session: &Client, tables: &BTreeMap<u32, (String, State)>) -> BTreeMap<String, Lock> {
    let query = "select relation, mode from pg_locks where pid = pg_backend_pid() and granted and relation is not null";
    let mut strongest: BTreeMap<String, Lock> = BTreeMap::new();
    for row in session.query(query, &[]).await.unwrap() {
        let (relation, found): (u32, String) = (row.try_get(0).unwrap(), row.try_get(1).unwrap());
        let lock = LOCKS.into_iter().find(|lock| mode(*lock) == found);
        if let (Some((name, _)), Some(lock)) = (tables.get(&relation), lock) {
            let known = strongest.entry(name.clone()).or_insert(lock);
            *known = lock.max(*known);
        }
    }
    strongest
}

/// Executes a planned version, each statement in a transaction of its own, so that what it takes is not there already;
/// answers how many locks were as told, all of them being so.
async fn compare(session: &Client, version: &Planned) -> usize {
    // What the version makes itself is in nobody's way, and not in the plan.
    let there: Vec<u32> = states(session).await.into_keys().collect();
    let mut compared = 0;
    for PlannedStatement { text, touched } in &version.statements {
        let touched = touched.as_ref().unwrap_or_else(|| panic!("nobody knows: {text}"));
        session.batch_execute("begin; set local lock_timeout = 0").await.unwrap();
        let mut before = states(session).await;
        before.retain(|table, _| there.contains(table));
        session.batch_execute(text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let (after, taken) = (states(session).await, taken(session, &before).await);
        session.batch_execute("commit").await.unwrap();

        let told: BTreeMap<_, _> = touched.iter().map(|touched| (touched.table.clone(), touched.lock)).collect();
        assert_eq!(taken, told, "{text}");
        for (table, (name, (read, file))) in before {
            let Some((_, (read_now, file_now))) = after.get(&table) else { continue };
            let work = match (*read_now > read, *file_now != file) {
                (false, _) => Work::Catalogue,
                (true, false) => Work::Reads,
                (true, true) => Work::Rewrites,
            };
            let told = touched.iter().find(|touched| touched.table == name).map(|touched| touched.work);
            // Of a table that is only read, which hinders nobody, nothing is told.
            assert!(told.unwrap_or(Work::Reads) >= work, "{text}: {work:?} on {name}, told {told:?}");
        }
        compared += told.len();
    }
    compared
}

#[tokio::test]
async fn plan_tells_the_locks_that_every_version_takes() {
    let mut compared = 0;
    for (number, version) in (0..).zip(VERSIONS) {
        let database = TestDatabase::empty().await;
        Migrator::connect(&database.superuser()).await.unwrap().up_to(number).await.unwrap();
        let versions = &VERSIONS[..=number as usize];
        let migrator = Migrator::with_versions(&database.superuser(), versions).await.unwrap();
        let planned = migrator.plan().await.unwrap().swap_remove(0);

        compared += compare(migrator.client(), &planned).await;

        assert!(planned.statements.len() > 1, "{}", version.name);
    }
    assert!(compared >= 15, "only {compared}");
}

#[tokio::test]
async fn plan_tells_the_locks_and_the_work_of_other_statements() {
    let database = TestDatabase::clone_template().await;
    let mut compared = 0;
    for (statement, work) in OTHERS {
        // Each on what those before it left, so that they may build on one another.
        let migrator = Migrator::with_versions(&database.superuser(), with(statement)).await.unwrap();
        let planned = migrator.plan().await.unwrap().swap_remove(0);

        compared += compare(migrator.client(), &planned).await;

        let touched = planned.statements[0].touched.as_ref().unwrap();
        let told = touched.first().map_or(Work::Catalogue, |touched| touched.work);
        assert_eq!((planned.statements.len(), told), (1, *work), "{statement}");
    }
    assert!(compared > OTHERS.len(), "only {compared}");
}

#[tokio::test]
async fn plan_says_nothing_of_statements_that_have_to_be_read() {
    let database = TestDatabase::clone_template().await;
    let all: &'static str = UNKNOWN.join(";\n").leak();

    let migrator = Migrator::with_versions(&database.superuser(), with(all)).await.unwrap();
    let planned = migrator.plan().await.unwrap().swap_remove(0);

    assert_eq!(planned.statements.len(), UNKNOWN.len());
    for PlannedStatement { text, touched } in planned.statements {
        assert_eq!(touched, None, "{text}");
    }
}

#[tokio::test]
async fn plan_says_under_which_earlier_lock_rows_are_read() {
    let database = TestDatabase::clone_template().await;
    let up = "create index users_a_idx on companycam_photos.users (organization_id);
              alter table companycam_photos.users add constraint users_a_check check (email <> '') not valid;
              alter table companycam_photos.users validate constraint users_a_check;
              comment on table companycam_photos.users is 'People.';
              alter table companycam_photos.users alter column first_name set not null;
              alter table companycam_photos.photos validate constraint photos_width_check";

    let migrator = Migrator::with_versions(&database.superuser(), with(up)).await.unwrap();
    let planned = migrator.plan().await.unwrap().swap_remove(0);

    let touched: Vec<_> = planned.statements.iter().map(|statement| &statement.touched.as_ref().unwrap()[0]).collect();
    let strongest = Some((Lock::AccessExclusive, 2));
    let held: Vec<_> = touched.iter().map(|touched| touched.held).collect();
    assert_eq!(held, [None, None, strongest, strongest, None, None]);
    let told = touched.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (told, begins) in std::iter::zip(
        &told,
        [
            "users: SHARE, which blocks writes; every row is read (",
            "users: ACCESS EXCLUSIVE, which blocks reads and writes; no row is touched (",
            "users: SHARE UPDATE EXCLUSIVE, but under ACCESS EXCLUSIVE, held since statement 2, which blocks reads and writes; every row is read (",
            "users: SHARE UPDATE EXCLUSIVE, which blocks other changes of the schema and vacuum; no row is touched (",
            "users: ACCESS EXCLUSIVE, which blocks reads and writes; every row is read (",
            "photos: SHARE UPDATE EXCLUSIVE, which blocks other changes of the schema and vacuum; every row is read (",
        ],
    ) {
        assert!(told.starts_with(begins), "{told}");
    }
}

#[tokio::test]
async fn plan_counts_rows_and_says_what_it_does_not_know() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    admin.batch_execute("analyze companycam_photos.users").await.unwrap();
    let up =
        "lock table companycam_photos.users; create index users_a_idx on companycam_photos.users (organization_id)";

    let migrator = Migrator::with_versions(&database.superuser(), with(up)).await.unwrap();
    let planned = migrator.plan().await.unwrap();

    assert_eq!(planned[0].statements[0].touched, None);
    let touched = planned[0].statements[1].touched.as_ref().unwrap();
    assert_eq!((touched[0].table.as_str(), touched[0].lock, touched[0].rows), ("users", Lock::Share, Some(6)));
    assert_eq!(migrator.current().await.unwrap(), Some(newest()), "a plan changes nothing");
}
