//! Page tokens of every list: worth nothing to another organization and for another request, and no way around
//! row security for another member.

use photometa::auth::Role;
use prost_reflect::{FieldDescriptor, Kind as Type, MessageDescriptor, MethodDescriptor};
use serde_json::{Value, json};
use tonic::Code;

use super::cells::is_list;
use super::other::Scope;
use super::paths::{has, id_paths, without};
use super::scene::Scene;
use super::seen::Outcome;
use crate::harness::{A, B, OPERATOR, Who, reason};
use crate::rpcs::{Ids, RPCS, Rpc};

/// Orders that some list has.
const ORDERS: [&str; 6] = ["create_time", "create_time desc", "capture_time", "capture_time desc", "tag", "count desc"];

/// What is no part of what a token belongs to: where the page begins and ends, and how much of each row is shown.
const FREE: [&str; 3] = ["page_size", "page_token", "view"];

fn lists() -> impl Iterator<Item = (&'static Rpc, MethodDescriptor)> {
    RPCS.iter().map(|rpc| (rpc, rpc.method())).filter(|(_, method)| is_list(method))
}

/// The least that a list accepts: no id at all or, where one is required, the table's request.
async fn least(scene: &Scene, rpc: &Rpc, who: Who, ids: &Ids) -> Value {
    let request = ids.fill(rpc.request);
    let paths = id_paths(&rpc.method()).into_iter().filter(|path| has(&request, path));
    let bare = paths.fold(request.clone(), |request, path| without(&request, &path));
    if scene.call(rpc, who, bare.clone()).await.is_ok() { bare } else { request }
}

/// Messages that are of use with all of their fields only.
const WHOLE: [&str; 2] = ["GeoBox", "PhotoWithoutDetectionFilter"];

/// Requests that set one field of a message, for every field, however deep.
fn each_field(method: &MethodDescriptor, message: &MessageDescriptor, ids: &Ids) -> Vec<Value> {
    let mut found = Vec::new();
    for field in message.fields().filter(|field| !FREE.contains(&field.name())) {
        for value in values(method, &field, ids) {
            let value = if field.is_list() { json!([value]) } else { value };
            found.push(json!({ field.name(): value }));
        }
    }
    found
}

fn values(method: &MethodDescriptor, field: &FieldDescriptor, ids: &Ids) -> Vec<Value> {
    if let Some(path) = id_paths(method).iter().find(|path| path.steps.last().unwrap().name == field.name()) {
        return vec![json!(ids.of(&path.kind.theirs().replace("their_", "")))];
    }
    match field.kind() {
        Type::String if field.name() == "order_by" => ORDERS.into_iter().map(Value::from).collect(),
        Type::String => vec![json!("x")],
        Type::Bool => vec![json!(true)],
        Type::Double => vec![json!(0.5)],
        Type::Int32 | Type::Enum(_) => vec![json!(1)],
        Type::Message(message) if message.full_name() == "google.protobuf.Timestamp" => {
            vec![json!("2020-01-01T00:00:00Z")]
        }
        Type::Message(message) if WHOLE.contains(&message.name()) => {
            let fields = each_field(method, &message, ids).into_iter();
            vec![fields.fold(json!({}), |all, field| over(&all, &field))]
        }
        Type::Message(message) => each_field(method, &message, ids),
        other => panic!("{}: which value of {other:?} is another one?", field.full_name()),
    }
}

