//! Lists walked while others write: what was there throughout is shown once and in order, whatever comes and goes.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use photometa::pb;
use prost_types::FieldMask;
use tokio::sync::Notify;
use tonic::{Code, Status};
use uuid::Uuid;

use super::grow::{LABELS, add_tag, create_photos, detection, photo, said};
use super::request::Request;
use super::rows::{Feedback, Photo, World, time};
use crate::harness::{A, App, Who};
use crate::random::Random;

const SIZE: i32 = 7;
const WRITERS: usize = 2;
/// Tags that come and go.
const WORDS: [&str; 2] = ["roof", "wall"];

/// What writers share.
struct Site<'a> {
    app: &'a App,
    /// Everything that was ever there, as it first was.
    ever: RefCell<World>,
    /// Photos that writers may change and delete, and of which they have not deleted.
    touched: RefCell<Vec<Photo>>,
    /// How many writes there were.
    written: Cell<usize>,
    progress: Notify,
    done: Cell<bool>,
}

impl Site<'_> {
    async fn write(&self, random: &mut Random) {
        while !self.done.get() {
            match self.write_once(random).await {
                Ok(()) => {
                    self.written.set(self.written.get() + 1);
                    self.progress.notify_one();
                }
                // Another writer deleted it.
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => panic!("{status:?}"),
            }
        }
    }

    async fn write_once(&self, random: &mut Random) -> Result<(), Status> {
        let photo = {
            let touched = self.touched.borrow();
            (!touched.is_empty()).then(|| touched[random.below(touched.len())].clone())
        };
        let Some(photo) = photo.filter(|_| !random.one_in(4)) else { return self.create(random).await };
        let photo_ids = vec![photo.id.to_string()];
        match random.below(6) {
            0 => {
                self.touched.borrow_mut().retain(|other| other.id != photo.id);
                let request = pb::DeletePhotoRequest { id: photo.id.to_string(), etag: String::new() };
                self.app.photos(A.as_service()).delete_photo(request).await.map(drop)
            }
            1 => add_tag(self.app, A, photo_ids, random.pick(&WORDS), random.one_in(2)).await,
            2 => {
                let tags = WORDS.map(str::to_owned).to_vec();
                let request = pb::RemoveTagsRequest { photo_ids, tags, source: 0 };
                self.app.tags(A.as_admin()).remove_tags(request).await.map(drop)
            }
            3 => self.detect(&photo, random).await,
            4 => self.review(&photo, random).await,
            _ => {
                let capture_time = Some(time(1_767_225_600_000_000 + i64::from(random.number(1_000_000))));
                let photo = pb::Photo { id: photo.id.to_string(), capture_time, ..Default::default() };
                let update_mask = Some(FieldMask { paths: vec!["capture_time".to_owned()] });
                let request = pb::UpdatePhotoRequest { photo: Some(photo), update_mask };
                self.app.photos(A.as_service()).update_photo(request).await.map(drop)
            }
        }
    }

    async fn create(&self, random: &mut Random) -> Result<(), Status> {
        let (made, world) = {
            let mut ever = self.ever.borrow_mut();
            let number = ever.photos.len();
            let made = photo(&ever, number, random);
            ever.photos.push(made.clone());
            (made, World { photos: Vec::new(), detections: Vec::new(), feedback: Vec::new(), ..ever.clone() })
        };
        create_photos(self.app, &world, std::slice::from_ref(&made)).await;
        self.touched.borrow_mut().push(made);
        Ok(())
    }

    async fn detect(&self, photo: &Photo, random: &mut Random) -> Result<(), Status> {
        let seen = detection(photo, random);
        self.ever.borrow_mut().detections.push(seen.clone());
        let request = pb::CreateDetectionRequest { detection: Some(super::grow::shown(&seen)) };
        self.app.detections(A.as_service()).create_detection(request).await.map(drop)
    }

    /// Takes a detection out of the queue, or deletes it.
    async fn review(&self, photo: &Photo, random: &mut Random) -> Result<(), Status> {
        let found: Vec<_> = self.ever.borrow().detections_on(photo.id).cloned().collect();
        if found.is_empty() {
            return Ok(());
        }
        let seen = &found[random.below(found.len())];
        if random.one_in(2) {
            let id = seen.id.to_string();
            let request = pb::DeleteDetectionRequest { id, include_reviewed: true, ..Default::default() };
            return self.app.detections(A.as_service()).delete_detection(request).await.map(drop);
        }
        let feedback = Feedback {
            id: random.uuid(),
            detection: seen.id,
            photo: seen.photo,
            project: seen.project,
            user: A.admin,
            verdict: pb::Verdict::Reject,
            created: 0,
        };
        let request = pb::CreateFeedbackRequest { feedback: Some(said(&feedback)), detection_etag: String::new() };
        self.app.feedback(A.as_admin()).create_feedback(request).await.map(drop)
    }

    /// Walks a list; a page is asked for only when something was written since the last one.
    async fn walk(&self, who: Who, request: &Request) -> Vec<String> {
        let (mut shown, mut token) = (Vec::new(), String::new());
        loop {
            let (page, next) = request.page(self.app, who, (SIZE, &token)).await.unwrap();
            shown.extend(page);
            if next.is_empty() {
                return shown;
            }
            token = next;
            self.progress.notified().await;
        }
    }
}

