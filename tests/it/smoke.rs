//! The main job, once through.

use photometa::pb;

use crate::harness::{A, App};

#[tokio::test]
async fn main_job_works_end_to_end() {
    let app = App::start().await;

    let photo = app.photo(A, "site/1.jpg").await;
    let detection = app.detection(A, &photo.id).await;
    let tags = pb::AddTagsRequest {
        photo_ids: vec![photo.id.clone()],
        tags: vec![pb::Tag { tag: "  Roof   damage ".to_owned(), ..Default::default() }],
    };
    app.tags(A.as_member()).add_tags(tags).await.unwrap();
    let feedback = pb::CreateFeedbackRequest {
        feedback: Some(pb::Feedback {
            detection_id: detection.id.clone(),
            verdict: pb::Verdict::Confirm.into(),
            ..Default::default()
        }),
        detection_etag: detection.etag.clone(),
    };
    app.feedback(A.as_member()).create_feedback(feedback).await.unwrap();

    let request = pb::GetPhotoRequest { id: photo.id, view: pb::PhotoView::Full.into() };
    let found = app.photos(A.as_member()).get_photo(request).await.unwrap().into_inner().photo.unwrap();
    assert_eq!(found.tags[0].tag, "Roof damage");
    assert_eq!(found.detections[0].confidence, Some(0.75));
    assert!(found.detections[0].user_confirmed);
    assert_eq!(found.detections[0].user_feedback.as_ref().unwrap().verdict(), pb::Verdict::Confirm);
    app.stop().await;
}
