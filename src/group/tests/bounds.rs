//! How much waits, and how much a statement takes.

use super::*;
use crate::MAX_BATCH;

#[tokio::test(start_paused = true)]
async fn items_that_wait_are_bounded_and_statements_take_a_batch_each() {
    let mut scene = Scene::new();
    let (_first, busy) = scene.busy(&service(1)).await;
    let waiting: Calls = (0..2 * MAX_BATCH).map(|item| scene.call(item)).collect();
    idle().await;

    let refused = scene.call(0).await.unwrap();
    assert!(is_overloaded(&refused), "{refused:?}");
    let statements = scene.finish(busy).await;

    assert_eq!(statements[1], (0..MAX_BATCH).collect::<Vec<_>>());
    assert_eq!(statements[2], (MAX_BATCH..2 * MAX_BATCH).collect::<Vec<_>>());
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    // There is room again.
    let (_first, busy) = scene.busy(&service(1)).await;
    let again = scene.call(1);
    idle().await;
    scene.finish(busy).await;
    again.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn bytes_that_wait_are_bounded_and_statements_take_four_mebibytes_each() {
    let mut scene = Scene::new();
    let (_first, busy) = scene.busy(&service(1)).await;
    let sizes = [3 * MIB, MIB, MIB, 3 * MIB];
    let _waiting: Calls = (1..).zip(sizes).map(|(item, bytes)| scene.call_with(service(1), item, bytes)).collect();
    idle().await;

    let refused = scene.call_with(service(1), 5, 1).await.unwrap();
    assert!(is_overloaded(&refused), "{refused:?}");
    let statements = scene.finish(busy).await;

    assert_eq!(statements[1..], [vec![1, 2], vec![3, 4]]);
}

#[tokio::test(start_paused = true)]
async fn item_of_the_largest_request_is_taken_alone() {
    let mut scene = Scene::new();
    let (_first, busy) = scene.busy(&service(1)).await;

    let bytes = [1, crate::MAX_REQUEST_BYTES, 1];
    let _calls: Calls = (1..).zip(bytes).map(|(item, bytes)| scene.call_with(service(1), item, bytes)).collect();
    idle().await;
    let statements = scene.finish(busy).await;

    assert_eq!(statements[1..], [[1], [2], [3]]);
}

#[tokio::test(start_paused = true)]
async fn caller_who_leaves_makes_room_at_once_in_its_lane_and_in_all() {
    let mut scene = Scene::new();
    let (mut busy, mut waiting) = (Vec::new(), Vec::new());
    for organization in 1..=9 {
        busy.extend(scene.busy(&service(organization)).await.1);
    }
    for organization in 1..=8 {
        waiting.extend([1, 2].map(|item| scene.call_with(service(organization), item, 4 * MIB)));
    }
    idle().await;

    // The ninth has a lane of its own, and there is no room in all of them; the tenth waits for nobody.
    let refused = scene.call_with(service(9), 3, 1).await.unwrap();
    assert!(is_overloaded(&refused), "{refused:?}");
    let alone = scene.call_with(service(10), 4, 1);
    busy.extend(scene.asked().await);
    waiting.remove(0).abort();
    idle().await;
    let (there, here) = (scene.call_with(service(9), 5, MIB), scene.call_with(service(1), 6, 3 * MIB));
    idle().await;
    scene.finish(busy).await;

    for call in [alone, there, here] {
        call.await.unwrap().unwrap();
    }
}
