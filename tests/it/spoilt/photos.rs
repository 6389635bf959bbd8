//! Photos that a batch refuses.

use photometa::pb;
use prost::Message as _;
use tonic::Status;
use uuid::Uuid;

use super::{Answers, Batches, Expected, Refusal, status};
use crate::bad_input::{PHOTOS, bad_json};
use crate::harness::{A, App, B, photo};
use crate::photo::archive;

fn good() -> pb::Photo {
    photo(A.bridge, &format!("{}.jpg", Uuid::now_v7()))
}

/// Every kind of bad photo, with the bridge open and the house archived.
async fn bad(app: &App) -> Vec<(String, pb::Photo, Expected)> {
    let stored = pb::Photo { id: String::new(), ..photo(A.house, "taken.jpg") };
    let taken = app.photo(A, "taken.jpg").await;
    archive(app).await;
    let mut bad = Vec::new();
    for (what, spoil, expected) in PHOTOS {
        let mut item = good();
        spoil(&mut item);
        let paths = expected.iter().map(|path| path.trim_start_matches("photo."));
        bad.push(((*what).to_owned(), item, Refusal::fields(paths)));
    }
    // What is nested too deep to be read spoils the whole request, before it has items.
    for exif_data in bad_json().into_iter().filter(|json| !(1000..10_000).contains(&json.encoded_len())) {
        let item = pb::Photo { exif_data: Some(exif_data), ..good() };
        bad.push(("bad json".to_owned(), item, Refusal::fields(["exif_data"])));
    }
    let unknown = Uuid::now_v7();
    let user = |id: Uuid| pb::Photo { user_id: id.to_string(), ..good() };
    let project = |id: Uuid| pb::Photo { project_id: id.to_string(), ..good() };
    for (what, item, reason, name) in [
        ("an unknown project", project(unknown), "PROJECT_NOT_FOUND", unknown.to_string()),
        ("another organization's project", project(B.bridge), "PROJECT_NOT_FOUND", B.bridge.to_string()),
        ("an archived project", project(A.house), "PROJECT_ARCHIVED", format!("projects/{}", A.house)),
        ("an unknown user", user(unknown), "USER_NOT_FOUND", unknown.to_string()),
        ("another organization's user", user(B.member), "USER_NOT_FOUND", B.member.to_string()),
        ("a taken id", pb::Photo { id: taken.id.clone(), ..good() }, "PHOTO_ALREADY_EXISTS", taken.id.clone()),
        (
            "a taken key",
            pb::Photo { s3_key: stored.s3_key.clone(), ..good() },
            "PHOTO_ALREADY_EXISTS",
            stored.s3_key.clone(),
        ),
        (
            "a taken key with an id that it does not have",
            pb::Photo { id: unknown.to_string(), ..stored.clone() },
            "PHOTO_ALREADY_EXISTS",
            stored.s3_key,
        ),
    ] {
        bad.push((what.to_owned(), item, Refusal::of(reason, &name)));
    }
    bad
}

async fn send(app: &App, photos: Vec<pb::Photo>, partial: bool) -> Result<Answers, Status> {
    let request = pb::BatchCreatePhotosRequest { photos, partial };
    let answer = app.photos(A.as_service()).batch_create_photos(request).await?.into_inner();
    let answers = answer.results.into_iter().map(|result| {
        let outcome = result.outcome();
        assert_eq!(result.photo.is_some(), result.status.is_none());
        result.status.map_or(Ok(outcome), |told| Err(status(told)))
    });
    Ok(answers.collect())
}

#[tokio::test]
async fn batch_create_photos_refuses_every_kind_of_bad_photo_at_every_place() {
    let app = App::start().await;
    let bad = bad(&app).await;
    let batches =
        Batches { app: &app, field: "photos", send: async |photos, partial| send(&app, photos, partial).await };

    batches.assert_everywhere(good, &bad).await;
}

/// One that has the key or the id of another one.
fn repeat(first: &pb::Photo, way: usize) -> (pb::Photo, Expected) {
    let key = &first.s3_key;
    match way % 4 {
        0 => (first.clone(), Expected::Unchanged),
        1 => (pb::Photo { width: Some(9), ..first.clone() }, Refusal::of("PHOTO_ALREADY_EXISTS", named(first))),
        2 => {
            let other = pb::Photo { id: Uuid::now_v7().to_string(), ..first.clone() };
            (other, Refusal::of("PHOTO_ALREADY_EXISTS", key))
        }
        _ if first.id.is_empty() => (
            pb::Photo { mime_type: Some("image/png".to_owned()), ..first.clone() },
            Refusal::of("PHOTO_ALREADY_EXISTS", key),
        ),
        _ => (pb::Photo { id: first.id.clone(), ..good() }, Refusal::of("PHOTO_ALREADY_EXISTS", &first.id)),
    }
}

/// What a conflict is called: by its id where it has the same.
fn named(first: &pb::Photo) -> &str {
    if first.id.is_empty() { &first.s3_key } else { &first.id }
}

#[tokio::test]
async fn batch_create_photos_tells_each_of_a_mixed_batch_its_own() {
    let app = App::start().await;
    let bad = bad(&app).await;
    let batches =
        Batches { app: &app, field: "photos", send: async |photos, partial| send(&app, photos, partial).await };
    // Every other one with an id of its own.
    let good = || {
        let key = Uuid::now_v7();
        let id = if key.as_u64_pair().1.is_multiple_of(2) { Uuid::now_v7().to_string() } else { String::new() };
        pb::Photo { id, ..photo(A.bridge, &format!("{key}.jpg")) }
    };

    batches.assert_mixed(good, &bad, repeat).await;
}
