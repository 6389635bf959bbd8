//! Makes an organization's rows at random, full of ties, edges, nulls and look-alikes; through the API, but for times and
//! crowds.

use jiff::Timestamp;
use photometa::auth::Role;
use photometa::pb;
use uuid::Uuid;

use super::rows::{Detection, Feedback, Photo, World, time};
use crate::harness::{App, Organization, Who, object};
use crate::random::Random;

/// Starts of keys, with what LIKE would take for a pattern.
pub const PREFIXES: [&str; 9] =
    ["site/", "site/a_", "site/a%", "site\\", "Site/", "städte/é", "städte/", "%", "日本/_"];
/// Tags in the spellings in which they are written.
pub const SPELLINGS: [&str; 16] = [
    "Roof",
    "roof",
    "ROOF",
    "Roof east",
    "Crépi",
    "crépi",
    "ÉTAGE 1",
    "étage 1",
    "a_b",
    "a%b",
    "A%B",
    "wall",
    "water",
    "Water damage",
    "ß",
    "日本",
];
/// Models.
pub const MODELS: [&str; 5] = ["cracks-1", "cracks-2", "Cracks-1", "модель", "slow"];
/// What they look for.
pub const TYPES: [pb::DetectionType; 3] =
    [pb::DetectionType::Damage, pb::DetectionType::Material, pb::DetectionType::Volume];
/// What they call it.
pub const LABELS: [&str; 6] = ["crack", "Crack", "rust", "brick", "crack ", "ржавчина"];
/// How sure they are.
pub const CONFIDENCES: [Option<f64>; 7] = [None, None, Some(0.0), Some(0.25), Some(0.5), Some(0.75), Some(1.0)];
/// Degrees north.
pub const LATITUDES: [f64; 6] = [-90.0, -10.5, 0.0, 47.0, 47.5, 90.0];
/// Degrees east, many of them near the 180th meridian.
pub const LONGITUDES: [f64; 8] = [-180.0, -179.9, -170.0, -10.0, 0.0, 8.5, 179.9, 180.0];

/// 2026-01-01, in microseconds.
const NEW_YEAR: i64 = 1_767_225_600_000_000;
const MINUTE: i64 = 60_000_000;
const YEAR: i64 = 525_960 * MINUTE;

/// Somebody who may do everything in an organization.
pub fn admin(organization: Organization, subject: Uuid) -> Who {
    Who { role: Role::OrgAdmin, organization: Some(organization.id), subject }
}

impl World {
    /// Makes an organization with so many photos, and two or three detections on each.
    pub async fn grow(app: &App, organization: Organization, photos: usize, random: &mut Random) -> Self {
        let mut world = Self::directory(app, organization, random).await;
        for number in 0..photos {
            let photo = photo(&world, number, random);
            world.photos.push(photo);
        }
        for _ in 0..photos * 5 / 2 {
            let photo = &world.photos[random.below(photos)];
            let detection = detection(photo, random);
            world.detections.push(detection);
        }
        for batch in world.photos.chunks(1000) {
            create_photos(app, &world, batch).await;
        }
        for batch in world.detections.chunks(1000) {
            create_detections(app, &world, batch).await;
        }
        world.tag(app, random).await;
        world.review(app, random).await;
        world.set_times(app).await;
        app.postgres.batch_execute("analyze").await.unwrap();
        world
    }

    /// Projects and people: more than sixteen of each, and two people who are members of some.
    async fn directory(app: &App, organization: Organization, random: &mut Random) -> Self {
        let Organization { house, bridge, admin, member, outsider, .. } = organization;
        let mut projects = vec![house, bridge];
        let mut people = vec![admin, member, outsider];
        let mut members = vec![(member, house), (outsider, bridge)];
        for number in 0..20 {
            let (project, user) = (random.uuid(), random.uuid());
            let new = pb::Project { id: project.to_string(), name: format!("Site {number}"), ..Default::default() };
            let request = pb::CreateProjectRequest { project: Some(new) };
            app.projects(organization.as_admin()).create_project(request).await.unwrap();
            let new = pb::User { id: user.to_string(), email: format!("{user}@example.com"), ..Default::default() };
            let request = pb::CreateUserRequest { user: Some(new) };
            app.users(organization.as_admin()).create_user(request).await.unwrap();
            let joins = random.pick(&[member, member, outsider]);
            if random.one_in(2) {
                let request =
                    pb::AddProjectMembersRequest { project_id: project.to_string(), user_ids: vec![joins.to_string()] };
                app.projects(organization.as_admin()).add_project_members(request).await.unwrap();
                members.push((joins, project));
            }
            projects.push(project);
            people.push(user);
        }
        let (photos, detections, feedback) = Default::default();
        Self { organization, projects, people, members, photos, detections, feedback }
    }

