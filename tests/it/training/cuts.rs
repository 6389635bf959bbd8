//! Exports that break off behind any message and go on: the bytes are those of one that did not, whatever people, models
//! and others do meanwhile. What cannot be undone, a deletion, is told.

use photometa::pb::Verdict::{Confirm, Correct, Reject};
use photometa::pb::{self, ExportTrainingDataRequest};
use tokio_stream::StreamExt as _;
use tonic::Code;

use super::{
    Exported, added, answer, bounds, everything, export, in_lines, labelled, moved, relabelled, removed, retract, seen,
};
use crate::harness::{A, App, Organization, detection, photo, reason};

/// A photo and how many detections of how many objects it has.
type Shape = (usize, usize);

/// An outline of as many points: what makes a detection large.
fn outline(points: usize) -> pb::Polygon {
    let at = |number: usize| f64::from(u32::try_from(number * 7919 % 10_007).unwrap()) / 10_007.0;
    pb::Polygon { points: (0..points).map(|number| pb::Point { x: at(number), y: at(number * 3 + 1) }).collect() }
}

/// Photos with detections, and the detections.
pub async fn fill(app: &App, organization: Organization, shapes: &[Shape], points: usize) -> Vec<pb::Detection> {
    let projects = [organization.house, organization.bridge];
    let photos = shapes.iter().enumerate().map(|(number, _)| photo(projects[number % 2], &format!("{number}.jpg")));
    let request = pb::BatchCreatePhotosRequest { photos: photos.collect(), partial: false };
    let photos = app.photos(organization.as_service()).batch_create_photos(request).await.unwrap().into_inner().results;
    let mut detections = Vec::new();
    for (made, &(count, objects)) in photos.iter().zip(shapes) {
        let photo_id = &made.photo.as_ref().unwrap().id;
        for number in 0..count {
            let objects = (0..objects).map(|object| pb::DetectedObject {
                polygon: (points > 0).then(|| outline(points)),
                ..labelled(&object.to_string(), &format!("label {}", (number + object) % 5))
            });
            let results = Some(pb::DetectionResults { objects: objects.collect(), extra: None });
            detections.push(pb::Detection { results, ..detection(photo_id) });
        }
    }
    let mut stored = Vec::new();
    for detections in detections.chunks(500) {
        let request = pb::BatchCreateDetectionsRequest { detections: detections.to_vec(), partial: false };
        let answer = app.detections(organization.as_service()).batch_create_detections(request).await.unwrap();
        stored.extend(answer.into_inner().results.into_iter().filter_map(|result| result.detection));
    }
    stored
}

/// Gives the same verdict on all of these.
async fn answer_all(app: &App, detections: &[pb::Detection], verdict: pb::Verdict) {
    for some in detections.chunks(200) {
        let answer = |detection: &pb::Detection| pb::Feedback {
            detection_id: detection.id.clone(),
            verdict: verdict.into(),
            ..Default::default()
        };
        let request =
            pb::BatchCreateFeedbackRequest { feedback: some.iter().map(answer).collect(), ..Default::default() };
        app.feedback(A.as_admin()).batch_create_feedback(request).await.unwrap();
    }
}

fn resumed(request: &ExportTrainingDataRequest, token: &str) -> ExportTrainingDataRequest {
    ExportTrainingDataRequest { resume_token: token.to_owned(), ..request.clone() }
}

fn skipped(messages: &[pb::ExportTrainingDataResponse]) -> Vec<pb::SkippedData> {
    messages.iter().flat_map(|message| message.skipped.clone()).collect()
}

/// Goes on with an export behind each of its messages, and compares.
async fn compare_every_cut(app: &App, request: &ExportTrainingDataRequest) {
    let whole = export(app, A.as_admin(), request.clone()).await.unwrap();
    let bytes = whole.bytes();
    assert!(whole.0.len() > 3, "only {} messages", whole.0.len());
    for (place, message) in whole.0.iter().enumerate() {
        let mut joined = Exported(whole.0[..=place].to_vec());
        let rest = export(app, A.as_admin(), resumed(request, &message.resume_token)).await.unwrap();
        joined.0.extend(rest.0);

        assert!(joined.bytes() == bytes, "another export behind message {place} of {}", whole.0.len());
        assert_eq!(joined.progress(), whole.progress());
        assert_eq!(skipped(&joined.0), skipped(&whole.0));
        assert!(joined.0.iter().all(|message| message.chunk.len() < 2 << 20));
    }
}

