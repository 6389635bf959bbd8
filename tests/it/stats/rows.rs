//! Detections by chance, how they are stored through the API, and what a naive count makes of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use photometa::check::to_pb_time;
use photometa::pb;
use tokio_postgres::Client;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::harness::{Bearer, Organization, Who, detection, object, photo, token};
use crate::random::Random;

/// Instants about which clocks are changed: in Berlin and Beirut, in New York, on Lord Howe, in São Paulo, in Apia.
pub const CHANGES: [&str; 8] = [
    "2026-03-29T00:30:00.25Z",
    "2026-10-25T00:59:59.999999Z",
    "2026-11-01T06:00:00Z",
    "2026-04-04T15:00:00Z",
    "2026-10-03T15:30:00Z",
    "2018-11-04T03:00:00Z",
    "2019-02-17T02:00:00Z",
    "2011-12-30T10:00:00Z",
];
/// Zones that change their clocks then, or have odd hours; the first one is UTC.
pub const ZONES: [&str; 9] = [
    "",
    "Europe/Berlin",
    "Asia/Beirut",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/St_Johns",
];
/// Groupings, one of each kind.
pub const GROUPINGS: [&[i32]; 6] = [&[], &[1], &[2], &[3], &[3, 1], &[1, 2, 3]];

/// One detection.
#[derive(Debug, Clone)]
pub struct Row {
    /// When it was stored.
    pub at: Timestamp,
    /// Of its photo.
    pub project: Uuid,
    kind: i32,
    model: &'static str,
    objects: usize,
    confidence: Option<f64>,
    milliseconds: Option<i32>,
    verdict: Option<pb::Verdict>,
}

impl Row {
    /// One by chance, stored at some time.
    pub fn random(random: &mut Random, organization: Organization, at: Timestamp) -> Self {
        let confidence = [None, Some(0.0), Some(1.0), Some(0.125), Some(f64::from(random.number(1000)) / 1000.0)];
        let milliseconds = [None, Some(1), Some(random.number(5) + 1), Some(random.number(100_000) + 1)];
        let verdict = [None, None, Some(pb::Verdict::Confirm), Some(pb::Verdict::Reject), Some(pb::Verdict::Correct)];
        Self {
            at,
            project: random.pick(&[organization.house, organization.bridge]),
            kind: random.number(3) + 1,
            model: random.pick(&["a", "b-2", "b-10", "modèle", "π"]),
            objects: random.below(4),
            confidence: random.pick(&confidence),
            milliseconds: random.pick(&milliseconds),
            verdict: random.pick(&verdict),
        }
    }

    /// Many of them, about the changes.
    pub fn several(random: &mut Random, organization: Organization, count: usize) -> Vec<Self> {
        let row = |_| {
            let hours = random.pick(&[3, 72, 60 * 24]);
            let at = about(random, hours);
            Self::random(random, organization, at)
        };
        (0..count).map(row).collect()
    }

    fn keys(&self, group_by: &[i32]) -> Keys {
        let by = |group: pb::StatsGroup| group_by.contains(&i32::from(group));
        (
            if by(pb::StatsGroup::Type) { self.kind } else { 0 },
            by(pb::StatsGroup::ModelVersion).then(|| self.model.to_owned()),
            by(pb::StatsGroup::Project).then(|| self.project.to_string()),
        )
    }
}

/// An instant at most so many hours before or after one of the changes.
fn about(random: &mut Random, hours: i32) -> Timestamp {
    let change: Timestamp = random.pick(&CHANGES).parse().unwrap();
    let seconds = random.number(2 * hours * 3600) - hours * 3600;
    change + SignedDuration::from_secs(seconds.into())
}

/// A request by chance, of few enough buckets.
pub fn request(random: &mut Random, organization: Organization) -> pb::GetDetectionStatsRequest {
    let bucket = random.number(4) + 1;
    let hours = [24, 40 * 24, 60 * 24, 90 * 24][usize::try_from(bucket).unwrap() - 1];
    let start = about(random, hours);
    let end = start + SignedDuration::from_secs((random.number(hours * 3600) + 1).into());
    let projects = [vec![], vec![organization.house], vec![organization.house, organization.bridge, Uuid::now_v7()]];
    pb::GetDetectionStatsRequest {
        time: Some(pb::TimeRange { start: Some(to_pb_time(start)), end: Some(to_pb_time(end)) }),
        bucket,
        time_zone: random.pick(&ZONES).to_owned(),
        group_by: random.pick(&GROUPINGS).to_vec(),
        project_ids: projects[random.below(3)].iter().map(Uuid::to_string).collect(),
    }
}

