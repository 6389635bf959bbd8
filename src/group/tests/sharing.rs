//! Who is stored with whom, and when.

use super::*;

#[tokio::test(start_paused = true)]
async fn lone_caller_is_stored_at_once_by_its_own_task() {
    let mut scene = Scene::new();
    let (group, caller) = (Arc::clone(&scene.group), service(1));
    let mut call = Box::pin(group.store(&caller, 1, 1));

    assert!((&mut call).now_or_never().is_none());
    scene.asked.try_recv().unwrap().succeed();
    let answer = call.now_or_never().unwrap();

    assert_eq!(answer.unwrap(), 10);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    assert!(group.0.lanes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn those_who_come_meanwhile_share_a_statement_in_order_and_each_gets_its_own_answer() {
    let mut scene = Scene::new();
    let (_first, busy) = scene.busy(&service(1)).await;

    let calls: Calls = (1..=5).map(|item| scene.call(item)).collect();
    assert!(scene.asked().await.is_empty());
    let statements = scene.finish(busy).await;

    assert_eq!(statements, [vec![0], vec![1, 2, 3, 4, 5]]);
    for (number, call) in (1..).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), number * 10);
    }
}

#[tokio::test(start_paused = true)]
async fn lane_has_one_statement_under_way_and_no_more() {
    let mut scene = Scene::new();
    let (_first, mut busy) = scene.busy(&service(1)).await;
    let mut calls = Vec::new();

    for round in 1..=20 {
        calls.push(scene.call(round));
        assert!(scene.asked().await.is_empty());
        busy.remove(0).succeed();
        let next = scene.asked().await;
        assert_eq!(items(&next), [[round]]);
        busy.extend(next);
    }

    scene.finish(busy).await;
}

#[tokio::test(start_paused = true)]
async fn organizations_wait_for_nobody_but_themselves() {
    let mut scene = Scene::new();
    let (_first, busy) = scene.busy(&service(1)).await;
    let _more: Calls = (1..=100).map(|item| scene.call(item)).collect();

    let other = scene.call_with(service(2), 1000, 1);
    let asked = scene.asked().await;

    assert_eq!(items(&asked), [[1000]]);
    assert_eq!(asked[0].caller.organization, service(2).organization);
    let all = asked.into_iter().chain(busy).collect();
    scene.finish(all).await;
    assert_eq!(other.await.unwrap().unwrap(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn machines_share_and_people_do_not() {
    let mut scene = Scene::new();
    let (_first, busy) = scene.busy(&service(1)).await;

    let (anna, bert) = (caller(1, Role::OrgAdmin, 1), caller(1, Role::OrgAdmin, 2));
    let machines = [service(1), caller(1, Role::Service, 8)];
    // A person and a machine may have the same subject.
    let who = [&machines[0], &anna, &bert, &machines[1], &anna, &caller(1, Role::OrgAdmin, 7), &machines[0]];
    let _calls: Calls = (1..).zip(who).map(|(item, who)| scene.call_with(who.clone(), item, 1)).collect();
    // People do not wait for machines, nor for one another: with the machines' statement, four are under way.
    let people = scene.asked().await;

    assert_eq!(items(&people), [[2], [3], [6]]);
    let statements = scene.finish(busy.into_iter().chain(people).collect()).await;
    assert_eq!(statements[4..], [vec![1, 4, 7], vec![5]]);
}

#[tokio::test(start_paused = true)]
async fn people_wait_when_four_statements_are_under_way_and_the_oldest_goes_first() {
    let mut scene = Scene::new();
    let people: Vec<Caller> = (1..=8).map(|subject| caller(1, Role::OrgUser, subject)).collect();
    let _calls: Calls = (1..).zip(&people).map(|(item, who)| scene.call_with(who.clone(), item, 1)).collect();
    let mut busy = scene.asked().await;

    assert_eq!(items(&busy), [[1], [2], [3], [4]]);
    for next in 5..=8 {
        busy.remove(0).succeed();
        let asked = scene.asked().await;
        assert_eq!(items(&asked), [[next]]);
        busy.extend(asked);
    }
    scene.finish(busy).await;
}

#[tokio::test(start_paused = true)]
async fn statement_has_the_latest_deadline_of_its_callers() {
    let mut scene = Scene::new();
    let (_first, mut busy) = scene.busy(&service(1)).await;
    let now = Instant::now();
    let until = |seconds| Caller { deadline: now + Duration::from_secs(seconds), ..service(1) };

    let _calls: Calls = [5, 60, 7].map(|seconds| scene.call_with(until(seconds), 1, 1)).into();
    idle().await;
    busy.remove(0).succeed();
    let asked = scene.asked().await;

    assert_eq!(asked[0].caller.deadline, now + Duration::from_secs(60));
    busy.extend(asked);
    scene.finish(busy).await;
}
