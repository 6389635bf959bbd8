//! What is there to ask for? The organizations that were generated, and values for filters.

use jiff::{SignedDuration, Timestamp};
use photometa::pb;

use super::Failure;
use super::server::Server;

/// The large organization.
pub const LARGE: u16 = 1;
/// The smallest of those that have the same shape; the others follow.
pub const FIRST_OF_SHAPE: u16 = 201;
/// People of each organization; each is a member of every sixth project.
const PEOPLE: usize = 42;
const SHARE: usize = 6;

/// One organization.
#[derive(Debug, Clone)]
pub struct World {
    /// Its number.
    pub tenant: u16,
    /// What may be asked for.
    projects: Vec<Project>,
    people: Vec<String>,
    /// By rank.
    tags: Vec<String>,
}

#[derive(Debug, Clone)]
struct Project {
    id: String,
    begins: Timestamp,
    lasts: SignedDuration,
    /// Degrees north and east.
    place: (f64, f64),
}

/// The id of an organization (kind 1), person (2) or project (3), as sql/tenants.sql makes it.
fn name(kind: u8, tenant: u16, number: usize) -> String {
    format!("be9c000{kind}-{tenant:04x}-4000-8000-{number:012x}")
}

impl World {
    /// Reads what an organization has.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn read(server: &Server, tenant: u16) -> Result<Self, Failure> {
        let query = "select id::text, begins, extract(epoch from lasts)::bigint, latitude, longitude
                     from bench.projects where tenant = $1 order by number";
        let mut projects = Vec::new();
        for row in server.superuser().await?.query(query, &[&i64::from(tenant)]).await? {
            projects.push(Project {
                id: row.try_get(0)?,
                begins: row.try_get(1)?,
                lasts: SignedDuration::from_secs(row.try_get(2)?),
                place: (row.try_get(3)?, row.try_get(4)?),
            });
        }
        let people = (0..PEOPLE).map(|number| name(2, tenant, number)).collect();
        let tags = server.superuser().await?.query("select tag from bench.words order by number", &[]).await?;
        let tags = tags.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        Ok(Self { tenant, projects, people, tags })
    }

    /// What one of its people may ask for: the first, who is a member of a sixth of the projects.
    pub fn of_member(&self) -> Self {
        Self {
            projects: self.projects.iter().step_by(SHARE).cloned().collect(),
            people: self.people.iter().step_by(SHARE).cloned().collect(),
            ..self.clone()
        }
    }

    /// The organization's id.
    pub fn organization(&self) -> String {
        name(1, self.tenant, 0)
    }

    /// The member.
    pub fn member(&self) -> String {
        name(2, self.tenant, 0)
    }

    fn project_at(&self, number: usize) -> &Project {
        // Seven is prime to the numbers of projects, so that neighbours are not asked for one after the other.
        &self.projects[number * 7 % self.projects.len()]
    }

    /// A project's id.
    pub fn project(&self, number: usize) -> String {
        self.project_at(number).id.clone()
    }

    /// A person's id.
    pub fn person(&self, number: usize) -> String {
        self.people[number * 5 % self.people.len()].clone()
    }

    /// A tag by its rank, from 0.
    pub fn tag(&self, rank: usize) -> String {
        self.tags[rank % self.tags.len()].clone()
    }

    /// Degrees north and east of a project.
    pub fn place(&self, number: usize) -> (f64, f64) {
        self.project_at(number).place
    }

    /// So many days, somewhere in the two years.
    pub fn days(&self, number: usize, days: i64) -> Option<pb::TimeRange> {
        let first = self.projects.iter().map(|project| project.begins).min()?;
        let offset = i64::try_from(number * 53 % 600).ok()?;
        Some(range(first + SignedDuration::from_hours(24 * offset), SignedDuration::from_hours(24 * days)))
    }

    /// The middle third of a project's time.
    pub fn project_time(&self, number: usize) -> pb::TimeRange {
        let project = self.project_at(number);
        range(project.begins + project.lasts / 3, project.lasts / 3)
    }

    /// The prefix of the keys of one project's month.
    pub fn month(&self, number: usize) -> String {
        let project = self.project_at(number);
        (project.begins + project.lasts / 2).strftime(&format!("projects/{}/%Y/%m/", project.id)).to_string()
    }
}

fn range(start: Timestamp, lasts: SignedDuration) -> pb::TimeRange {
    let end = start + lasts;
    let time = |time: Timestamp| Some(prost_types::Timestamp { seconds: time.as_second(), nanos: 0 });
    pb::TimeRange { start: time(start), end: time(end) }
}