type Authenticated = InterceptedService<Channel, Bearer>;

/// Somebody at a service.
pub fn authenticated(channel: &Channel, who: Who) -> Authenticated {
    InterceptedService::new(channel.clone(), Bearer::new(&format!("Bearer {}", token(who))))
}

/// Stores them, with people's verdicts; only their times are set past the API.
pub async fn store(channel: &Channel, postgres: &Client, organization: Organization, rows: &[Row]) {
    let service = authenticated(channel, organization.as_service());
    let mut photos = pb::photo_service_client::PhotoServiceClient::new(service.clone());
    let mut photo_ids = BTreeMap::new();
    for project in [organization.house, organization.bridge] {
        let request = pb::CreatePhotoRequest { photo: Some(photo(project, &format!("{project}.jpg"))) };
        photo_ids.insert(project, photos.create_photo(request).await.unwrap().into_inner().photo.unwrap().id);
    }
    let detections = rows.iter().map(|row| pb::Detection {
        detection_type: row.kind,
        model_version: row.model.to_owned(),
        results: Some(pb::DetectionResults {
            objects: vec![pb::DetectedObject { label: "crack".to_owned(), ..Default::default() }; row.objects],
            extra: None,
        }),
        confidence: row.confidence,
        processing_time: row.milliseconds.map(duration),
        ..detection(&photo_ids[&row.project])
    });
    let request = pb::BatchCreateDetectionsRequest { detections: detections.collect(), partial: false };
    let mut client = pb::detection_service_client::DetectionServiceClient::new(service);
    let results = client.batch_create_detections(request).await.unwrap().into_inner().results;
    let ids: Vec<String> = results.into_iter().map(|result| result.detection.unwrap().id).collect();
    review(channel, organization, rows.iter().zip(&ids)).await;

    let set = "update companycam_photos.detections d set created_at = u.at
               from unnest($1::text[], $2::timestamptz[]) as u (id, at) where d.id = u.id::uuid";
    let times: Vec<Timestamp> = rows.iter().map(|row| row.at).collect();
    postgres.execute(set, &[&ids, &times]).await.unwrap();
}

async fn review(channel: &Channel, organization: Organization, rows: impl Iterator<Item = (&Row, &String)>) {
    let admin = authenticated(channel, organization.as_admin());
    let mut people = pb::feedback_service_client::FeedbackServiceClient::new(admin);
    let add = pb::object_edit::Edit::Add(pb::AddObject { object: Some(object("missed")) });
    let feedback = rows.filter_map(|(row, id)| {
        let verdict = row.verdict?;
        let edits =
            if verdict == pb::Verdict::Correct { vec![pb::ObjectEdit { edit: Some(add.clone()) }] } else { vec![] };
        Some(pb::Feedback { detection_id: id.clone(), verdict: verdict.into(), edits, ..Default::default() })
    });
    for feedback in feedback.collect::<Vec<_>>().chunks(200) {
        let request = pb::BatchCreateFeedbackRequest { feedback: feedback.to_vec(), ..Default::default() };
        people.batch_create_feedback(request).await.unwrap();
    }
}

fn duration(milliseconds: i32) -> prost_types::Duration {
    prost_types::Duration { seconds: (milliseconds / 1000).into(), nanos: milliseconds % 1000 * 1_000_000 }
}

/// Type, model version and project.
type Keys = (i32, Option<String>, Option<String>);
/// What a zone's clock shows all through a bucket, and its difference from UTC if that is an hour.
type Label = (String, i32);

fn label(zone: &TimeZone, bucket: pb::StatsBucket, at: Timestamp) -> Label {
    let shown = at.to_zoned(zone.clone());
    match bucket {
        pb::StatsBucket::Hour => (shown.strftime("%F %H").to_string(), shown.offset().seconds()),
        pb::StatsBucket::Day => (shown.strftime("%F").to_string(), 0),
        pb::StatsBucket::Week => (shown.strftime("%G-%V").to_string(), 0),
        pb::StatsBucket::Month => (shown.strftime("%Y-%m").to_string(), 0),
        pb::StatsBucket::Unspecified => panic!("a bucket"),
    }
}

