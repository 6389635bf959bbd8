//! Photos: retries and conflicts, EXIF unharmed, views, batches, changes, lists.

use photometa::json::Struct;
use photometa::pb;
use tonic::{Code, Status};

use crate::harness::{A, App, Who, photo, reason};

mod batch;
mod change;
mod exif;
mod list;
mod view;

/// Creates a photo as somebody.
async fn create(app: &App, who: Who, photo: pb::Photo) -> Result<(pb::Photo, pb::WriteOutcome), Status> {
    let answer = app.photos(who).create_photo(pb::CreatePhotoRequest { photo: Some(photo) }).await?.into_inner();
    let outcome = answer.outcome();
    Ok((answer.photo.unwrap(), outcome))
}

/// Reads a photo in a view.
async fn get(app: &App, id: &str, view: pb::PhotoView) -> pb::Photo {
    let request = pb::GetPhotoRequest { id: id.to_owned(), view: view.into() };
    app.photos(A.as_service()).get_photo(request).await.unwrap().into_inner().photo.unwrap()
}

#[expect(clippy::unnecessary_wraps, clippy::needless_pass_by_value, reason = "as messages have it and json! makes it")]
fn exif(value: serde_json::Value) -> Option<Struct> {
    Some(photometa::json::to_struct(&photometa::json::raw(&value)))
}

fn assert_error(status: &Status, code: Code, expected: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, expected), "{status:?}");
}

pub async fn archive(app: &App) {
    let project =
        pb::Project { id: A.house.to_string(), status: pb::ProjectStatus::Archived.into(), ..Default::default() };
    let request = pb::UpdateProjectRequest { project: Some(project), update_mask: None };
    app.projects(A.as_admin()).update_project(request).await.unwrap();
}

#[tokio::test]
async fn create_photo_is_unchanged_when_repeated() {
    let app = App::start().await;
    let by_key = photo(A.house, "key.jpg");
    let by_id = pb::Photo { id: uuid::Uuid::now_v7().to_string(), ..photo(A.house, "id.jpg") };

    for given in [by_key, by_id] {
        let (first, outcome) = create(&app, A.as_service(), given.clone()).await.unwrap();
        assert_eq!(outcome, pb::WriteOutcome::Created);
        // What the server says of itself makes no difference.
        let shown = pb::Photo { id: given.id.clone(), ..first.clone() };
        let (again, outcome) = create(&app, A.as_service(), pb::Photo { upload_time: None, ..shown }).await.unwrap();
        assert_eq!((&again, outcome), (&first, pb::WriteOutcome::Unchanged));

        let changed = pb::Photo { id: first.id.clone(), mime_type: Some("image/png".to_owned()), ..Default::default() };
        let request = pb::UpdatePhotoRequest { photo: Some(changed), update_mask: None };
        let updated = app.photos(A.as_service()).update_photo(request).await.unwrap().into_inner().photo;
        let (again, outcome) = create(&app, A.as_service(), given).await.unwrap();
        assert_eq!((Some(again), outcome), (updated, pb::WriteOutcome::Unchanged));
    }
    assert_eq!(app.count("select count(*) from companycam_photos.photos").await, 2);
}

#[tokio::test]
async fn create_photo_already_exists_with_other_content() {
    let app = App::start().await;
    let (first, _) = create(&app, A.as_service(), photo(A.house, "1.jpg")).await.unwrap();
    let (second, _) = create(&app, A.as_service(), photo(A.house, "2.jpg")).await.unwrap();
    let before = app.rows().await;
    let again = photo(A.house, "1.jpg");
    let conflicts = [
        pb::Photo { width: Some(1), ..again.clone() },
        pb::Photo { width: None, ..again.clone() },
        pb::Photo { project_id: A.bridge.to_string(), ..again.clone() },
        pb::Photo { user_id: A.member.to_string(), ..again.clone() },
        pb::Photo { exif_data: Some(Struct::default()), ..again.clone() },
        // The key with an id that it does not have.
        pb::Photo { id: uuid::Uuid::now_v7().to_string(), ..again.clone() },
        // The id of one, the key of none; the id of one, the key of another.
        pb::Photo { id: first.id.clone(), ..photo(A.house, "3.jpg") },
        pb::Photo { id: second.id.clone(), ..again.clone() },
        pb::Photo { id: first.id.clone(), ..photo(A.house, "2.jpg") },
    ];

    for conflict in conflicts {
        let status = create(&app, A.as_service(), conflict.clone()).await.expect_err(&format!("{conflict:?}"));
        assert_error(&status, Code::AlreadyExists, "PHOTO_ALREADY_EXISTS");
    }

    assert_eq!(app.rows().await, before);
    assert_eq!(create(&app, A.as_service(), again).await.unwrap(), (first, pb::WriteOutcome::Unchanged));
}

