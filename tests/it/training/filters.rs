//! Which detections are exported: the filter's fields, apart and together.

use photometa::pb::Verdict::{Confirm, Correct, Reject};
use photometa::pb::{self, DetectionFilter, DetectionType, ExportTrainingDataRequest, TimeRange};
use serde_json::json;

use super::{answer, bounds, column, document, everything, export, in_lines, labelled, moved, registered, store};
use crate::harness::{A, App, detection, photo};

/// One object, whose id tells which detection it is of.
async fn named(app: &App, photo_id: &str, name: &str, change: impl FnOnce(&mut pb::Detection)) -> pb::Detection {
    let results = Some(pb::DetectionResults { objects: vec![labelled(name, name)], extra: None });
    let mut new = pb::Detection { results, ..detection(photo_id) };
    change(&mut new);
    store(app, new).await
}

/// The ids of the objects that come with this filter; the same in both forms.
async fn ids(app: &App, filter: DetectionFilter) -> Vec<String> {
    let request = ExportTrainingDataRequest { filter: Some(filter), ..everything() };
    let found = document(app, request.clone()).await;
    let ids = column(&found["annotations"], "object_id");
    let ids: Vec<String> = ids.into_iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    let lines = export(app, A.as_service(), in_lines(request)).await.unwrap().lines();
    let detections = lines.iter().flat_map(|line| line["detections"].as_array().unwrap());
    let of_lines = detections.flat_map(|one| column(&one["objects"], "object_id")).cloned().collect::<Vec<_>>();
    assert_eq!(json!(of_lines), json!(ids));
    assert_eq!(found["images"].as_array().unwrap().len(), lines.len());
    ids
}

#[tokio::test]
async fn fields_of_the_filter_narrow_alone_and_together() {
    let app = App::start().await;
    let house = app.photo(A, "house.jpg").await;
    let bridge = registered(&app, photo(A.bridge, "bridge.jpg")).await;
    let other = app.photo(A, "other.jpg").await;
    named(&app, &house.id, "plain", |_| {}).await;
    named(&app, &house.id, "material", |new| new.set_detection_type(DetectionType::Material)).await;
    named(&app, &house.id, "model", |new| new.model_version = "cracks-2".to_owned()).await;
    named(&app, &house.id, "unsure", |new| new.confidence = Some(0.1)).await;
    named(&app, &house.id, "sure", |new| new.confidence = Some(0.9)).await;
    let last = named(&app, &bridge.id, "bridge", |_| {}).await;
    named(&app, &other.id, "other", |_| {}).await;
    let none = DetectionFilter::default;

    let all = ["plain", "material", "model", "unsure", "sure", "bridge", "other"];
    assert_eq!(ids(&app, none()).await, all);
    let types = vec![DetectionType::Material.into()];
    assert_eq!(ids(&app, DetectionFilter { types, ..none() }).await, ["material"]);
    let model_versions = vec!["cracks-2".to_owned(), "unknown".to_owned()];
    assert_eq!(ids(&app, DetectionFilter { model_versions, ..none() }).await, ["model"]);
    assert_eq!(ids(&app, DetectionFilter { min_confidence: Some(0.8), ..none() }).await, ["sure"]);
    assert_eq!(ids(&app, DetectionFilter { max_confidence: Some(0.1), ..none() }).await, ["unsure"]);
    let labels = vec!["sure".to_owned(), "plain".to_owned()];
    assert_eq!(ids(&app, DetectionFilter { labels, ..none() }).await, ["plain", "sure"]);
    let time = |start, end| Some(TimeRange { start, end });
    let create_time = time(last.create_time, None);
    assert_eq!(ids(&app, DetectionFilter { create_time, ..none() }).await, ["bridge", "other"]);
    let create_time = time(None, last.create_time);
    assert_eq!(ids(&app, DetectionFilter { create_time, ..none() }).await, all[..5]);
    let project_ids = vec![A.bridge.to_string()];
    assert_eq!(ids(&app, DetectionFilter { project_ids, ..none() }).await, ["bridge"]);
    let project_ids = vec![A.bridge.to_string(), A.house.to_string()];
    assert_eq!(ids(&app, DetectionFilter { project_ids: project_ids.clone(), ..none() }).await, all);
    let photo_ids = vec![other.id.clone(), bridge.id.clone()];
    assert_eq!(ids(&app, DetectionFilter { photo_ids: photo_ids.clone(), ..none() }).await, ["bridge", "other"]);
    let project_ids = vec![A.bridge.to_string()];
    assert_eq!(ids(&app, DetectionFilter { photo_ids, project_ids, ..none() }).await, ["bridge"]);
    let types = vec![DetectionType::Damage.into()];
    let filter = DetectionFilter { types, photo_ids: vec![house.id], min_confidence: Some(0.8), ..none() };
    assert_eq!(ids(&app, filter).await, ["sure"]);
}

#[tokio::test]
async fn whether_people_confirm_narrows_beside_the_verdicts() {
    let app = App::start().await;
    let on = app.photo(A, "a.jpg").await;
    for (name, verdict) in
        [("confirmed", Some(Confirm)), ("corrected", Some(Correct)), ("rejected", Some(Reject)), ("open", None)]
    {
        let one = named(&app, &on.id, name, |_| {}).await;
        if let Some(verdict) = verdict {
            let edits = if verdict == Correct { vec![moved(name, bounds(0.0, 0.0, 0.5, 0.5))] } else { vec![] };
            answer(&app, &one, verdict, edits).await;
        }
    }
    let filter = |confirmed| DetectionFilter { user_confirmed: Some(confirmed), ..Default::default() };

    assert_eq!(ids(&app, filter(true)).await, ["confirmed", "corrected"]);
    assert_eq!(ids(&app, filter(false)).await, ["open"]);
    let verdicts = vec![Reject.into()];
    let request = ExportTrainingDataRequest { verdicts, filter: Some(filter(false)), ..Default::default() };
    assert_eq!(column(&document(&app, request).await["negatives"], "object_id"), ["rejected"]);
}

#[tokio::test]
async fn photos_come_in_one_order_from_more_than_one_page_of_several_projects() {
    let app = App::start().await;
    super::cuts::fill(&app, A, &vec![(1, 1); 700], 0).await;

    for project_ids in [vec![], vec![A.house.to_string(), A.bridge.to_string()]] {
        let filter = Some(DetectionFilter { project_ids, ..Default::default() });
        let found = document(&app, ExportTrainingDataRequest { filter, ..everything() }).await;

        let mut keys: Vec<String> =
            column(&found["images"], "file_name").iter().map(|key| key.as_str().unwrap().to_owned()).collect();
        let images: Vec<i64> =
            column(&found["annotations"], "image_id").iter().map(|id| id.as_i64().unwrap()).collect();
        assert_eq!(images, (1..=700).collect::<Vec<_>>());
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 700);
    }
}
