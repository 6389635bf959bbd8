//! `photometa import`: brings labelled data in through the gRPC API. Ids come from the data, so that a run that
//! was cut short is completed by running it again, with nothing twice.

mod check;
mod coco;
mod convert;
mod known;
mod outline;
mod send;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::Serialize;
use uuid::Uuid;

use self::convert::Target;
use self::send::{Refusal, Tally};
use super::client::{Clients, Kind, look_for_projects, refused, retry};
use super::{Failure, complain, print, print_json, seconds};
use crate::{config, pb};

/// Most refused items that are told one by one.
const TOLD: usize = 20;

/// Brings labelled data in.
#[derive(Debug, Args)]
pub struct Import {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    /// A COCO file: one photo per image, one detection with its annotations. Safe to repeat.
    Coco(Coco),
}

/// What `import coco --help` ends with.
const EXAMPLES: &str = "\
Examples:
  photometa import coco labels.json --project UUID
      A data set. Its categories keep their ids where those are free.
  photometa export coco -o data.json --split-by photo --validation 10 --test 10
  photometa import coco data.test.json --predictions predictions.json --model-version cracks-7
      What a model that was trained on an export sees on the photos of that export: a list of {image_id, category_id,
      bbox or segmentation, score}, as COCO's results are. An image without predictions is one on which the model saw
      nothing, so give the file of those images that it was shown.

The outlines of an object are kept, the largest one first, and masks as they are written. An image with a photo_id, as
exports write it, is that photo: nothing else about it is changed.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Coco {
    /// The JSON file.
    file: PathBuf,
    /// Project that gets the photos that are new; needed unless all images come from an export.
    #[arg(long, value_name = "UUID")]
    project: Option<Uuid>,
    /// What the labels are of.
    #[arg(long, value_enum, default_value_t = Kind::Material)]
    detection_type: Kind,
    /// Model version of the detections [default: coco].
    #[arg(long, value_name = "NAME")]
    model_version: Option<String>,
    /// File of predictions, a list as COCO's results are, in place of the annotations.
    #[arg(long, value_name = "FILE", requires = "model_version")]
    predictions: Option<PathBuf>,
    /// Requests under way at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
    /// Print one JSON document instead of a line, with every item that was left out.
    #[arg(long)]
    json: bool,
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
        let Self { file, project, detection_type, model_version, predictions, concurrency, json, client } = self;
        let data = coco::read(&file, predictions.as_deref())?;
        let model_version = model_version.unwrap_or_else(|| "coco".to_owned());
        let target = Target { project, detection_type: detection_type.into(), model_version, picture: data.picture() };
        if let Some(image) = data.images.iter().find(|image| target.project_of(image).is_none()) {
            let name = &image.file_name;
            return Err(format!("{name} is no photo of an export; --project UUID says which project gets it").into());
        }
        let clients = Clients::of(client).await?;
        admitted(&clients, project).await?;

        let (started, concurrency) = (Instant::now(), usize::from(concurrency));
        let (photos, detections, others) =
            send(&clients, &data, &target, concurrency).await.map_err(|failure| interrupted(&failure))?;
        let report = Report { photos: photos.tally, detections, others, elapsed: started.elapsed() };
        let file = predictions.as_ref().unwrap_or(&file);
        if json {
            print_json(&report)?;
        }
        tell(file, &report, json)
    }
}

/// What an import of these files sends, were nothing there yet: the photos, and a detection for each of them. New photos
/// are the project's, and detections of damage.
///
/// # Errors
/// The first problems of the files, with their places.
pub fn messages(
    dataset: &[u8],
    predictions: Option<&[u8]>,
    project: Uuid,
) -> Result<(Vec<pb::Photo>, Vec<pb::Detection>), Failure> {
    let (file, predicted) = (Path::new("dataset"), predictions.map(|_| Path::new("predictions")));
    let mut data = coco::parse(file, dataset)?;
    if let (Some(predicted), Some(bytes)) = (predicted, predictions) {
        data.annotations = coco::parse_predictions(predicted, bytes)?;
    }
    check::check(&data, file, predicted)?;
    let (detection_type, picture) = (pb::DetectionType::Damage, data.picture());
    let target = Target { project: Some(project), detection_type, model_version: "coco".to_owned(), picture };
    let (annotations, categories) = (convert::by_image(&data), convert::categories(&data));
    let detection = |image: &coco::Image| {
        let its = annotations.get(&image.id).map(Vec::as_slice).unwrap_or_default();
        target.detection(image, its, &categories)
    };
    Ok((data.images.iter().map(|image| target.photo(image)).collect(), data.images.iter().map(detection).collect()))
}

/// Sends everything: what became of the photos and the detections, and which labels have other ids.
async fn send(
    clients: &Clients,
    data: &coco::Coco,
    target: &Target,
    concurrency: usize,
) -> Result<(send::Photos, Tally, Option<String>), Failure> {
    let others = known::categories(clients, data).await?;
    let there = known::photos(clients, data, concurrency).await?;
    let photos = send::photos(clients, data, target, &there, concurrency).await?;
    let detections = send::detections(clients, data, target, &photos, concurrency).await?;
    Ok((photos, detections, others))
}

/// Asks what would otherwise refuse every single item: may this credential write detections, is there such a project?
async fn admitted(clients: &Clients, project: Option<Uuid>) -> Result<(), Failure> {
    let me = retry(|| {
        let mut session = clients.session.clone();
        async move { session.who_am_i(pb::WhoAmIRequest {}).await }
    });
    let role = me.await.map_err(refused)?.role;
    if !matches!(role.as_str(), "service" | "org_admin") {
        return Err(format!("the credential's role is {role}; importing takes service or org_admin").into());
    }
    look_for_projects(clients, project.as_slice()).await
}

fn interrupted(failure: &Failure) -> Failure {
    format!("the import ended early: {failure}\nwhat was stored stays; the same command again goes on from there")
        .into()
}

/// What the import did; what `--json` prints.
#[derive(Serialize)]
struct Report {
    photos: Tally,
    detections: Tally,
    /// Labels that have other ids than in the file.
    others: Option<String>,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    elapsed: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { photos, detections, others: _, elapsed } = self;
        let seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = detections.objects as f64 / seconds.max(0.001);
        write!(f, "imported {} photos ({photos}), ", photos.stored())?;
        write!(f, "{} detections with {} objects ({detections}", detections.stored(), detections.objects)?;
        if detections.unboxed > 0 {
            write!(f, "; {} objects without a box", detections.unboxed)?;
        }
        if detections.cut > 0 {
            write!(f, "; {} objects with outlines that only their attributes keep", detections.cut)?;
        }
        write!(f, ") in {seconds:.1} s: {rate:.0} objects/s")
    }
}

fn tell(file: &Path, report: &Report, told: bool) -> Result<(), Failure> {
    let refusals: Vec<&Refusal> = report.photos.refusals.iter().chain(&report.detections.refusals).collect();
    for Refusal { name, problem } in refusals.iter().take(TOLD) {
        complain(&format_args!("{name}: {problem}"));
    }
    if refusals.len() > TOLD {
        complain(&format_args!("and {} more", refusals.len() - TOLD));
    }
    if let Some(others) = &report.others {
        complain(others);
    }
    if !told {
        print(&format!("{report}\n"))?;
    }
    match refusals.len() + report.detections.held_back {
        0 => Ok(()),
        left_out => Err(format!("{left_out} items of {} were left out", file.display()).into()),
    }
}
