//! `migrate plan` against the truth: every statement of every version, and a collection of others, is executed step by
//! step, and pg_locks shows which locks it really took.

use photometa::db::migrate::{Lock, Migrator, VERSIONS, Version, Work, split};
use tokio_postgres::Client;

use crate::cluster::{TestDatabase, connect};

/// Statements that versions to come may hold, on tables that are there, with the work each does.
const OTHERS: &[(&str, Work)] = &[
    ("alter table companycam_photos.photos add column note text", Work::Catalogue),
    ("alter table companycam_photos.photos alter column note set default 'x'", Work::Catalogue),
    ("alter table companycam_photos.photos drop column note", Work::Catalogue),
    ("alter table companycam_photos.photos add constraint photos_a_check check (width > 0) not valid", Work::Catalogue),
    ("alter table companycam_photos.photos validate constraint photos_a_check", Work::Reads),
    ("alter table companycam_photos.photos add constraint photos_b_check check (height > 0)", Work::Reads),
    ("alter table companycam_photos.photos drop constraint photos_b_check", Work::Catalogue),
    ("alter table companycam_photos.photos alter column s3_url type varchar(3000)", Work::Rewrites),
    ("alter table companycam_photos.tags alter column confidence set not null", Work::Reads),
    ("alter table companycam_photos.tags alter column tag set statistics 200", Work::Catalogue),
    ("alter table companycam_photos.tags drop constraint tags_photo_id_fkey", Work::Catalogue),
    (
        "alter table companycam_photos.tags add constraint tags_photo_id_fkey foreign key (organization_id, project_id, photo_id) references companycam_photos.photos (organization_id, project_id, id) not valid",
        Work::Catalogue,
    ),
    ("create index tags_a_idx on companycam_photos.tags (organization_id, source)", Work::Reads),
    (
        "do $$ begin create unique index tags_b_idx on companycam_photos.tags (organization_id, id, source); end $$",
        Work::Reads,
    ),
    ("drop index companycam_photos.tags_a_idx", Work::Catalogue),
    (
        "create policy tags_extra on companycam_photos.tags for select to org_user using (exists (select from companycam_photos.projects))",
        Work::Catalogue,
    ),
    ("drop policy tags_extra on companycam_photos.tags", Work::Catalogue),
    ("alter table companycam_photos.tags no force row level security", Work::Catalogue),
    ("insert into companycam_photos.tags select * from companycam_photos.tags where false", Work::Catalogue),
    ("update companycam_photos.tags set tag = tag where false", Work::Catalogue),
    ("delete from companycam_photos.tags where false", Work::Catalogue),
    ("comment on table companycam_photos.users is 'The people.'", Work::Catalogue),
    ("comment on column companycam_photos.users.email is 'Address.'", Work::Catalogue),
    (
        "create table companycam_photos.notes (organization_id uuid, id uuid, user_id uuid, foreign key (organization_id, user_id) references companycam_photos.users (organization_id, id))",
        Work::Catalogue,
    ),
    ("truncate companycam_photos.feedback", Work::Catalogue),
    ("drop table companycam_photos.feedback", Work::Catalogue),
];

/// The locks of this session on the tables, strong enough to hinder somebody. A dropped table's lock stays.
async fn held(session: &Client, tables: &[(u32, String)]) -> Vec<(String, String)> {
    let query = "select relation, mode from pg_locks where pid = pg_backend_pid() and granted and relation is not null
                 and mode not in ('AccessShareLock', 'RowShareLock') order by 1, 2";
    let mut locks = Vec::new();
    for row in session.query(query, &[]).await.unwrap() {
        let relation: u32 = row.try_get("relation").unwrap();
        if let Some((_, name)) = tables.iter().find(|(table, _)| *table == relation) {
            locks.push((name.clone(), row.try_get("mode").unwrap()));
        }
    }
    locks
}

/// `ACCESS EXCLUSIVE` as pg_locks writes it.
fn mode(lock: Lock) -> String {
    let words = lock.to_string();
    let word = |word: &str| format!("{}{}", &word[..1], word[1..].to_lowercase());
    words.split(' ').map(word).collect::<String>() + "Lock"
}

