//! Claims of the review queue: who is given what, for how long, and what ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use photometa::auth::Role;
use photometa::pb;
use prost::Message as _;
use prost_types::Duration;
use uuid::Uuid;

use super::review;
use crate::cluster::connect;
use crate::harness::{A, App, B, Who, detection, photo};
use crate::health::until_blocked;
use crate::random::Random;

const OLDEST: i32 = pb::ReviewStrategy::OldestFirst as i32;
const LEAST_CONFIDENT: i32 = pb::ReviewStrategy::LeastConfidentFirst as i32;

fn wanted(count: i32) -> pb::ClaimPendingDetectionsRequest {
    pb::ClaimPendingDetectionsRequest { count, ..Default::default() }
}

/// Claims, and answers the ids.
async fn claim(app: &App, who: Who, request: &pb::ClaimPendingDetectionsRequest) -> Vec<String> {
    let answer = app.detections(who).claim_pending_detections(request.clone()).await.unwrap().into_inner();
    answer.detections.into_iter().map(|detection| detection.id).collect()
}

async fn release(app: &App, who: Who, ids: &[String]) -> i64 {
    let request = pb::ReleaseClaimedDetectionsRequest { ids: ids.to_vec() };
    app.detections(who).release_claimed_detections(request).await.unwrap().into_inner().released
}

/// Stores detections of these confidences, one after the other, on a new photo of a project.
async fn store(app: &App, project: Uuid, confidences: &[Option<f64>]) -> Vec<String> {
    let request = pb::CreatePhotoRequest { photo: Some(photo(project, &Uuid::now_v7().to_string())) };
    let stored = app.photos(A.as_service()).create_photo(request).await.unwrap().into_inner().photo.unwrap();
    let mut ids = Vec::new();
    for &confidence in confidences {
        let given = pb::Detection { confidence, results: None, ..detection(&stored.id) };
        ids.push(super::create(app, given).await.unwrap().0.id);
    }
    ids
}

async fn pending(app: &App, who: Who) -> Vec<String> {
    let request = pb::ListPendingDetectionsRequest { page_size: 1000, ..Default::default() };
    let answer = app.detections(who).list_pending_detections(request).await.unwrap().into_inner();
    answer.detections.into_iter().map(|detection| detection.id).collect()
}

