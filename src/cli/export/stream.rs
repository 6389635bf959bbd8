//! One export: a stream that is made again where it broke off, and begun again when what it is of has changed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tonic::{Code, Status};

use super::target::Target;
use crate::cli::Failure;
use crate::cli::client::{Clients, pause, refused};
use crate::pb;

/// How often an export is begun again because something was deleted under it.
const BEGINNINGS: u32 = 5;
/// Most items left out that are told one by one.
const TOLD: usize = 20;

/// What was written.
#[derive(Debug)]
pub(super) struct Exported {
    /// Where to.
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) progress: pb::TrainingDataProgress,
    /// How often the connection was made again.
    pub(super) resumed: u32,
}

/// Exports what a request asks for.
///
/// # Errors
/// Why the server does not give it, or it cannot be written.
pub(super) async fn export(
    clients: &Clients,
    request: pb::ExportTrainingDataRequest,
    mut target: Target,
    skips: &mut Skips,
) -> Result<Exported, Failure> {
    let bar = bar();
    let (skipped, keep) = (Vec::new(), skips.file.is_some());
    let mut run = Run { clients, request, skipped, keep, bytes: 0, progress: None, attempt: 0, resumed: 0 };
    let mut beginning = 1;
    loop {
        match run.go_on(&mut target, &bar).await? {
            None => break,
            Some(status) if status.code() == Code::Aborted && beginning < BEGINNINGS => {
                beginning += 1;
                target.again()?;
                (run.bytes, run.progress) = (0, None);
                run.skipped.clear();
                run.request.resume_token.clear();
            }
            Some(status) => return Err(refused(status)),
        }
    }
    bar.finish_and_clear();
    target.finish()?;
    skips.add(run.skipped, run.progress.unwrap_or_default())?;
    let progress = run.progress.unwrap_or_default();
    Ok(Exported { name: target.name(), bytes: run.bytes, progress, resumed: run.resumed })
}

/// An export under way.
struct Run<'a> {
    clients: &'a Clients,
    request: pb::ExportTrainingDataRequest,
    skipped: Vec<pb::SkippedData>,
    /// All that is left out is told somewhere.
    keep: bool,
    bytes: u64,
    progress: Option<pb::TrainingDataProgress>,
    /// Calls since something came.
    attempt: u32,
    resumed: u32,
}

impl Run<'_> {
    /// Goes on to the end, over connections that break; answers a refusal that stands.
    async fn go_on(&mut self, target: &mut Target, bar: &ProgressBar) -> Result<Option<Status>, Failure> {
        loop {
            self.attempt += 1;
            let Some(status) = self.call(target, bar).await? else { return Ok(None) };
            if status.code() == Code::Aborted {
                return Ok(Some(status));
            }
            let Some(pause) = pause(&status, self.attempt) else { return Ok(Some(status)) };
            self.resumed += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// One call; answers what ended it early.
    async fn call(&mut self, target: &mut Target, bar: &ProgressBar) -> Result<Option<Status>, Failure> {
        let mut client = self.clients.feedback.clone().max_decoding_message_size(64 * 1024 * 1024);
        let mut stream = match client.export_training_data(self.request.clone()).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Ok(Some(status)),
        };
        loop {
            let message = match stream.message().await {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(Some(Status::unavailable("the stream ended early"))),
                Err(status) => return Ok(Some(status)),
            };
            self.attempt = 0;
            target.write(&message.chunk)?;
            self.bytes += message.chunk.len() as u64;
            self.request.resume_token = message.resume_token;
            let room = if self.keep { usize::MAX } else { TOLD.saturating_sub(self.skipped.len()) };
            self.skipped.extend(message.skipped.into_iter().take(room));
            self.progress = message.progress;
            let progress = message.progress.unwrap_or_default();
            bar.set_position(self.bytes);
            bar.set_message(format!(
                "{} images, {} objects",
                progress.images,
                progress.annotations + progress.negatives
            ));
            if progress.done {
                return Ok(None);
            }
        }
    }
}

/// A progress bar on standard error; hidden when that is no terminal. How much there will be, nobody knows.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bytes} ({bytes_per_sec}), {msg}, {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// What was left out of all parts.
#[derive(Debug)]
pub(super) struct Skips {
    file: Option<BufWriter<File>>,
    told: Vec<pb::SkippedData>,
    photos: i64,
    objects: i64,
}

impl Skips {
    /// None yet; `file` gets all of them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn open(file: Option<&Path>) -> Result<Self, Failure> {
        let create = |path: &Path| {
            File::create(path).map(BufWriter::new).map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        Ok(Self { file: file.map(create).transpose()?, told: Vec::new(), photos: 0, objects: 0 })
    }

    fn add(&mut self, skipped: Vec<pb::SkippedData>, progress: pb::TrainingDataProgress) -> Result<(), Failure> {
        self.photos += progress.skipped_photos;
        self.objects += progress.skipped_objects;
        for one in skipped {
            if let Some(file) = &mut self.file {
                let line = json!({"reason": reason(&one), "photo_id": one.photo_id, "detection_id": one.detection_id,
                                  "object_id": one.object_id});
                writeln!(file, "{line}").map_err(|error| format!("cannot write what was left out: {error}"))?;
            }
            if self.told.len() < TOLD {
                self.told.push(one);
            }
        }
        Ok(())
    }

    /// Says what was left out.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[expect(clippy::print_stderr, reason = "the command line's own voice")]
    pub(super) fn tell(mut self) -> Result<(), Failure> {
        if let Some(file) = &mut self.file {
            file.flush().map_err(|error| format!("cannot write what was left out: {error}"))?;
        }
        let all = self.photos + self.objects;
        if all == 0 {
            return Ok(());
        }
        eprintln!(
            "photometa: left out: {} photos whose width and height are not known, {} objects without a place",
            self.photos, self.objects
        );
        for one in &self.told {
            match one.object_id.as_str() {
                "" => eprintln!("photometa: photo {}", one.photo_id),
                object => eprintln!("photometa: object {object} of detection {}", one.detection_id),
            }
        }
        let more = usize::try_from(all).unwrap_or_default().saturating_sub(self.told.len());
        if more > 0 {
            eprintln!("photometa: and {more} more; --skipped FILE lists all of them");
        }
        Ok(())
    }
}

fn reason(skipped: &pb::SkippedData) -> &'static str {
    match skipped.reason() {
        pb::SkipReason::NoDimensions => "NO_DIMENSIONS",
        pb::SkipReason::NoBox => "NO_BOX",
        pb::SkipReason::Unspecified => "UNSPECIFIED",
    }
}
