//! What people say survives whatever machines do meanwhile: runs, re-runs, deletions by model and single ones, answers and
//! retractions at random, from several sides at once. In the end each detection is what the model said with its answers
//! folded over it, by a second implementation of the rules, and what was acknowledged is there unless somebody asked
//! for reviewed ones to go. PHOTOMETA_TEST_INTERLEAVINGS asks for another number than 400, and PHOTOMETA_TEST_SEED for those
//! that were before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use photometa::pb::{self, Verdict, object_edit::Edit};
use tonic::{Code, Status};

use crate::harness::{A, App, Who, object, photo};
use crate::random::{Random, asked};

/// How many in CI.
const INTERLEAVINGS: usize = 400;
/// How many go on at a time.
const LANES: usize = 8;
/// Sides of one interleaving, and what each does at most.
const SIDES: usize = 3;
const STEPS: usize = 6;

/// What the sides of one interleaving know and were told.
#[derive(Default)]
struct Known {
    /// Detections as they were acknowledged.
    stored: BTreeMap<String, pb::Detection>,
    /// Acknowledged answers, and the answer whose etag each was given with.
    answers: BTreeMap<String, (pb::Feedback, Option<String>)>,
    /// The last answer that a client saw of a detection, and the etag behind it.
    etags: HashMap<String, (String, String)>,
    /// Detections that somebody wanted gone with their answers, and models.
    doomed: BTreeSet<String>,
    doomed_models: BTreeSet<String>,
    /// What was refused, by code.
    refused: BTreeMap<i32, usize>,
    done: usize,
}

struct World {
    app: Arc<App>,
    photo_id: String,
    number: usize,
    known: Mutex<Known>,
}

