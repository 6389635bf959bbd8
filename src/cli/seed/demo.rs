//! The demo's two companies: their people, projects and members. Ids read `de30KKOO-0000-8000-8000-…NN`: kind,
//! company, number.

use uuid::Uuid;

use super::{review, scene};
use crate::pb;

/// Photos of one project.
pub(super) const SHOTS: usize = 4;
const DOMAINS: [&str; 2] = ["builders.example", "insurance.example"];
const NAMES: [&str; 2] = ["Demo Builders", "Demo Insurance"];
const PEOPLE: [[(&str, &str); 3]; 2] = [
    [("Maja", "Lindqvist"), ("Tomás", "Ferreira"), ("Aisha", "Okafor")],
    [("Jonas", "Weber"), ("Priya", "Raman"), ("Louise", "Martin")],
];
const ROLES: [pb::UserRole; 3] =
    [pb::UserRole::ProjectManager, pb::UserRole::Contractor, pb::UserRole::InsuranceAdjuster];
const PROJECTS: [[(&str, &str); 3]; 2] = [
    [
        ("Harbour Street 4, roof", "Reroofing after the spring storms; slate, two dormers"),
        ("Mill Lane 12, kitchen", "Strip-out and refit after a burst pipe"),
        ("Station Road 31, facade", "Facade repair, finished and handed over"),
    ],
    [
        ("Claim 2025-0147, storm", "Roof damage reported after storm Elin"),
        ("Claim 2025-0162, water", "Water damage in kitchen and hall"),
        ("Claim 2024-0911, hail", "Facade and windows; settled"),
    ],
];

/// What an id names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Organization = 1,
    User,
    Project,
    Photo,
    Detection,
    Feedback,
}

/// The fixed id of a thing of the demo; numbers count from 0.
pub(super) fn id(kind: Kind, company: usize, number: usize) -> Uuid {
    let number = number as u128 + 1;
    Uuid::from_u128(
        0xde30_0000_0000_8000_8000_0000_0000_0000 | ((kind as u128) << 104) | ((company as u128 + 1) << 96) | number,
    )
}

/// One demo organization and all that belongs to it, in the order in which it is made.
#[derive(Debug)]
pub(super) struct Company {
    pub(super) organization_id: Uuid,
    pub(super) organization: pb::Organization,
    pub(super) users: Vec<pb::User>,
    /// The last one is archived once its photos are there.
    pub(super) projects: Vec<pb::Project>,
    pub(super) members: Vec<pb::AddProjectMembersRequest>,
    pub(super) photos: Vec<pb::Photo>,
    pub(super) detections: Vec<pb::Detection>,
    /// What models put on photos.
    pub(super) ai_tags: Vec<pb::AddTagsRequest>,
    /// What people put on photos, and who.
    pub(super) user_tags: Vec<(Uuid, pb::AddTagsRequest)>,
    /// What people say of detections, and who.
    pub(super) feedback: Vec<(Uuid, pb::Feedback)>,
}

impl Company {
    /// The project manager, whom every project has as a member.
    pub(super) fn manager(&self) -> Uuid {
        id(Kind::User, self.number(), 0)
    }

    /// The project that stays active.
    pub(super) fn first_project(&self) -> Uuid {
        id(Kind::Project, self.number(), 0)
    }

    fn number(&self) -> usize {
        usize::from(self.organization_id != id(Kind::Organization, 0, 0))
    }
}

/// Both companies.
pub(super) fn companies() -> Vec<Company> {
    (0..NAMES.len()).map(company).collect()
}

/// One company, 0 or 1.
pub(super) fn company(number: usize) -> Company {
    let organization_id = id(Kind::Organization, number, 0);
    let photos = scene::photos(number);
    let detections = scene::detections(number, &photos);
    Company {
        organization_id,
        organization: pb::Organization {
            id: organization_id.to_string(),
            name: NAMES[number].to_owned(),
            create_time: None,
        },
        users: (0..ROLES.len()).map(|person| user(number, person)).collect(),
        projects: (0..PROJECTS[number].len()).map(|project| self::project(number, project)).collect(),
        members: (0..PROJECTS[number].len()).map(|project| members(number, project)).collect(),
        ai_tags: scene::ai_tags(&photos),
        user_tags: review::user_tags(number, &photos),
        feedback: review::feedback(number, &detections),
        photos,
        detections,
    }
}

fn user(company: usize, person: usize) -> pb::User {
    let (first_name, last_name) = PEOPLE[company][person];
    pb::User {
        id: id(Kind::User, company, person).to_string(),
        email: format!("{}@{}", ["manager", "contractor", "adjuster"][person], DOMAINS[company]),
        first_name: first_name.to_owned(),
        last_name: last_name.to_owned(),
        role: ROLES[person].into(),
        ..pb::User::default()
    }
}

fn project(company: usize, project: usize) -> pb::Project {
    let (name, description) = PROJECTS[company][project];
    pb::Project {
        id: id(Kind::Project, company, project).to_string(),
        name: name.to_owned(),
        description: description.to_owned(),
        status: pb::ProjectStatus::Active.into(),
        ..pb::Project::default()
    }
}

/// Everybody is a member everywhere, but for the contractor, who does not see the last project.
fn members(company: usize, project: usize) -> pb::AddProjectMembersRequest {
    let last = project + 1 == PROJECTS[company].len();
    let people = (0..ROLES.len()).filter(|person| !(last && ROLES[*person] == pb::UserRole::Contractor));
    pb::AddProjectMembersRequest {
        project_id: id(Kind::Project, company, project).to_string(),
        user_ids: people.map(|person| id(Kind::User, company, person).to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_readable_version_8_and_unique() {
        let companies = companies();

        let ids: Vec<&str> = companies
            .iter()
            .flat_map(|company| {
                company
                    .photos
                    .iter()
                    .map(|photo| &photo.id)
                    .chain(company.detections.iter().map(|detection| &detection.id))
            })
            .map(String::as_str)
            .collect();

        assert_eq!(companies[1].photos[2].id, "de300402-0000-8000-8000-000000000003");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    }

    #[test]
    fn company_is_the_same_each_time() {
        assert_eq!(company(0).photos, company(0).photos);
        assert_eq!(company(1).feedback, company(1).feedback);
    }
}
