//! Many photos at once: all or nothing, or each on its own.

use photometa::pb;
use tonic::Code;
use uuid::Uuid;

use super::{archive, assert_error, create};
use crate::harness::{A, App, photo};

#[tokio::test]
async fn batch_create_photos_rolls_back_everything() {
    let app = App::start().await;
    app.photo(A, "taken.jpg").await;
    let before = app.rows().await;
    let taken = pb::Photo { width: None, ..photo(A.house, "taken.jpg") };
    let unknown = pb::Photo { user_id: Uuid::now_v7().to_string(), ..photo(A.house, "user.jpg") };

    for (bad, code, expected) in [
        (photo(A.house, ""), Code::InvalidArgument, "INVALID_FIELDS"),
        (taken, Code::AlreadyExists, "PHOTO_ALREADY_EXISTS"),
        (unknown, Code::NotFound, "USER_NOT_FOUND"),
        (photo(Uuid::now_v7(), "project.jpg"), Code::NotFound, "PROJECT_NOT_FOUND"),
        (pb::Photo { width: Some(1), ..photo(A.house, "a.jpg") }, Code::AlreadyExists, "PHOTO_ALREADY_EXISTS"),
    ] {
        let photos = vec![photo(A.house, "a.jpg"), photo(A.bridge, "b.jpg"), bad, photo(A.house, "c.jpg")];
        let request = pb::BatchCreatePhotosRequest { photos, partial: false };
        let status = app.photos(A.as_service()).batch_create_photos(request).await.unwrap_err();
        assert_error(&status, code, expected);
        assert_eq!(app.rows().await, before, "{expected}");
    }
}

#[tokio::test]
async fn batch_create_photos_partial_answers_each_in_its_place() {
    let app = App::start().await;
    let first = app.photo(A, "first.jpg").await;
    let again = Uuid::now_v7().to_string();
    let given = [
        (photo(A.bridge, "new.jpg"), "CREATED"),
        (photo(A.house, ""), "INVALID_FIELDS"),
        (photo(A.house, "first.jpg"), "UNCHANGED"),
        (pb::Photo { width: None, ..photo(A.house, "first.jpg") }, "PHOTO_ALREADY_EXISTS"),
        (pb::Photo { id: first.id.clone(), ..photo(A.bridge, "other.jpg") }, "PHOTO_ALREADY_EXISTS"),
        (photo(Uuid::now_v7(), "project.jpg"), "PROJECT_NOT_FOUND"),
        (photo(crate::harness::B.house, "foreign.jpg"), "PROJECT_NOT_FOUND"),
        (pb::Photo { user_id: Uuid::now_v7().to_string(), ..photo(A.bridge, "user.jpg") }, "USER_NOT_FOUND"),
        // Twice in one batch: by key, with other content, by id.
        (photo(A.bridge, "new.jpg"), "UNCHANGED"),
        (pb::Photo { height: None, ..photo(A.bridge, "new.jpg") }, "PHOTO_ALREADY_EXISTS"),
        (pb::Photo { id: again.clone(), ..photo(A.bridge, "by id.jpg") }, "CREATED"),
        (pb::Photo { id: again, ..photo(A.bridge, "by id.jpg") }, "UNCHANGED"),
        (photo(A.house, "archived.jpg"), "PROJECT_ARCHIVED"),
    ];
    archive(&app).await;

    let photos = given.iter().map(|(photo, _)| photo.clone()).collect();
    let request = pb::BatchCreatePhotosRequest { photos, partial: true };
    let answer = app.photos(A.as_service()).batch_create_photos(request).await.unwrap().into_inner();

    let found: Vec<String> = answer.results.iter().map(outcome).collect();
    assert_eq!(found, given.iter().map(|(_, expected)| *expected).collect::<Vec<_>>());
    let violations = status(&answer.results[1]);
    assert_eq!(crate::harness::paths(&violations), ["photos[1].s3_key"]);
    assert_eq!(app.count("select count(*) from companycam_photos.photos").await, 3);
}

/// The status of an item, as a client reads it.
fn status(result: &pb::BatchCreatePhotosResult) -> tonic::Status {
    let status = result.status.clone().unwrap();
    let bytes = prost::Message::encode_to_vec(&status);
    tonic::Status::with_details(Code::from(status.code), status.message, bytes.into())
}

fn outcome(result: &pb::BatchCreatePhotosResult) -> String {
    match (&result.photo, result.outcome()) {
        (Some(_), outcome) if result.status.is_none() => outcome.as_str_name().replace("WRITE_OUTCOME_", ""),
        (None, pb::WriteOutcome::Unspecified) => crate::harness::reason(&status(result)),
        other => panic!("half an answer: {other:?}"),
    }
}

#[tokio::test]
async fn batch_create_photos_stores_a_thousand() {
    let app = App::start().await;
    let photos: Vec<_> = (0..1000).map(|number| photo(A.house, &format!("{number}.jpg"))).collect();
    let request = pb::BatchCreatePhotosRequest { photos, partial: false };

    let first = app.photos(A.as_member()).batch_create_photos(request.clone()).await.unwrap().into_inner();
    let again = app.photos(A.as_member()).batch_create_photos(request).await.unwrap().into_inner();

    assert!(first.results.iter().all(|result| result.outcome() == pb::WriteOutcome::Created));
    assert!(again.results.iter().all(|result| result.outcome() == pb::WriteOutcome::Unchanged));
    let keys: Vec<_> = first.results.iter().map(|result| result.photo.clone().unwrap().s3_key).collect();
    assert_eq!(keys, (0..1000).map(|number| format!("{number}.jpg")).collect::<Vec<_>>());
    assert!(create(&app, A.as_member(), photo(A.house, "999.jpg")).await.unwrap().1 == pb::WriteOutcome::Unchanged);
}
