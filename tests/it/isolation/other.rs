//! The other side: another organization or, before a member, the rest of the own one. Every text of it is marked,
//! and there is one thing of each kind in it.

use std::collections::{HashMap, HashSet};

use photometa::auth::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use super::paths::{KINDS, Kind};
use crate::harness::{A, App, B, Organization, Who};
use crate::rpcs::Rpc;

/// Stands in every text of the other side.
pub const MARK: &str = "xanadu";

/// Who calls, and what the other side is: another organization or, for a member, the rest of the own one.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    pub who: Who,
    /// The caller's only project, when everything beside it is the other side.
    pub project: Option<Uuid>,
}

impl Scope {
    /// Somebody of organization A before organization B.
    pub fn organization(who: Who) -> Self {
        Self { who, project: None }
    }

    /// A person of organization A before its other projects.
    pub fn project(who: Who, project: Uuid) -> Self {
        Self { who, project: Some(project) }
    }

    /// The kinds of ids that the other side has.
    pub fn kinds(&self) -> Vec<Kind> {
        let kinds = KINDS.into_iter().map(|(kind, ..)| kind);
        kinds.filter(|kind| *kind != Kind::Organization || self.project.is_none()).collect()
    }

    /// Whose the ids are, and which project of theirs.
    pub fn other(&self) -> (Who, Organization, Uuid) {
        match self.project {
            None => (B.as_admin(), B, B.house),
            Some(own) if own == A.house => (A.as_outsider(), A, A.bridge),
            Some(_) => (A.as_member(), A, A.house),
        }
    }

    /// Which rows are the other side's, for a table with these columns.
    pub fn theirs(&self, table: &str, columns: &HashSet<String>) -> String {
        let tenant = if table == "organizations" { "id" } else { "organization_id" };
        let scope = match self.project {
            // Organizations are the operators' own.
            None if self.who.organization.is_none() => return (table != "organizations").to_string(),
            _ if !columns.contains(tenant) => return "true".to_owned(),
            None => return format!("{tenant} <> '{}'", A.id),
            Some(project) => project,
        };
        let column = if table == "projects" { "id" } else { "project_id" };
        // A number of a label is everybody's in the organization.
        if table == "categories" {
            return "false".to_owned();
        }
        // Users, and whoever is a member of what, are the administrator's.
        if !columns.contains(column) || table == "project_members" {
            return "true".to_owned();
        }
        format!("({tenant}, {column}) <> ('{}', '{scope}')", A.id)
    }
}

/// Puts marked things of every kind into the other side, and answers their ids.
pub async fn mark(app: &App, scope: Scope) -> HashMap<Kind, String> {
    let (owner, organization, project) = scope.other();
    let user = if scope.project.is_some() { owner.subject } else { organization.member };
    let admin = organization.as_admin();
    let call = async |name: &str, who: Who, request: Value| Rpc::named(name).call(app, who, request).await.unwrap();
    let photo = json!({"photo": {
        "project_id": project.to_string(), "user_id": user.to_string(), "s3_key": "xanadu/key.jpg",
        "s3_url": "https://example.com/xanadu", "mime_type": "image/xanadu", "exif_data": {"Make": "xanadu"},
    }});
    let photo = call("PhotoService/CreatePhoto", admin, photo).await["photo"]["id"].clone();
    let tags = json!({"photo_ids": [photo], "tags": [
        {"tag": "xanadu word", "source": "TAG_SOURCE_USER"}, {"tag": "xanadu thing", "source": "TAG_SOURCE_AI"},
    ]});
    let tags = call("TagService/AddTags", admin, tags).await;
    let detection = json!({"detection": {
        "photo_id": photo, "detection_type": "DETECTION_TYPE_DAMAGE", "model_version": "xanadu-1", "run_id": "xanadu-run",
        "results": {
            "objects": [{"label": "xanadu crack", "attributes": {"xanadu": "xanadu"}}], "extra": {"xanadu": "xanadu"},
        },
    }});
    let detection = call("DetectionService/CreateDetection", organization.as_service(), detection).await;
    let object = &detection["detection"]["results"]["objects"][0]["objectId"];
    let detection = &detection["detection"]["id"];
    let feedback = json!({"feedback": {
        "detection_id": detection, "verdict": "VERDICT_CORRECT", "comment": "xanadu says",
        "edits": [{"relabel": {"object_id": object, "label": "xanadu label"}}],
    }});
    let feedback = call("FeedbackService/CreateFeedback", Who { role: Role::OrgAdmin, ..owner }, feedback).await;
    if scope.project.is_none() {
        let categories = json!({"categories": [{"name": "xanadu label", "supercategory": "xanadu"}]});
        call("FeedbackService/RegisterCategories", admin, categories).await;
    }
    let marks = format!(
        "update companycam_photos.projects set name = 'xanadu ' || name, description = 'xanadu'
         where organization_id = '{0}' and id <> '{1}';
         update companycam_photos.users set email = 'xanadu.' || email, first_name = 'xanadu', last_name = 'xanadu'
         where organization_id = '{0}' and id <> '{2}'",
        organization.id,
        scope.project.unwrap_or_default(),
        scope.who.subject
    );
    app.postgres.batch_execute(&marks).await.unwrap();

    let text = |id: &Value| id.as_str().unwrap().to_owned();
    HashMap::from([
        (Kind::Organization, organization.id.to_string()),
        (Kind::User, user.to_string()),
        (Kind::Project, project.to_string()),
        (Kind::Photo, text(&photo)),
        (Kind::Detection, text(detection)),
        (Kind::Tag, text(&tags["tags"][0]["id"])),
        (Kind::Feedback, text(&feedback["feedback"]["id"])),
        (Kind::Object, text(object)),
        (Kind::Run, "xanadu-run".to_owned()),
    ])
}
