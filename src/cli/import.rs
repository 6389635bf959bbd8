//! `photometa import`: brings labelled data in through the gRPC API. Ids come from the data, so that a run that
//! was cut short is completed by running it again, with nothing twice.

mod coco;
mod convert;
mod send;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use self::convert::Target;
use self::send::{Refusal, Tally};
use super::Failure;
use super::client::{Clients, connect, refused, retry};
use crate::{config, pb};

/// Most refused items that are told one by one.
const TOLD: usize = 20;

/// Brings labelled data in.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    /// A COCO file: one photo per image, one detection with its annotations. Safe to repeat.
    Coco(Coco),
}

#[derive(Debug, Args)]
struct Coco {
    /// The JSON file.
    file: PathBuf,
    /// Project that gets the photos.
    #[arg(long)]
    project: Uuid,
    /// What the labels are of.
    #[arg(long, value_enum, default_value_t = Kind::Material)]
    detection_type: Kind,
    /// Model version of the detections.
    #[arg(long, default_value = "coco")]
    model_version: String,
    /// Requests under way at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
    #[command(flatten)]
    client: config::Client,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Damage,
    Material,
    Volume,
}

impl From<Kind> for pb::DetectionType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Damage => Self::Damage,
            Kind::Material => Self::Material,
            Kind::Volume => Self::Volume,
        }
    }
}

impl Import {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Source::Coco(command) = self.source;
        command.run().await
    }
}

impl Coco {
    async fn run(self) -> Result<(), Failure> {
        let Self { file, project, detection_type, model_version, concurrency, client } = self;
        let data = coco::read(&file)?;
        let target = Target { project, detection_type: detection_type.into(), model_version };
        let token = client.token.ok_or(
            "there is no credential; set PHOTOMETA_TOKEN to what `photometa token --role service --org UUID` prints",
        )?;
        let clients = Clients::new(&connect(&client.address).await?, &token)?;
        admitted(&clients, project).await?;

        let started = Instant::now();
        let photos = send::photos(&clients, &data, &target, concurrency.into())
            .await
            .map_err(|failure| interrupted(&failure))?;
        let detections = send::detections(&clients, &data, &target, &photos, concurrency.into())
            .await
            .map_err(|failure| interrupted(&failure))?;
        let report = Report { photos: photos.tally, detections, elapsed: started.elapsed() };
        tell(&file, &report)
    }
}

/// Asks what would otherwise refuse every single item: may this credential write detections, is there such a project?
async fn admitted(clients: &Clients, project: Uuid) -> Result<(), Failure> {
    let me = retry(|| {
        let mut session = clients.session.clone();
        async move { session.who_am_i(pb::WhoAmIRequest {}).await }
    });
    let role = me.await.map_err(refused)?.role;
    if !matches!(role.as_str(), "service" | "org_admin") {
        return Err(format!("the credential's role is {role}; importing takes service or org_admin").into());
    }
    let found = retry(|| {
        let mut projects = clients.projects.clone();
        async move { projects.get_project(pb::GetProjectRequest { id: project.to_string() }).await }
    });
    found.await.map_err(refused)?;
    Ok(())
}

fn interrupted(failure: &Failure) -> Failure {
    format!("the import ended early: {failure}\nwhat was stored stays; the same command again goes on from there")
        .into()
}

/// What the import did.
struct Report {
    photos: Tally,
    detections: Tally,
    elapsed: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { photos, detections, elapsed } = self;
        let seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = detections.objects as f64 / seconds.max(0.001);
        write!(f, "imported {} photos ({photos}), ", photos.stored())?;
        write!(f, "{} detections with {} objects ({detections}", detections.stored(), detections.objects)?;
        if detections.unboxed > 0 {
            write!(f, "; {} objects without a box", detections.unboxed)?;
        }
        write!(f, ") in {seconds:.1} s: {rate:.0} objects/s")
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's own voice")]
fn tell(file: &Path, report: &Report) -> Result<(), Failure> {
    let refusals: Vec<&Refusal> = report.photos.refusals.iter().chain(&report.detections.refusals).collect();
    for Refusal { name, problem } in refusals.iter().take(TOLD) {
        eprintln!("photometa: {name}: {problem}");
    }
    if refusals.len() > TOLD {
        eprintln!("photometa: and {} more", refusals.len() - TOLD);
    }
    println!("{report}");
    match refusals.len() + report.detections.held_back {
        0 => Ok(()),
        left_out => Err(format!("{left_out} items of {} were left out", file.display()).into()),
    }
}
