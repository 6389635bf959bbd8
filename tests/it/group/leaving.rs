//! Callers who wait in a group and leave: their deadline passes, or they hang up.

use tonic::Code;

use super::*;

#[tokio::test]
async fn create_detection_is_not_stored_when_its_deadline_passes_while_it_waits() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let locker = lock_photos(&app).await;
    let busy = busy(&app, A.as_service(), &photo.id, 0).await;

    // The client has a clock of its own, which may be first on a busy machine: then another try.
    let mut found = None;
    for milliseconds in (200..=500).step_by(20) {
        let mut request = Request::new(pb::CreateDetectionRequest { detection: Some(run(&photo.id, "late")) });
        request.set_timeout(Duration::from_millis(milliseconds));
        let status = app.detections(A.as_service()).create_detection(request).await.unwrap_err();
        if status.code() == Code::DeadlineExceeded {
            found = Some(status);
            break;
        }
    }
    let status = found.expect("the server's answer is first at least once");
    until_blocked(&app, 2).await;
    drop(locker);

    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    assert_created(busy).await;
    app.detection(A, &photo.id).await;
    assert_eq!(app.count("select count(*) from companycam_photos.detections where run_id = 'late'").await, 0);
}

#[tokio::test]
async fn create_detection_is_cancelled_in_the_database_when_all_who_share_it_have_hung_up() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let locker = lock_photos(&app).await;
    let busy = busy(&app, A.as_service(), &photo.id, 0).await;
    let calls: Vec<_> =
        (0..5).map(|number| create(&app, A.as_service(), run(&photo.id, &format!("left-{number}")))).collect();
    until_blocked(&app, 3).await;

    for call in calls {
        assert!(!call.is_finished());
        call.abort();
    }

    until_blocked(&app, 2).await;
    drop(locker);
    assert_created(busy).await;
    let left = "select count(*) from companycam_photos.detections where run_id like 'left-%'";
    assert_eq!(app.count(left).await, 0);
    // The connections are all there.
    let calls = (0..8).map(|number| create(&app, A.as_service(), run(&photo.id, &format!("after-{number}")))).collect();
    assert_created(calls).await;
}

#[tokio::test]
async fn create_detection_is_stored_though_others_who_share_it_have_hung_up() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let locker = lock_photos(&app).await;
    let mut stays = busy(&app, A.as_service(), &photo.id, 0).await;
    let mut calls: Vec<_> =
        (0..5).map(|number| create(&app, A.as_service(), run(&photo.id, &format!("run-{number}")))).collect();
    until_blocked(&app, 3).await;

    stays.push(calls.remove(2));
    calls.iter().for_each(JoinHandle::abort);
    // Hanging up takes its way; nothing may come of it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(locker);

    assert_created(stays).await;
    assert_eq!(app.count("select count(*) from companycam_photos.detections where run_id = 'run-2'").await, 1);
}
