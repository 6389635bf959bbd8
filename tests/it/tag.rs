//! Tags: one spelling of each, who may put which, counts.

use photometa::pb;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{A, App, B, Who, details, photo, reason};

fn tag(tag: &str) -> pb::Tag {
    pb::Tag { tag: tag.to_owned(), ..Default::default() }
}

fn ai(text: &str, confidence: Option<f64>) -> pb::Tag {
    pb::Tag { source: pb::TagSource::Ai.into(), confidence, ..tag(text) }
}

async fn add(app: &App, who: Who, photo_id: &str, tags: Vec<pb::Tag>) -> Result<pb::AddTagsResponse, Status> {
    let request = pb::AddTagsRequest { photo_ids: vec![photo_id.to_owned()], tags };
    Ok(app.tags(who).add_tags(request).await?.into_inner())
}

async fn remove(app: &App, who: Who, photo_id: &str, tags: &[&str], source: pb::TagSource) -> Result<i32, Status> {
    let tags = tags.iter().map(ToString::to_string).collect();
    let request = pb::RemoveTagsRequest { photo_ids: vec![photo_id.to_owned()], tags, source: source.into() };
    Ok(app.tags(who).remove_tags(request).await?.into_inner().removed)
}

async fn list(app: &App, photo_id: &str) -> Vec<(String, pb::TagSource)> {
    let request = pb::ListTagsRequest { photo_id: photo_id.to_owned() };
    let tags = app.tags(A.as_member()).list_tags(request).await.unwrap().into_inner().tags;
    tags.into_iter().map(|tag| (tag.tag.clone(), tag.source())).collect()
}

fn assert_error(status: &Status, code: Code, expected: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, expected), "{status:?}");
}

#[tokio::test]
async fn add_tags_keeps_one_spelling() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;

    let first = add(
        &app,
        A.as_member(),
        &stored.id,
        vec![tag(" \u{a0}Roof \t\n damage "), tag("Cre\u{301}pi"), tag("\u{1f3e0}")],
    );
    let first = first.await.unwrap();
    let again = add(
        &app,
        A.as_member(),
        &stored.id,
        vec![tag("ROOF DAMAGE"), tag("cr\u{c9}pi"), tag("roof  damage"), tag("'; --")],
    );
    let again = again.await.unwrap();

    assert_eq!((first.added, first.unchanged, first.updated), (3, 0, 0));
    assert_eq!((again.added, again.unchanged, again.updated), (1, 2, 0));
    let found: Vec<_> = list(&app, &stored.id).await.into_iter().map(|(tag, _)| tag).collect();
    assert_eq!(found, ["'; --", "Cr\u{e9}pi", "Roof damage", "\u{1f3e0}"]);
}

#[tokio::test]
async fn add_tags_keeps_sources_apart() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    let user = pb::Tag { source: pb::TagSource::User.into(), ..tag("roof") };

    let person = add(&app, A.as_member(), &stored.id, vec![tag("roof")]).await.unwrap();
    let worker = add(&app, A.as_service(), &stored.id, vec![tag("roof")]).await.unwrap();
    let admin = add(&app, A.as_admin(), &stored.id, vec![user.clone(), ai("wall", Some(0.5))]).await.unwrap();
    let before = app.rows().await;
    let forbidden = [
        add(&app, A.as_member(), &stored.id, vec![tag("x"), ai("y", None)]).await.unwrap_err(),
        add(&app, A.as_service(), &stored.id, vec![user]).await.unwrap_err(),
        remove(&app, A.as_member(), &stored.id, &["roof"], pb::TagSource::Ai).await.unwrap_err(),
        remove(&app, A.as_service(), &stored.id, &["roof"], pb::TagSource::User).await.unwrap_err(),
    ];

    assert_eq!((person.tags[0].source(), worker.tags[0].source()), (pb::TagSource::User, pb::TagSource::Ai));
    assert_eq!((admin.added, admin.unchanged), (1, 1));
    for status in forbidden {
        assert_error(&status, Code::PermissionDenied, "ROLE_NOT_ALLOWED");
        let metadata = details(&status).error_info().unwrap().metadata.clone();
        assert!(metadata.contains_key("role") && metadata["rpc"].contains("Tags"), "{metadata:?}");
    }
    assert_eq!(app.rows().await, before);
    let both = [("roof", pb::TagSource::Ai), ("roof", pb::TagSource::User), ("wall", pb::TagSource::Ai)];
    assert_eq!(list(&app, &stored.id).await, both.map(|(tag, source)| (tag.to_owned(), source)));
}