/// Goes on with an export from its first message, one message at a time, and does something between all of them.
async fn compare_one_by_one(
    app: &App,
    whole: &Exported,
    request: &ExportTrainingDataRequest,
    mut meddle: impl AsyncFnMut(usize),
) {
    let mut joined = Exported(vec![whole.0[0].clone()]);
    while !joined.progress().done {
        meddle(joined.0.len()).await;
        let token = &joined.0.last().unwrap().resume_token;
        let rest = app.feedback(A.as_admin()).export_training_data(resumed(request, token)).await.unwrap();
        joined.0.push(rest.into_inner().next().await.unwrap().unwrap());
        assert!(joined.0.len() < 1000);
    }

    assert!(joined.0.len() > 1, "only {} messages", joined.0.len());
    assert!(joined.bytes() == whole.bytes(), "another export, in {} messages", joined.0.len());
    assert_eq!((joined.progress(), skipped(&joined.0)), (whole.progress(), skipped(&whole.0)));
}

fn with_negatives() -> ExportTrainingDataRequest {
    ExportTrainingDataRequest { verdicts: [Confirm, Correct, Reject].map(i32::from).into(), ..everything() }
}

/// A world in which everything is there that an export can meet.
async fn scene(app: &App) -> Vec<pb::Detection> {
    let mut shapes = vec![(2, 9); 120];
    shapes.extend([(0, 0), (1, 0), (40, 20)]);
    let detections = fill(app, A, &shapes, 4).await;
    let unknown = "update companycam_photos.photos set width = null where s3_key = '7.jpg'";
    app.postgres.batch_execute(unknown).await.unwrap();
    let photo_id = &detections[30].photo_id;
    seen(app, photo_id, vec![pb::DetectedObject { r#box: None, ..labelled("nowhere", "never") }]).await;
    for (number, one) in detections.iter().enumerate().filter(|(number, _)| number % 3 == 0) {
        let edits = vec![moved("0", bounds(0.1, 0.1, 0.2, 0.2)), removed("1"), added(labelled("new", "added"))];
        match number % 4 {
            0 if one.results.as_ref().is_none_or(|results| results.objects.is_empty()) && number < 240 => {
                answer(app, one, Correct, edits).await;
            }
            1 => drop(answer(app, one, Reject, vec![]).await),
            _ => drop(answer(app, one, Confirm, vec![]).await),
        }
    }
    detections
}

#[tokio::test]
async fn export_that_goes_on_behind_any_message_has_the_same_bytes() {
    let app = App::start().await;
    scene(&app).await;

    for request in [with_negatives(), in_lines(with_negatives()), everything()] {
        compare_every_cut(&app, &request).await;
    }
}

#[tokio::test]
async fn export_is_of_its_moment_whatever_happens_between_its_messages() {
    let app = App::start().await;
    let detections = scene(&app).await;
    let mut number = 0;

    for request in [with_negatives(), in_lines(with_negatives()), ExportTrainingDataRequest::default()] {
        let whole = export(&app, A.as_admin(), request.clone()).await.unwrap();
        compare_one_by_one(&app, &whole, &request, async |step: usize| {
            for nth in 0..6 {
                number += 1;
                let one = &detections[(number * 31 + nth * 50) % 240];
                match nth {
                    0 => drop(answer(&app, one, Confirm, vec![]).await),
                    1 | 2 => drop(answer(&app, one, Reject, vec![]).await),
                    3 => {
                        let late = labelled(&format!("late {number}"), &format!("late {number}"));
                        answer(&app, one, Correct, vec![added(late)]).await;
                    }
                    4 => {
                        let edits =
                            vec![relabelled("2", "a new label of a reviewer"), moved("3", bounds(0., 0., 1., 1.))];
                        let id = answer(&app, one, Correct, edits).await;
                        if step.is_multiple_of(2) {
                            retract(&app, one, &id).await;
                        }
                    }
                    _ => drop(seen(&app, &one.photo_id, vec![labelled("x", &format!("of a model {number}"))]).await),
                }
            }
            app.photo(A, &format!("late {number}.jpg")).await;
            let categories = vec![pb::Category { name: format!("registered {number}"), ..Default::default() }];
            let request = pb::RegisterCategoriesRequest { categories };
            app.feedback(A.as_admin()).register_categories(request).await.unwrap();
            // Another export gives the new labels their numbers.
            export(&app, A.as_service(), everything()).await.unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn page_may_end_inside_of_a_photo_and_an_export_too() {
    let app = App::start().await;
    // More detections than are read at once, and more bytes.
    fill(&app, A, &[(1, 1), (1100, 1), (3, 70), (1, 1)], 60).await;

    for request in [everything(), in_lines(everything())] {
        let whole = export(&app, A.as_admin(), request.clone()).await.unwrap();
        assert_eq!(whole.progress().annotations, 1312);
        compare_one_by_one(&app, &whole, &request, async |_| {}).await;
        if request == everything() {
            let ids: Vec<_> =
                whole.document()["annotations"].as_array().unwrap().iter().map(|one| one["image_id"].clone()).collect();
            assert!(ids.is_sorted_by_key(serde_json::Value::as_i64) && ids.last().unwrap() == 4);
        }
    }
}

#[tokio::test]
async fn photo_whose_first_page_did_not_stand_then_is_one_all_the_same() {
    let app = App::start().await;
    let detections = fill(&app, A, &[(700, 1), (1010, 1)], 8).await;
    answer_all(&app, &detections[..700], Confirm).await;
    answer_all(&app, &detections[1705..], Confirm).await;

    for request in [ExportTrainingDataRequest::default(), in_lines(ExportTrainingDataRequest::default())] {
        let whole = export(&app, A.as_admin(), request.clone()).await.unwrap();
        assert_eq!((whole.progress().images, whole.progress().annotations), (2, 705));

        answer_all(&app, &detections[700..1705], Confirm).await;
        let rest = export(&app, A.as_admin(), resumed(&request, &whole.0[0].resume_token)).await.unwrap();

        let joined = Exported([whole.0[..1].to_vec(), rest.0].concat());
        assert!(joined.bytes() == whole.bytes());
        assert_eq!(joined.progress(), whole.progress());
        let back = "delete from companycam_photos.feedback f using companycam_photos.detections d
                    where d.id = f.detection_id and d.created_at < f.created_at
                      and f.created_at > (select max(created_at) from companycam_photos.feedback) - interval '1 h'
                      and d.id = any(select (jsonb_array_elements_text($1))::uuid);";
        let ids: Vec<_> = detections[700..1705].iter().map(|one| one.id.as_str()).collect();
        app.postgres.execute(back, &[&serde_json::json!(ids)]).await.unwrap();
        let open = "update companycam_photos.detections set user_feedback = null, user_confirmed = false, updated_at = created_at
                    where id = any(select (jsonb_array_elements_text($1))::uuid)";
        app.postgres.execute(open, &[&serde_json::json!(ids)]).await.unwrap();
    }
}

#[tokio::test]
async fn deletion_between_the_passes_is_told() {
    let app = App::start().await;
    let detections = fill(&app, A, &vec![(2, 9); 60], 4).await;
    let whole = export(&app, A.as_admin(), everything()).await.unwrap();
    // All images are told by now, and some annotations.
    let token = &whole.0[0].resume_token;
    assert_eq!(whole.0[0].progress.unwrap().images, 60);

    let request = pb::DeleteDetectionRequest { id: detections[100].id.clone(), ..Default::default() };
    app.detections(A.as_admin()).delete_detection(request).await.unwrap();

    let status = export(&app, A.as_admin(), resumed(&everything(), token)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::Aborted, "CONCURRENT_CHANGE".to_owned()));
    export(&app, A.as_admin(), everything()).await.unwrap();
}

#[tokio::test]
async fn photo_that_is_deleted_while_its_line_is_written_is_told() {
    let app = App::start().await;
    let detections = fill(&app, A, &[(40, 40), (1, 1)], 4).await;
    let request = in_lines(everything());
    let whole = export(&app, A.as_admin(), request.clone()).await.unwrap();
    assert!(!whole.0[0].chunk.ends_with(b"\n"), "the first message does not end inside of the line");

    let delete = pb::DeletePhotoRequest { id: detections[0].photo_id.clone(), ..Default::default() };
    app.photos(A.as_admin()).delete_photo(delete).await.unwrap();

    let status = export(&app, A.as_admin(), resumed(&request, &whole.0[0].resume_token)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::Aborted, "CONCURRENT_CHANGE".to_owned()));
}
