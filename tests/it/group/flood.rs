//! An organization that sends more than is stored: it waits for itself, and is refused when too much waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use photometa::pb::detection_service_client::DetectionServiceClient;
use prost_types::{Struct, Value, value::Kind};
use tonic::Code;
use tonic::service::interceptor::InterceptedService;

use super::*;
use crate::harness::{Bearer, details, token};

/// Callers of the flood: each sends again as soon as it is answered. An organization alone has 256 permits, and one is given back
/// a moment after its answer.
const CALLERS: usize = 240;

#[tokio::test(flavor = "multi_thread")]
async fn create_detection_does_not_wait_for_the_flood_of_another_organization() {
    let app = App::start().await;
    let (ours, theirs) = (app.photo(A, "site/1.jpg").await, app.photo(B, "site/1.jpg").await);
    let answered = Arc::new(AtomicUsize::new(0));
    let mut flood = Vec::new();
    for _ in 0..4 {
        let channel = app.connect().await;
        let bearer = Bearer::new(&format!("Bearer {}", token(A.as_service())));
        let client = DetectionServiceClient::new(InterceptedService::new(channel, bearer));
        for _ in 0..CALLERS / 4 {
            let (mut client, answered, new) = (client.clone(), Arc::clone(&answered), detection(&ours.id));
            flood.push(tokio::spawn(async move {
                loop {
                    let request = pb::CreateDetectionRequest { detection: Some(new.clone()) };
                    client.create_detection(request).await.unwrap();
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
    }
    let high = async {
        while answered.load(Ordering::Relaxed) < CALLERS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, high).await.expect("the flood is answered");

    for number in 0..10 {
        let before = answered.load(Ordering::Relaxed);
        answer(create(&app, B.as_service(), run(&theirs.id, &number.to_string()))).await.unwrap();
        let meanwhile = answered.load(Ordering::Relaxed) - before;
        // A few statements of theirs, each of which is for half of them or so.
        assert!(meanwhile < 6 * CALLERS, "{meanwhile} calls of the flood were answered before one of another's");
    }

    assert!(flood.iter().all(|call| !call.is_finished()), "the flood was answered in full");
    flood.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn create_detection_is_refused_with_a_time_to_retry_when_too_much_waits() {
    let app = App::start().await;
    let (ours, theirs) = (app.photo(A, "site/1.jpg").await, app.photo(B, "site/1.jpg").await);
    let locker = lock_photos(&app).await;
    let busy = busy(&app, A.as_service(), &ours.id, 0).await;

    // 25 MB, where 8 MiB may wait, and 4 MiB go with each of two more statements.
    let text = Value { kind: Some(Kind::StringValue("x".repeat(250_000))) };
    let calls = (0..100).map(|number| {
        let mut big = run(&ours.id, &format!("big-{number}"));
        let extra = Struct { fields: BTreeMap::from([("text".to_owned(), text.clone())]) };
        big.results.as_mut().unwrap().extra = Some(extra.into());
        create(&app, A.as_service(), big)
    });
    let calls: Vec<_> = calls.collect();
    let refused = async {
        while calls.iter().filter(|call| call.is_finished()).count() < 30 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("what is too much is refused at once");
    let other = create(&app, B.as_service(), run(&theirs.id, "other"));
    drop(locker);

    let (mut created, mut refused) = (0, 0);
    for outcome in join_all(calls.into_iter().map(answer)).await {
        let Err(status) = outcome else {
            created += 1;
            continue;
        };
        assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
        assert!(details(&status).retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
        refused += 1;
    }
    assert!(created >= 30 && refused >= 30, "{created} created, {refused} refused");
    assert_eq!(app.count("select count(*) from companycam_photos.detections where run_id like 'big-%'").await, created);
    assert_created(busy).await;
    answer(other).await.unwrap();
}
