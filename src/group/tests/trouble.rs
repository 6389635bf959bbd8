//! Stores that fail, panic, answer too little or get stuck; and everything at once.

use super::*;

/// A group of three that is under way beside a lone caller's statement.
async fn three(scene: &mut Scene) -> (Calls, Statement, Vec<Statement>) {
    let (_first, mut busy) = scene.busy(&service(1)).await;
    let calls: Calls = (1..=3).map(|item| scene.call(item)).collect();
    idle().await;
    busy.remove(0).succeed();
    let group = scene.asked().await.remove(0);
    assert_eq!(group.items, [1, 2, 3]);
    (calls, group, busy)
}

#[tokio::test(start_paused = true)]
async fn error_is_told_to_each_caller() {
    let mut scene = Scene::new();
    let (calls, group, busy) = three(&mut scene).await;

    let _ = group.reply.send(Err(Error::DatabaseUnavailable("gone".to_owned())));

    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(Error::DatabaseUnavailable(_))));
    }
    scene.finish(busy).await;
}

#[tokio::test(start_paused = true)]
async fn item_that_fails_costs_only_itself() {
    let mut scene = Scene::new();
    let (calls, group, busy) = three(&mut scene).await;

    let _ = group.reply.send(Ok(vec![Ok(1), Err(Error::ConcurrentChange), Ok(3)]));

    let answers: Vec<_> = futures_util::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert!(matches!(answers[..], [Ok(1), Err(Error::ConcurrentChange), Ok(3)]), "{answers:?}");
    scene.finish(busy).await;
}

#[tokio::test(start_paused = true)]
async fn store_that_panics_or_forgets_items_loses_nobody() {
    let mut scene = Scene::new();
    for panics in [true, false] {
        let (calls, group, mut busy) = three(&mut scene).await;
        let next = scene.call(4);
        idle().await;

        if panics {
            drop(group);
        } else {
            let _ = group.reply.send(Ok(Vec::new()));
        }

        for call in calls {
            assert!(matches!(call.await.unwrap(), Err(Error::Internal(_))));
        }
        busy.extend(scene.asked().await);
        scene.finish(busy).await;
        assert_eq!(next.await.unwrap().unwrap(), 40);
    }
}

#[tokio::test(start_paused = true)]
async fn store_that_panics_for_a_lone_caller_lets_the_next_begin() {
    let mut scene = Scene::new();
    let (first, mut busy) = scene.busy(&service(1)).await;
    let waiting = scene.call(1);
    idle().await;

    drop(busy.remove(0));
    busy.extend(scene.asked().await);
    scene.finish(busy).await;

    assert_eq!(waiting.await.unwrap().unwrap(), 10);
    assert!(first.into_iter().next().unwrap().await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn stuck_statements_keep_nobody_back_and_there_are_four_at_most() {
    let mut scene = Scene::new();
    let (_first, mut stuck) = scene.busy(&service(1)).await;
    let waiting = scene.call(1);
    assert!(scene.asked().await.is_empty());

    // Nobody else comes, and nothing ends.
    stuck.push(scene.next().await);
    let more = [scene.call(2), scene.call(3)];
    assert!(scene.asked().await.is_empty());
    stuck.push(scene.next().await);
    let last = scene.call(4);
    stuck.push(scene.next().await);
    assert_eq!(items(&stuck[1..]), [vec![1], vec![2, 3], vec![4]]);
    let five = scene.call(5);
    sleep(Duration::from_secs(20)).await;
    assert!(scene.asked().await.is_empty());

    // Later ones are not stuck, and there is one of them at most.
    stuck.remove(3).succeed();
    let asked = scene.asked().await;
    assert_eq!(items(&asked), [[5]]);
    let six = scene.call(6);
    for statement in stuck {
        statement.succeed();
        assert!(scene.asked().await.is_empty());
    }
    assert_eq!(scene.finish(asked).await, [[5], [6]]);

    for call in [waiting, last, five, six].into_iter().chain(more) {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_everybody_is_answered_and_nothing_is_left() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % 1_000_003).unwrap() % below
    };
    for _ in 0..50 {
        let mut scene = Scene::new();
        let (mut calls, mut open): (Calls, Vec<Statement>) = (Vec::new(), Vec::new());
        for item in 0..300 {
            match random(8) {
                0..=3 => calls.push(scene.call_with(service(1 + random(2) as u128), item, random(MIB))),
                4 if !calls.is_empty() => calls[random(calls.len())].abort(),
                5 if !open.is_empty() => drop(open.swap_remove(random(open.len()))),
                6 => sleep(Duration::from_millis(700)).await,
                _ if !open.is_empty() => open.swap_remove(random(open.len())).succeed(),
                _ => {}
            }
            open.extend(scene.asked().await);
            open.retain(|statement| !statement.reply.is_closed());
            assert!(open.len() <= 2 * 4);
        }
        scene.finish(open).await;
        // Aborted, panicked, refused or answered.
        assert!(calls.iter().all(JoinHandle::is_finished));
    }
}