/// Lets all claims end.
async fn expire(app: &App) {
    let past = "update companycam_photos.review_claims set expires_at = now() - interval '1 second'";
    app.postgres.execute(past, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_pending_detections_gives_each_one_to_one_of_twenty_reviewers_until_none_is_left() {
    let app = Arc::new(App::start().await);
    let mut random = Random::seeded();
    let photos = [app.photo(A, "1.jpg").await, app.photo(A, "2.jpg").await];
    let given = (0..500).map(|number| pb::Detection {
        confidence: [None, Some(0.5), Some(f64::from(random.number(100)) / 100.0)][number % 3],
        results: None,
        ..detection(&photos[number % 2].id)
    });
    let request = pb::BatchCreateDetectionsRequest { detections: given.collect(), partial: false };
    app.detections(A.as_service()).batch_create_detections(request).await.unwrap();
    let holders: Arc<Mutex<BTreeMap<String, Uuid>>> = Arc::default();

    let reviewers = (0..20).map(|number| {
        let (app, holders, mut random) = (app.clone(), holders.clone(), random.of(number));
        tokio::spawn(async move {
            let subject = Uuid::now_v7();
            let join = "insert into companycam_photos.users (organization_id, id, email, created_at, updated_at)
                        values ($1, $2, $2::uuid || '@example.com', now(), now())";
            app.postgres.execute(join, &[&A.id, &subject]).await.unwrap();
            let who = Who { role: Role::OrgAdmin, organization: Some(A.id), subject };
            loop {
                let strategy = random.pick(&[OLDEST, LEAST_CONFIDENT]);
                let request = pb::ClaimPendingDetectionsRequest { strategy, ..wanted(1 + random.number(12)) };
                let mut ids = claim(&app, who, &request).await;
                if ids.is_empty() {
                    return;
                }
                for id in &ids {
                    let holder = *holders.lock().unwrap().entry(id.clone()).or_insert(subject);
                    assert_eq!(holder, subject, "{id} was given to two");
                }
                // What is not answered now comes again.
                random.shuffle(&mut ids);
                ids.truncate(1 + random.below(ids.len()));
                let answer =
                    |id| pb::Feedback { detection_id: id, verdict: pb::Verdict::Confirm.into(), ..Default::default() };
                let feedback = ids.into_iter().map(answer).collect();
                let request = pb::BatchCreateFeedbackRequest { feedback, ..Default::default() };
                app.feedback(who).batch_create_feedback(request).await.unwrap();
            }
        })
    });
    for reviewer in reviewers.collect::<Vec<_>>() {
        reviewer.await.unwrap();
    }

    assert_eq!(holders.lock().unwrap().len(), 500);
    assert_eq!(pending(&app, A.as_admin()).await, [""; 0]);
    assert_eq!(app.count("select count(*) from companycam_photos.feedback").await, 500);
    assert_eq!(app.count("select count(*) from companycam_photos.review_claims").await, 0);
}

#[tokio::test]
async fn claim_pending_detections_again_gives_what_the_caller_holds_for_as_long_as_asked_now() {
    let app = App::start().await;
    let ids = store(&app, A.house, &[Some(0.5), Some(0.4), Some(0.3), Some(0.2), Some(0.1)]).await;
    let seconds = |seconds, count| pb::ClaimPendingDetectionsRequest {
        duration: Some(Duration { seconds, nanos: 500_000_000 }),
        strategy: LEAST_CONFIDENT,
        ..wanted(count)
    };
    let until =
        "select floor(extract(epoch from min(expires_at) - now()) / 60)::bigint from companycam_photos.review_claims";

    let first = app.detections(A.as_member()).claim_pending_detections(seconds(90, 2)).await.unwrap().into_inner();
    assert_eq!(first.detections.iter().map(|found| &found.id).collect::<Vec<_>>(), [&ids[4], &ids[3]]);
    assert_eq!(claim(&app, A.as_admin(), &seconds(86_399, 2)).await, [ids[2].as_str(), &ids[1]]);
    assert_eq!(app.count(until).await, 1);
    let shown = first.expire_time.map(|time| jiff::Timestamp::new(time.seconds, time.nanos).unwrap());
    let kept = "select min(expires_at) from companycam_photos.review_claims";
    assert_eq!(shown, app.postgres.query_one(kept, &[]).await.unwrap().try_get(0).unwrap());

    // What is less confident still does not take the place of what is held.
    let new = store(&app, A.house, &[None]).await;
    assert_eq!(claim(&app, A.as_member(), &seconds(3630, 2)).await, [ids[4].as_str(), &ids[3]]);
    assert_eq!(app.count(until).await, 60);
    assert_eq!(claim(&app, A.as_member(), &seconds(3630, 3)).await, [new[0].as_str(), &ids[4], &ids[3]]);
    assert_eq!(claim(&app, A.as_member(), &seconds(3630, 1)).await, [new[0].as_str()]);
    assert_eq!(claim(&app, A.as_member(), &wanted(0)).await, [ids[0].as_str(), &ids[3], &ids[4], &new[0]]);
}

#[tokio::test]
async fn claim_pending_detections_takes_over_what_ended_and_leaves_the_queue_as_it_is() {
    let app = App::start().await;
    let ids = store(&app, A.house, &[None; 3]).await;

    assert_eq!(claim(&app, A.as_member(), &wanted(2)).await, ids[..2]);
    assert_eq!(pending(&app, A.as_admin()).await, ids);
    assert_eq!(claim(&app, A.as_admin(), &wanted(0)).await, ids[2..]);
    expire(&app).await;
    assert_eq!(claim(&app, A.as_admin(), &wanted(0)).await, ids);
    assert_eq!(claim(&app, A.as_member(), &wanted(0)).await, [""; 0]);
    assert_eq!(app.count("select count(distinct user_id) from companycam_photos.review_claims").await, 1);
}

#[tokio::test]
async fn release_claimed_detections_gives_back_what_the_caller_holds() {
    let app = App::start().await;
    let ids = store(&app, A.house, &[None; 5]).await;
    claim(&app, A.as_member(), &wanted(3)).await;
    claim(&app, A.as_admin(), &wanted(1)).await;
    let nobody = Uuid::now_v7().to_string();

    assert_eq!(release(&app, A.as_admin(), &ids[..3]).await, 0);
    assert_eq!(release(&app, B.as_admin(), &[]).await, 0);
    assert_eq!(release(&app, A.as_member(), &[ids[0].clone(), ids[3].clone(), ids[4].clone(), nobody]).await, 1);
    assert_eq!(claim(&app, A.as_admin(), &wanted(2)).await, [ids[0].as_str(), &ids[3]]);
    assert_eq!(release(&app, A.as_member(), &[]).await, 2);
    assert_eq!(release(&app, A.as_member(), &[]).await, 0);
    expire(&app).await;
    assert_eq!(release(&app, A.as_admin(), &[]).await, 0);
    assert_eq!(app.count("select count(*) from companycam_photos.review_claims").await, 0);
}

#[tokio::test]
async fn claim_pending_detections_follows_filter_strategy_and_membership() {
    let app = App::start().await;
    let house = store(&app, A.house, &[Some(0.9), None, Some(0.1)]).await;
    let bridge = store(&app, A.bridge, &[Some(0.5), Some(0.2)]).await;
    let volume = "update companycam_photos.detections set detection_type = 'volume' where id::text = $1";
    app.postgres.execute(volume, &[&house[2]]).await.unwrap();
    let all = || wanted(0);
    let of = |projects: &[Uuid]| pb::ClaimPendingDetectionsRequest {
        project_ids: projects.iter().map(Uuid::to_string).collect(),
        ..all()
    };
    let least = pb::ClaimPendingDetectionsRequest { strategy: LEAST_CONFIDENT, ..all() };
    let (h, b) = (&house, &bridge);

    for (who, request, expected) in [
        (A.as_admin(), all(), vec![&h[0], &h[1], &h[2], &b[0], &b[1]]),
        (A.as_admin(), least.clone(), vec![&h[1], &h[2], &b[1], &b[0], &h[0]]),
        (A.as_admin(), pb::ClaimPendingDetectionsRequest { count: 2, ..least }, vec![&h[1], &h[2]]),
        (A.as_admin(), of(&[A.bridge]), vec![&b[0], &b[1]]),
        (A.as_admin(), of(&[A.bridge, A.house]), vec![&h[0], &h[1], &h[2], &b[0], &b[1]]),
        (A.as_admin(), pb::ClaimPendingDetectionsRequest { types: vec![3, 2], ..all() }, vec![&h[2]]),
        (A.as_member(), all(), vec![&h[0], &h[1], &h[2]]),
        (A.as_member(), of(&[A.bridge]), vec![]),
        (A.as_outsider(), all(), vec![&b[0], &b[1]]),
        (B.as_admin(), of(&[A.house]), vec![]),
    ] {
        // Once to get them, and once to hold them still.
        for _ in 0..2 {
            assert_eq!(claim(&app, who, &request).await.iter().collect::<Vec<_>>(), expected, "{who:?} {request:?}");
        }
        release(&app, who, &[]).await;
    }
}

#[tokio::test]
async fn claim_ends_with_anybodys_feedback_and_with_its_detection() {
    let app = App::start().await;
    let ids = store(&app, A.house, &[None; 3]).await;
    let held = async || {
        let query = "select detection_id::text from companycam_photos.review_claims order by 1";
        let rows = app.postgres.query(query, &[]).await.unwrap();
        rows.iter().map(|row| row.try_get(0).unwrap()).collect::<Vec<String>>()
    };
    assert_eq!(claim(&app, A.as_admin(), &wanted(0)).await, ids);

    review(&app, &ids[0], pb::Verdict::Confirm).await;
    assert_eq!(held().await, ids[1..]);
    let request = pb::DeleteDetectionRequest { id: ids[1].clone(), ..Default::default() };
    app.detections(A.as_service()).delete_detection(request).await.unwrap();
    assert_eq!(held().await, ids[2..]);
    assert_eq!(claim(&app, A.as_admin(), &wanted(0)).await, ids[2..]);
    assert_eq!(release(&app, A.as_admin(), &ids).await, 1);
}

#[tokio::test]
async fn claim_pending_detections_gives_the_next_ones_for_those_that_go_meanwhile() {
    let app = App::start().await;
    let ids = store(&app, A.house, &[None; 5]).await;
    assert_eq!(claim(&app, A.as_member(), &wanted(1)).await, ids[..1]);
    let other = connect(&app.database.superuser()).await;
    let go = format!(
        "begin;
         update companycam_photos.detections set user_feedback = jsonb_build_object('feedback_id', id, 'user_id', id,
             'verdict', 'confirm', 'edits', jsonb_build_array(), 'comment', '', 'create_time', '2026-01-01T00:00:00Z')
         where id = '{}';
         delete from companycam_photos.detections where id = '{}'",
        ids[0], ids[2]
    );
    other.batch_execute(&go).await.unwrap();

    let request = wanted(3);
    let (found, ()) = tokio::join!(claim(&app, A.as_member(), &request), async {
        until_blocked(&app, 1).await;
        other.batch_execute("commit").await.unwrap();
    });

    assert_eq!(found, [ids[1].as_str(), &ids[3], &ids[4]]);
}

#[tokio::test]
async fn claim_pending_detections_holds_no_more_than_one_response_takes() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    for _ in 0..20 {
        let objects = (0..1000).map(|_| pb::DetectedObject { label: "x".repeat(190), ..Default::default() });
        let results = Some(pb::DetectionResults { objects: objects.collect(), extra: None });
        super::create(&app, pb::Detection { results, ..detection(&stored.id) }).await.unwrap();
    }
    let mut seen = BTreeSet::new();

    for (who, expected) in [(A.as_admin(), 10..20), (A.as_member(), 20..21)] {
        for _ in 0..2 {
            let answer = app.detections(who).claim_pending_detections(wanted(20)).await.unwrap().into_inner();
            assert!(answer.encoded_len() <= 3_670_016 + 1000, "{}", answer.encoded_len());
            seen.extend(answer.detections.into_iter().map(|found| found.id));
        }
        let held = app.count("select count(*) from companycam_photos.review_claims").await;
        assert_eq!(i64::try_from(seen.len()).unwrap(), held);
        assert!(expected.contains(&held), "{held}");
    }
}