    /// Puts each spelling on some photos, as people's and as models'. A photo keeps the first spelling of a tag from
    /// each of them.
    async fn tag(&mut self, app: &App, random: &mut Random) {
        let mut spellings = SPELLINGS;
        random.shuffle(&mut spellings);
        for (spelling, ai) in spellings.into_iter().flat_map(|spelling| [(spelling, false), (spelling, true)]) {
            let rare = random.pick(&[3, 8, 40]);
            let mut photo_ids = Vec::new();
            for photo in &mut self.photos {
                if !random.one_in(rare) {
                    continue;
                }
                photo_ids.push(photo.id.to_string());
                let known = |(tag, by): &(String, bool)| *by == ai && tag.to_lowercase() == spelling.to_lowercase();
                if !photo.tags.iter().any(known) {
                    photo.tags.push((spelling.to_owned(), ai));
                }
            }
            if !photo_ids.is_empty() {
                add_tag(app, self.organization, photo_ids, spelling, ai).await.unwrap();
            }
        }
    }

    /// Says something of a third of the detections, and of some of them once more.
    async fn review(&mut self, app: &App, random: &mut Random) {
        for (reviewer, rare) in [(0, 4), (3, 8), (0, 12)] {
            let user = self.people[reviewer];
            let mut given = Vec::new();
            for detection in &mut self.detections {
                if !random.one_in(rare) {
                    continue;
                }
                let verdict = random.pick(&[pb::Verdict::Confirm, pb::Verdict::Reject, pb::Verdict::Correct]);
                detection.verdict = Some(verdict);
                given.push(Feedback {
                    id: random.uuid(),
                    detection: detection.id,
                    photo: detection.photo,
                    project: detection.project,
                    user,
                    verdict,
                    created: NEW_YEAR + MINUTE * i64::from(random.number(30)),
                });
            }
            for some in given.chunks(200) {
                let feedback = some.iter().map(said).collect();
                let request = pb::BatchCreateFeedbackRequest { feedback, ..Default::default() };
                app.feedback(admin(self.organization, user)).batch_create_feedback(request).await.unwrap();
            }
            self.feedback.extend(given);
        }
    }

    /// Sets when everything was created, in the rows and in every copy.
    async fn set_times(&self, app: &App) {
        let photos = self.photos.iter().map(|photo| (photo.id, photo.created));
        let detections = self.detections.iter().map(|detection| (detection.id, detection.created));
        let feedback = self.feedback.iter().map(|feedback| (feedback.id, feedback.created));
        set(app, "photos", photos.collect()).await;
        set(app, "detections", detections.collect()).await;
        set(app, "feedback", feedback.collect()).await;
        for table in ["detections", "tags", "detection_labels"] {
            let copy = format!(
                "update companycam_photos.{table} x set photo_created_at = p.created_at from companycam_photos.photos p
                 where p.organization_id = x.organization_id and p.id = x.photo_id"
            );
            app.postgres.batch_execute(&copy).await.unwrap();
        }
    }
}

async fn set(app: &App, table: &str, times: Vec<(Uuid, i64)>) {
    let (ids, times): (Vec<Uuid>, Vec<i64>) = times.into_iter().unzip();
    let times: Vec<Timestamp> = times.into_iter().map(|time| Timestamp::from_microsecond(time).unwrap()).collect();
    let update = format!(
        "update companycam_photos.{table} x set created_at = u.created_at
         from unnest($1::uuid[], $2::timestamptz[]) u (id, created_at) where x.id = u.id"
    );
    app.postgres.execute(&update, &[&ids, &times]).await.unwrap();
}

