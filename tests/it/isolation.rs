//! Isolation, exhaustively: every RPC of the descriptor, with every field that can carry an id, before another
//! organization, another project and another role. What is not the caller's is answered exactly as what nobody has,
//! nothing of it changes, and nothing of it is in any answer. Generated: a new RPC or id is in it by itself.

use photometa::auth::Role;
use tonic::Code;

use crate::harness::{A, OPERATOR, Who, reason};
use crate::rpcs::{RPCS, Rpc, methods, name};

mod cells;
mod other;
mod paths;
mod scene;
pub mod seen;
mod tokens;

use cells::{Cell, Counts, Group, cells};
use other::Scope;
use scene::{Scene, unknown};

/// Least cells of each group, as many as there were when this was written: a generator that finds less is broken.
const LEAST: [(Group, usize); 5] =
    [(Group::Read, 55), (Group::Write, 162), (Group::List, 29), (Group::Batch, 1032), (Group::Filter, 213)];

fn scopes() -> [Scope; 5] {
    [
        Scope::organization(A.as_admin()),
        Scope::organization(A.as_member()),
        Scope::organization(A.as_service()),
        Scope::project(A.as_member(), A.house),
        Scope::project(A.as_outsider(), A.bridge),
    ]
}

/// Every cell of a scope.
fn matrix(scope: Scope) -> Vec<Cell> {
    let kinds = scope.kinds();
    methods()
        .iter()
        .map(|method| Rpc::named(&name(method)))
        .filter(|rpc| rpc.roles.contains(&scope.who.role))
        .flat_map(|rpc| cells(rpc, &kinds))
        .collect()
}

#[test]
fn matrix_has_no_fewer_cells_than_before() {
    let mut counts = Counts::new();
    for cell in scopes().into_iter().flat_map(matrix) {
        *counts.entry(cell.group).or_default() += 1;
    }

    println!("cells by group: {counts:?}, in all {}", counts.values().sum::<usize>());
    for (group, least) in LEAST {
        assert!(counts[&group] >= least, "only {} cells of {group}", counts[&group]);
    }
}

/// Compares, in every cell of a scope, an id of the other side with one that nobody has.
async fn compare(scope: Scope) {
    let scene = Scene::set(scope).await;
    for cell in matrix(scope) {
        check(&scene, &cell).await;
    }
}

async fn check(scene: &Scene, cell: &Cell) {
    let who = scene.scope.who;
    let what = format!("{} as {:?}, {}", cell.rpc.name, who.role, cell.what);
    let foreign = scene.ask(cell, who, &scene.theirs, false).await;
    if cell.kinds().next().is_none() {
        // Own ids: the request is right. What is in use stays, and a project's members need the project.
        let right = ["OK", "FailedPrecondition"].iter().any(|start| foreign.0.starts_with(start));
        assert!(right || cell.what == "no id", "{what}: {}", foreign.0);
        return;
    }
    if cell.what == "all ids at once" {
        scene.owner_sees(cell).await;
    }
    if cell.chosen && scene.scope.project.is_some() {
        // Ids are unique within the organization: that one is taken cannot be hidden, but by what it is.
        let taken = ["AlreadyExists", "ALREADY_EXISTS"].iter().any(|word| foreign.0.contains(word));
        assert!(taken, "{what}: {}", foreign.0);
        return;
    }
    let unknown = scene.ask(cell, who, &unknown(), false).await;
    assert_eq!(foreign, unknown, "{what}");
    assert!(!cell.chosen || foreign.0.starts_with("OK"), "{what}: {}", foreign.0);
}

#[tokio::test]
async fn every_rpc_answers_ids_of_another_organization_as_unknown_ones_to_admins() {
    compare(Scope::organization(A.as_admin())).await;
}

#[tokio::test]
async fn every_rpc_answers_ids_of_another_organization_as_unknown_ones_to_members() {
    compare(Scope::organization(A.as_member())).await;
}

#[tokio::test]
async fn every_rpc_answers_ids_of_another_organization_as_unknown_ones_to_services() {
    compare(Scope::organization(A.as_service())).await;
}

#[tokio::test]
async fn every_rpc_answers_ids_of_another_project_as_unknown_ones_to_a_member_of_house() {
    compare(Scope::project(A.as_member(), A.house)).await;
}

#[tokio::test]
async fn every_rpc_answers_ids_of_another_project_as_unknown_ones_to_a_member_of_bridge() {
    compare(Scope::project(A.as_outsider(), A.bridge)).await;
}

#[tokio::test]
async fn every_rpc_refuses_other_roles_alike_whatever_the_ids() {
    let scene = Scene::set(Scope::organization(A.as_admin())).await;
    let kinds = scene.scope.kinds();
    let mut compared = 0;

    for rpc in RPCS {
        let refused = |who: &Who| !rpc.roles.contains(&who.role);
        for who in [OPERATOR, A.as_admin(), A.as_member(), A.as_service()].into_iter().filter(refused) {
            for cell in cells(rpc, &kinds) {
                let status = scene.call(rpc, who, scene.fill(&cell.request, &scene.theirs)).await.unwrap_err();
                let foreign = scene.ask(&cell, who, &scene.theirs, true).await;
                let unknown = scene.ask(&cell, who, &unknown(), true).await;

                let found = (status.code(), reason(&status));
                assert_eq!(found, (Code::PermissionDenied, "ROLE_NOT_ALLOWED".to_owned()), "{} as {who:?}", rpc.name);
                assert_eq!(foreign, unknown, "{} as {who:?}", rpc.name);
                compared += 1;
            }
        }
    }

    println!("cells of other roles: {compared}");
    assert!(compared >= 643, "only {compared}");
}

#[tokio::test]
async fn every_rpc_of_operators_shows_nothing_that_tenants_own() {
    let scene = Scene::set(Scope::organization(OPERATOR)).await;
    let mut asked = 0;

    for rpc in RPCS.iter().filter(|rpc| rpc.roles.contains(&Role::Operator)) {
        for cell in cells(rpc, &[]) {
            scene.ask(&cell, OPERATOR, &scene.theirs, false).await;
            asked += 1;
        }
    }

    assert!(asked >= 5, "only {asked}");
}