#[tokio::test]
async fn add_tags_counts_a_newer_confidence_as_updated() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;

    for (confidence, expected, kept) in [
        (Some(0.5), (1, 0, 0), Some(0.5)),
        (Some(0.5), (0, 1, 0), Some(0.5)),
        (Some(0.25), (0, 0, 1), Some(0.25)),
        (None, (0, 1, 0), Some(0.25)),
        (Some(0.0), (0, 0, 1), Some(0.0)),
    ] {
        let answer = add(&app, A.as_service(), &stored.id, vec![ai("Roof", confidence)]).await.unwrap();
        assert_eq!((answer.added, answer.unchanged, answer.updated), expected);
        assert_eq!(answer.tags[0].confidence, kept);
    }
    let twice =
        add(&app, A.as_service(), &stored.id, vec![ai("roof", Some(0.1)), ai("ROOF", Some(0.2))]).await.unwrap();
    assert_eq!((twice.updated, twice.tags.len(), twice.tags[0].confidence), (1, 1, Some(0.2)));
}

#[tokio::test]
async fn add_tags_is_all_or_nothing() {
    let app = App::start().await;
    let (stored, foreign) = (app.photo(A, "1.jpg").await, app.photo(B, "1.jpg").await);
    let before = app.rows().await;

    for missing in [Uuid::now_v7().to_string(), foreign.id] {
        let photo_ids = vec![stored.id.clone(), missing.clone()];
        let request = pb::AddTagsRequest { photo_ids: photo_ids.clone(), tags: vec![tag("roof")] };
        let status = app.tags(A.as_admin()).add_tags(request).await.unwrap_err();
        assert_error(&status, Code::NotFound, "PHOTO_NOT_FOUND");
        assert_eq!(details(&status).resource_info().unwrap().resource_name, missing);
        let request = pb::RemoveTagsRequest { photo_ids, tags: vec!["roof".to_owned()], source: 0 };
        let status = app.tags(A.as_admin()).remove_tags(request).await.unwrap_err();
        assert_error(&status, Code::NotFound, "PHOTO_NOT_FOUND");
    }

    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn add_tags_agrees_when_sixteen_add() {
    let app = std::sync::Arc::new(App::start().await);
    let stored = app.photo(A, "1.jpg").await;

    let tries = (0..16).map(|number| {
        let (app, id) = (app.clone(), stored.id.clone());
        let mut tags: Vec<_> = (0..20).map(|n| tag(&format!("tag {n}"))).collect();
        if number % 2 == 0 {
            tags.reverse();
        }
        tokio::spawn(async move { add(&app, A.as_member(), &id, tags).await.unwrap().added })
    });
    let mut added = 0;
    for attempt in tries.collect::<Vec<_>>() {
        added += attempt.await.unwrap();
    }

    assert_eq!(added, 20);
    assert_eq!(list(&app, &stored.id).await.len(), 20);
}

#[tokio::test]
async fn remove_tags_takes_what_the_role_may() {
    let app = App::start().await;
    let stored = app.photo(A, "1.jpg").await;
    for who in [A.as_member(), A.as_service()] {
        add(&app, who, &stored.id, vec![tag("Roof"), tag("Wall"), tag("Door")]).await.unwrap();
    }
    let any = pb::TagSource::Unspecified;

    assert_eq!(remove(&app, A.as_member(), &stored.id, &[" rOOf ", "none"], any).await.unwrap(), 1);
    assert_eq!(remove(&app, A.as_member(), &stored.id, &["roof"], any).await.unwrap(), 0);
    assert_eq!(remove(&app, A.as_service(), &stored.id, &["wall", "WALL"], any).await.unwrap(), 1);
    assert_eq!(remove(&app, A.as_admin(), &stored.id, &["door"], pb::TagSource::User).await.unwrap(), 1);
    assert_eq!(remove(&app, A.as_admin(), &stored.id, &["door", "roof", "wall"], any).await.unwrap(), 3);
    assert_eq!(list(&app, &stored.id).await, []);
}

/// Who asks, what, and the counts to find.
type Case<'a> = (Who, pb::ListTagCountsRequest, &'a [(&'a str, i64)]);

#[tokio::test]
async fn list_tag_counts_follows_order_prefix_and_project() {
    let app = App::start().await;
    let mut ids = Vec::new();
    for (key, project) in [("1", A.house), ("2", A.house), ("3", A.bridge)] {
        let request = pb::CreatePhotoRequest { photo: Some(photo(project, key)) };
        ids.push(app.photos(A.as_service()).create_photo(request).await.unwrap().into_inner().photo.unwrap().id);
    }
    for (id, tags) in
        ids.iter().zip([&["roof", "wall", "100%"][..], &["Roof", "roofing", "a_b"], &["ROOF", "wall", "axb"]])
    {
        add(&app, A.as_admin(), id, tags.iter().map(|text| tag(text)).collect()).await.unwrap();
    }
    // Two sources on one photo are one photo.
    add(&app, A.as_service(), &ids[0], vec![tag("roof")]).await.unwrap();
    add(&app, B.as_service(), &app.photo(B, "1").await.id, vec![tag("foreign")]).await.unwrap();
    let by_count = [("ROOF", 3), ("wall", 2), ("100%", 1), ("a_b", 1), ("axb", 1), ("roofing", 1)];
    let by_tag = [("100%", 1), ("a_b", 1), ("axb", 1), ("ROOF", 3), ("roofing", 1), ("wall", 2)];
    let all = pb::ListTagCountsRequest::default;
    let by = |order_by: &str| pb::ListTagCountsRequest { order_by: order_by.to_owned(), ..all() };
    let prefix = |prefix: &str| pb::ListTagCountsRequest { prefix: prefix.to_owned(), ..by("tag") };
    let of = |project: Uuid| pb::ListTagCountsRequest { project_id: Some(project.to_string()), ..all() };
    let cases: Vec<Case<'_>> = vec![
        (A.as_admin(), all(), &by_count),
        (A.as_admin(), by("count desc"), &by_count),
        (A.as_admin(), by("tag"), &by_tag),
        (A.as_admin(), prefix("ROO"), &[("ROOF", 3), ("roofing", 1)]),
        (A.as_admin(), prefix("a_"), &[("a_b", 1)]),
        (A.as_admin(), prefix("%"), &[]),
        (A.as_admin(), of(A.bridge), &[("axb", 1), ("ROOF", 1), ("wall", 1)]),
        (A.as_member(), all(), &[("Roof", 2), ("100%", 1), ("a_b", 1), ("roofing", 1), ("wall", 1)]),
        (B.as_admin(), all(), &[("foreign", 1)]),
    ];

    for (who, request, expected) in cases {
        for page_size in [0, 1, 2] {
            let mut next = pb::ListTagCountsRequest { page_size, ..request.clone() };
            let mut found = Vec::new();
            loop {
                let page = app.tags(who).list_tag_counts(next.clone()).await.unwrap().into_inner();
                found.extend(page.tag_counts.into_iter().map(|count| (count.tag, count.count)));
                next.page_token = page.next_page_token;
                if next.page_token.is_empty() {
                    break;
                }
            }
            let expected: Vec<_> = expected.iter().map(|(tag, count)| ((*tag).to_owned(), *count)).collect();
            assert_eq!(found, expected, "{request:?} in pages of {page_size}");
        }
    }
    for (who, project) in [(A.as_admin(), B.house), (A.as_member(), A.bridge), (A.as_admin(), Uuid::now_v7())] {
        let status = app.tags(who).list_tag_counts(of(project)).await.unwrap_err();
        assert_error(&status, Code::NotFound, "PROJECT_NOT_FOUND");
    }
}
