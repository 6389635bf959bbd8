//! What every list owes its callers: pages that walk through everything once, sizes within bounds, and tokens that
//! are worth nothing to anybody else and for any other request.

use std::mem;

use photometa::auth::Role;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::cluster::TestDatabase;
use crate::harness::{A, App, OPERATOR, Who, paths, reason};
use crate::rpcs::{RPCS, Rpc};
use crate::world::World;

/// One list, as somebody who sees at least three items in it.
struct List {
    rpc: &'static Rpc,
    who: Who,
    request: Value,
}

impl List {
    async fn page(&self, app: &App, who: Who, size: i32, token: &str, other: &Value) -> Result<Value, Status> {
        let mut request = self.request.clone();
        let fields = request.as_object_mut().unwrap();
        fields.insert("page_size".to_owned(), json!(size));
        fields.insert("page_token".to_owned(), json!(token));
        fields.extend(other.as_object().cloned().unwrap_or_default());
        self.rpc.call(app, who, request).await
    }

    async fn first_token(&self, app: &App) -> String {
        let page = self.page(app, self.who, 1, "", &json!({})).await.unwrap();
        next(&page).to_owned()
    }

    /// Refuses a token, and answers the message.
    async fn refuses(&self, app: &App, who: Who, token: &str, other: &Value) -> String {
        let status = self.page(app, who, 1, token, other).await.unwrap_err();
        let found = (status.code(), reason(&status));
        assert_eq!(found, (Code::InvalidArgument, "INVALID_PAGE_TOKEN".to_owned()), "{}", self.rpc.name);
        status.message().to_owned()
    }
}

/// Every list of the contract: whatever takes a page size.
fn lists(world: &World) -> Vec<List> {
    let paged = RPCS.iter().filter(|rpc| rpc.method().input().get_field_by_name("page_size").is_some());
    let lists = paged.map(|rpc| {
        let who = if rpc.roles == [Role::Operator] { OPERATOR } else { world.organization.as_admin() };
        let request = if rpc.name == "ProjectService/ListProjectMembers" { rpc.request } else { "{}" };
        List { rpc, who, request: world.ids().fill(request) }
    });
    lists.collect()
}

/// The items of a page: its only repeated field.
fn items(page: &Value) -> Vec<Value> {
    let mut arrays = page.as_object().unwrap().values().filter_map(Value::as_array);
    arrays.next().cloned().unwrap_or_default()
}

fn next(page: &Value) -> &str {
    page["nextPageToken"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn every_list_walks_through_everything_once_in_order() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;

    for list in lists(&world) {
        let all = list.page(&app, list.who, 1000, "", &json!({})).await.unwrap();
        let (mut walked, mut token) = (Vec::new(), String::new());
        loop {
            let page = list.page(&app, list.who, 1, &token, &json!({})).await.unwrap();
            let found = items(&page);
            assert_eq!(found.len(), 1, "{}", list.rpc.name);
            walked.extend(found);
            token = next(&page).to_owned();
            if token.is_empty() {
                break;
            }
            assert!(walked.len() < 50, "{} does not end", list.rpc.name);
        }

        assert_eq!(next(&all), "", "{}", list.rpc.name);
        assert!(walked.len() >= 3, "{} has only {}", list.rpc.name, walked.len());
        assert_eq!(walked, items(&all), "{}", list.rpc.name);
    }
}

#[tokio::test]
async fn every_list_has_a_page_of_exactly_its_size_end_without_a_token() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;

    for list in lists(&world) {
        let all = items(&list.page(&app, list.who, 0, "", &json!({})).await.unwrap()).len();
        let exact = list.page(&app, list.who, i32::try_from(all).unwrap(), "", &json!({})).await.unwrap();

        assert_eq!((items(&exact).len(), next(&exact)), (all, ""), "{}", list.rpc.name);
    }
}

#[tokio::test]
async fn every_list_bounds_its_page_size() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;

    for list in lists(&world) {
        for size in [0, 1000, 1001, 5000, i32::MAX] {
            let page = list.page(&app, list.who, size, "", &json!({})).await.unwrap();
            assert!(items(&page).len() >= 3, "{} with {size}", list.rpc.name);
        }
        for size in [-1, i32::MIN] {
            let status = list.page(&app, list.who, size, "", &json!({})).await.unwrap_err();

            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::InvalidArgument, "INVALID_FIELDS"),
                "{}",
                list.rpc.name
            );
            assert_eq!(paths(&status), ["page_size"], "{}", list.rpc.name);
        }
    }
}

#[tokio::test]
async fn every_list_refuses_a_token_that_was_changed_anywhere() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;

    for list in lists(&world) {
        let token = list.first_token(&app).await;
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
        for position in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            list.refuses(&app, list.who, &String::from_utf8(changed).unwrap(), &json!({})).await;
        }
        for changed in
            [&token[..token.len() - 1], &token[1..], &format!("{token}A"), &format!("{token}="), "A", " ", "💥"]
        {
            list.refuses(&app, list.who, changed, &json!({})).await;
        }
    }
}

#[tokio::test]
async fn every_list_refuses_a_token_of_another_list() {
    let app = App::start().await;
    let world = World::grow(&app, A).await;

    for list in lists(&world) {
        let token = list.first_token(&app).await;
        for other in lists(&world).iter().filter(|other| other.rpc.name != list.rpc.name) {
            other.refuses(&app, other.who, &token, &json!({})).await;
        }
    }
}

#[tokio::test]
async fn every_list_continues_on_another_replica_and_after_a_restart() {
    let mut app = App::start().await;
    let world = World::grow(&app, A).await;
    let mut expected = Vec::new();
    for list in lists(&world) {
        let token = list.first_token(&app).await;
        let page = list.page(&app, list.who, 1, &token, &json!({})).await.unwrap();
        expected.push((token, items(&page)));
    }

    let database = mem::replace(&mut app.database, TestDatabase::clone_template().await);
    app.stop().await;
    let app = App::start_on(database).await;

    for (list, (token, items_before)) in lists(&world).into_iter().zip(expected) {
        let page = list.page(&app, list.who, 1, &token, &json!({})).await.unwrap();
        assert_eq!(items(&page), items_before, "{}", list.rpc.name);
    }
}

#[test]
fn every_list_of_the_contract_is_paged() {
    // The tags of one photo come all at once: the contract bounds them.
    let whole = ["TagService/ListTags"];
    for rpc in RPCS.iter().filter(|rpc| rpc.name.contains("/List") && !whole.contains(&rpc.name)) {
        let method = rpc.method();
        for field in ["page_size", "page_token"] {
            assert!(method.input().get_field_by_name(field).is_some(), "{} lacks {field}", rpc.name);
        }
        assert!(method.output().get_field_by_name("next_page_token").is_some(), "{}", rpc.name);
    }
}