fn count(rows: &[&Row]) -> pb::DetectionStats {
    let number = |count: usize| i64::try_from(count).unwrap();
    let of = |verdict| number(rows.iter().filter(|row| row.verdict == Some(verdict)).count());
    let mut times: Vec<i32> = rows.iter().filter_map(|row| row.milliseconds).collect();
    times.sort_unstable();
    let rank =
        |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied().map(duration);
    pb::DetectionStats {
        keys: None,
        count: number(rows.len()),
        objects: number(rows.iter().map(|row| row.objects).sum()),
        mean_confidence: None,
        p50_processing_time: rank(50),
        p95_processing_time: rank(95),
        confirmed: of(pb::Verdict::Confirm),
        corrected: of(pb::Verdict::Correct),
        rejected: of(pb::Verdict::Reject),
        acceptance_rate: share(of(pb::Verdict::Confirm), rows.iter().filter(|row| row.verdict.is_some()).count()),
        moved_objects: 0,
        mean_iou: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn share(part: i64, all: usize) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

fn mean(rows: &[&Row]) -> Option<f64> {
    let known: Vec<f64> = rows.iter().filter_map(|row| row.confidence).collect();
    let count = f64::from(u32::try_from(known.len()).unwrap());
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / count)
}

/// Asserts that an answer tells of these rows what the request asks.
pub fn check<'a>(
    answer: &pb::GetDetectionStatsResponse,
    rows: impl Iterator<Item = &'a Row>,
    request: &pb::GetDetectionStatsRequest,
) {
    let instant = |time: &Option<prost_types::Timestamp>| {
        let time = time.as_ref().unwrap();
        Timestamp::new(time.seconds, time.nanos).unwrap()
    };
    let time = request.time.as_ref().unwrap();
    let (first, last) = (instant(&time.start), instant(&time.end));
    let named = if request.time_zone.is_empty() { "UTC" } else { &request.time_zone };
    let zone = TimeZoneDatabase::bundled().get(named).unwrap();
    let label = |at| label(&zone, request.bucket(), at);

    let mut cells: BTreeMap<(Label, Keys), Vec<&Row>> = BTreeMap::new();
    let asked = |row: &&Row| request.project_ids.is_empty() || request.project_ids.contains(&row.project.to_string());
    for row in rows.filter(asked).filter(|row| (first..last).contains(&row.at)) {
        cells.entry((label(row.at), row.keys(&request.group_by))).or_default().push(row);
    }
    let mut groups: BTreeSet<Keys> = cells.keys().map(|(_, keys)| keys.clone()).collect();
    if request.group_by.is_empty() {
        groups.insert((0, None, None));
    }
    let (mut reached, mut seen) = (first, BTreeSet::new());
    for bucket in &answer.buckets {
        let (start, end) = (instant(&bucket.start), instant(&bucket.end));
        assert_eq!(start, reached, "{request:?}");
        assert!(start < end && seen.insert(label(start)), "{start} in {request:?}");
        assert_eq!(label(start), label(end - SignedDuration::from_micros(1)), "{start} in {request:?}");
        assert_eq!(bucket.groups.len(), groups.len(), "{request:?}");
        for (found, expected) in bucket.groups.iter().zip(&groups) {
            let keys = found.keys.clone().unwrap();
            assert_eq!((keys.detection_type, keys.model_version, keys.project_id), *expected);
            let rows = cells.remove(&(label(start), expected.clone())).unwrap_or_default();
            let numbers = pb::DetectionStats { keys: None, mean_confidence: None, ..found.clone() };
            assert_eq!(numbers, count(&rows), "{expected:?} from {start} on in {request:?}");
            let (found, expected) = (found.mean_confidence, mean(&rows));
            assert_eq!(found.is_some(), expected.is_some(), "{request:?}");
            assert!(
                found.zip(expected).is_none_or(|(found, expected)| (found - expected).abs() < 1e-12),
                "{request:?}"
            );
        }
        reached = end;
    }
    assert_eq!(reached, last, "{request:?}");
    assert!(cells.is_empty(), "not told: {cells:?} of {request:?}");
}
