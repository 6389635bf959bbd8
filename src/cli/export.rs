//! `photometa export`: writes training data to a file that is whole or not there. What breaks off meanwhile is gone on
//! with; what changes under it is begun again.

mod draft;
mod receive;
mod skipped;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::HumanBytes;
use serde::Serialize;
use uuid::Uuid;

use self::draft::{Draft, Sink};
use self::receive::{Receiver, Written};
use self::skipped::Skipped;
use super::client::{Clients, Kind, look_for_projects};
use super::{Failure, Misuse, complain, folder_of, print, say, seconds};
use crate::{config, pb};

/// Writes training data.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(subcommand)]
    form: Form,
}

#[derive(Debug, Subcommand)]
enum Form {
    /// COCO: images, annotations and categories, corrected as people said. `import coco` is its inverse.
    Coco(Coco),
}

/// What `export coco --help` ends with.
const EXAMPLES: &str = "\
Examples:
  photometa export coco -o data.json
      Everything as it stands: where people corrected a model, what they say; nothing of what they rejected.
  photometa export coco -o data.json --reviewed-only --split-by project --validation 10 --test 10
      What people confirmed or corrected, as data.train.json, data.validation.json and data.test.json. A photo or
      project stays in its part as long as the seed and the shares are the same, whatever is added.
  photometa export coco -o - --model-version cracks-7 --verdict reject | jq .negatives
      What that model saw and people say is not there.
  photometa export coco -o data.jsonl --json-lines --frame stored
      One line for each photo, in pixels of the image as it is stored, for loaders that know nothing of orientation.

The data are those of one moment, of one for each part where they are split. FILE is written under the name FILE.part,
and renamed when it is whole. Photos whose width and height are not known, and objects without a place, cannot be in it:
they are told, and the exit status is 0 all the same.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Coco {
    /// The file to write; - is standard output.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Only of this project; may be repeated.
    #[arg(long = "project", value_name = "UUID")]
    projects: Vec<Uuid>,
    /// Only by this model version; may be repeated.
    #[arg(long = "model-version", value_name = "NAME")]
    model_versions: Vec<String>,
    /// Only of this type; may be repeated.
    #[arg(long = "detection-type", value_enum)]
    detection_types: Vec<Kind>,
    /// Only with this as the newest verdict that stands; may be repeated.
    #[arg(long = "verdict", value_enum)]
    verdicts: Vec<Verdict>,
    /// Only what people confirmed or corrected; not what nobody has looked at.
    #[arg(long)]
    reviewed_only: bool,
    /// The picture that pixels are of.
    #[arg(long, value_enum, default_value_t = Frame::Upright)]
    frame: Frame,
    /// Writes three files for training, validation and test; what stays together in one of them.
    #[arg(long, value_enum)]
    split_by: Option<SplitBy>,
    /// How many of 100 are for validation.
    #[arg(long, value_name = "PERCENT", requires = "split_by", default_value_t = 10, value_parser = percent())]
    validation: i32,
    /// How many of 100 are for the test.
    #[arg(long, value_name = "PERCENT", requires = "split_by", default_value_t = 10, value_parser = percent())]
    test: i32,
    /// Another seed makes another split.
    #[arg(long, requires = "split_by", default_value = "", hide_default_value = true)]
    seed: String,
    /// One JSON object per line and photo in place of the COCO document.
    #[arg(long)]
    json_lines: bool,
    /// File for all that is left out, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    skipped: Option<PathBuf>,
    /// Print what was done as one JSON document instead of a line; with -o - that is on standard error.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: config::Client,
}

