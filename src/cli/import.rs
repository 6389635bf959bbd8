//! `photometa import`: brings labelled data in through the gRPC API. Ids come from the data, so that a run that
//! was cut short is completed by running it again, with nothing twice.

mod coco;
mod convert;
mod send;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use uuid::Uuid;

use self::convert::Target;
use self::send::{Refusal, Tally};
use super::Failure;
use super::client::{Clients, connect, refused, retry};
use super::kind::Kind;
use crate::{config, pb};

/// Most refused items that are told one by one.
const TOLD: usize = 20;

const EXAMPLES: &str = "\
Examples:
  photometa import coco instances.json --project UUID
  photometa import coco site.json --project UUID --predictions predictions.json --model-version cracks-8
                                                           what a model that was trained on an export says of it";

/// Brings labelled data in.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    /// A COCO file: one photo per image, one detection with its annotations. Safe to repeat.
    ///
    /// An image that has a photo_id, as `photometa export coco` writes it, is that photo: it gets the detection, and is made
    /// only if it is not there.
    #[command(after_help = EXAMPLES)]
    Coco(Coco),
}

#[derive(Debug, Args)]
struct Coco {
    /// The JSON file of the data set.
    file: PathBuf,
    /// A file of predictions (a list of image_id, category_id, bbox, segmentation and score) on the images of the data set:
    /// they are imported in place of its annotations.
    #[arg(long, value_name = "FILE", requires = "model_version")]
    predictions: Option<PathBuf>,
    /// Project that gets the photos.
    #[arg(long)]
    project: Uuid,
    /// What the labels are of.
    #[arg(long, value_enum, default_value_t = Kind::Material)]
    detection_type: Kind,
    /// Model version of the detections; `coco` when it is not given.
    #[arg(long)]
    model_version: Option<String>,
    /// Requests under way at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
    #[command(flatten)]
    client: config::Client,
}

impl Import {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Source::Coco(command) = self.source;
        command.run().await
    }
}

impl Coco {
    async fn run(self) -> Result<(), Failure> {
        let Self { file, predictions, project, detection_type, model_version, concurrency, client } = self;
        let data = coco::read(&file, predictions.as_deref())?;
        let model_version = model_version.unwrap_or_else(|| "coco".to_owned());
        let target = Target { project, detection_type: detection_type.into(), model_version, stored: data.is_stored() };
        let token = client.token.ok_or(
            "there is no credential; set PHOTOMETA_TOKEN to what `photometa token --role service --org UUID` prints",
        )?;
        let clients = Clients::new(&connect(&client.address).await?, &token)?;
        admitted(&clients, project).await?;

        let started = Instant::now();
        let categories = send::categories(&clients, &data).await.map_err(|failure| interrupted(&failure))?;
        let photos = send::photos(&clients, &data, &target, concurrency.into())
            .await
            .map_err(|failure| interrupted(&failure))?;
        let detections = send::detections(&clients, &data, &target, &photos, concurrency.into())
            .await
            .map_err(|failure| interrupted(&failure))?;
        let report = Report { photos: photos.tally, detections, categories, elapsed: started.elapsed() };
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
    /// Categories that have another number here, in words.
    categories: Vec<String>,
    elapsed: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { photos, detections, categories: _, elapsed } = self;
        let seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = detections.objects as f64 / seconds.max(0.001);
        write!(f, "imported {} photos ({photos}), ", photos.stored())?;
        write!(f, "{} detections with {} objects ({detections}", detections.stored(), detections.objects)?;
        if detections.unboxed > 0 {
            write!(f, "; {} objects without a box", detections.unboxed)?;
        }
        if detections.unshaped > 0 {
            write!(
                f,
                "; {} with outlines that cannot be kept as such, and are kept as attributes",
                detections.unshaped
            )?;
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
    if let Some(first) = report.categories.first() {
        let others = report.categories.len() - 1;
        let more = if others > 0 { format!(", and {others} more") } else { String::new() };
        println!("numbers of categories that the organization has already stay: {first}{more}");
    }
    match refusals.len() + report.detections.held_back {
        0 => Ok(()),
        left_out => Err(format!("{left_out} items of {} were left out", file.display()).into()),
    }
}