/// A request with what writers change taken out of its filter: what it shows fulfilled the rest throughout.
fn unchanging(request: &Request) -> Request {
    let mut request = request.clone();
    if let Request::Photos(list) = &mut request
        && let Some(filter) = &mut list.filter
    {
        let project_ids = std::mem::take(&mut filter.project_ids);
        *filter = pb::PhotoFilter { project_ids, ..Default::default() };
    }
    request
}

fn photos(order_by: &str, filter: pb::PhotoFilter) -> Request {
    let order_by = order_by.to_owned();
    Request::Photos(Box::new(pb::ListPhotosRequest { filter: Some(filter), order_by, ..Default::default() }))
}

/// Lists by every way of reading, of all projects and of some.
fn requests(world: &World) -> Vec<Request> {
    let several: Vec<_> = world.projects.iter().take(3).map(ToString::to_string).collect();
    let any = pb::PhotoFilter::default;
    let tagged = || pb::PhotoFilter { tags_any: WORDS.map(str::to_owned).to_vec(), ..any() };
    let labels = LABELS.map(str::to_owned).to_vec();
    let labelled = pb::PhotoDetectionFilter { labels: labels.clone(), ..Default::default() };
    let model_version = "slow".to_owned();
    let without = pb::PhotoWithoutDetectionFilter { r#type: pb::DetectionType::Damage.into(), model_version };
    let (by_label, types) = (pb::DetectionFilter { labels, ..Default::default() }, vec![1, 2]);
    let of_projects = pb::DetectionFilter { project_ids: several.clone(), types, ..Default::default() };
    let detections = |order_by: &str, filter| {
        let order_by = order_by.to_owned();
        Request::Detections(pb::ListDetectionsRequest { filter: Some(filter), order_by, ..Default::default() })
    };
    let queue = |strategy: pb::ReviewStrategy, project_ids| {
        let strategy = strategy.into();
        Request::Queue(pb::ListPendingDetectionsRequest { project_ids, strategy, ..Default::default() })
    };
    vec![
        photos("create_time desc", any()),
        photos("create_time", pb::PhotoFilter { project_ids: several.clone(), ..any() }),
        photos("create_time", tagged()),
        photos("capture_time desc", pb::PhotoFilter { project_ids: several.clone(), ..tagged() }),
        photos("capture_time", any()),
        photos("create_time desc", pb::PhotoFilter { detection: Some(labelled), ..any() }),
        photos("create_time desc", pb::PhotoFilter { without_detection: Some(without), ..any() }),
        detections("create_time desc", of_projects),
        detections("create_time", by_label),
        queue(pb::ReviewStrategy::OldestFirst, Vec::new()),
        queue(pb::ReviewStrategy::LeastConfidentFirst, several),
    ]
}

#[tokio::test]
async fn lists_show_what_was_there_throughout_once_and_in_order_while_others_write() {
    let seed = Random::seeded();
    let app = App::start().await;
    let random = &mut seed.of(u64::MAX);
    let world = World::grow(&app, A, 500, random).await;
    let touched: Vec<_> = world.photos.iter().filter(|_| random.one_in(3)).cloned().collect();
    let changes: HashSet<Uuid> = touched.iter().map(|photo| photo.id).collect();
    let mut steady = world.clone();
    steady.photos.retain(|photo| !changes.contains(&photo.id));
    steady.detections.retain(|detection| !changes.contains(&detection.photo));
    let (touched, ever) = (RefCell::new(touched), RefCell::new(world));
    let (written, progress, done) = Default::default();
    let site = Site { app: &app, ever, touched, written, progress, done };

    for (number, request) in (0..).zip(requests(&steady)) {
        let who = if number % 2 == 0 { A.as_service() } else { A.as_admin() };
        let mut others: Vec<_> = (0..WRITERS).map(|writer| seed.of(number * 10 + writer as u64)).collect();
        let [one, two] = others.as_mut_slice() else { unreachable!() };
        site.done.set(false);
        let before = site.written.get();
        let (shown, (), ()) = tokio::join!(
            async {
                let shown = site.walk(who, &request).await;
                site.done.set(true);
                shown
            },
            site.write(one),
            site.write(two)
        );

        let written = site.written.get() - before;
        println!("{} rows, {written} writes: {request:?}", shown.len());
        assert!(written >= shown.len() / 10, "{written} writes");
        let throughout = request.expected(&steady, who);
        let wanted: HashSet<&String> = throughout.iter().collect();
        let found: Vec<_> = shown.iter().filter(|id| wanted.contains(id)).cloned().collect();
        assert_eq!(found, throughout, "{request:?}");
        assert!(throughout.len() > 2 * SIZE as usize, "{request:?} shows {throughout:?}");
        let strangers = strangers(&steady, &site.ever.borrow(), (who, &request), &shown);
        assert!(strangers.is_empty(), "{strangers:?} never fulfilled {request:?}");
        let moves = matches!(&request, Request::Photos(list) if list.order_by.starts_with("capture_time"));
        let twice = repeated(&shown);
        // A photo whose capture time changes may move on, and be met again.
        assert!(moves || twice.is_empty(), "{twice:?} twice in {request:?}");
    }
}

/// What is shown and never fulfilled the filter: of what nobody changed, all that does not fulfil it, and of the rest, what
/// does not fulfil that in the filter which nobody could change.
fn strangers<'a>(
    steady: &World,
    ever: &World,
    (who, request): (Who, &Request),
    shown: &'a [String],
) -> Vec<&'a String> {
    let photos = steady.photos.iter().map(|photo| photo.id.to_string());
    let unchanged: HashSet<_> = photos.chain(steady.detections.iter().map(|seen| seen.id.to_string())).collect();
    let mut allowed: HashSet<_> = unchanging(request).expected(ever, who).into_iter().collect();
    allowed.retain(|id| !unchanged.contains(id));
    allowed.extend(request.expected(steady, who));
    shown.iter().filter(|id| !allowed.contains(*id)).collect()
}

fn repeated(shown: &[String]) -> Vec<&String> {
    let mut times = HashMap::new();
    for id in shown {
        *times.entry(id).or_insert(0) += 1;
    }
    times.into_iter().filter(|(_, times)| *times > 1).map(|(id, _)| id).collect()
}
