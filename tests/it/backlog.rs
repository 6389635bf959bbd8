//! Backlogs: what each model that is used has not seen yet.

use photometa::db::{Db, PoolSettings};
use photometa::detection::{Backlogs, Waiting};
use photometa::pb;
use prost_types::Duration;
use tonic::Code;
use uuid::Uuid;

use crate::harness::{A, App, B, Organization, Who, detection, paths, photo};

const DAY: i64 = 24 * 60 * 60;

/// A photo that was created so many days ago.
async fn put(app: &App, organization: Organization, days: i64) -> pb::Photo {
    let request = pb::CreatePhotoRequest { photo: Some(photo(organization.house, &Uuid::new_v4().to_string())) };
    let created =
        app.photos(organization.as_service()).create_photo(request).await.unwrap().into_inner().photo.unwrap();
    let set = "update companycam_photos.photos set created_at = created_at - $2 * interval '1 day' where id = $1";
    let days = f64::from(i32::try_from(days).unwrap());
    app.postgres.execute(set, &[&created.id.parse::<Uuid>().unwrap(), &days]).await.unwrap();
    get(app, organization, &created.id).await
}

async fn get(app: &App, organization: Organization, id: &str) -> pb::Photo {
    let request = pb::GetPhotoRequest { id: id.to_owned(), ..Default::default() };
    app.photos(organization.as_service()).get_photo(request).await.unwrap().into_inner().photo.unwrap()
}

/// A result of a model on a photo.
async fn see(app: &App, organization: Organization, photo: &pb::Photo, kind: pb::DetectionType, model: &str) {
    let given = pb::Detection { detection_type: kind.into(), model_version: model.to_owned(), ..detection(&photo.id) };
    let request = pb::CreateDetectionRequest { detection: Some(given) };
    app.detections(organization.as_service()).create_detection(request).await.unwrap();
}

async fn ask(app: &App, who: Who, days: i64) -> Vec<(pb::DetectionType, String, i64, Option<prost_types::Timestamp>)> {
    let request = pb::GetModelBacklogsRequest { window: Some(Duration { seconds: days * DAY, nanos: 0 }) };
    let answer = app.detections(who).get_model_backlogs(request).await.unwrap().into_inner();
    let told = answer.backlogs.into_iter().map(|backlog| {
        (backlog.detection_type(), backlog.model_version, backlog.photo_count, backlog.oldest_create_time)
    });
    told.collect()
}

#[tokio::test]
async fn backlogs_tell_what_each_model_has_not_seen_and_since_when_the_oldest_waits() {
    use pb::DetectionType::{Damage, Material};
    let app = App::start().await;
    let before = put(&app, A, 40).await;
    let (old, middle, new) = (put(&app, A, 5).await, put(&app, A, 2).await, put(&app, A, 0).await);
    let theirs = put(&app, B, 6).await;
    // Two runs are one sight.
    for _ in 0..2 {
        see(&app, A, &middle, Damage, "cracks-2").await;
    }
    see(&app, A, &new, Damage, "cracks-2").await;
    for photo in [&old, &middle, &new] {
        see(&app, A, photo, Material, "bricks-1").await;
    }
    // Of the same name, and of another type.
    see(&app, A, &old, Material, "cracks-2").await;
    // Used no more.
    see(&app, A, &before, Damage, "cracks-1").await;
    see(&app, B, &theirs, Damage, "cracks-3").await;

    let ours = ask(&app, A.as_service(), 7).await;
    let longer = ask(&app, A.as_admin(), 60).await;
    let shorter = ask(&app, A.as_service(), 1).await;
    let others = ask(&app, B.as_service(), 7).await;

    let told = |kind, model: &str, count, oldest: Option<&pb::Photo>| {
        (kind, model.to_owned(), count, oldest.and_then(|photo| photo.create_time))
    };
    assert_eq!(
        ours,
        [
            told(Damage, "cracks-2", 1, Some(&old)),
            told(Material, "bricks-1", 0, None),
            told(Material, "cracks-2", 2, Some(&middle)),
        ]
    );
    assert_eq!(
        longer,
        [
            told(Damage, "cracks-1", 3, Some(&old)),
            told(Damage, "cracks-2", 2, Some(&before)),
            told(Material, "bricks-1", 1, Some(&before)),
            told(Material, "cracks-2", 3, Some(&before)),
        ]
    );
    assert_eq!(shorter, [told(Damage, "cracks-2", 0, None), told(Material, "bricks-1", 0, None)]);
    assert_eq!(others, [told(Damage, "cracks-3", 0, None)]);
}

