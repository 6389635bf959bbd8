//! Batches, tags, feedback and provisioning: sizes, and every violation of every item told at once.

use photometa::pb;

use super::detection::{first, place};
use super::{NOBODY, assert_refused, nested};
use crate::harness::{A, App, OPERATOR, detection, photo};

#[tokio::test]
async fn batch_create_detections_tells_every_violation_at_once() {
    let app = App::start().await;
    let stored = app.photo(A, "site/1.jpg").await;
    let before = app.rows().await;
    let mut items = vec![detection(&stored.id); 4];
    items[1].detection_type = 0;
    items[1].model_version.clear();
    items[1].confidence = Some(f64::NAN);
    place(&mut items[3], [0.5, 0.5, 0.6, 0.6]);
    first(&mut items[3]).label.clear();
    first(&mut items[3]).attributes = Some(nested(33, true));

    let request = pb::BatchCreateDetectionsRequest { detections: items, partial: false };
    let answer = app.detections(A.as_service()).batch_create_detections(request).await;

    assert_refused(
        "batch",
        answer,
        &[
            "detections[1].detection_type",
            "detections[1].model_version",
            "detections[1].confidence",
            "detections[3].results.objects[0].label",
            "detections[3].results.objects[0].box.width",
            "detections[3].results.objects[0].box.height",
            "detections[3].results.objects[0].attributes",
        ],
    );
    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn batches_refuse_wrong_sizes() {
    let app = App::start().await;
    let stored = app.photo(A, "site/1.jpg").await;
    let before = app.rows().await;
    let (mut photos, mut detections) = (app.photos(A.as_service()), app.detections(A.as_service()));
    let (mut tags, mut feedback) = (app.tags(A.as_member()), app.feedback(A.as_member()));
    let tag = pb::Tag { tag: "roof".to_owned(), ..Default::default() };

    for partial in [false, true] {
        for size in [0, 1001] {
            let request = pb::BatchCreatePhotosRequest { photos: vec![photo(A.house, "k"); size], partial };
            assert_refused("photos", photos.batch_create_photos(request).await, &["photos"]);
            let request = pb::BatchCreateDetectionsRequest { detections: vec![detection(&stored.id); size], partial };
            assert_refused("detections", detections.batch_create_detections(request).await, &["detections"]);
            let request = pb::BatchCreateFeedbackRequest {
                feedback: vec![pb::Feedback::default(); size / 5 + size % 5],
                partial,
                detection_etags: Vec::new(),
            };
            assert_refused("feedback", feedback.batch_create_feedback(request).await, &["feedback"]);
        }
    }
    for size in [0, 1001] {
        let ids = vec![stored.id.clone(); size];
        let request = pb::BatchGetPhotosRequest { ids: ids.clone(), view: 0 };
        assert_refused("ids", photos.batch_get_photos(request).await, &["ids"]);
        let request = pb::AddTagsRequest { photo_ids: ids.clone(), tags: vec![tag.clone()] };
        assert_refused("photo_ids", tags.add_tags(request).await, &["photo_ids"]);
        let request = pb::RemoveTagsRequest { photo_ids: ids.clone(), tags: vec!["a".to_owned()], source: 0 };
        assert_refused("photo_ids", tags.remove_tags(request).await, &["photo_ids"]);
        let request = pb::AddProjectMembersRequest { project_id: A.house.to_string(), user_ids: ids };
        let answer = app.projects(A.as_admin()).add_project_members(request).await;
        assert_refused("user_ids", answer, &["user_ids"]);
    }
    for size in [0, 101] {
        let photo_ids = vec![stored.id.clone()];
        let request = pb::AddTagsRequest { photo_ids: photo_ids.clone(), tags: vec![tag.clone(); size] };
        assert_refused("tags", tags.add_tags(request).await, &["tags"]);
        let request = pb::RemoveTagsRequest { photo_ids, tags: vec!["a".to_owned(); size], source: 0 };
        assert_refused("tags", tags.remove_tags(request).await, &["tags"]);
    }
    let request = pb::AddTagsRequest { photo_ids: vec![stored.id; 101], tags: vec![tag; 100] };
    assert_refused("pairs", tags.add_tags(request).await, &["tags"]);

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn add_tags_refuses_bad_tags() {
    let app = App::start().await;
    let stored = app.photo(A, "site/1.jpg").await;
    let before = app.rows().await;
    let cases: &[(&str, i32, Option<f64>, &[&str])] = &[
        ("", 0, None, &["tags[0].tag"]),
        (" \t\n\u{a0}\u{3000} ", 0, None, &["tags[0].tag"]),
        ("a\0b", 0, None, &["tags[0].tag"]),
        ("a\u{7}b", 0, None, &["tags[0].tag"]),
        ("a", 3, None, &["tags[0].source"]),
        ("a", 1, Some(f64::NAN), &["tags[0].confidence"]),
        ("a", 1, Some(1.5), &["tags[0].confidence"]),
        ("a", 2, Some(0.5), &["tags[0].confidence"]),
        ("", -1, Some(2.0), &["tags[0].source", "tags[0].confidence", "tags[0].confidence", "tags[0].tag"]),
    ];

    for (tag, source, confidence, expected) in cases {
        let tags =
            vec![pb::Tag { tag: (*tag).to_owned(), source: *source, confidence: *confidence, ..Default::default() }];
        let request = pb::AddTagsRequest { photo_ids: vec![stored.id.clone()], tags };
        assert_refused(&format!("{tag:?} {source}"), app.tags(A.as_admin()).add_tags(request).await, expected);
    }
    let tags = vec![pb::Tag { tag: "x".repeat(101), ..Default::default() }];
    let request = pb::AddTagsRequest { photo_ids: vec!["1".to_owned()], tags };
    assert_refused("long", app.tags(A.as_admin()).add_tags(request).await, &["photo_ids[0]", "tags[0].tag"]);

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_feedback_refuses_bad_fields() {
    let app = App::start().await;
    let stored = app.photo(A, "site/1.jpg").await;
    let found = app.detection(A, &stored.id).await;
    let before = app.rows().await;
    let good = pb::Feedback { detection_id: found.id, verdict: 1, ..Default::default() };
    let edit = pb::ObjectEdit { edit: None };
    let cases = [
        (pb::Feedback { detection_id: String::new(), ..good.clone() }, vec!["feedback.detection_id"]),
        (pb::Feedback { id: "x".to_owned(), ..good.clone() }, vec!["feedback.id"]),
        (pb::Feedback { verdict: 0, ..good.clone() }, vec!["feedback.verdict"]),
        (pb::Feedback { verdict: 5, ..good.clone() }, vec!["feedback.verdict"]),
        (pb::Feedback { verdict: 4, ..good.clone() }, vec!["feedback.retracts_id"]),
        (pb::Feedback { verdict: 4, retracts_id: "x".to_owned(), ..good.clone() }, vec!["feedback.retracts_id"]),
        (pb::Feedback { comment: "\u{1f600}".repeat(2001), ..good.clone() }, vec!["feedback.comment"]),
        (pb::Feedback { comment: "\0".to_owned(), ..good.clone() }, vec!["feedback.comment"]),
        (pb::Feedback { verdict: 3, ..good.clone() }, vec!["feedback.edits"]),
        (pb::Feedback { edits: vec![edit.clone()], ..good.clone() }, vec!["feedback.edits", "feedback.edits[0]"]),
        (pb::Feedback { verdict: 3, edits: vec![edit; 1001], ..good }, vec!["feedback.edits"]),
    ];

    for (feedback, expected) in cases {
        let request = pb::CreateFeedbackRequest { feedback: Some(feedback), detection_etag: String::new() };
        assert_refused("feedback", app.feedback(A.as_member()).create_feedback(request).await, &expected);
    }

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn provisioning_refuses_bad_fields() {
    let app = App::start().await;
    let before = app.rows().await;
    let (mut users, mut projects) = (app.users(A.as_admin()), app.projects(A.as_admin()));
    let user = pb::User { email: "ann@a.example".to_owned(), ..Default::default() };
    let long = "x".repeat(256);

    for email in ["", "ann", "@a", "ann@", "a n@b.c", "a\0@b.c", "a@b\n.c", &format!("{long}@a")] {
        let user = pb::User { email: email.to_owned(), ..user.clone() };
        assert_refused(email, users.create_user(pb::CreateUserRequest { user: Some(user) }).await, &["user.email"]);
    }
    let bad = pb::User { id: "x".to_owned(), first_name: long.clone(), last_name: "\0".to_owned(), role: 9, ..user };
    let expected = ["user.id", "user.first_name", "user.last_name", "user.role"];
    assert_refused("user", users.create_user(pb::CreateUserRequest { user: Some(bad) }).await, &expected);
    for name in ["", "a\0", &long] {
        let project = Some(pb::Project { name: name.to_owned(), ..Default::default() });
        let answer = projects.create_project(pb::CreateProjectRequest { project }).await;
        assert_refused(name, answer, &["project.name"]);
        let organization = Some(pb::Organization { name: name.to_owned(), ..Default::default() });
        let request = pb::CreateOrganizationRequest { organization };
        let answer = app.organizations(OPERATOR).create_organization(request).await;
        assert_refused(name, answer, &["organization.name"]);
    }
    let project =
        pb::Project { name: "P".to_owned(), description: "x".repeat(10_001), status: 4, ..Default::default() };
    let answer = projects.create_project(pb::CreateProjectRequest { project: Some(project) }).await;
    assert_refused("project", answer, &["project.description", "project.status"]);
    for (mask, expected) in [("email", "update_mask.paths[0]"), ("nonsense", "update_mask.paths[0]")] {
        let user = Some(pb::User { id: NOBODY.to_owned(), ..Default::default() });
        let update_mask = Some(prost_types::FieldMask { paths: vec![mask.to_owned()] });
        assert_refused(mask, users.update_user(pb::UpdateUserRequest { user, update_mask }).await, &[expected]);
    }

    assert_eq!(app.rows().await, before);
}
