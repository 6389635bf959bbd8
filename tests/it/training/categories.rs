//! The numbers of labels: given once, by the first export or before, the same ever after.

use photometa::pb;
use serde_json::json;
use tonic::Code;

use super::{document, everything, labelled, seen};
use crate::bad_input::assert_refused;
use crate::harness::{A, App, B, Organization, Who, reason};

fn wanted(id: Option<i32>, name: &str, supercategory: &str) -> pb::Category {
    pb::Category { id, name: name.to_owned(), supercategory: supercategory.to_owned() }
}

async fn register(app: &App, who: Who, categories: Vec<pb::Category>) -> Vec<pb::Category> {
    let request = pb::RegisterCategoriesRequest { categories };
    app.feedback(who).register_categories(request).await.unwrap().into_inner().categories
}

async fn list(app: &App, organization: Organization, page_size: i32) -> Vec<pb::Category> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListCategoriesRequest { page_size, page_token };
        let page = app.feedback(organization.as_member()).list_categories(request).await.unwrap().into_inner();
        found.extend(page.categories);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

#[tokio::test]
async fn register_gives_free_numbers_that_are_asked_for_and_the_next_ones_to_others() {
    let app = App::start().await;

    let first = register(
        &app,
        A.as_admin(),
        vec![
            wanted(None, "next", ""),
            wanted(Some(7), "seven", "lucky"),
            wanted(Some(7), "also seven", ""),
            wanted(Some(0), "zero", ""),
            wanted(None, "seven", "ignored"),
            wanted(Some(i32::MAX), "last", ""),
        ],
    )
    .await;
    let again = register(&app, A.as_service(), vec![wanted(Some(3), "seven", "other"), wanted(None, "more", "")]).await;

    let expected = [
        wanted(Some(8), "next", ""),
        wanted(Some(7), "seven", "lucky"),
        wanted(Some(9), "also seven", ""),
        wanted(Some(0), "zero", ""),
        wanted(Some(7), "seven", "lucky"),
        wanted(Some(i32::MAX), "last", ""),
    ];
    assert_eq!(first, expected);
    assert_eq!(again, [wanted(Some(7), "seven", "lucky"), wanted(Some(10), "more", "")]);
    let listed = list(&app, A, 2).await;
    let ids: Vec<_> = listed.iter().filter_map(|category| category.id).collect();
    assert_eq!(ids, [0, 7, 8, 9, 10, i32::MAX]);
    assert_eq!(list(&app, B, 0).await, []);
    assert_eq!(register(&app, B.as_admin(), vec![wanted(None, "seven", "")]).await, [wanted(Some(1), "seven", "")]);
}

#[tokio::test]
async fn labels_that_many_register_at_once_have_one_number_each() {
    let app = App::start().await;
    let register = |number: usize| {
        let mut client = app.feedback(A.as_service());
        let labels = (0..40).map(|label| wanted(None, &format!("label {}", (label * 7 + number) % 50), ""));
        let request = pb::RegisterCategoriesRequest { categories: labels.collect() };
        tokio::spawn(async move { client.register_categories(request).await.unwrap().into_inner().categories })
    };

    let calls: Vec<_> = (0..8).map(register).collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.extend(call.await.unwrap());
    }

    let listed = list(&app, A, 0).await;
    assert!(listed.iter().zip(1..).all(|(category, id)| category.id == Some(id)), "{listed:?}");
    assert!(answers.iter().all(|answer| listed.contains(answer)));
}

#[tokio::test]
async fn export_keeps_the_numbers_that_labels_have_and_lists_those_without_objects() {
    let app = App::start().await;
    let on = app.photo(A, "a.jpg").await;
    seen(&app, &on.id, vec![labelled("1", "crack"), labelled("2", "dent")]).await;
    register(&app, A.as_admin(), vec![wanted(Some(20), "crack", "damage"), wanted(Some(3), "unused", "")]).await;

    let first = document(&app, everything()).await;
    let again = document(&app, everything()).await;

    assert_eq!(super::column(&first["annotations"], "category_id"), [20, 21]);
    let expected = json!([
        {"id": 3, "name": "unused"}, {"id": 20, "name": "crack", "supercategory": "damage"}, {"id": 21, "name": "dent"},
    ]);
    assert_eq!(first["categories"], expected);
    assert_eq!(again["categories"], expected);
    assert_eq!(again["annotations"], first["annotations"]);
}

#[tokio::test]
async fn register_refuses_what_is_no_category() {
    let app = App::start().await;
    let mut client = app.feedback(A.as_admin());
    let long = "x".repeat(201);
    for (what, categories, expected) in [
        ("none", vec![], vec!["categories"]),
        ("too many", vec![wanted(None, "x", ""); 1001], vec!["categories"]),
        (
            "bad ones",
            vec![wanted(Some(-1), "", ""), wanted(None, &long, &long), wanted(None, "a\0", "b\0")],
            vec![
                "categories[0].id",
                "categories[0].name",
                "categories[1].name",
                "categories[1].supercategory",
                "categories[2].name",
                "categories[2].supercategory",
            ],
        ),
    ] {
        let request = pb::RegisterCategoriesRequest { categories };
        assert_refused(what, client.register_categories(request).await, &expected);
    }
    let request = pb::RegisterCategoriesRequest { categories: vec![wanted(None, "x", "")] };
    let status = app.feedback(A.as_member()).register_categories(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::PermissionDenied, "ROLE_NOT_ALLOWED".to_owned()));
    assert_eq!(list(&app, A, 0).await, []);
}
