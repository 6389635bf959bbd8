//! Unary creates that come at the same time share statements: who with whom, and what that may not change. A locked
//! table holds two statements back, so that whoever comes after them has to wait.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use photometa::auth::Role;
use photometa::pb::{self, WriteOutcome};
use tokio::task::JoinHandle;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::harness::{A, App, B, Organization, Who, detection, photo, reason};
use crate::health::{lock_photos, until_blocked};

mod flood;
mod leaving;
mod refused;

/// How long a test waits for an answer, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

type Answer = Result<pb::CreateDetectionResponse, Status>;

/// Stores a detection, by a call of its own.
fn create(app: &App, who: Who, detection: pb::Detection) -> JoinHandle<Answer> {
    let mut client = app.detections(who);
    let request = Request::new(pb::CreateDetectionRequest { detection: Some(detection) });
    tokio::spawn(async move { Ok(client.create_detection(request).await?.into_inner()) })
}

/// A detection with a run.
fn run(photo_id: &str, run: &str) -> pb::Detection {
    pb::Detection { run_id: Some(run.to_owned()), ..detection(photo_id) }
}

/// Two calls, one after the other, whose statements wait for [`lock_photos`]. `before` are there already.
async fn busy(app: &App, who: Who, photo_id: &str, before: i64) -> Vec<JoinHandle<Answer>> {
    let mut calls = Vec::new();
    for number in 1..=2 {
        calls.push(create(app, who, run(photo_id, &format!("busy-{number}"))));
        until_blocked(app, before + number).await;
    }
    calls
}

/// What a call was answered.
async fn answer(call: JoinHandle<Answer>) -> Answer {
    tokio::time::timeout(PATIENCE, call).await.expect("an answer").unwrap()
}

/// Asserts that calls stored their detections.
async fn assert_created(calls: Vec<JoinHandle<Answer>>) {
    for call in calls {
        assert_eq!(answer(call).await.unwrap().outcome(), WriteOutcome::Created);
    }
}

/// How many statements stored what is there: each has one time.
async fn statements(app: &App) -> i64 {
    app.count("select count(distinct created_at) from companycam_photos.detections").await
}

#[tokio::test]
async fn create_detection_shares_few_statements_among_those_who_come_at_once() {
    let app = App::start().await;
    let photo = app.photo(A, "site/1.jpg").await;
    let locker = lock_photos(&app).await;
    let busy = busy(&app, A.as_service(), &photo.id, 0).await;

    // Each of them twice: a worker may send again what another one has sent.
    let calls: Vec<_> = (0..200)
        .map(|number| create(&app, A.as_service(), run(&photo.id, &format!("run-{:03}", number % 100))))
        .collect();
    // When those two are stuck, a third statement begins, with those who have come.
    until_blocked(&app, 3).await;
    drop(locker);

    assert_created(busy).await;
    let (mut ids, mut created) = (HashMap::new(), 0);
    for (number, call) in calls.into_iter().enumerate() {
        let answered = answer(call).await.unwrap();
        created += usize::from(answered.outcome() == WriteOutcome::Created);
        let stored = answered.detection.unwrap();
        assert_eq!(stored.run_id, Some(format!("run-{:03}", number % 100)));
        assert_eq!(*ids.entry(number % 100).or_insert_with(|| stored.id.clone()), stored.id);
    }
    assert_eq!((created, ids.len()), (100, 100));
    assert_eq!(crate::ingest::runs(&app).await, [1; 102]);
    let statements = statements(&app).await;
    assert!((3..=20).contains(&statements), "{statements} statements for 102 detections");
}

#[tokio::test]
async fn create_detection_shares_no_statement_between_organizations_roles_and_people() {
    let app = App::start().await;
    let (ours, theirs) = (app.photo(A, "site/1.jpg").await, app.photo(B, "site/1.jpg").await);
    let locker = lock_photos(&app).await;
    let mut calls = busy(&app, A.as_service(), &ours.id, 0).await;
    calls.extend(busy(&app, B.as_service(), &theirs.id, 2).await);

    let other_admin = Who { role: Role::OrgAdmin, ..A.as_member() };
    let who = [
        ("ours", A.as_service(), &ours),
        ("admin", A.as_admin(), &ours),
        ("other admin", other_admin, &ours),
        ("theirs", B.as_service(), &theirs),
        ("their admin", B.as_admin(), &theirs),
    ];
    for number in 0..20 {
        for (name, who, photo) in who {
            let mut new = run(&photo.id, &number.to_string());
            name.clone_into(&mut new.model_version);
            calls.push(create(&app, who, new));
        }
    }
    // Nothing tells from outside that they wait; if some come later, fewer of them share.
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(locker);
    assert_created(calls).await;

    let shared = "select count(*) from (
        select from companycam_photos.detections where model_version <> 'cracks-1'
        group by created_at having count(distinct model_version) > 1) shared";
    assert_eq!(app.count(shared).await, 0);
    for (name, who, photo) in who {
        let (organization, photo_id) = (who.organization.unwrap(), &photo.id);
        let own = format!(
            "select count(*) from companycam_photos.detections where model_version = '{name}'
             and organization_id = '{organization}' and photo_id = '{photo_id}'"
        );
        assert_eq!(app.count(&own).await, 20, "{name}");
    }
    let statements = statements(&app).await;
    assert!(statements < 54, "{statements} statements for 104 detections");
}

#[tokio::test]
async fn create_photo_answers_each_of_those_who_come_at_once() {
    let app = App::start().await;
    let call = |organization: Organization, project: Uuid, key: String| {
        let request = pb::CreatePhotoRequest { photo: Some(photo(project, &key)) };
        let mut client = app.photos(organization.as_service());
        async move { client.create_photo(request).await.map(|answer| answer.into_inner().outcome()) }
    };
    let calls = (0..120).map(|number| {
        let organization = if number % 2 == 0 { A } else { B };
        // Each key three times in each organization; and one in forty to a project of somebody else's.
        let (project, key) = match number % 40 {
            7 => (A.house, format!("theirs/{number}.jpg")),
            _ => (organization.house, format!("{}.jpg", number / 6)),
        };
        call(organization, project, key)
    });

    let answers = join_all(calls).await;

    let outcome = |expected| answers.iter().filter(|answer| matches!(answer, Ok(found) if *found == expected)).count();
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert_eq!(refused.map(reason).collect::<Vec<_>>(), ["PROJECT_NOT_FOUND"; 3]);
    assert_eq!((outcome(WriteOutcome::Created), outcome(WriteOutcome::Unchanged)), (40, 77));
    let query = "select count(*) from companycam_photos.photos where organization_id =";
    for organization in [A, B] {
        assert_eq!(app.count(&format!("{query} '{}'", organization.id)).await, 20);
    }
}
