//! Organizations, users and sessions.

use photometa::pb;
use prost_types::FieldMask;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{A, App, B, OPERATOR, Who, details, photo, reason};

mod project;

async fn organization(app: &App, id: &str, name: &str) -> Result<(pb::Organization, pb::WriteOutcome), Status> {
    let organization = Some(pb::Organization { id: id.to_owned(), name: name.to_owned(), create_time: None });
    let request = pb::CreateOrganizationRequest { organization };
    let answer = app.organizations(OPERATOR).create_organization(request).await?.into_inner();
    let outcome = answer.outcome();
    Ok((answer.organization.unwrap(), outcome))
}

async fn user(app: &App, who: Who, user: pb::User) -> Result<(pb::User, pb::WriteOutcome), Status> {
    let answer = app.users(who).create_user(pb::CreateUserRequest { user: Some(user) }).await?.into_inner();
    let outcome = answer.outcome();
    Ok((answer.user.unwrap(), outcome))
}

#[expect(clippy::unnecessary_wraps, reason = "as messages have it")]
fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(ToString::to_string).collect() })
}

fn ann(email: &str) -> pb::User {
    pb::User { email: email.to_owned(), first_name: "Ann".to_owned(), ..Default::default() }
}

fn assert_error<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, expected: &str) -> Status {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{status:?}");
    status
}

