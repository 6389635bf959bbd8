//! What is wrong with one item of a group is told to its caller alone.

use tonic::Code;

use super::*;
use crate::harness::details;

/// Stores ten good detections and a bad one in a group, and answers what the bad one was told.
async fn with_others(app: &App, photo_id: &str, bad: pb::Detection) -> Status {
    let round = Uuid::now_v7();
    let locker = lock_photos(app).await;
    let mut good: Vec<_> = (1..=2).map(|_| create(app, A.as_service(), detection(photo_id))).collect();
    until_blocked(app, 2).await;
    let mut refused = None;
    for number in 0..10 {
        good.push(create(app, A.as_service(), run(photo_id, &format!("{round}-{number}"))));
        if number == 4 {
            refused = Some(create(app, A.as_service(), bad.clone()));
        }
    }
    until_blocked(app, 3).await;
    drop(locker);

    assert_created(good).await;
    answer(refused.unwrap()).await.unwrap_err()
}

#[tokio::test]
async fn create_detection_is_refused_alone_for_its_references_and_conflicts() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let theirs = app.photo(B, "site/1.jpg").await;
    let stored = app.detection(A, &photo.id).await;
    answer(create(&app, A.as_service(), run(&photo.id, "taken"))).await.unwrap();

    let unknown = Uuid::now_v7().to_string();
    let taken_id = pb::Detection { id: stored.id.clone(), ..run(&photo.id, "other") };
    let taken_run = pb::Detection { confidence: Some(0.125), ..run(&photo.id, "taken") };
    for (what, bad, code, expected) in [
        ("an unknown photo", detection(&unknown), Code::NotFound, "PHOTO_NOT_FOUND"),
        ("another organization's photo", detection(&theirs.id), Code::NotFound, "PHOTO_NOT_FOUND"),
        ("a taken id", taken_id, Code::AlreadyExists, "DETECTION_ALREADY_EXISTS"),
        ("a taken run", taken_run, Code::AlreadyExists, "DETECTION_ALREADY_EXISTS"),
    ] {
        let status = with_others(&app, &photo.id, bad).await;

        assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{what}");
    }

    assert_eq!(app.count("select count(*) from companycam_photos.detections").await, 2 + 4 * 12);
}

#[tokio::test]
async fn create_detection_is_refused_alone_by_the_database() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let check = "alter table companycam_photos.detections add constraint fault_check check (run_id <> 'bad') not valid";
    app.postgres.batch_execute(check).await.unwrap();

    let status = with_others(&app, &photo.id, run(&photo.id, "bad")).await;

    assert_eq!((status.code(), reason(&status).as_str()), (Code::Internal, "INTERNAL"));
    assert_eq!(app.count("select count(*) from companycam_photos.detections").await, 12);
}

#[tokio::test]
async fn create_detection_is_told_trouble_alone_when_the_others_are_stored() {
    for (raised, code, expected) in [
        ("admin_shutdown", Code::Unavailable, "DATABASE_UNAVAILABLE"),
        // Nobody knows what this means, so it is tried again; those that are stored stay CREATED.
        ("raise_exception", Code::Internal, "INTERNAL"),
    ] {
        let app = App::start().await;
        let photo = app.photo(A, "site/1.jpg").await;
        answer(create(&app, A.as_service(), run(&photo.id, "stored"))).await.unwrap();
        // What explains the repetition is read-only.
        let fault = format!(
            "create function public.fault() returns boolean language plpgsql as $$
                begin
                    if current_setting('transaction_read_only')::boolean then raise 'fault' using errcode = '{raised}'; end if;
                    return true;
                end $$;
            create policy fault on companycam_photos.detections as restrictive for select using (public.fault())"
        );
        app.postgres.batch_execute(&fault).await.unwrap();

        let status = with_others(&app, &photo.id, run(&photo.id, "stored")).await;

        assert_eq!((status.code(), reason(&status).as_str()), (code, expected));
        assert_eq!(app.count("select count(*) from companycam_photos.detections").await, 13);
    }
}

#[tokio::test]
async fn create_detection_is_told_by_each_caller_of_a_group_whose_connection_dies() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let _locker = lock_photos(&app).await;
    let mut calls = busy(&app, A.as_service(), &photo.id, 0).await;
    calls.extend((0..10).map(|number| create(&app, A.as_service(), run(&photo.id, &number.to_string()))));
    until_blocked(&app, 3).await;

    crate::health::throw_out(&app).await;

    for call in calls {
        match answer(call).await {
            // Came after that.
            Ok(answer) => assert_eq!(answer.outcome(), WriteOutcome::Created),
            Err(status) => {
                assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
                assert!(details(&status).retry_info().is_some());
            }
        }
    }
    app.detection(A, &photo.id).await;
}