#[tokio::test]
async fn create_photo_fails_in_an_archived_project() {
    let app = App::start().await;
    let (first, _) = create(&app, A.as_service(), photo(A.house, "1.jpg")).await.unwrap();
    archive(&app).await;
    let before = app.rows().await;

    let status = create(&app, A.as_service(), photo(A.house, "2.jpg")).await.unwrap_err();
    let again = create(&app, A.as_service(), photo(A.house, "1.jpg")).await.unwrap();

    assert_error(&status, Code::FailedPrecondition, "PROJECT_ARCHIVED");
    assert_eq!(again, (first, pb::WriteOutcome::Unchanged));
    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_photo_takes_the_user_from_the_credential() {
    let app = App::start().await;
    let unknown_admin = Who { subject: uuid::Uuid::now_v7(), ..A.as_admin() };
    let other = pb::Photo { user_id: A.outsider.to_string(), ..photo(A.house, "other.jpg") };

    for (who, given, expected) in [
        (A.as_member(), photo(A.house, "1.jpg"), A.member.to_string()),
        (A.as_admin(), photo(A.house, "2.jpg"), A.admin.to_string()),
        (A.as_service(), photo(A.house, "3.jpg"), String::new()),
        (unknown_admin, photo(A.house, "4.jpg"), String::new()),
        (A.as_service(), other.clone(), A.outsider.to_string()),
    ] {
        let (stored, outcome) = create(&app, who, given).await.unwrap();
        assert_eq!((stored.user_id, outcome), (expected, pb::WriteOutcome::Created));
    }
    let status = create(&app, A.as_member(), pb::Photo { s3_key: "5.jpg".to_owned(), ..other }).await.unwrap_err();
    assert_error(&status, Code::InvalidArgument, "INVALID_FIELDS");
    assert_eq!(crate::harness::paths(&status), ["photo.user_id"]);
}

#[tokio::test]
async fn create_photo_is_not_found_for_what_the_caller_has_not() {
    let app = App::start().await;
    let before = app.rows().await;
    let user = |id: uuid::Uuid| pb::Photo { user_id: id.to_string(), ..photo(A.house, "1.jpg") };

    for (who, given, expected) in [
        (A.as_service(), photo(uuid::Uuid::now_v7(), "1.jpg"), "PROJECT_NOT_FOUND"),
        (A.as_service(), photo(crate::harness::B.house, "1.jpg"), "PROJECT_NOT_FOUND"),
        (A.as_member(), photo(A.bridge, "1.jpg"), "PROJECT_NOT_FOUND"),
        (A.as_service(), user(uuid::Uuid::now_v7()), "USER_NOT_FOUND"),
        (A.as_service(), user(crate::harness::B.member), "USER_NOT_FOUND"),
    ] {
        let status = create(&app, who, given).await.unwrap_err();
        assert_error(&status, Code::NotFound, expected);
    }

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_photo_makes_one_row_when_sixteen_try() {
    let app = std::sync::Arc::new(App::start().await);

    let tries = (0..16).map(|_| {
        let app = app.clone();
        tokio::spawn(async move { create(&app, A.as_service(), photo(A.house, "1.jpg")).await.unwrap() })
    });
    let mut answers = Vec::new();
    for attempt in tries.collect::<Vec<_>>() {
        answers.push(attempt.await.unwrap());
    }

    let created = answers.iter().filter(|(_, outcome)| *outcome == pb::WriteOutcome::Created).count();
    assert_eq!(created, 1);
    assert!(answers.iter().all(|(photo, _)| photo == &answers[0].0));
    assert_eq!(app.count("select count(*) from companycam_photos.photos").await, 1);
}

#[tokio::test]
async fn create_photo_is_aborted_when_what_has_its_key_comes_and_goes() {
    let app = App::start().await;
    app.photo(A, "1.jpg").await;
    app.hide_from_readers("photos").await;

    let new = pb::Photo { mime_type: Some("image/png".to_owned()), ..photo(A.house, "1.jpg") };
    let request = pb::CreatePhotoRequest { photo: Some(new) };
    let machine = app.photos(A.as_service()).create_photo(request.clone()).await.unwrap_err();
    let person = app.photos(A.as_member()).create_photo(request).await.unwrap_err();

    assert_error(&machine, Code::Aborted, "CONCURRENT_CHANGE");
    // A person may have met a photo of another project.
    assert_error(&person, Code::AlreadyExists, "PHOTO_ALREADY_EXISTS");
    assert_eq!(app.count("select count(*) from companycam_photos.photos").await, 1);
}