/// Makes up a photo; nothing is created.
pub fn photo(world: &World, number: usize, random: &mut Random) -> Photo {
    let created = match random.below(10) {
        0 => NEW_YEAR + YEAR * i64::from(random.number(90) - 45),
        // Neighbours a microsecond apart.
        1 => NEW_YEAR + i64::from(random.number(3)),
        _ => NEW_YEAR + 10 * MINUTE * i64::from(random.number(50)),
    };
    let people = &world.people[..random.pick(&[3, world.people.len()])];
    Photo {
        id: random.uuid(),
        // Half of them in the first four projects.
        project: if random.one_in(2) { world.projects[random.below(4)] } else { random.pick(&world.projects) },
        user: (!random.one_in(4)).then(|| random.pick(people)),
        s3_key: format!("{}{number:04}", random.pick(&PREFIXES)),
        created,
        captured: (!random.one_in(4)).then(|| NEW_YEAR + 60 * MINUTE * i64::from(random.number(40) - 20)),
        uploaded: random.pick(&[NEW_YEAR, NEW_YEAR - 30 * YEAR]) + MINUTE * i64::from(random.number(60)),
        place: (!random.one_in(4)).then(|| (random.pick(&LATITUDES), random.pick(&LONGITUDES))),
        tags: Vec::new(),
    }
}

/// Makes up a detection on a photo; nothing is created.
pub fn detection(photo: &Photo, random: &mut Random) -> Detection {
    Detection {
        id: random.uuid(),
        photo: photo.id,
        project: photo.project,
        kind: random.pick(&TYPES),
        model: random.pick(&MODELS).to_owned(),
        confidence: random.pick(&CONFIDENCES),
        labels: (0..random.below(4)).map(|_| random.pick(&LABELS).to_owned()).collect(),
        created: NEW_YEAR + MINUTE * i64::from(random.number(80)),
        verdict: None,
    }
}

/// Registers photos.
pub async fn create_photos(app: &App, world: &World, photos: &[Photo]) {
    let shown = |photo: &Photo| pb::Photo {
        id: photo.id.to_string(),
        project_id: photo.project.to_string(),
        user_id: photo.user.map(|user| user.to_string()).unwrap_or_default(),
        s3_url: "https://example.com/a.jpg".to_owned(),
        s3_key: photo.s3_key.clone(),
        capture_time: photo.captured.map(time),
        upload_time: Some(time(photo.uploaded)),
        latitude: photo.place.map(|(latitude, _)| latitude),
        longitude: photo.place.map(|(_, longitude)| longitude),
        ..Default::default()
    };
    let request = pb::BatchCreatePhotosRequest { photos: photos.iter().map(shown).collect(), partial: false };
    app.photos(world.organization.as_service()).batch_create_photos(request).await.unwrap();
}

/// Stores detections.
pub async fn create_detections(app: &App, world: &World, detections: &[Detection]) {
    let detections = detections.iter().map(shown).collect();
    let request = pb::BatchCreateDetectionsRequest { detections, partial: false };
    app.detections(world.organization.as_service()).batch_create_detections(request).await.unwrap();
}

/// A detection as workers send it.
pub fn shown(detection: &Detection) -> pb::Detection {
    let objects = (1..).zip(&detection.labels).map(|(number, label)| pb::DetectedObject {
        label: label.clone(),
        confidence: None,
        ..object(&format!("o{number}"))
    });
    pb::Detection {
        id: detection.id.to_string(),
        photo_id: detection.photo.to_string(),
        detection_type: detection.kind.into(),
        model_version: detection.model.clone(),
        results: Some(pb::DetectionResults { objects: objects.collect(), extra: None }),
        confidence: detection.confidence,
        ..Default::default()
    }
}

/// Feedback as people send it.
pub fn said(feedback: &Feedback) -> pb::Feedback {
    let add = pb::object_edit::Edit::Add(pb::AddObject { object: Some(object(&feedback.id.to_string())) });
    let edits = vec![pb::ObjectEdit { edit: Some(add) }];
    pb::Feedback {
        id: feedback.id.to_string(),
        detection_id: feedback.detection.to_string(),
        verdict: feedback.verdict.into(),
        edits: if feedback.verdict == pb::Verdict::Correct { edits } else { Vec::new() },
        ..Default::default()
    }
}

/// Puts a tag on photos, as a person or as a model.
pub async fn add_tag(
    app: &App,
    organization: Organization,
    photo_ids: Vec<String>,
    tag: &str,
    ai: bool,
) -> Result<(), tonic::Status> {
    let who = if ai { organization.as_service() } else { organization.as_admin() };
    let tags = vec![pb::Tag { tag: tag.to_owned(), ..Default::default() }];
    app.tags(who).add_tags(pb::AddTagsRequest { photo_ids, tags }).await.map(drop)
}
