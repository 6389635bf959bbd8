//! A little of everything in one organization, for suites that call every RPC.

use photometa::auth::Role;
use photometa::pb;

use crate::harness::{App, OPERATOR, Organization, Who, detection, photo};
use crate::rpcs::Ids;

/// What [`World::grow`] made. Every list of the contract has at least three items for its administrator.
pub struct World {
    /// Whose it is.
    pub organization: Organization,
    /// In `house`.
    pub photos: Vec<pb::Photo>,
    /// On the first photo; the first one has feedback.
    pub detections: Vec<pb::Detection>,
    /// A photo in `bridge`.
    pub bridge_photo: pb::Photo,
    /// On it.
    pub bridge_detection: pb::Detection,
}

impl World {
    /// Makes it through the API.
    pub async fn grow(app: &App, organization: Organization) -> Self {
        let mut photos = Vec::new();
        for number in 1..=3 {
            photos.push(app.photo(organization, &format!("house/{number}.jpg")).await);
        }
        let mut detections = Vec::new();
        for _ in 1..=4 {
            detections.push(app.detection(organization, &photos[0].id).await);
        }
        let request = pb::CreatePhotoRequest { photo: Some(photo(organization.bridge, "bridge/1.jpg")) };
        let bridge_photo =
            app.photos(organization.as_service()).create_photo(request).await.unwrap().into_inner().photo.unwrap();
        let request = pb::CreateDetectionRequest { detection: Some(detection(&bridge_photo.id)) };
        let answer = app.detections(organization.as_service()).create_detection(request).await.unwrap();
        let bridge_detection = answer.into_inner().detection.unwrap();

        let world = Self { organization, photos, detections, bridge_photo, bridge_detection };
        world.review(app).await;
        world.settle(app).await;
        world
    }

    async fn review(&self, app: &App) {
        let feedback = pb::Feedback {
            detection_id: self.detections[0].id.clone(),
            verdict: pb::Verdict::Confirm.into(),
            ..Default::default()
        };
        let request = pb::BatchCreateFeedbackRequest { feedback: vec![feedback; 3], ..Default::default() };
        app.feedback(self.organization.as_member()).batch_create_feedback(request).await.unwrap();
        let request = pb::ClaimPendingDetectionsRequest { count: 1, ..Default::default() };
        app.detections(self.organization.as_admin()).claim_pending_detections(request).await.unwrap();
        let tags = (1..=3).map(|number| pb::Tag { tag: format!("Tag {number}"), ..Default::default() }).collect();
        let request = pb::AddTagsRequest { photo_ids: vec![self.photos[0].id.clone()], tags };
        app.tags(self.organization.as_member()).add_tags(request).await.unwrap();
        let category = |number| pb::Category { name: format!("Category {number}"), ..Default::default() };
        let request = pb::RegisterCategoriesRequest { categories: (1..=3).map(category).collect() };
        app.feedback(self.organization.as_service()).register_categories(request).await.unwrap();
    }

    async fn settle(&self, app: &App) {
        let admin = self.organization.as_admin();
        let user = pb::User { email: format!("extra@{}.example", self.organization.id), ..Default::default() };
        let request = pb::CreateUserRequest { user: Some(user) };
        let extra = app.users(admin).create_user(request).await.unwrap().into_inner().user.unwrap();
        let request = pb::AddProjectMembersRequest {
            project_id: self.organization.house.to_string(),
            user_ids: vec![self.organization.admin.to_string(), extra.id],
        };
        app.projects(admin).add_project_members(request).await.unwrap();
        let project = pb::Project { name: "Yard".to_owned(), ..Default::default() };
        app.projects(admin).create_project(pb::CreateProjectRequest { project: Some(project) }).await.unwrap();
        let name = format!("Neighbour of {}", self.organization.id);
        let organization = Some(pb::Organization { name, ..Default::default() });
        app.organizations(OPERATOR).create_organization(pb::CreateOrganizationRequest { organization }).await.unwrap();
    }

    /// Its ids: what its administrator, its member and its service all see.
    pub fn ids(&self) -> Ids {
        let Organization { id, house, member, .. } = self.organization;
        Ids::new(id, house, member, &self.photos[0].id, &self.detections[0].id)
    }

    /// Ids that the outsider sees too.
    pub fn bridge_ids(&self) -> Ids {
        let Organization { id, bridge, outsider, .. } = self.organization;
        Ids::new(id, bridge, outsider, &self.bridge_photo.id, &self.bridge_detection.id)
    }

    /// Somebody of the organization, or an operator.
    pub fn who(&self, role: Role) -> Who {
        match role {
            Role::Operator => OPERATOR,
            Role::OrgAdmin => self.organization.as_admin(),
            Role::OrgUser => self.organization.as_member(),
            Role::Service => self.organization.as_service(),
        }
    }
}

/// A digest of every row of every table: what a refused call must not change.
pub async fn fingerprint(app: &App) -> Vec<(String, String)> {
    let tables = "select table_name::text from information_schema.tables
                  where table_schema = 'companycam_photos' and table_type = 'BASE TABLE' order by 1";
    let mut digests = Vec::new();
    for row in app.postgres.query(tables, &[]).await.unwrap() {
        let table: String = row.try_get(0).unwrap();
        let query = format!(
            "select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from companycam_photos.{table} t"
        );
        digests.push((table, app.postgres.query_one(&query, &[]).await.unwrap().try_get(0).unwrap()));
    }
    digests
}
