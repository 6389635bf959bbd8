//! Training data out of a running server into a file, through the gRPC API. The file appears whole or not at all.

mod stream;
mod target;

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use self::stream::{Exported, Skips};
use self::target::Target;
use super::Failure;
use super::client::{Clients, connect};
use super::kind::Kind;
use crate::{config, pb};

const EXAMPLES: &str = "\
Examples:
  photometa export coco -o site.json                       everything as it stands
  photometa export coco -o site.json --reviewed-only       only what people confirmed or corrected
  photometa export coco -o site.json --verdict confirm --verdict correct --verdict reject
                                                           with negatives: what people say is not there
  photometa export coco -o site.json --split-by project --validation 10 --test 10
                                                           site.train.json, site.validation.json, site.test.json
  photometa export json-lines -o - --model-version cracks-7 | gzip > cracks.jsonl.gz";

/// Takes training data out: corrected objects win, rejected ones are left out. A connection that breaks is made again, and
/// the export goes on where it was.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(subcommand)]
    form: Form,
}

#[derive(Debug, Subcommand)]
enum Form {
    /// One COCO document of object detection, such as pycocotools reads.
    #[command(after_help = EXAMPLES)]
    Coco(Wanted),
    /// One JSON object per line and photo.
    #[command(after_help = EXAMPLES)]
    JsonLines(Wanted),
}

#[derive(Debug, Args)]
struct Wanted {
    /// The file; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Only this project; may be repeated.
    #[arg(long, value_name = "UUID")]
    project: Vec<Uuid>,
    /// Only by this model version; may be repeated.
    #[arg(long, value_name = "NAME")]
    model_version: Vec<String>,
    /// Only of this type; may be repeated.
    #[arg(long, value_enum)]
    detection_type: Vec<Kind>,
    /// Only with this newest verdict; may be repeated. `reject` brings negatives.
    #[arg(long, value_enum)]
    verdict: Vec<Verdict>,
    /// Only what people confirmed or corrected; otherwise also what nobody has answered to.
    #[arg(long, conflicts_with = "verdict")]
    reviewed_only: bool,
    /// What pixels are of: the image as people see it, or as it is stored, before its EXIF orientation is applied.
    #[arg(long, value_enum, default_value_t = Frame::Upright)]
    frame: Frame,
    /// Split into train, validation and test, each in a file of its own; photos of a project stay together, or each is
    /// for itself. Where a photo belongs does not change when others are added.
    #[arg(long, value_enum)]
    split_by: Option<Key>,
    /// Percent for validation.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, requires = "split_by", value_parser = clap::value_parser!(i32).range(0..=100))]
    validation: i32,
    /// Percent for the test.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, requires = "split_by", value_parser = clap::value_parser!(i32).range(0..=100))]
    test: i32,
    /// Another seed makes another split.
    #[arg(long, default_value = "", requires = "split_by")]
    seed: String,
    /// Write what had to be left out, and why, to this file, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    skipped: Option<PathBuf>,
    #[command(flatten)]
    client: config::Client,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Verdict {
    Confirm,
    Correct,
    Reject,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Frame {
    Upright,
    Stored,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Key {
    Photo,
    Project,
}

impl Export {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.form {
            Form::Coco(wanted) => wanted.run(pb::TrainingDataFormat::Coco).await,
            Form::JsonLines(wanted) => wanted.run(pb::TrainingDataFormat::JsonLines).await,
        }
    }
}

impl Wanted {
    async fn run(self, format: pb::TrainingDataFormat) -> Result<(), Failure> {
        if self.validation + self.test > 100 {
            return Err(format!(
                "--validation {} and --test {} are more than 100 percent; the rest is for training",
                self.validation, self.test
            )
            .into());
        }
        let token = self.client.token.as_ref().ok_or(
            "there is no credential; set PHOTOMETA_TOKEN to what `photometa token --role service --org UUID` prints",
        )?;
        let clients = Clients::new(&connect(&self.client.address).await?, token)?;
        let mut skips = Skips::open(self.skipped.as_deref())?;
        for (part, share) in self.parts() {
            if share == 0 {
                continue;
            }
            let begun = Instant::now();
            let target = Target::of(&self.output, part)?;
            let exported = stream::export(&clients, self.request(format, part), target, &mut skips).await?;
            tell(&exported, begun.elapsed().as_secs_f64());
        }
        skips.tell()
    }

    /// The parts of the data with their percent; all of them at once without a split.
    fn parts(&self) -> Vec<(Option<pb::SplitPart>, i32)> {
        if self.split_by.is_none() {
            return vec![(None, 100)];
        }
        let (validation, test) = (self.validation, self.test);
        let shares = [
            (pb::SplitPart::Train, 100 - validation - test),
            (pb::SplitPart::Validation, validation),
            (pb::SplitPart::Test, test),
        ];
        shares.map(|(part, share)| (Some(part), share)).to_vec()
    }

    fn request(&self, format: pb::TrainingDataFormat, part: Option<pb::SplitPart>) -> pb::ExportTrainingDataRequest {
        let verdict = |verdict: &Verdict| match verdict {
            Verdict::Confirm => pb::Verdict::Confirm.into(),
            Verdict::Correct => pb::Verdict::Correct.into(),
            Verdict::Reject => pb::Verdict::Reject.into(),
        };
        let filter = pb::DetectionFilter {
            project_ids: self.project.iter().map(Uuid::to_string).collect(),
            model_versions: self.model_version.clone(),
            types: self.detection_type.iter().map(|kind| pb::DetectionType::from(*kind).into()).collect(),
            ..pb::DetectionFilter::default()
        };
        let split = self.split_by.map(|key| pb::TrainingDataSplit {
            key: match key {
                Key::Photo => pb::SplitKey::Photo.into(),
                Key::Project => pb::SplitKey::Project.into(),
            },
            validation_percent: self.validation,
            test_percent: self.test,
            seed: self.seed.clone(),
            part: part.unwrap_or_default().into(),
        });
        pb::ExportTrainingDataRequest {
            format: format.into(),
            filter: Some(filter),
            verdicts: self.verdict.iter().map(verdict).collect(),
            include_unreviewed: !self.reviewed_only && self.verdict.is_empty(),
            resume_token: String::new(),
            frame: match self.frame {
                Frame::Upright => pb::ImageFrame::Upright.into(),
                Frame::Stored => pb::ImageFrame::Stored.into(),
            },
            split,
        }
    }
}

/// Says what was written; on standard error, because standard output may be the data.
#[expect(
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "the command line's own voice, and a rate for people"
)]
fn tell(exported: &Exported, seconds: f64) {
    let Exported { name, bytes, progress, resumed } = exported;
    let pb::TrainingDataProgress { images, annotations, negatives, .. } = progress;
    let rate = (annotations + negatives) as f64 / seconds.max(0.001);
    let mut text = format!("exported {images} images with {annotations} objects");
    if *negatives > 0 {
        text += &format!(" and {negatives} negatives");
    }
    text += &format!(" to {name} ({bytes} bytes) in {seconds:.1} s: {rate:.0} objects/s");
    if *resumed > 0 {
        text += &format!("; the connection was made again {resumed} times");
    }
    eprintln!("{text}");
}
