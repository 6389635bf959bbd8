//! What does one call consist of, and what do all of them carry?

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use photometa::pb;
use photometa::pb::detection_service_client::DetectionServiceClient;
use photometa::pb::photo_service_client::PhotoServiceClient;
use photometa::pb::session_service_client::SessionServiceClient;
use serde::Serialize;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use uuid::Uuid;

use super::Failure;
use super::calls::{self, Seen, Window};
use super::content::{PHOTOS, detection, photo_id};
use super::cpu::{Used, Watch};
use super::session::{Session, session};

const PAGE_SIZE: i32 = 50;
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rpc {
    /// Store a detection with two objects: one transaction, two rows.
    CreateDetection,
    /// Register a photo: one transaction, one row.
    CreatePhoto,
    /// Read a photo.
    GetPhoto,
    /// Read the newest 50 photos.
    ListPhotos,
    /// Nothing but the credential: what a call costs without the database.
    WhoAmI,
}

/// One connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Clients {
    detections: DetectionServiceClient<Session>,
    photos: PhotoServiceClient<Session>,
    session: SessionServiceClient<Session>,
    project: Uuid,
}

impl Clients {
    /// Connects, to work on photos of a project.
    ///
    /// # Errors
    /// As [`session`].
    pub async fn connect(address: SocketAddr, token: &str, project: Uuid) -> Result<Self, Failure> {
        let session = session(address, token, Some(CALL_TIMEOUT)).await?;
        Ok(Self {
            detections: DetectionServiceClient::new(session.clone()),
            photos: PhotoServiceClient::new(session.clone()),
            session: SessionServiceClient::new(session),
            project,
        })
    }

    /// Registers the photos to work on, unless they are there.
    ///
    /// # Errors
    /// When the server refuses one of them.
    pub async fn register_photos(&mut self) -> Result<(), Failure> {
        let photos = (0..PHOTOS).map(|number| photo(self.project, number)).collect();
        let request = pb::BatchCreatePhotosRequest { photos, partial: true };
        for result in self.photos.batch_create_photos(request).await?.into_inner().results {
            match result.status {
                // Registered by a run with another project: just as good.
                Some(status) if status.code != i32::from(Code::AlreadyExists) => return Err(status.message.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes one call; `number` chooses the photo.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn call(&mut self, rpc: Rpc, number: usize) -> Result<(), Status> {
        match rpc {
            Rpc::CreateDetection => {
                let request = pb::CreateDetectionRequest { detection: Some(detection(number % PHOTOS)) };
                self.detections.create_detection(request).await.map(drop)
            }
            Rpc::CreatePhoto => {
                let id = Uuid::now_v7().to_string();
                let s3_key = format!("bench/{id}.jpg");
                let photo = Some(pb::Photo { id, s3_key, ..photo(self.project, number) });
                self.photos.create_photo(pb::CreatePhotoRequest { photo }).await.map(drop)
            }
            Rpc::GetPhoto => {
                let request =
                    pb::GetPhotoRequest { id: photo_id(number % PHOTOS).to_string(), ..pb::GetPhotoRequest::default() };
                self.photos.get_photo(request).await.map(drop)
            }
            Rpc::ListPhotos => {
                let request = pb::ListPhotosRequest { page_size: PAGE_SIZE, ..pb::ListPhotosRequest::default() };
                self.photos.list_photos(request).await.map(drop)
            }
            Rpc::WhoAmI => self.session.who_am_i(pb::WhoAmIRequest {}).await.map(drop),
        }
    }
}

/// Lets `callers` share the connections until the window closes.
///
/// # Errors
/// When a watched process ends. Calls that fail are counted.
pub async fn run(
    clients: &[Clients],
    rpc: Rpc,
    callers: usize,
    window: Window,
    watch: Watch,
) -> Result<(Seen, Used), Failure> {
    let mut running = JoinSet::new();
    for index in 0..callers {
        let mut clients = clients[index % clients.len()].clone();
        // Far apart, so that they seldom meet on a photo.
        running.spawn(calls::caller(async move |number| clients.call(rpc, number).await, index * 37, window));
    }
    calls::gather(running, window, watch).await
}

fn photo(project: Uuid, number: usize) -> pb::Photo {
    pb::Photo {
        id: photo_id(number).to_string(),
        project_id: project.to_string(),
        s3_url: format!("s3://photometa-bench/bench/{number}.jpg"),
        s3_key: format!("bench/{number}.jpg"),
        file_size_bytes: Some(2_400_000),
        mime_type: Some("image/jpeg".to_owned()),
        width: Some(4032),
        height: Some(3024),
        ..pb::Photo::default()
    }
}
