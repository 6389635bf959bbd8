//! Statistics of detections: what they count, for whom, and how much of it.

use photometa::pb::{self, object_edit::Edit};
use prost::Message as _;
use prost_types::{Duration, Timestamp};
use tonic::Code;
use uuid::Uuid;

use self::rows::Row;
use crate::harness::{A, App, B, Organization, Who, detection, paths, photo, reason};
use crate::random::Random;

pub mod rows;

fn time(text: &str) -> Timestamp {
    photometa::check::to_pb_time(text.parse().unwrap())
}

/// Asks for the buckets of Berlin.
fn request(bucket: pb::StatsBucket, start: &str, end: &str) -> pb::GetDetectionStatsRequest {
    pb::GetDetectionStatsRequest {
        time: Some(pb::TimeRange { start: Some(time(start)), end: Some(time(end)) }),
        bucket: bucket.into(),
        time_zone: "Europe/Berlin".to_owned(),
        ..Default::default()
    }
}

async fn ask(app: &App, who: Who, request: &pb::GetDetectionStatsRequest) -> pb::GetDetectionStatsResponse {
    app.detections(who).get_detection_stats(request.clone()).await.unwrap().into_inner()
}

/// A detection in a project, stored at some time.
async fn put(app: &App, organization: Organization, project: Uuid, given: pb::Detection, at: &str) -> String {
    let request = pb::CreatePhotoRequest { photo: Some(photo(project, &Uuid::new_v4().to_string())) };
    let service = organization.as_service();
    let photo_id = app.photos(service).create_photo(request).await.unwrap().into_inner().photo.unwrap().id;
    let request = pb::CreateDetectionRequest { detection: Some(pb::Detection { photo_id, ..given }) };
    let id = app.detections(service).create_detection(request).await.unwrap().into_inner().detection.unwrap().id;
    let set = "update companycam_photos.detections set created_at = $2 where id = $1";
    let at: jiff::Timestamp = at.parse().unwrap();
    app.postgres.execute(set, &[&id.parse::<Uuid>().unwrap(), &at]).await.unwrap();
    id
}

/// The counts of each bucket's groups.
fn counts(answer: &pb::GetDetectionStatsResponse) -> Vec<Vec<i64>> {
    answer.buckets.iter().map(|bucket| bucket.groups.iter().map(|group| group.count).collect()).collect()
}

#[tokio::test]
async fn stats_are_those_of_a_naive_count() {
    let app = App::start().await;
    let mut random = Random::seeded();
    let (ours, theirs) = (Row::several(&mut random, A, 600), Row::several(&mut random, B, 300));
    rows::store(&app.channel, &app.postgres, A, &ours).await;
    rows::store(&app.channel, &app.postgres, B, &theirs).await;

    for _ in 0..80 {
        let request = rows::request(&mut random, A);
        let (who, all) = random.pick(&[(A.as_admin(), true), (A.as_service(), true), (A.as_member(), false)]);
        let answer = ask(&app, who, &request).await;
        rows::check(&answer, ours.iter().filter(|row| all || row.project == A.house), &request);
    }
}

#[tokio::test]
async fn stats_follow_the_clock_through_days_of_23_and_25_hours() {
    let app = App::start().await;
    // 01:30 and 03:30; 02:30 twice, and the first and the last instant of that day.
    for at in ["2026-03-29T00:30Z", "2026-03-29T01:30Z"] {
        put(&app, A, A.house, detection(""), at).await;
    }
    for at in ["2026-10-24T22:00Z", "2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T22:59:59.999999Z"] {
        put(&app, A, A.house, detection(""), at).await;
    }

    let spring = ("2026-03-28T00:00Z", "2026-03-30T22:00Z");
    let days = ask(&app, A.as_member(), &request(pb::StatsBucket::Day, spring.0, spring.1)).await;
    assert_eq!(counts(&days), [[0], [2], [0]]);
    let starts: Vec<_> = days.buckets.iter().map(|bucket| bucket.start.unwrap()).collect();
    assert_eq!(starts, ["2026-03-28T00:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"].map(time));
    assert_eq!(days.buckets[2].end, Some(time(spring.1)));
    let hours = request(pb::StatsBucket::Hour, "2026-03-28T23:00Z", "2026-03-29T22:00Z");
    let hours = counts(&ask(&app, A.as_member(), &hours).await);
    assert_eq!((hours.len(), &hours[..4]), (23, &[vec![0], vec![1], vec![1], vec![0]][..]));

    let autumn = ("2026-10-24T22:00Z", "2026-10-25T23:00Z");
    let days = ask(&app, A.as_member(), &request(pb::StatsBucket::Day, autumn.0, autumn.1)).await;
    assert_eq!(counts(&days), [[4]]);
    let hours = counts(&ask(&app, A.as_member(), &request(pb::StatsBucket::Hour, autumn.0, autumn.1)).await);
    assert_eq!((hours.len(), &hours[..4]), (25, &[vec![1], vec![0], vec![1], vec![1]][..]));
    assert_eq!(hours[24], [1]);
    let weeks = request(pb::StatsBucket::Week, "2026-10-18T22:00Z", "2026-11-01T23:00Z");
    assert_eq!(counts(&ask(&app, A.as_member(), &weeks).await), [[4], [0]]);
    let months = request(pb::StatsBucket::Month, "2026-02-28T23:00Z", "2026-10-31T23:00Z");
    assert_eq!(counts(&ask(&app, A.as_member(), &months).await).concat(), [2, 0, 0, 0, 0, 0, 0, 4]);
}

