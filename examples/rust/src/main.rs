//! An upload service: registers photos that are in the object store already, many at a time.
//!
//! ```sh
//! export PHOTOMETA_TOKEN=$(photometa token --role service --org UUID)
//! printf 'site/1.jpg 4032 3024\nsite/2.jpg 4032 3024\n' | cargo run -p photometa-upload-example -- PROJECT_ID
//! ```
//!
//! A line is a key, a width and a height. What a real one needs is here: deadlines, retries that wait as long as the server
//! asks, keys that make a repetition safe (kill it at any time and run it again), one bad photo that stops no other. The exit
//! status is 1 when a photo was refused.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, mem};

use pb::photo_service_client::PhotoServiceClient;
use prost::Message as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

#[expect(clippy::all, clippy::pedantic, reason = "generated")]
mod pb {
    tonic::include_proto!("photometa.v1");
}

/// Photos of one call; the server takes 1000.
const BATCH: usize = 500;
const ATTEMPTS: u32 = 8;
/// For one attempt of a call.
const DEADLINE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

struct Uploads {
    client: PhotoServiceClient<Channel>,
    authorization: MetadataValue<Ascii>,
    created: usize,
    unchanged: usize,
    refused: usize,
}

impl Uploads {
    /// Stores photos, each on its own: one that is wrong keeps no other one out. The same `s3_key` with the same content is
    /// answered UNCHANGED, so that photos whose answer was lost can be sent again.
    async fn store(&mut self, mut photos: Vec<pb::Photo>) -> Result<(), Status> {
        call(async || {
            let message = pb::BatchCreatePhotosRequest { photos: photos.clone(), partial: true };
            let answer = self.client.batch_create_photos(self.request(message)).await?.into_inner();
            let mut not_now = Ok(());
            for (photo, result) in mem::take(&mut photos).into_iter().zip(answer.results) {
                let created = result.outcome() == pb::WriteOutcome::Created;
                match result.status.map(refusal) {
                    None if created => self.created += 1,
                    None => self.unchanged += 1,
                    // What may succeed a little later is all that the next attempt sends.
                    Some(status) if passes(&status) => {
                        photos.push(photo);
                        not_now = Err(status);
                    }
                    Some(status) => {
                        self.refused += 1;
                        println!("{} refused: {}", photo.s3_key, told(&status));
                    }
                }
            }
            not_now
        })
        .await
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(DEADLINE);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }
}

/// Calls, and again while that may help: the call has to be safe to repeat.
async fn call<T>(mut rpc: impl AsyncFnMut() -> Result<T, Status>) -> Result<T, Status> {
    let mut attempt = 1;
    loop {
        match rpc().await {
            Err(status) if attempt < ATTEMPTS && passes(&status) => tokio::time::sleep(pause(&status, attempt)).await,
            answer => return answer,
        }
        attempt += 1;
    }
}

/// Whether the same call may succeed a little later.
fn passes(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => true,
        // Its other reason, STALE_ETAG, asks for a new decision.
        Code::Aborted => reason(status).as_deref() == Some("CONCURRENT_CHANGE"),
        // Said by no server: the deadline passed or the connection broke.
        _ => status.source().is_some(),
    }
}

/// How long the server asks to wait, and a little longer each time. Not all at the same time, either.
fn pause(status: &Status, attempt: u32) -> Duration {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let chance = 0.5 + f64::from(now.subsec_nanos() % 1000) / 2000.0;
    asked + (FIRST_PAUSE * 2_u32.pow(attempt - 1)).min(LONGEST_PAUSE).mul_f64(chance)
}

/// The refusal of one photo as if the whole call had been refused.
fn refusal(status: tonic_types::Status) -> Status {
    let details = status.encode_to_vec();
    Status::with_details(Code::from_i32(status.code), status.message, details.into())
}

/// The reason of a refusal: programs decide by it, and not by the message.
fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

fn told(status: &Status) -> String {
    let reason = reason(status).unwrap_or_else(|| format!("{:?}", status.code()));
    format!("{} ({reason})", status.message())
}

/// A line: key, width, height. `None` when it is something else.
fn photo(project_id: &str, line: &str) -> Option<pb::Photo> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [s3_key, width, height] = words[..] else { return None };
    Some(pb::Photo {
        project_id: project_id.to_owned(),
        s3_key: s3_key.to_owned(),
        s3_url: format!("https://photos.example.com/{s3_key}"),
        width: Some(width.parse().ok()?),
        height: Some(height.parse().ok()?),
        ..Default::default()
    })
}

/// Whether all photos are stored.
#[expect(clippy::disallowed_methods, reason = "the variables are the settings of a program this small")]
async fn upload() -> Result<bool, Box<dyn Error>> {
    let project = std::env::args().nth(1).ok_or("say which project: photometa-upload-example PROJECT_ID")?;
    let token = std::env::var("PHOTOMETA_TOKEN").map_err(|_| "PHOTOMETA_TOKEN is not set; see `photometa token`")?;
    let address = std::env::var("PHOTOMETA_ADDRESS").unwrap_or_else(|_| "127.0.0.1:50051".to_owned());

    let mut photos = Vec::new();
    for (number, line) in io::stdin().lines().enumerate() {
        let line = line?;
        let expected = || format!("line {} is not a key, a width and a height in pixels: {line}", number + 1);
        photos.push(photo(&project, &line).ok_or_else(expected)?);
    }
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(60))
        .connect_lazy();
    let mut uploads = Uploads {
        client: PhotoServiceClient::new(channel),
        authorization: format!("Bearer {}", token.trim()).parse()?,
        created: 0,
        unchanged: 0,
        refused: 0,
    };
    for batch in photos.chunks(BATCH) {
        uploads.store(batch.to_vec()).await.map_err(|status| told(&status))?;
    }
    let Uploads { created, unchanged, refused, .. } = uploads;
    println!("{} photos: {created} created, {unchanged} already there, {refused} refused", photos.len());
    Ok(refused == 0)
}

#[tokio::main]
async fn main() -> ExitCode {
    match upload().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("upload: {error}");
            ExitCode::FAILURE
        }
    }
}