/// Plans a version, then executes it statement by statement; answers how many locks were compared.
async fn compare(database: &TestDatabase, versions: &'static [Version]) -> usize {
    let migrator = Migrator::with_versions(&database.superuser(), versions).await.unwrap();
    let planned = migrator.plan().await.unwrap().swap_remove(0);
    let session = migrator.client();
    let query = "select oid, relname::text from pg_class
                 where relnamespace = 'companycam_photos'::regnamespace and relkind in ('r', 'p')";
    let rows = session.query(query, &[]).await.unwrap();
    let before: Vec<_> = rows.iter().map(|row| (row.try_get(0).unwrap(), row.try_get(1).unwrap())).collect();
    let mut compared = 0;
    session.batch_execute("begin; set local lock_timeout = 0").await.unwrap();
    let mut locks = held(session, &before).await;
    for statement in &planned.statements {
        session.batch_execute(&statement.text).await.unwrap_or_else(|error| panic!("{}: {error:?}", statement.text));
        let now = held(session, &before).await;
        let touched = statement.touched.as_ref().unwrap_or_else(|| panic!("nobody knows: {}", statement.text));
        let told: Vec<_> = touched.iter().map(|touched| (touched.table.clone(), mode(touched.lock))).collect();
        for lock in now.iter().filter(|lock| !locks.contains(lock)) {
            // A stronger lock that was told stands for the weaker ones on the same table.
            let stronger =
                touched.iter().any(|touched| touched.table == lock.0 && touched.lock == Lock::AccessExclusive);
            assert!(told.contains(lock) || stronger, "{}: took {lock:?}, told {told:?}", statement.text);
            compared += 1;
        }
        for lock in &told {
            assert!(now.contains(lock), "{}: told {lock:?}, holds {now:?}", statement.text);
            compared += 1;
        }
        locks = now;
    }
    session.batch_execute("rollback").await.unwrap();
    compared
}

#[tokio::test]
async fn plan_tells_the_locks_that_every_version_takes() {
    let mut compared = 0;
    for (number, version) in (0..).zip(VERSIONS) {
        let database = TestDatabase::empty().await;
        Migrator::connect(&database.superuser()).await.unwrap().up_to(number).await.unwrap();

        compared += compare(&database, &VERSIONS[..=number as usize]).await;

        assert!(split(version.up).len() > 1, "{}", version.name);
    }
    assert!(compared > 15, "only {compared}");
}

#[tokio::test]
async fn plan_tells_the_locks_and_the_work_of_other_statements() {
    let mut compared = 0;
    for (statement, work) in OTHERS {
        let database = TestDatabase::clone_template().await;
        // Each on what those before it left, so that they may build on one another.
        let before: String = OTHERS
            .iter()
            .map(|(sql, _)| *sql)
            .take_while(|sql| sql != statement)
            .fold(String::new(), |all, sql| all + sql + ";");
        let admin = connect(&database.superuser()).await;
        admin.batch_execute(&format!("set role photometa_owner; {before}")).await.unwrap();
        let versions: Vec<Version> =
            VERSIONS.iter().copied().chain([Version { name: "V9999__next", up: statement, down: "" }]).collect();
        let versions: &'static [Version] = versions.leak();

        let migrator = Migrator::with_versions(&database.superuser(), versions).await.unwrap();
        let planned = migrator.plan().await.unwrap().swap_remove(0);
        drop(migrator);
        compared += compare(&database, versions).await;

        let touched = planned.statements[0].touched.as_ref().unwrap();
        assert_eq!(touched[0].work, *work, "{statement}");
    }
    assert!(compared > 2 * OTHERS.len(), "only {compared}");
}

#[tokio::test]
async fn plan_counts_rows_and_says_what_it_does_not_know() {
    let database = TestDatabase::clone_template().await;
    let admin = connect(&database.superuser()).await;
    admin.batch_execute("analyze companycam_photos.users").await.unwrap();
    let up =
        "lock table companycam_photos.users; create index users_a_idx on companycam_photos.users (organization_id)";
    let versions: Vec<Version> =
        VERSIONS.iter().copied().chain([Version { name: "V9999__next", up, down: "" }]).collect();

    let migrator = Migrator::with_versions(&database.superuser(), versions.leak()).await.unwrap();
    let planned = migrator.plan().await.unwrap();

    assert_eq!(planned[0].statements[0].touched, None);
    let touched = planned[0].statements[1].touched.as_ref().unwrap();
    assert_eq!((touched[0].table.as_str(), touched[0].lock, touched[0].rows), ("users", Lock::Share, Some(6)));
    assert_eq!(migrator.current().await.unwrap(), Some(photometa::db::migrate::newest()), "a plan changes nothing");
}