#[tokio::test]
async fn stats_list_every_bucket_and_every_group_that_occurs() {
    let app = App::start().await;
    let mut days = request(pb::StatsBucket::Day, "2026-06-01T00:00Z", "2026-06-03T00:00Z");
    days.time_zone = String::new();
    let by_type = pb::GetDetectionStatsRequest { group_by: vec![1], ..days.clone() };

    let empty = ask(&app, A.as_member(), &days).await;
    assert_eq!(counts(&empty), [[0], [0]]);
    let nothing = pb::DetectionStats { keys: Some(pb::DetectionStatsKeys::default()), ..Default::default() };
    assert_eq!(empty.buckets[1].groups, [nothing]);
    assert_eq!(counts(&ask(&app, A.as_member(), &by_type).await), [const { Vec::<i64>::new() }; 2]);

    put(&app, A, A.house, detection(""), "2026-06-01T10:00Z").await;
    let bare = pb::Detection { results: None, processing_time: None, detection_type: 3, ..detection("") };
    put(&app, A, A.house, bare, "2026-06-02T10:00Z").await;
    put(&app, A, A.house, pb::Detection { detection_type: 2, ..detection("") }, "2026-06-03T00:00Z").await;

    let answer = ask(&app, A.as_member(), &by_type).await;
    assert_eq!(counts(&answer), [[1, 0], [0, 1]]);
    let known = &answer.buckets[0].groups[0];
    assert_eq!(known.keys.as_ref().unwrap().detection_type(), pb::DetectionType::Damage);
    assert_eq!((known.objects, known.mean_confidence), (1, Some(0.75)));
    let quarter = Some(Duration { seconds: 0, nanos: 250_000_000 });
    assert_eq!((known.p50_processing_time, known.p95_processing_time), (quarter, quarter));
    let unknown = &answer.buckets[1].groups[1];
    assert_eq!((unknown.objects, unknown.mean_confidence, unknown.p50_processing_time), (0, None, None));
}

#[tokio::test]
async fn stats_tell_the_newest_verdicts_on_what_is_there() {
    let app = App::start().await;
    let day = request(pb::StatsBucket::Day, "2026-06-01T00:00Z", "2026-06-01T12:00Z");
    let ids = [
        put(&app, A, A.house, detection(""), "2026-06-01T10:00Z").await,
        put(&app, A, A.house, detection(""), "2026-06-01T10:00Z").await,
    ];
    let verdicts = async || {
        let answer = ask(&app, A.as_admin(), &day).await;
        let group = &answer.buckets[0].groups[0];
        (group.count, group.confirmed, group.corrected, group.rejected)
    };
    let review = async |id: &str, verdict: pb::Verdict| {
        let feedback = pb::Feedback { detection_id: id.to_owned(), verdict: verdict.into(), ..Default::default() };
        let request = pb::CreateFeedbackRequest { feedback: Some(feedback), detection_etag: String::new() };
        app.feedback(A.as_member()).create_feedback(request).await.unwrap();
    };

    assert_eq!(verdicts().await, (2, 0, 0, 0));
    review(&ids[0], pb::Verdict::Confirm).await;
    review(&ids[1], pb::Verdict::Confirm).await;
    assert_eq!(verdicts().await, (2, 2, 0, 0));
    review(&ids[0], pb::Verdict::Reject).await;
    assert_eq!(verdicts().await, (2, 1, 0, 1));
    let request = pb::DeleteDetectionRequest { id: ids[0].clone(), include_reviewed: true, ..Default::default() };
    app.detections(A.as_service()).delete_detection(request).await.unwrap();
    assert_eq!(verdicts().await, (1, 1, 0, 0));
}