#[tokio::test]
async fn create_organization_is_unchanged_or_exists() {
    let app = App::start().await;
    let (first, outcome) = organization(&app, "", "Acme \u{1f3d7}").await.unwrap();
    let (second, _) = organization(&app, "", "Other").await.unwrap();
    let before = app.rows().await;
    let fresh = Uuid::now_v7().to_string();

    assert_eq!(outcome, pb::WriteOutcome::Created);
    for id in ["", &first.id] {
        let again = organization(&app, id, "Acme \u{1f3d7}").await.unwrap();
        assert_eq!(again, (first.clone(), pb::WriteOutcome::Unchanged));
    }
    for (id, name) in [(&first.id, "New"), (&fresh, "Other"), (&first.id, "Other"), (&second.id, "Acme \u{1f3d7}")] {
        assert_error(organization(&app, id, name).await, Code::AlreadyExists, "ORGANIZATION_ALREADY_EXISTS");
    }
    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn organizations_are_for_operators() {
    let app = App::start().await;

    for who in [A.as_admin(), A.as_member(), A.as_service()] {
        let answer = app.organizations(who).list_organizations(pb::ListOrganizationsRequest::default()).await;
        assert_error(answer, Code::PermissionDenied, "ROLE_NOT_ALLOWED");
        let request = pb::DeleteOrganizationRequest { id: A.id.to_string() };
        assert_error(
            app.organizations(who).delete_organization(request).await,
            Code::PermissionDenied,
            "ROLE_NOT_ALLOWED",
        );
    }
    let answer = app.users(OPERATOR).list_users(pb::ListUsersRequest::default()).await;
    assert_error(answer, Code::PermissionDenied, "ROLE_NOT_ALLOWED");
}

#[tokio::test]
async fn delete_organization_refuses_what_is_not_empty() {
    let app = App::start().await;
    let (empty, _) = organization(&app, "", "Empty").await.unwrap();
    let delete = async |id: &str| {
        let request = pb::DeleteOrganizationRequest { id: id.to_owned() };
        app.organizations(OPERATOR).delete_organization(request).await
    };
    let before = app.rows().await;

    let status = assert_error(delete(&A.id.to_string()).await, Code::FailedPrecondition, "ORGANIZATION_NOT_EMPTY");
    assert_eq!(
        details(&status).precondition_failure().unwrap().violations[0].subject,
        format!("organizations/{}", A.id)
    );
    assert_eq!(app.rows().await, before);
    delete(&empty.id).await.unwrap();
    assert_error(delete(&empty.id).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    let get = pb::GetOrganizationRequest { id: empty.id };
    assert_error(app.organizations(OPERATOR).get_organization(get).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
}

#[tokio::test]
async fn create_user_is_unchanged_or_exists() {
    let app = App::start().await;
    let (first, outcome) = user(&app, A.as_admin(), ann("Ann@Example.com")).await.unwrap();
    let before = app.rows().await;

    assert_eq!((outcome, first.role()), (pb::WriteOutcome::Created, pb::UserRole::Contractor));
    for given in
        [ann("Ann@Example.com"), ann(" ann@EXAMPLE.com "), pb::User { id: first.id.clone(), ..ann("ann@example.com") }]
    {
        assert_eq!(user(&app, A.as_admin(), given).await.unwrap(), (first.clone(), pb::WriteOutcome::Unchanged));
    }
    for given in [
        pb::User { last_name: "Other".to_owned(), ..ann("ann@example.com") },
        pb::User { role: 3, ..ann("ann@example.com") },
        pb::User { id: Uuid::now_v7().to_string(), ..ann("ann@example.com") },
        pb::User { id: first.id.clone(), ..ann("new@example.com") },
        pb::User { id: A.admin.to_string(), ..ann("ann@example.com") },
    ] {
        assert_error(user(&app, A.as_admin(), given).await, Code::AlreadyExists, "USER_ALREADY_EXISTS");
    }
    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn create_user_says_no_more_of_another_organizations_email() {
    let app = App::start().await;
    user(&app, A.as_admin(), ann("local@example.com")).await.unwrap();
    user(&app, B.as_admin(), ann("other@example.com")).await.unwrap();
    let before = app.rows().await;

    let local = pb::User { last_name: "X".to_owned(), ..ann("local@example.com") };
    let local = assert_error(user(&app, A.as_admin(), local).await, Code::AlreadyExists, "USER_ALREADY_EXISTS");
    let other = assert_error(
        user(&app, A.as_admin(), ann("other@example.com")).await,
        Code::AlreadyExists,
        "USER_ALREADY_EXISTS",
    );

    assert_eq!(other.message(), local.message().replace("local", "other"));
    let (local, other) = (details(&local), details(&other));
    assert_eq!(other.resource_info().unwrap().resource_name, "other@example.com");
    assert_eq!(local.resource_info().unwrap().resource_name, "local@example.com");
    assert_eq!(app.rows().await, before);
}

#[tokio::test]
async fn update_user_follows_its_mask() {
    let app = App::start().await;
    let (first, _) =
        user(&app, A.as_admin(), pb::User { last_name: "Lee".to_owned(), ..ann("ann@example.com") }).await.unwrap();
    let update = async |who: Who, user: pb::User, update_mask| {
        let request = pb::UpdateUserRequest { user: Some(user), update_mask };
        Ok::<_, Status>(app.users(who).update_user(request).await?.into_inner().user.unwrap())
    };
    let given = pb::User {
        id: first.id.clone(),
        email: "ignored".to_owned(),
        first_name: "Bea".to_owned(),
        role: 2,
        ..Default::default()
    };
    let shown = |user: &pb::User| (user.email.clone(), user.first_name.clone(), user.last_name.clone(), user.role);
    let expect =
        |first: &str, last: &str, role| ("ann@example.com".to_owned(), first.to_owned(), last.to_owned(), role);

    let named = update(A.as_admin(), given.clone(), mask(&["role"])).await.unwrap();
    assert_eq!(shown(&named), expect("Ann", "Lee", 2));
    let set = update(A.as_admin(), given.clone(), None).await.unwrap();
    assert_eq!(shown(&set), expect("Bea", "Lee", 2));
    let cleared = update(A.as_admin(), given.clone(), mask(&["last_name"])).await.unwrap();
    assert_eq!(shown(&cleared), expect("Bea", "", 2));
    let same = update(A.as_admin(), given.clone(), mask(&["*"])).await.unwrap();
    assert_eq!(same, cleared);
    assert_error(update(A.as_member(), given.clone(), None).await, Code::PermissionDenied, "ROLE_NOT_ALLOWED");
    assert_error(update(B.as_admin(), given, None).await, Code::NotFound, "USER_NOT_FOUND");
}

#[tokio::test]
async fn delete_user_refuses_while_photos_refer_to_it() {
    let app = App::start().await;
    let given = pb::Photo { user_id: A.member.to_string(), ..photo(A.house, "1.jpg") };
    app.photos(A.as_service()).create_photo(pb::CreatePhotoRequest { photo: Some(given) }).await.unwrap();
    let delete =
        async |who: Who, id: Uuid| app.users(who).delete_user(pb::DeleteUserRequest { id: id.to_string() }).await;
    let before = app.rows().await;

    assert_error(delete(A.as_admin(), A.member).await, Code::FailedPrecondition, "USER_IN_USE");
    assert_error(delete(B.as_admin(), A.outsider).await, Code::NotFound, "USER_NOT_FOUND");
    assert_eq!(app.rows().await, before);
    delete(A.as_admin(), A.outsider).await.unwrap();
    assert_error(delete(A.as_admin(), A.outsider).await, Code::NotFound, "USER_NOT_FOUND");
    let memberships =
        format!("select count(*) from companycam_photos.project_members where user_id = '{}'", A.outsider);
    assert_eq!(app.count(&memberships).await, 0);
}

#[tokio::test]
async fn people_see_themselves_and_their_projects() {
    let app = App::start().await;
    let users =
        async |who: Who| app.users(who).list_users(pb::ListUsersRequest::default()).await.unwrap().into_inner().users;
    let projects = async |who: Who| {
        let found = app.projects(who).list_projects(pb::ListProjectsRequest::default()).await.unwrap().into_inner();
        found.projects.into_iter().map(|project| project.name).collect::<Vec<_>>()
    };

    let alone: Vec<_> = users(A.as_member()).await.into_iter().map(|user| user.id).collect();
    assert_eq!(alone, [A.member.to_string()]);
    assert_eq!((users(A.as_admin()).await.len(), users(A.as_service()).await.len()), (3, 3));
    assert_eq!(projects(A.as_member()).await, ["House"]);
    assert_eq!(projects(A.as_admin()).await, ["Bridge", "House"]);
    let request = pb::GetUserRequest { id: A.admin.to_string() };
    assert_error(app.users(A.as_member()).get_user(request).await, Code::NotFound, "USER_NOT_FOUND");
    for id in [A.bridge, B.house] {
        let request = pb::GetProjectRequest { id: id.to_string() };
        assert_error(app.projects(A.as_member()).get_project(request).await, Code::NotFound, "PROJECT_NOT_FOUND");
    }
}

#[tokio::test]
async fn who_am_i_answers_every_role() {
    let app = App::start().await;

    for (who, role) in
        [(OPERATOR, "operator"), (A.as_admin(), "org_admin"), (A.as_member(), "org_user"), (A.as_service(), "service")]
    {
        let found = app.sessions(who).who_am_i(pb::WhoAmIRequest {}).await.unwrap().into_inner();
        assert_eq!((found.role.as_str(), found.subject), (role, who.subject.to_string()));
        assert_eq!(found.organization_id, who.organization.map(|id| id.to_string()).unwrap_or_default());
        assert!(!found.server_version.is_empty());
        let limits = found.limits.unwrap();
        assert_eq!((limits.max_request_bytes, limits.max_page_size, limits.max_batch_size), (4 << 20, 1000, 1000));
        assert_eq!((limits.ingest_window_items, limits.ingest_window_bytes), (500, 4 << 20));
        assert_eq!((limits.max_exif_bytes, limits.max_results_bytes, limits.max_json_depth), (64 << 10, 256 << 10, 32));
    }
}