impl World {
    fn model(&self, random: &mut Random) -> String {
        format!("model-{}-{}", self.number, random.below(2))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// One of the detections that are known.
    fn detection(&self, random: &mut Random) -> Option<pb::Detection> {
        let known = self.known();
        let place = random.below(known.stored.len().max(1));
        known.stored.values().nth(place).cloned()
    }

    async fn step(&self, random: &mut Random) {
        let outcome = match random.below(12) {
            0..=2 => self.run(random).await,
            3..=6 => self.answer(random).await,
            7 => self.page(random).await,
            8 => self.take_back(random).await,
            9 | 10 => self.roll_back(random).await,
            _ => self.delete(random).await,
        };
        let mut known = self.known();
        known.done += 1;
        if let Err(status) = outcome {
            *known.refused.entry(status.code().into()).or_default() += 1;
            let expected =
                [Code::NotFound, Code::InvalidArgument, Code::AlreadyExists, Code::Aborted, Code::FailedPrecondition];
            assert!(expected.contains(&status.code()), "{status:?}");
        }
    }

    /// A run of a model, perhaps one that was before, with the same objects or others.
    async fn run(&self, random: &mut Random) -> Result<(), Status> {
        let count = random.below(4);
        let objects = (0..count).map(|number| place(random, &format!("o{number}"))).collect();
        let detection = pb::Detection {
            photo_id: self.photo_id.clone(),
            model_version: self.model(random),
            run_id: (!random.one_in(3)).then(|| format!("run-{}", random.below(2))),
            results: Some(pb::DetectionResults { objects, extra: None }),
            ..crate::harness::detection("")
        };
        let request = pb::CreateDetectionRequest { detection: Some(detection) };
        let stored =
            self.app.detections(A.as_service()).create_detection(request).await?.into_inner().detection.unwrap();
        let mut known = self.known();
        known.stored.entry(stored.id.clone()).or_insert(stored);
        Ok(())
    }

    /// An answer to a detection, with edits that may fit or not, for a version that may be stale.
    fn feedback(&self, random: &mut Random, detection: &pb::Detection) -> (pb::Feedback, Option<String>, String) {
        let verdict = random.pick(&[Verdict::Confirm, Verdict::Reject, Verdict::Correct, Verdict::Correct]);
        let edits = if verdict == Verdict::Correct { 1 + random.below(3) } else { 0 };
        let edits = (0..edits).map(|_| pb::ObjectEdit { edit: Some(edit(random)) }).collect();
        let (seen, etag) = match self.known().etags.get(&detection.id) {
            Some((answer, etag)) if random.one_in(3) => (Some(answer.clone()), etag.clone()),
            _ => (None, String::new()),
        };
        let feedback =
            pb::Feedback { detection_id: detection.id.clone(), verdict: verdict.into(), edits, ..Default::default() };
        (feedback, seen, etag)
    }

    fn reviewer(random: &mut Random) -> Who {
        random.pick(&[A.as_member(), A.as_admin()])
    }

    fn acknowledged(&self, feedback: pb::Feedback, seen: Option<String>, etag: String) {
        let mut known = self.known();
        known.etags.insert(feedback.detection_id.clone(), (feedback.id.clone(), etag));
        known.answers.insert(feedback.id.clone(), (feedback, seen));
    }

    async fn answer(&self, random: &mut Random) -> Result<(), Status> {
        let Some(detection) = self.detection(random) else { return Ok(()) };
        let (feedback, seen, detection_etag) = self.feedback(random, &detection);
        let request = pb::CreateFeedbackRequest { feedback: Some(feedback), detection_etag };
        let answer = self.app.feedback(Self::reviewer(random)).create_feedback(request).await?.into_inner();
        self.acknowledged(answer.feedback.unwrap(), seen, answer.detection.unwrap().etag);
        Ok(())
    }

    /// Several answers at once.
    async fn page(&self, random: &mut Random) -> Result<(), Status> {
        let mut request = pb::BatchCreateFeedbackRequest { partial: random.one_in(2), ..Default::default() };
        for _ in 0..2 {
            let Some(detection) = self.detection(random) else { return Ok(()) };
            request.feedback.push(self.feedback(random, &detection).0);
        }
        let answer = self.app.feedback(Self::reviewer(random)).batch_create_feedback(request).await?.into_inner();
        let mut known = self.known();
        for feedback in answer.results.into_iter().filter_map(|result| result.feedback) {
            known.answers.insert(feedback.id.clone(), (feedback, None));
        }
        Ok(())
    }

    async fn take_back(&self, random: &mut Random) -> Result<(), Status> {
        let place = random.below(self.known().answers.len().max(1));
        let Some((first, _)) = self.known().answers.values().nth(place).cloned() else { return Ok(()) };
        let feedback = pb::Feedback {
            detection_id: first.detection_id,
            verdict: Verdict::Retract.into(),
            retracts_id: first.id,
            ..Default::default()
        };
        let request = pb::CreateFeedbackRequest { feedback: Some(feedback), ..Default::default() };
        let answer = self.app.feedback(A.as_admin()).create_feedback(request).await?.into_inner();
        if answer.outcome() == pb::WriteOutcome::Unchanged {
            // Somebody took it back before; the etag is of what stands now.
            return Ok(());
        }
        self.acknowledged(answer.feedback.unwrap(), None, answer.detection.unwrap().etag);
        Ok(())
    }

    async fn roll_back(&self, random: &mut Random) -> Result<(), Status> {
        let (model_version, include_reviewed) = (self.model(random), random.one_in(6));
        let validate_only = random.one_in(4);
        if include_reviewed && !validate_only {
            self.known().doomed_models.insert(model_version.clone());
        }
        let request =
            pb::DeleteDetectionsByModelRequest { model_version, include_reviewed, validate_only, ..Default::default() };
        self.app.detections(A.as_service()).delete_detections_by_model(request).await?;
        Ok(())
    }

    /// A machine deletes one detection; with its answers only when it asks for that.
    async fn delete(&self, random: &mut Random) -> Result<(), Status> {
        let Some(detection) = self.detection(random) else { return Ok(()) };
        let include_reviewed = random.one_in(4);
        if include_reviewed {
            self.known().doomed.insert(detection.id.clone());
        }
        let request = pb::DeleteDetectionRequest { id: detection.id, include_reviewed, ..Default::default() };
        self.app.detections(A.as_service()).delete_detection(request).await?;
        Ok(())
    }
}

fn place(random: &mut Random, object_id: &str) -> pb::DetectedObject {
    let x = f64::from(random.number(8)) / 16.0;
    pb::DetectedObject { r#box: Some(pb::BoundingBox { x, y: 0.25, width: 0.25, height: 0.5 }), ..object(object_id) }
}

fn edit(random: &mut Random) -> Edit {
    let object_id = random.pick(&["o0", "o0", "o1", "o1", "o2", "n0"]).to_owned();
    match random.below(4) {
        0 => Edit::Move(pb::MoveObject { r#box: place(random, "").r#box, object_id }),
        1 => Edit::Relabel(pb::RelabelObject { object_id, label: format!("label-{}", random.below(9)) }),
        2 => Edit::Remove(pb::RemoveObject { object_id }),
        _ => {
            let object_id = random.pick(&["n0", "n1", "o0"]);
            Edit::Add(pb::AddObject { object: Some(place(random, object_id)) })
        }
    }
}

/// Changes objects as an edit says. Answers whether it fits them.
fn apply(objects: &mut Vec<pb::DetectedObject>, base: &[pb::DetectedObject], edit: &pb::ObjectEdit) -> bool {
    let at = |objects: &[pb::DetectedObject], id: &str| objects.iter().position(|object| object.object_id == id);
    match edit.edit.as_ref().unwrap() {
        Edit::Add(pb::AddObject { object }) => {
            let object = object.clone().unwrap();
            let model_has = at(base, &object.object_id).is_some();
            let free = !model_has && at(objects, &object.object_id).is_none();
            if !model_has {
                objects.retain(|other| other.object_id != object.object_id);
                objects.push(object);
            }
            free
        }
        Edit::Move(pb::MoveObject { object_id, r#box }) => {
            at(objects, object_id).map(|place| objects[place].r#box = *r#box).is_some()
        }
        Edit::Relabel(pb::RelabelObject { object_id, label }) => {
            at(objects, object_id).map(|place| objects[place].label.clone_from(label)).is_some()
        }
        Edit::Remove(pb::RemoveObject { object_id }) => {
            at(objects, object_id).map(|place| objects.remove(place)).is_some()
        }
    }
}

/// What stands of `base` after `answers`, in their order: the objects, and the newest answer.
fn fold<'a>(
    base: &[pb::DetectedObject],
    answers: &[&'a pb::Feedback],
) -> (Vec<pb::DetectedObject>, Option<&'a pb::Feedback>) {
    let back: BTreeSet<_> = answers.iter().map(|answer| answer.retracts_id.as_str()).collect();
    let stand = answers.iter().filter(|one| one.verdict() != Verdict::Retract && !back.contains(one.id.as_str()));
    let (mut objects, mut newest) = (base.to_vec(), None);
    for answer in stand {
        for edit in &answer.edits {
            apply(&mut objects, base, edit);
        }
        newest = Some(*answer);
    }
    (objects, newest)
}

/// Compares what is there with what was acknowledged and with the fold of the log.
async fn check(world: &World) {
    let mut reader = world.app.detections(A.as_service());
    let filter = pb::DetectionFilter { photo_ids: vec![world.photo_id.clone()], ..Default::default() };
    let request = pb::ListDetectionsRequest {
        filter: Some(filter),
        view: pb::DetectionView::Full.into(),
        page_size: 1000,
        ..Default::default()
    };
    let detections = reader.list_detections(request).await.unwrap().into_inner().detections;
    let request =
        pb::ListFeedbackRequest { photo_id: Some(world.photo_id.clone()), page_size: 1000, ..Default::default() };
    let mut log = world.app.feedback(A.as_admin()).list_feedback(request).await.unwrap().into_inner().feedback;
    log.reverse();
    let known = world.known();

    let there: BTreeSet<_> = detections.iter().map(|detection| detection.id.as_str()).collect();
    for (answer, _) in known.answers.values() {
        let detection = &known.stored[&answer.detection_id];
        let doomed = known.doomed.contains(&detection.id) || known.doomed_models.contains(&detection.model_version);
        assert!(doomed || there.contains(detection.id.as_str()), "a reviewed detection is gone: {answer:?}");
        assert!(!there.contains(detection.id.as_str()) || log.contains(answer), "an answer is lost: {answer:?}");
    }
    for detection in &detections {
        let stored = &known.stored[&detection.id];
        assert_eq!((&detection.results, detection.confidence), (&stored.results, stored.confidence));
        let base = &stored.results.as_ref().unwrap().objects;
        let answers: Vec<_> = log.iter().filter(|answer| answer.detection_id == detection.id).collect();
        for (position, answer) in answers.iter().enumerate() {
            let (before, _) = fold(base, &answers[..position]);
            // The edits of one answer are checked together against what stood before it.
            let fits = answer.edits.iter().all(|edit| apply(&mut before.clone(), base, edit));
            assert!(fits, "an edit of what was not there was taken: {answer:?}");
            if let Some((_, Some(seen))) = known.answers.get(&answer.id) {
                let previous = position.checked_sub(1).map(|before| answers[before].id.as_str());
                assert_eq!(previous, Some(seen.as_str()), "an answer to an older version was taken");
            }
        }
        let (objects, newest) = fold(base, &answers);
        let shown = detection.corrected_results.as_ref().map_or(base, |results| &results.objects);
        assert_eq!(*shown, objects, "{detection:?} of {answers:?}");
        assert_eq!(detection.user_confirmed, newest.is_some_and(|newest| newest.verdict() != Verdict::Reject));
        let projection =
            detection.user_feedback.as_ref().map(|shown| (shown.feedback_id.as_str(), shown.verdict(), &shown.edits));
        assert_eq!(projection, newest.map(|newest| (newest.id.as_str(), newest.verdict(), &newest.edits)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folding_the_answers_over_what_the_model_said_gives_what_is_shown_whatever_happens() {
    let interleavings: usize = asked("PHOTOMETA_TEST_INTERLEAVINGS").unwrap_or(INTERLEAVINGS);
    let random = Random::seeded();
    let app = Arc::new(App::start().await);
    let numbers: Vec<usize> = (0..interleavings).collect();
    let mut photo_ids = Vec::new();
    for chunk in numbers.chunks(1000) {
        let photos = chunk.iter().map(|number| photo(A.house, &format!("{number}.jpg"))).collect();
        let request = pb::BatchCreatePhotosRequest { photos, partial: false };
        let answer = app.photos(A.as_service()).batch_create_photos(request).await.unwrap().into_inner();
        photo_ids.extend(answer.results.into_iter().map(|result| result.photo.unwrap().id));
    }

    let lanes = (0..LANES).map(|lane| {
        let (app, photo_ids) = (app.clone(), photo_ids.clone());
        let seeds: Vec<_> =
            (lane..interleavings).step_by(LANES).map(|number| (number, random.of(number as u64))).collect();
        tokio::spawn(async move {
            let mut totals = (0, BTreeMap::new(), 0);
            for (number, random) in seeds {
                let known = Mutex::default();
                let world = Arc::new(World { app: app.clone(), photo_id: photo_ids[number].clone(), number, known });
                let mut first = random.of(0);
                world.run(&mut first).await.unwrap();
                let sides = (0..SIDES).map(|side| {
                    let (world, mut random) = (world.clone(), random.of(1 + side as u64));
                    tokio::spawn(async move {
                        for _ in 0..=random.below(STEPS) {
                            world.step(&mut random).await;
                        }
                    })
                });
                for side in sides.collect::<Vec<_>>() {
                    side.await.unwrap();
                }
                check(&world).await;
                let known = world.known();
                totals.0 += known.done;
                totals.2 += known.answers.len();
                for (code, count) in &known.refused {
                    *totals.1.entry(*code).or_insert(0) += count;
                }
            }
            totals
        })
    });
    let (mut done, mut refused, mut answers) = (0, BTreeMap::new(), 0);
    for lane in lanes.collect::<Vec<_>>() {
        let (its, codes, given): (usize, BTreeMap<i32, usize>, usize) = lane.await.unwrap();
        done += its;
        answers += given;
        for (code, count) in codes {
            *refused.entry(code).or_insert(0) += count;
        }
    }
    println!("{interleavings} interleavings, {done} steps, {answers} answers, refused by code: {refused:?}");
    assert!(answers * 8 > done, "{answers} answers of {done} steps");
}