#[tokio::test]
async fn stats_tell_which_version_of_a_model_is_better() {
    let app = App::start().await;
    let of_version = |version: &str| pb::Detection { model_version: version.to_owned(), ..detection("") };
    let say = async |id: &str, verdict: pb::Verdict, edits: Vec<Edit>| {
        let edits = edits.into_iter().map(|edit| pb::ObjectEdit { edit: Some(edit) }).collect();
        let feedback =
            pb::Feedback { detection_id: id.to_owned(), verdict: verdict.into(), edits, ..Default::default() };
        let request = pb::CreateFeedbackRequest { feedback: Some(feedback), ..Default::default() };
        app.feedback(A.as_member()).create_feedback(request).await.unwrap();
    };
    // The model's box is a half wide, from a quarter on: so much further to the right, half of it is in both.
    let moved = |x| {
        let r#box = Some(pb::BoundingBox { x, y: 0.25, width: 0.5, height: 0.25 });
        vec![Edit::Move(pb::MoveObject { object_id: "o1".to_owned(), r#box })]
    };
    for (version, answers) in [
        (
            "cracks-1",
            vec![(pb::Verdict::Correct, moved(0.5)), (pb::Verdict::Reject, vec![]), (pb::Verdict::Confirm, vec![])],
        ),
        (
            "cracks-2",
            vec![(pb::Verdict::Correct, moved(0.25)), (pb::Verdict::Confirm, vec![]), (pb::Verdict::Confirm, vec![])],
        ),
        ("cracks-3", vec![]),
    ] {
        put(&app, A, A.house, of_version(version), "2026-06-01T10:00Z").await;
        for (verdict, edits) in answers {
            let id = put(&app, A, A.house, of_version(version), "2026-06-01T10:00Z").await;
            let corrected = !edits.is_empty();
            say(&id, verdict, edits).await;
            if corrected {
                // What was corrected is confirmed: the model had it wrong all the same.
                say(&id, pb::Verdict::Confirm, vec![]).await;
            }
        }
    }

    let by_version = pb::GetDetectionStatsRequest {
        group_by: vec![pb::StatsGroup::ModelVersion.into()],
        ..request(pb::StatsBucket::Day, "2026-06-01T00:00Z", "2026-06-01T12:00Z")
    };
    let answer = ask(&app, A.as_admin(), &by_version).await;

    let rounded = |number: f64| (number * 1e9).round() / 1e9;
    let found: Vec<_> = answer.buckets[0]
        .groups
        .iter()
        .map(|group| {
            let counts = (group.count, group.confirmed, group.corrected, group.rejected, group.moved_objects);
            (counts, group.acceptance_rate.map(rounded), group.mean_iou.map(rounded))
        })
        .collect();
    let third = |number: f64| Some(rounded(number / 3.0));
    assert_eq!(
        found,
        [
            ((4, 2, 0, 1, 1), third(1.0), third(1.0)),
            ((4, 3, 0, 0, 1), third(2.0), Some(1.0)),
            ((1, 0, 0, 0, 0), None, None)
        ]
    );
}

#[tokio::test]
async fn stats_show_people_their_projects_and_organizations_apart() {
    let app = App::start().await;
    for (organization, project, model) in [(A, A.house, "ours"), (A, A.bridge, "ours too"), (B, B.house, "theirs")] {
        let given = pb::Detection { model_version: model.to_owned(), ..detection("") };
        put(&app, organization, project, given, "2026-06-01T10:00Z").await;
    }
    let by_model = |project_ids: &[Uuid]| pb::GetDetectionStatsRequest {
        group_by: vec![2, 3],
        project_ids: project_ids.iter().map(Uuid::to_string).collect(),
        ..request(pb::StatsBucket::Day, "2026-06-01T00:00Z", "2026-06-01T12:00Z")
    };

    for (who, project_ids, expected) in [
        (A.as_admin(), &[][..], &[("ours", A.house), ("ours too", A.bridge)][..]),
        (A.as_member(), &[], &[("ours", A.house)]),
        (A.as_outsider(), &[], &[("ours too", A.bridge)]),
        (A.as_service(), &[A.bridge], &[("ours too", A.bridge)]),
        (A.as_member(), &[A.house, A.bridge], &[("ours", A.house)]),
        (A.as_member(), &[A.bridge], &[]),
        (A.as_admin(), &[B.house], &[]),
        (B.as_admin(), &[], &[("theirs", B.house)]),
    ] {
        let answer = ask(&app, who, &by_model(project_ids)).await;
        let found = answer.buckets[0].groups.iter().map(|group| {
            let keys = group.keys.clone().unwrap();
            (keys.model_version.unwrap(), keys.project_id.unwrap())
        });
        let expected: Vec<_> = expected.iter().map(|(model, id)| ((*model).to_owned(), id.to_string())).collect();
        assert_eq!(found.collect::<Vec<_>>(), expected, "{who:?} {project_ids:?}");
    }
}

#[tokio::test]
async fn stats_of_too_many_buckets_say_how_many_there_would_be() {
    let app = App::start().await;
    let day = 24 * 3600;
    let hours = |seconds| pb::GetDetectionStatsRequest {
        time: Some(pb::TimeRange { start: Some(Timestamp::default()), end: Some(Timestamp { seconds, nanos: 0 }) }),
        ..request(pb::StatsBucket::Hour, "1970-01-01T00:00Z", "1970-01-01T00:00Z")
    };

    assert_eq!(ask(&app, A.as_member(), &hours(2000 * 3600)).await.buckets.len(), 2000);
    for (seconds, count) in [(2000 * 3600 + 1, 2001), (365 * day, 8760), (253_402_207_200, 70_389_502)] {
        let status = app.detections(A.as_member()).get_detection_stats(hours(seconds)).await.unwrap_err();
        let told = format!("bucket cuts time into {count}; 2000 are allowed: choose a longer one, or a shorter time");
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, told.as_str()));
    }
}

#[tokio::test]
async fn stats_of_too_many_groups_say_what_to_change() {
    let app = App::start().await;
    let (start, end) = ("2026-06-01T00:00Z", "2026-07-12T16:00Z");
    let models = pb::GetDetectionStatsRequest { group_by: vec![2], ..request(pb::StatsBucket::Hour, start, end) };
    let id = put(&app, A, A.house, detection(""), start).await;
    // Copies of the first one, each by a model of its own.
    let copies = async |least: i32, most: i32, name: &str| {
        let copy = "insert into companycam_photos.detections
                    select (jsonb_populate_record(d, jsonb_build_object('id', gen_random_uuid(), 'model_version', $4 || n))).*
                    from companycam_photos.detections d, generate_series($2::int, $3::int) n where d.id = $1";
        app.postgres.execute(copy, &[&id.parse::<Uuid>().unwrap(), &least, &most, &name]).await.unwrap();
    };
    let refused = async |request: &pb::GetDetectionStatsRequest, told: &str| {
        let status = app.detections(A.as_admin()).get_detection_stats(request.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
        assert_eq!(paths(&status), ["group_by"]);
        assert!(status.message().contains(told) && status.message().contains("a longer bucket"), "{status:?}");
    };

    // A thousand hours.
    copies(2, 10, "m").await;
    let answer = ask(&app, A.as_admin(), &models).await;
    assert_eq!((answer.buckets.len(), answer.buckets[999].groups.len()), (1000, 10));
    copies(11, 11, "m").await;
    refused(&models, "11 groups in 1000 buckets").await;

    // Few enough, and too long.
    let models = pb::GetDetectionStatsRequest { group_by: vec![2, 3], ..models };
    app.postgres.execute("delete from companycam_photos.detections where model_version like 'm%'", &[]).await.unwrap();
    copies(11, 18, &"\u{1f3d7}".repeat(98)).await;
    let answer = ask(&app, A.as_admin(), &models).await;
    assert!(answer.encoded_len() > 3_500_000, "{}", answer.encoded_len());
    copies(19, 19, &"\u{1f3d7}".repeat(98)).await;
    refused(&models, "bytes to answer").await;

    // More than are read.
    copies(20, 10_030, "m").await;
    let week = pb::GetDetectionStatsRequest { group_by: vec![2], ..request(pb::StatsBucket::Week, start, end) };
    refused(&week, "10001 groups or more in 6 buckets").await;
}
