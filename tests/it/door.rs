//! Transactions whose number of statements is known: all of it is committed, or nothing.

use std::time::{Duration, Instant};

use futures_util::future::{join, try_join};
use photometa::auth::{Caller, Role, Term};
use photometa::db::{Access, Db, Params, PoolSettings, Sql, Tx};
use photometa::error::{Error, Result};
use photometa::id::OrganizationId;
use photometa::lsn::Written;

use crate::cluster::{TestDatabase, connect};
use crate::harness::A;

const INSERT: Sql = Sql::new(
    "INSERT",
    ["insert into companycam_photos.users (organization_id, id, email, created_at, updated_at)
      values ($1, gen_random_uuid(), 'x' || $2::int || gen_random_uuid() || '@example.com', now(), now())"; 4],
);

fn administrator() -> Caller {
    let longest = Duration::from_secs(30);
    let (deadline, term) =
        (Instant::now() + longest, Term { longest, asked: None, streams: false, expires: None, ends: None });
    Caller {
        organization: OrganizationId(A.id),
        subject: A.admin,
        role: Role::OrgAdmin,
        rpc: String::new(),
        deadline,
        term,
        after: None,
        written: Written::default(),
    }
}

async fn insert(tx: &Tx, params: &Params<'_>) -> Result<()> {
    tx.query(&INSERT, params).await.map(drop)
}

/// What becomes of a transaction of two statements with these parameters, and how many users it leaves.
async fn outcome(count: usize, works: fn() -> [bool; 2]) -> (Result<()>, i64) {
    let database = TestDatabase::clone_template().await;
    let db = Db::new(database.app(), PoolSettings::new(1, Duration::from_secs(5))).unwrap();
    let work = async |tx: Tx| {
        let (good, bad): (&Params<'_>, &Params<'_>) = (&[tx.organization(), &1], &[tx.organization(), &"one"]);
        let [first, second] = works().map(|works| if works { good } else { bad });
        let (first, second) = join(insert(&tx, first), insert(&tx, second)).await;
        first.and(second)
    };
    // Twice, so that the second time its statements are prepared and travel in one flight.
    let _ = db.together(&administrator(), Access::Write, count, &work).await;
    let postgres = connect(&database.superuser()).await;
    postgres.batch_execute("delete from companycam_photos.users where email ^@ 'x'").await.unwrap();

    let outcome = db.together(&administrator(), Access::Write, count, &work).await;

    let left = "select count(*) from companycam_photos.users where email ^@ 'x'";
    (outcome, postgres.query_one(left, &[]).await.unwrap().try_get(0).unwrap())
}

#[tokio::test]
async fn together_commits_all_of_its_statements() {
    let (outcome, left) = outcome(2, || [true, true]).await;

    outcome.unwrap();
    assert_eq!(left, 2);
}

#[tokio::test]
async fn together_commits_nothing_when_a_parameter_cannot_be_sent() {
    for works in [|| [false, true], || [true, false]] {
        let (outcome, left) = outcome(2, works).await;

        assert!(matches!(outcome, Err(Error::Database(_))), "{outcome:?}");
        assert_eq!(left, 0);
    }
}

#[tokio::test]
async fn together_commits_nothing_when_a_statement_is_missing() {
    let (outcome, left) = outcome(3, || [true, true]).await;

    assert!(matches!(outcome, Err(Error::Internal(_))), "{outcome:?}");
    assert_eq!(left, 0);
}

const SAY: Sql = Sql::new("SAY", ["select set_config('app.said', 'first', true)"; 4]);
const HEARD: Sql = Sql::new("HEARD", ["select current_setting('app.said', true)"; 4]);

#[tokio::test]
async fn statements_are_sent_in_the_order_in_which_they_are_asked_for_whichever_is_prepared() {
    let database = TestDatabase::clone_template().await;
    let db = Db::new(database.app(), PoolSettings::new(1, Duration::from_secs(5))).unwrap();
    let ask = async |tx: Tx| tx.query_one(&HEARD, &[]).await.map(drop);
    db.scoped(&administrator(), Access::Read, ask).await.unwrap();

    let both = async |tx: Tx| {
        let (_, heard) = try_join(tx.query_one(&SAY, &[]), tx.query_one(&HEARD, &[])).await?;
        Ok(heard.try_get::<_, Option<String>>(0).unwrap())
    };
    let heard = db.scoped(&administrator(), Access::Read, both).await.unwrap();

    assert_eq!(heard.as_deref(), Some("first"));
}
