//! `photometa seed`: fills a running server with demo data through its own API. Every id is fixed, so that
//! seeding again finds everything there. What the demo consists of is in [`demo`], [`scene`] and [`review`].

mod demo;
mod plant;
mod review;
mod scene;

use std::fmt;

use clap::Args;
use serde::Serialize;
use tonic::transport::Channel;
use uuid::Uuid;

use self::demo::Company;
use self::plant::{Desk, Plant};
use super::client::{Refused, connect, progress};
use super::{Failure, print, print_json, secret};
use crate::config::{self, Credentials, Database, Secret};
use crate::pb::WriteOutcome;

/// Fills a running server with two demo organizations. Signs its own credentials with the configured secret, or
/// with the data folder's.
#[derive(Debug, Args)]
pub(super) struct Seed {
    /// Print one JSON document instead of a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: config::Client,
}

/// The least a developer needs to call the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tenant {
    pub(super) organization: Uuid,
    /// A project manager, member of the project.
    pub(super) user: Uuid,
    pub(super) project: Uuid,
}

impl Seed {
    pub(super) async fn run(self, database: &Database, credentials: &Credentials) -> Result<(), Failure> {
        let secret = secret::find(database, credentials)?;
        let channel = connect(&self.client).await?;
        let desk = Desk { channel, secret: &secret, credentials };
        let companies = demo::companies();
        let bar = progress("seeding", companies.iter().map(|company| plant::steps(company) as u64).sum());
        let mut tally = Tally::default();
        for company in &companies {
            let planted = Plant::new(&desk, company.organization_id, &mut tally, &bar).everything(company).await;
            planted.map_err(explained)?;
        }
        bar.finish_and_clear();
        if self.json {
            return print_json(&tally);
        }
        print(&format!("{tally}\n"))
    }
}

/// Makes sure that the first demo organization, its project manager and its first project are there.
///
/// # Errors
/// When the server refuses, or does not answer.
pub(super) async fn tenant(channel: Channel, secret: &Secret, credentials: &Credentials) -> Result<Tenant, Failure> {
    let desk = Desk { channel, secret, credentials };
    let company: Company = demo::company(0);
    let bar = indicatif::ProgressBar::hidden();
    let mut tally = Tally::default();
    Plant::new(&desk, company.organization_id, &mut tally, &bar).least(&company).await?;
    Ok(Tenant { organization: company.organization_id, user: company.manager(), project: company.first_project() })
}

/// Says what to do where the server did not know who was calling.
fn explained(failure: Failure) -> Failure {
    match failure.downcast_ref::<Refused>() {
        Some(refused) if refused.is_stranger() => format!(
            "{failure}; seed signs with PHOTOMETA_JWT_SECRET, or else with the data folder's secret: give it the secret, issuer and audience that the server has"
        )
        .into(),
        _ => failure,
    }
}

/// Counts what seeding did; what `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Tally {
    created: usize,
    unchanged: usize,
    /// There, but somebody has changed it since; left alone.
    changed_since: usize,
}

impl Tally {
    fn count(&mut self, outcome: WriteOutcome) {
        match outcome {
            WriteOutcome::Created => self.created += 1,
            WriteOutcome::Unspecified | WriteOutcome::Unchanged | WriteOutcome::Updated => self.unchanged += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, unchanged, changed_since } = self;
        write!(f, "seeded {} items: {created} created, {unchanged} unchanged", created + unchanged + changed_since)?;
        if *changed_since > 0 {
            write!(f, ", {changed_since} changed by somebody since and left alone")?;
        }
        Ok(())
    }
}