fn over(request: &Value, fields: &Value) -> Value {
    let mut request = request.clone();
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

/// The request for one row after a token.
fn page(request: &Value, token: &str) -> Value {
    over(request, &json!({"page_size": 1, "page_token": token}))
}

/// The token of the next page, if the call was right and there is one.
fn next(outcome: &Outcome) -> Option<String> {
    let (_, answer) = outcome.as_ref().ok()?;
    answer["nextPageToken"].as_str().map(str::to_owned)
}

/// Asserts that a token was refused, and answers how.
fn refused(what: &str, outcome: Outcome) -> String {
    let status = outcome.expect_err(what);
    let found = (status.code(), reason(&status));
    assert_eq!(found, (Code::InvalidArgument, "INVALID_PAGE_TOKEN".to_owned()), "{what}: {status:?}");
    format!("{:?}", (status.message(), crate::harness::details(&status)))
}

#[tokio::test]
async fn every_list_refuses_tokens_of_another_organization_as_invented_ones() {
    let scene = Scene::set(Scope::organization(A.as_admin())).await;
    let theirs = Ids::new(B.id, B.house, B.member, &photo_of_b(&scene).await, "");
    let mut compared = 0;

    for (rpc, method) in lists().filter(|(rpc, _)| rpc.roles != [Role::Operator]) {
        let bare = least(&scene, rpc, B.as_admin(), &theirs).await;
        let filtered = each_field(&method, &method.input(), &theirs);
        let requests = std::iter::once(bare.clone()).chain(filtered.iter().map(|fields| over(&bare, fields)));
        let mut tokens = 0;
        for request in requests {
            let Some(token) = next(&scene.call(rpc, B.as_admin(), page(&request, "")).await) else { continue };
            tokens += 1;
            for who in
                [A.as_admin(), A.as_member(), A.as_service()].into_iter().filter(|who| rpc.roles.contains(&who.role))
            {
                let what = format!("{} as {:?} with {request}", rpc.name, who.role);
                let outcome = scene.call(rpc, who, page(&request, &token)).await;
                scene.search(&what, &outcome, &[]);
                let invented = scene.call(rpc, who, page(&request, "AAAA")).await;

                assert_eq!(refused(&what, outcome), refused(&what, invented), "{what}");
                compared += 1;
            }
        }
        assert!(tokens > 0, "{} gave no token", rpc.name);
    }

    println!("cells of page tokens of another organization: {compared}");
    assert!(compared >= 100, "only {compared}");
}

async fn photo_of_b(scene: &Scene) -> String {
    let query = "select id::text from companycam_photos.photos where organization_id = $1 and s3_key = 'house/1.jpg'";
    scene.app.postgres.query_one(query, &[&B.id]).await.unwrap().try_get(0).unwrap()
}

#[tokio::test]
async fn every_list_refuses_tokens_of_a_request_that_differs_in_any_field() {
    let scene = Scene::set(Scope::organization(A.as_admin())).await;
    let (own, others) = (scene.world.ids(), scene.world.bridge_ids());
    let mut compared = 0;

    for (rpc, method) in lists() {
        let who = if rpc.roles == [Role::Operator] { OPERATOR } else { A.as_admin() };
        let bare = least(&scene, rpc, who, &own).await;
        let token = next(&scene.call(rpc, who, page(&bare, "")).await).expect(rpc.name);
        let mut orders = 0;
        for fields in each_field(&method, &method.input(), &others) {
            let other = over(&bare, &fields);
            let accepted = scene.call(rpc, who, page(&other, "")).await;
            if fields.get("order_by").is_some() {
                orders += usize::from(accepted.is_ok());
                if accepted.is_err() {
                    continue;
                }
            }
            assert!(accepted.is_ok(), "{} with {other}: {accepted:?}", rpc.name);

            let message = refused(rpc.name, scene.call(rpc, who, page(&other, &token)).await);

            assert!(message.contains("another filter or order"), "{} with {other}: {message}", rpc.name);
            compared += 1;
        }
        assert!(orders > 0 || method.input().get_field_by_name("order_by").is_none(), "{}: no known order", rpc.name);
    }

    println!("cells of page tokens of another request: {compared}");
    assert!(compared >= 36, "only {compared}");
}

/// Walks from a token of somebody else to the end, and searches every page.
async fn walk(scene: &Scene, rpc: &Rpc, request: &Value, token: String) {
    let what = format!("{} with a token of somebody else", rpc.name);
    let mut token = Some(token);
    for _ in 0..100 {
        let Some(after) = token else { return };
        let outcome = scene.call(rpc, scene.scope.who, page(request, &after)).await;
        scene.search(&what, &outcome, &[]);
        token = next(&outcome);
    }
    panic!("{what} does not end");
}

#[tokio::test]
async fn every_list_shows_members_own_rows_only_after_tokens_of_somebody_else() {
    let scene = Scene::set(Scope::project(A.as_outsider(), A.bridge)).await;
    let mut walked = 0;

    for (rpc, method) in lists().filter(|(rpc, _)| rpc.roles.contains(&Role::OrgUser)) {
        let bare = least(&scene, rpc, A.as_admin(), &scene.world.bridge_ids()).await;
        let filtered = each_field(&method, &method.input(), &scene.world.bridge_ids());
        for request in std::iter::once(bare.clone()).chain(filtered.iter().map(|fields| over(&bare, fields))) {
            for giver in [A.as_admin(), A.as_service(), A.as_member()] {
                if let Some(token) = next(&scene.call(rpc, giver, page(&request, "")).await) {
                    walk(&scene, rpc, &request, token).await;
                    walked += 1;
                }
            }
        }
    }

    println!("cells of page tokens of another role or member: {walked}");
    assert!(walked >= 72, "only {walked}");
}