#[tokio::test]
async fn backlogs_look_back_for_a_week_unless_told_otherwise() {
    let app = App::start().await;
    let (seen, _) = (put(&app, A, 0).await, put(&app, A, 6).await);
    put(&app, A, 8).await;
    see(&app, A, &seen, pb::DetectionType::Volume, "heaps-1").await;

    let answer = app.detections(A.as_service()).get_model_backlogs(pb::GetModelBacklogsRequest::default()).await;

    let counts: Vec<i64> = answer.unwrap().into_inner().backlogs.iter().map(|backlog| backlog.photo_count).collect();
    assert_eq!(counts, [1]);
}

#[tokio::test]
async fn window_is_a_minute_to_90_days() {
    let app = App::start().await;
    for (seconds, nanos) in [(0, 0), (59, 999_999_999), (90 * DAY, 1), (-1, 0), (i64::MIN, 0)] {
        let request = pb::GetModelBacklogsRequest { window: Some(Duration { seconds, nanos }) };

        let refused = app.detections(A.as_service()).get_model_backlogs(request).await.unwrap_err();

        assert_eq!((refused.code(), paths(&refused)), (Code::InvalidArgument, vec!["window".to_owned()]), "{seconds}");
        assert!(refused.message().contains("1 minute to 90 days"), "{refused}");
    }
    for seconds in [60, 90 * DAY] {
        let request = pb::GetModelBacklogsRequest { window: Some(Duration { seconds, nanos: 0 }) };
        assert!(app.detections(A.as_service()).get_model_backlogs(request).await.is_ok());
    }
}

#[tokio::test]
async fn operators_see_the_backlogs_of_all_organizations_together() {
    let app = App::start().await;
    let (old, new) = (put(&app, A, 3).await, put(&app, A, 0).await);
    let (theirs, oldest) = (put(&app, B, 1).await, put(&app, B, 5).await);
    see(&app, A, &new, pb::DetectionType::Damage, "cracks-1").await;
    see(&app, B, &theirs, pb::DetectionType::Damage, "cracks-1").await;
    see(&app, B, &theirs, pb::DetectionType::Volume, "heaps-1").await;
    let (backlogs, pause) = (Backlogs::default(), std::time::Duration::from_millis(20));
    let db = Db::new(app.database.app(), PoolSettings::new(2, std::time::Duration::from_secs(10))).unwrap();

    let watching = tokio::spawn(backlogs.clone().watch(db, pause));
    until(&backlogs, |waiting| waiting.len() == 2).await;

    let told = |waiting: &[Waiting]| -> Vec<(String, String, i64, Option<prost_types::Timestamp>)> {
        let told = waiting.iter().map(|model| {
            let oldest = model.oldest.map(photometa::check::to_pb_time);
            (model.detection_type.clone(), model.model_version.clone(), model.photos, oldest)
        });
        told.collect()
    };
    let waits = |kind: &str, model: &str, count, oldest: &pb::Photo| {
        (kind.to_owned(), model.to_owned(), count, oldest.create_time)
    };
    assert_eq!(
        told(&backlogs.waiting()),
        [waits("damage", "cracks-1", 2, &oldest), waits("volume", "heaps-1", 1, &oldest)]
    );
    see(&app, B, &oldest, pb::DetectionType::Damage, "cracks-1").await;
    until(&backlogs, |waiting| waiting[0].photos == 1).await;
    assert_eq!(told(&backlogs.waiting())[0], waits("damage", "cracks-1", 1, &old));
    watching.abort();
}

#[tokio::test]
async fn organization_with_many_models_hides_neither_others_nor_what_it_uses() {
    let app = App::start().await;
    put(&app, A, 6).await;
    let (seen, theirs) = (put(&app, A, 5).await, put(&app, B, 0).await);
    see(&app, B, &theirs, pb::DetectionType::Damage, "theirs-1").await;
    // The first ones are the retired ones: their results are older than any, and their photos wait as long.
    for number in 0..25 {
        see(&app, A, &seen, pb::DetectionType::Damage, &format!("many-{number:02}")).await;
    }
    let (backlogs, pause) = (Backlogs::default(), std::time::Duration::from_millis(20));
    let db = Db::new(app.database.app(), PoolSettings::new(2, std::time::Duration::from_secs(10))).unwrap();

    let watching = tokio::spawn(backlogs.clone().watch(db, pause));
    until(&backlogs, |waiting| !waiting.is_empty()).await;
    watching.abort();

    let told: Vec<String> = backlogs.waiting().into_iter().map(|model| model.model_version).collect();
    let newest: Vec<String> =
        (5..25).map(|number| format!("many-{number:02}")).chain(["theirs-1".to_owned()]).collect();
    assert_eq!(told, newest);
}

async fn until(backlogs: &Backlogs, seen: impl Fn(&[Waiting]) -> bool) {
    for _ in 0..1000 {
        if seen(&backlogs.waiting()) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{:?}", backlogs.waiting());
}
