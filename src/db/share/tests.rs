//! Whose turn it is.

use std::time::Duration;

use futures_util::FutureExt as _;
use uuid::Uuid;

use super::*;

const A: OrganizationId = OrganizationId(Uuid::from_u128(1));
const B: OrganizationId = OrganizationId(Uuid::from_u128(2));
const C: OrganizationId = OrganizationId(Uuid::from_u128(3));

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(3600);

/// Waits in the background, and tells who it was when it has its turn.
fn wait(turns: &Turns, organization: OrganizationId) -> tokio::task::JoinHandle<Turn> {
    let turns = turns.clone();
    tokio::spawn(async move { turns.next(organization, LONG).await.unwrap() })
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn is_at_rest(turns: &Turns, size: usize) -> bool {
    let state = turns.0.state();
    state.free == size && state.held.is_empty() && state.waiting.is_empty()
}

#[tokio::test(start_paused = true)]
async fn next_leaves_a_connection_to_others_whatever_one_organization_asks_for() {
    let turns = Turns::new(4, 3);
    let flood: Vec<_> = (0..50).map(|_| wait(&turns, A)).collect();
    settle().await;
    assert_eq!(flood.iter().filter(|task| task.is_finished()).count(), 3);

    let other = turns.next(B, LONG).now_or_never();

    assert!(other.is_some());
    drop(other);
    settle().await;
    // Its connection is free again, and the flood does not get it.
    assert_eq!(flood.iter().filter(|task| task.is_finished()).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn end_of_a_turn_is_the_turn_of_who_holds_fewest_and_then_of_who_came_first() {
    let turns = Turns::new(3, 2);
    let (first, second, third) =
        (turns.next(A, LONG).await.unwrap(), turns.next(A, LONG).await.unwrap(), turns.next(B, LONG).await.unwrap());
    let flood: Vec<_> = (0..5).map(|_| wait(&turns, A)).collect();
    settle().await;
    let (c, b) = (wait(&turns, C), wait(&turns, B));
    settle().await;

    drop(first);
    settle().await;
    assert!(c.is_finished() && !b.is_finished() && !flood[0].is_finished());

    drop(second);
    settle().await;
    assert!(flood[0].is_finished() && !b.is_finished(), "A holds none now, B one");

    drop(third);
    settle().await;
    assert!(b.is_finished());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_takes_nobodys_turn() {
    let turns = Turns::new(1, 1);
    let held = turns.next(A, LONG).await.unwrap();
    let (left, stays) = (wait(&turns, B), wait(&turns, B));
    settle().await;

    left.abort();
    settle().await;
    drop(held);
    settle().await;

    assert!(stays.is_finished());
    drop(stays.await.unwrap());
    assert!(is_at_rest(&turns, 1));
}

#[tokio::test(start_paused = true)]
async fn turn_that_nobody_takes_any_more_goes_to_the_next_one() {
    let turns = Turns::new(1, 1);
    let held = turns.next(A, LONG).await.unwrap();
    let mut waiting = Box::pin(turns.next(B, LONG));
    assert!(waiting.as_mut().now_or_never().is_none());
    let next = wait(&turns, C);
    settle().await;

    // It has its turn, and does not look any more.
    drop(held);
    drop(waiting);
    settle().await;

    assert!(next.is_finished());
    drop(next.await.unwrap());
    assert!(is_at_rest(&turns, 1));
}

#[tokio::test(start_paused = true)]
async fn next_waits_for_its_time_and_no_longer() {
    let turns = Turns::new(1, 1);
    let _held = turns.next(A, LONG).await.unwrap();
    let begin = Instant::now();

    let refused = turns.next(B, Duration::from_secs(2)).await;

    assert!(matches!(refused, Err(Error::Overloaded)));
    assert_eq!(begin.elapsed(), Duration::from_secs(2));
    assert!(turns.0.state().waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_long_is_refused_at_once_and_others_are_not() {
    let (turns, longest) = (Turns::new(1, 1), Duration::from_secs(2));
    let held = turns.next(A, LONG).await.unwrap();
    let first = wait(&turns, A);
    settle().await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let second = wait(&turns, A);
    settle().await;
    tokio::time::sleep(Duration::from_millis(100)).await;

    let refused = turns.next(A, longest).now_or_never();

    assert!(matches!(refused, Some(Err(Error::Overloaded))), "{refused:?}");
    let other = wait(&turns, B);
    settle().await;
    assert!(!other.is_finished(), "another organization waits for its own turn");
    other.abort();

    // The second is the first now, and has waited for 100 ms.
    drop(held);
    settle().await;
    assert!(first.is_finished() && !second.is_finished());
    assert!(turns.next(A, longest).now_or_never().is_none());
}

#[tokio::test]
async fn now_does_not_wait() {
    let turns = Turns::new(1, 1);

    let held = turns.now(A);

    assert!(held.is_some() && turns.now(A).is_none() && turns.now(B).is_none());
    drop(held);
    assert!(turns.now(B).is_some());
    assert!(is_at_rest(&turns, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_many_come_and_leave_at_once() {
    let turns = Turns::new(4, 3);
    let tasks = (0..2000_u64).map(|number| {
        let turns = turns.clone();
        tokio::spawn(async move {
            let organization = OrganizationId(Uuid::from_u128(u128::from(number % 7)));
            // Every third is impatient.
            let patience = Duration::from_micros(if number % 3 == 0 { number % 50 } else { 10_000_000 });
            let turn = tokio::time::timeout(patience, turns.next(organization, LONG)).await;
            tokio::task::yield_now().await;
            assert!(turns.0.state().held.values().all(|held| *held <= 3));
            turn.is_ok()
        })
    });
    let had = futures_util::future::join_all(tasks).await.into_iter().filter(|had| *had.as_ref().unwrap()).count();

    assert!(had >= 1333, "{had}");
    assert!(is_at_rest(&turns, 4));
}