fn percent() -> clap::builder::RangedI64ValueParser<i32> {
    clap::value_parser!(i32).range(0..=100)
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Verdict {
    Confirm,
    Correct,
    Reject,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Frame {
    /// As people see it, with its EXIF orientation applied.
    Upright,
    /// As it is stored.
    Stored,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SplitBy {
    Photo,
    /// No building is in two files.
    Project,
}

/// The parts of a split, as their files are called.
const PARTS: [(pb::SplitPart, &str); 3] =
    [(pb::SplitPart::Train, "train"), (pb::SplitPart::Validation, "validation"), (pb::SplitPart::Test, "test")];

impl Export {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Form::Coco(command) = self.form;
        command.run().await
    }
}

impl Coco {
    async fn run(self) -> Result<(), Failure> {
        let to_stdout = self.output.as_os_str() == "-";
        if to_stdout && self.split_by.is_some() {
            let problem = "a split makes three files, which do not fit on standard output; give -o a name";
            return Err(Misuse(problem.to_owned()).into());
        }
        let requests = self.requests();
        let outputs = || requests.iter().map(|(part, _)| named(&self.output, *part));
        if let Some(twice) = self.skipped.as_deref().filter(|skipped| outputs().any(|output| same(&output, skipped))) {
            let problem =
                format!("{} is to have the data and what is left out; give --skipped another name", twice.display());
            return Err(Misuse(problem).into());
        }
        let Self { output, projects, skipped, json, client, .. } = self;
        let mut skipped = Skipped::new(skipped.as_deref().map(Draft::begin).transpose()?);
        let mut sinks = Vec::new();
        for (part, _) in &requests {
            sinks.push(if to_stdout { Sink::Stdout } else { Sink::File(Draft::begin(&named(&output, *part))?) });
        }
        let clients = Clients::of(client).await?;
        look_for_projects(&clients, &projects).await?;

        let started = Instant::now();
        let mut written = Written::default();
        let work = async {
            for ((_, request), sink) in requests.into_iter().zip(&mut sinks) {
                let mut receiver = Receiver::new(&clients, sink, &mut skipped);
                written += receiver.receive(request).await?;
            }
            Ok::<(), Failure>(())
        };
        tokio::select! {
            done = work => done.map_err(|failure| ended_early(&failure, to_stdout))?,
            // Without files there is nothing to tidy up: the signal ends the process.
            Ok(()) = tokio::signal::ctrl_c(), if !to_stdout => {
                return Err("interrupted; no file was written".into());
            }
        }
        let report = Report { written, to: sinks.iter().filter_map(Sink::name).collect(), elapsed: started.elapsed() };
        for sink in sinks {
            sink.finish()?;
        }
        skipped.finish()?;
        let text = if json { serde_json::to_string_pretty(&report)? } else { report.to_string() };
        match (to_stdout, json) {
            (false, _) => print(&format!("{text}\n"))?,
            (true, false) => complain(&text),
            // The data are on standard output.
            (true, true) => say(&text),
        }
        Ok(())
    }

    /// What is asked for, each with the part that it is.
    fn requests(&self) -> Vec<(Option<&'static str>, pb::ExportTrainingDataRequest)> {
        let format = if self.json_lines { pb::TrainingDataFormat::JsonLines } else { pb::TrainingDataFormat::Coco };
        let verdict = |verdict: &Verdict| match verdict {
            Verdict::Confirm => pb::Verdict::Confirm.into(),
            Verdict::Correct => pb::Verdict::Correct.into(),
            Verdict::Reject => pb::Verdict::Reject.into(),
        };
        let frame = match self.frame {
            Frame::Upright => pb::ImageFrame::Upright,
            Frame::Stored => pb::ImageFrame::Stored,
        };
        let request = pb::ExportTrainingDataRequest {
            format: format.into(),
            filter: Some(pb::DetectionFilter {
                project_ids: self.projects.iter().map(Uuid::to_string).collect(),
                types: self.detection_types.iter().map(|kind| pb::DetectionType::from(*kind).into()).collect(),
                model_versions: self.model_versions.clone(),
                ..pb::DetectionFilter::default()
            }),
            verdicts: self.verdicts.iter().map(verdict).collect(),
            include_unreviewed: !self.reviewed_only && self.verdicts.is_empty(),
            resume_token: String::new(),
            frame: frame.into(),
            split: None,
        };
        let Some(key) = self.split_by else { return vec![(None, request)] };
        let key = match key {
            SplitBy::Photo => pb::SplitKey::Photo,
            SplitBy::Project => pb::SplitKey::Project,
        };
        let parts = PARTS.map(|(part, name)| {
            let split = pb::TrainingDataSplit {
                key: key.into(),
                validation_percent: self.validation,
                test_percent: self.test,
                seed: self.seed.clone(),
                part: part.into(),
            };
            (Some(name), pb::ExportTrainingDataRequest { split: Some(split), ..request.clone() })
        });
        parts.into()
    }
}

/// The name of a part's file: `data.train.json` of `data.json`.
fn named(output: &Path, part: Option<&str>) -> PathBuf {
    let Some(part) = part else { return output.to_owned() };
    let mut name = OsString::from(output.file_stem().unwrap_or_default());
    name.push(".");
    name.push(part);
    if let Some(extension) = output.extension() {
        name.push(".");
        name.push(extension);
    }
    output.with_file_name(name)
}

/// Whether two names are one file's, which need not be there yet.
fn same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
    one == other || place(one).is_some_and(|place_of_one| place(other) == Some(place_of_one))
}

fn ended_early(failure: &Failure, to_stdout: bool) -> Failure {
    let left = if to_stdout { "what was written is not whole" } else { "no file was written" };
    format!("the export ended early: {failure}\n{left}").into()
}

/// What the export did; what `--json` prints.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    written: Written,
    /// The files.
    #[serde(rename = "files")]
    to: Vec<String>,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    elapsed: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { written: Written { images, annotations, negatives, bytes }, to, elapsed } = self;
        let seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = (annotations + negatives) as f64 / seconds.max(0.001);
        write!(f, "exported {images} images, {annotations} annotations, {negatives} negatives")?;
        if !to.is_empty() {
            write!(f, " to {}", to.join(", "))?;
        }
        write!(f, " ({}) in {seconds:.1} s: {rate:.0} objects/s", HumanBytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_puts_the_part_before_the_extension() {
        let name = |output: &str, part| named(Path::new(output), part).display().to_string();

        assert_eq!(name("out/data.json", None), "out/data.json");
        assert_eq!(name("out/data.json", Some("train")), "out/data.train.json");
        assert_eq!(name("data", Some("test")), "data.test");
    }
}
