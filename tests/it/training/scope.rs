//! Whose data are exported: the organization's, and of those a member's projects only.

use photometa::pb::{DetectionFilter, ExportTrainingDataRequest};
use serde_json::json;
use tonic::Code;

use super::{column, everything, export, in_lines, labelled};
use crate::harness::{A, App, B, OPERATOR, Who, detection, photo, reason};

/// A photo in each project of both organizations, with a detection whose label names it.
async fn scene(app: &App) {
    for organization in [A, B] {
        for (project, name) in [(organization.house, "house"), (organization.bridge, "bridge")] {
            let who = organization.as_service();
            let name = format!("{name} of {}", if organization.id == A.id { "A" } else { "B" });
            let request = photometa::pb::CreatePhotoRequest { photo: Some(photo(project, &name)) };
            let made = app.photos(who).create_photo(request).await.unwrap().into_inner().photo.unwrap();
            let results = photometa::pb::DetectionResults { objects: vec![labelled("o", &name)], extra: None };
            let detection = photometa::pb::Detection { results: Some(results), ..detection(&made.id) };
            let request = photometa::pb::CreateDetectionRequest { detection: Some(detection) };
            app.detections(who).create_detection(request).await.unwrap();
        }
    }
}

#[tokio::test]
async fn everybody_exports_what_they_see_and_nothing_else() {
    let app = App::start().await;
    scene(&app).await;
    let of_a = ["house of A", "bridge of A"];

    for (who, expected) in [
        (A.as_admin(), of_a.as_slice()),
        (A.as_service(), &of_a),
        (A.as_member(), &of_a[..1]),
        (A.as_outsider(), &of_a[1..]),
        (B.as_member(), &["house of B"]),
    ] {
        let found = export(&app, who, everything()).await.unwrap().document();
        let lines = export(&app, who, in_lines(everything())).await.unwrap().lines();

        assert_eq!(column(&found["images"], "file_name"), expected, "{who:?}");
        assert_eq!(found["annotations"].as_array().unwrap().len(), expected.len());
        let keys: Vec<_> = lines.iter().map(|line| &line["photo"]["s3_key"]).collect();
        assert_eq!(json!(keys), json!(expected));
    }
    // Numbers of labels are each organization's own.
    let found = export(&app, B.as_admin(), everything()).await.unwrap().document();
    assert_eq!(found["categories"], json!([{"id": 1, "name": "house of B"}, {"id": 2, "name": "bridge of B"}]));
}

#[tokio::test]
async fn ids_of_others_bring_nothing() {
    let app = App::start().await;
    scene(&app).await;
    let ids = async |query: &str, organization: uuid::Uuid| -> Vec<String> {
        let rows = app.postgres.query(query, &[&organization]).await.unwrap();
        rows.iter().map(|row| row.try_get(0).unwrap()).collect()
    };
    let photo_ids = ids("select id::text from companycam_photos.photos where organization_id = $1", B.id).await;
    let project_ids = vec![B.house.to_string(), B.bridge.to_string()];
    for filter in [
        DetectionFilter { photo_ids, ..Default::default() },
        DetectionFilter { project_ids: project_ids.clone(), ..Default::default() },
        DetectionFilter { project_ids: vec![project_ids[0].clone()], ..Default::default() },
    ] {
        let request = ExportTrainingDataRequest { filter: Some(filter), ..everything() };
        let exported = export(&app, A.as_admin(), request.clone()).await.unwrap();
        assert_eq!(exported.progress().images, 0);
        assert!(export(&app, B.as_admin(), request).await.unwrap().progress().images > 0);
    }
}

#[tokio::test]
async fn rights_are_those_of_who_goes_on() {
    let app = App::start().await;
    scene(&app).await;
    super::cuts::fill(&app, A, &[(40, 40), (40, 40)], 0).await;
    let begun = export(&app, A.as_admin(), in_lines(everything())).await.unwrap();
    let request = |place: usize| ExportTrainingDataRequest {
        resume_token: begun.0[place].resume_token.clone(),
        ..in_lines(everything())
    };

    // In the middle of a photo in House, which the outsider does not see.
    let status = export(&app, A.as_outsider(), request(0)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::Aborted, "CONCURRENT_CHANGE".to_owned()));
    let Who { role, .. } = OPERATOR;
    let status = export(&app, OPERATOR, request(0)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::PermissionDenied, "ROLE_NOT_ALLOWED".to_owned()), "{role:?}");
    let rest = export(&app, A.as_member(), request(0)).await.unwrap();
    let text = String::from_utf8(rest.bytes()).unwrap();
    assert!(!text.contains("1.jpg"), "a member is shown a photo in another project");
}
