//! Projects, their states and their members.

use photometa::pb;
use tonic::{Code, Response, Status};
use uuid::Uuid;

use super::{assert_error, mask};
use crate::harness::{A, App, B, Organization, Who, details, photo};

async fn project(app: &App, project: pb::Project) -> Result<(pb::Project, pb::WriteOutcome), Status> {
    let request = pb::CreateProjectRequest { project: Some(project) };
    let answer = app.projects(A.as_admin()).create_project(request).await?.into_inner();
    let outcome = answer.outcome();
    Ok((answer.project.unwrap(), outcome))
}

#[tokio::test]
async fn create_project_is_unchanged_or_exists() {
    let app = App::start().await;
    let yard = pb::Project { name: "Yard".to_owned(), description: "D".to_owned(), ..Default::default() };
    let (first, outcome) = project(&app, yard.clone()).await.unwrap();
    let before = app.rows().await;

    assert_eq!((outcome, first.status()), (pb::WriteOutcome::Created, pb::ProjectStatus::Active));
    for given in [yard.clone(), first.clone()] {
        assert_eq!(project(&app, given).await.unwrap(), (first.clone(), pb::WriteOutcome::Unchanged));
    }
    for given in [
        pb::Project { description: String::new(), ..yard.clone() },
        pb::Project { status: 3, ..yard.clone() },
        pb::Project { id: Uuid::now_v7().to_string(), ..yard.clone() },
        pb::Project { id: first.id.clone(), name: "New".to_owned(), ..yard.clone() },
        pb::Project { id: A.house.to_string(), ..yard },
    ] {
        assert_error(project(&app, given).await, Code::AlreadyExists, "PROJECT_ALREADY_EXISTS");
    }
    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn update_project_follows_its_mask_and_names_stay_unique() {
    let app = App::start().await;
    let update = async |who: Who, name: &str, description: &str, status, update_mask| {
        let given = pb::Project {
            id: A.house.to_string(),
            name: name.to_owned(),
            description: description.to_owned(),
            status,
            ..Default::default()
        };
        let request = pb::UpdateProjectRequest { project: Some(given), update_mask };
        let project = app.projects(who).update_project(request).await?.into_inner().project.unwrap();
        Ok::<_, Status>((project.name, project.description, project.status))
    };
    let is = |name: &str, description: &str, status| (name.to_owned(), description.to_owned(), status);
    let admin = A.as_admin();

    assert_eq!(update(admin, "", "D", 2, None).await.unwrap(), is("House", "D", 2));
    assert_eq!(update(admin, "N", "", 3, mask(&["name", "description"])).await.unwrap(), is("N", "", 2));
    assert_eq!(update(admin, "N", "E", 0, mask(&["*"])).await.unwrap(), is("N", "E", 2));
    assert_error(update(admin, "Bridge", "", 0, None).await, Code::AlreadyExists, "PROJECT_ALREADY_EXISTS");
    assert_error(update(admin, "", "", 0, mask(&["name"])).await, Code::InvalidArgument, "INVALID_FIELDS");
    assert_error(update(A.as_service(), "X", "", 0, None).await, Code::PermissionDenied, "ROLE_NOT_ALLOWED");
    assert_error(update(B.as_admin(), "X", "", 0, None).await, Code::NotFound, "PROJECT_NOT_FOUND");
}

#[tokio::test]
async fn archived_project_takes_photos_again_when_active() {
    let app = App::start().await;
    let status = async |status: pb::ProjectStatus| {
        let project = Some(pb::Project { id: A.house.to_string(), status: status.into(), ..Default::default() });
        let request = pb::UpdateProjectRequest { project, update_mask: mask(&["status"]) };
        app.projects(A.as_admin()).update_project(request).await.unwrap();
    };
    let upload = async |key: &str| {
        let request = pb::CreatePhotoRequest { photo: Some(photo(A.house, key)) };
        app.photos(A.as_member()).create_photo(request).await.map(Response::into_inner)
    };

    status(pb::ProjectStatus::Archived).await;
    let refused = assert_error(upload("1").await, Code::FailedPrecondition, "PROJECT_ARCHIVED");
    assert_eq!(
        details(&refused).precondition_failure().unwrap().violations[0].subject,
        format!("projects/{}", A.house)
    );
    status(pb::ProjectStatus::Completed).await;
    upload("1").await.unwrap();
    let request = pb::ListProjectsRequest { statuses: vec![2], ..Default::default() };
    let found = app.projects(A.as_admin()).list_projects(request).await.unwrap().into_inner().projects;
    assert_eq!(found.iter().map(|project| &project.name).collect::<Vec<_>>(), ["House"]);
    let request = pb::DeleteProjectRequest { id: A.house.to_string() };
    assert_error(
        app.projects(A.as_admin()).delete_project(request).await,
        Code::FailedPrecondition,
        "PROJECT_NOT_EMPTY",
    );
    let request = pb::DeleteProjectRequest { id: A.bridge.to_string() };
    app.projects(A.as_admin()).delete_project(request.clone()).await.unwrap();
    assert_error(app.projects(A.as_admin()).delete_project(request).await, Code::NotFound, "PROJECT_NOT_FOUND");
}

#[tokio::test]
async fn project_members_are_counted_once_and_all_or_nothing() {
    let app = App::start().await;
    let add = async |organization: Organization, project: Uuid, ids: &[Uuid]| {
        let request = pb::AddProjectMembersRequest {
            project_id: project.to_string(),
            user_ids: ids.iter().map(Uuid::to_string).collect(),
        };
        Ok::<_, Status>(app.projects(organization.as_admin()).add_project_members(request).await?.into_inner().added)
    };
    let remove = async |project: Uuid, ids: &[Uuid]| {
        let request = pb::RemoveProjectMembersRequest {
            project_id: project.to_string(),
            user_ids: ids.iter().map(Uuid::to_string).collect(),
        };
        Ok::<_, Status>(app.projects(A.as_admin()).remove_project_members(request).await?.into_inner().removed)
    };
    let members = async |who: Who| {
        let request = pb::ListProjectMembersRequest { project_id: A.house.to_string(), ..Default::default() };
        let found = app.projects(who).list_project_members(request).await.unwrap().into_inner().members;
        found.into_iter().map(|member| member.user_id.parse::<Uuid>().unwrap()).collect::<Vec<_>>()
    };
    let before = app.rows().await;

    assert_error(add(A, A.house, &[A.outsider, B.member]).await, Code::NotFound, "USER_NOT_FOUND");
    assert_error(add(A, B.house, &[A.outsider]).await, Code::NotFound, "PROJECT_NOT_FOUND");
    assert_error(add(B, A.house, &[B.outsider]).await, Code::NotFound, "PROJECT_NOT_FOUND");
    assert_eq!(app.rows().await, before);
    assert_eq!(add(A, A.house, &[A.outsider, A.member, A.outsider]).await.unwrap(), 1);
    assert_eq!(add(A, A.house, &[A.outsider]).await.unwrap(), 0);
    assert_eq!(members(A.as_admin()).await, [A.member, A.outsider]);
    assert_eq!(members(A.as_outsider()).await, [A.outsider]);
    assert_eq!(remove(A.house, &[A.outsider, A.admin, Uuid::now_v7()]).await.unwrap(), 1);
    assert_eq!(members(A.as_admin()).await, [A.member]);
    assert_error(remove(B.house, &[B.member]).await, Code::NotFound, "PROJECT_NOT_FOUND");
}
