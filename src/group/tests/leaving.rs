//! Callers who leave: before their item is under way, after that, and when everything ends.

use super::*;

#[tokio::test(start_paused = true)]
async fn callers_who_left_are_not_stored() {
    let mut scene = Scene::new();
    let (_first, busy) = scene.busy(&service(1)).await;
    let calls: Calls = (1..=6).map(|item| scene.call(item)).collect();
    idle().await;

    for place in [0, 2, 5] {
        calls[place].abort();
    }
    idle().await;

    assert_eq!(scene.finish(busy).await[1..], [[2, 4, 5]]);
}

#[tokio::test(start_paused = true)]
async fn lane_in_which_all_left_is_forgotten() {
    let mut scene = Scene::new();
    let (_first, busy) = scene.busy(&service(1)).await;
    let calls: Calls = (1..=6).map(|item| scene.call(item)).collect();
    idle().await;

    calls.iter().for_each(JoinHandle::abort);
    idle().await;

    assert_eq!(scene.finish(busy).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn statement_goes_on_while_somebody_waits_and_is_cancelled_after_that() {
    let mut scene = Scene::new();
    let (_first, mut busy) = scene.busy(&service(1)).await;
    let calls: Calls = (1..=3).map(|item| scene.call(item)).collect();
    idle().await;
    busy.remove(0).succeed();
    let mut group = scene.asked().await.remove(0);
    let next = scene.call(4);

    calls[0].abort();
    calls[2].abort();
    idle().await;
    assert!(!group.reply.is_closed());
    assert!(scene.asked().await.is_empty());
    calls[1].abort();
    group.reply.closed().await;

    // Its place is free.
    let asked = scene.asked().await;
    assert_eq!(items(&asked), [[4]]);
    busy.extend(asked);
    scene.finish(busy).await;
    next.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn lone_caller_who_leaves_lets_the_next_begin() {
    let mut scene = Scene::new();
    let (first, mut busy) = scene.busy(&service(1)).await;
    let waiting = scene.call(1);
    idle().await;

    first[0].abort();
    busy[0].reply.closed().await;
    let asked = scene.asked().await;

    assert_eq!(items(&asked), [[1]]);
    busy.remove(0);
    busy.extend(asked);
    scene.finish(busy).await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn group_whose_callers_leave_before_it_runs_is_not_asked_for() {
    let mut scene = Scene::new();
    let (group, caller) = (Arc::clone(&scene.group), service(1));
    let mut calls = [1, 2, 3].map(|item| Box::pin(group.store(&caller, item, 1)));
    assert!(calls.iter_mut().all(|call| call.now_or_never().is_none()));
    let [first, second, third] = calls;
    let lone = scene.asked.try_recv().unwrap();

    // Begins the group's task, which does not run before this one waits.
    lone.succeed();
    first.now_or_never().unwrap().unwrap();
    drop((second, third));

    assert!(scene.asked().await.is_empty());
    assert!(group.0.lanes().is_empty());
}

#[test]
fn runtime_that_ends_leaves_nothing_behind() {
    for started in [false, true] {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let scene = runtime.block_on(async {
            let mut scene = Scene::new();
            let (_first, mut busy) = scene.busy(&service(1)).await;
            let _calls: Calls = (0..2500).map(|item| scene.call(item)).collect();
            idle().await;
            if started {
                busy.remove(0).succeed();
                assert_eq!(scene.asked().await.len(), 1);
            }
            scene
        });

        drop(runtime);

        assert!(scene.group.0.lanes().is_empty(), "{started}");
    }
}
