//! What does one call consist of? The photos to work on have fixed ids, so that `pgbench/*.sql` can name them and
//! registering them again changes nothing.

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use photometa::pb;
use photometa::pb::detection_service_client::DetectionServiceClient;
use photometa::pb::photo_service_client::PhotoServiceClient;
use photometa::pb::session_service_client::SessionServiceClient;
use serde::Serialize;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use super::Failure;

/// Photos to work on: one full batch.
const PHOTOS: usize = photometa::MAX_BATCH;
const PAGE_SIZE: i32 = 50;
const FIRST_PHOTO: u128 = 0xbe9c_0000_0000_8000_8000_0000_0000_0001;
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rpc {
    /// Store a detection with two objects: one transaction, two rows.
    CreateDetection,
    /// Read a photo.
    GetPhoto,
    /// Read the newest 50 photos.
    ListPhotos,
    /// Nothing but the credential: what a call costs without the database.
    WhoAmI,
}

impl Rpc {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateDetection => "create-detection",
            Self::GetPhoto => "get-photo",
            Self::ListPhotos => "list-photos",
            Self::WhoAmI => "who-am-i",
        }
    }
}

type Session = InterceptedService<Channel, Bearer>;

/// Puts the credential and a deadline into a call's metadata, as every real client does.
#[derive(Debug, Clone)]
struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        request.set_timeout(CALL_TIMEOUT);
        Ok(request)
    }
}

/// One connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Clients {
    detections: DetectionServiceClient<Session>,
    photos: PhotoServiceClient<Session>,
    session: SessionServiceClient<Session>,
}

impl Clients {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers there, or the token cannot stand in a header.
    pub async fn connect(address: SocketAddr, token: &str) -> Result<Self, Failure> {
        let bearer = Bearer(format!("Bearer {}", token.trim()).parse()?);
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        let session = InterceptedService::new(channel, bearer);
        Ok(Self {
            detections: DetectionServiceClient::new(session.clone()),
            photos: PhotoServiceClient::new(session.clone()),
            session: SessionServiceClient::new(session),
        })
    }

    /// Registers the photos to work on, unless they are there.
    ///
    /// # Errors
    /// When the server refuses one of them.
    pub async fn register_photos(&mut self, project: Uuid) -> Result<(), Failure> {
        let photos = (0..PHOTOS).map(|number| photo(project, number)).collect();
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
                let request = pb::CreateDetectionRequest { detection: Some(detection(number)) };
                self.detections.create_detection(request).await.map(drop)
            }
            Rpc::GetPhoto => {
                let request = pb::GetPhotoRequest { id: photo_id(number), ..pb::GetPhotoRequest::default() };
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

fn photo_id(number: usize) -> String {
    Uuid::from_u128(FIRST_PHOTO + (number % PHOTOS) as u128).to_string()
}

fn photo(project: Uuid, number: usize) -> pb::Photo {
    pb::Photo {
        id: photo_id(number),
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

/// The same content as in `pgbench/*.sql`.
fn detection(number: usize) -> pb::Detection {
    let object = |object_id: &str, label: &str, confidence, (x, y, width, height)| pb::DetectedObject {
        object_id: object_id.to_owned(),
        label: label.to_owned(),
        confidence: Some(confidence),
        r#box: Some(pb::BoundingBox { x, y, width, height }),
        ..pb::DetectedObject::default()
    };
    let objects = vec![
        object("1", "missing_slate", 0.94, (0.22, 0.31, 0.18, 0.12)),
        object("2", "cracked_slate", 0.71, (0.55, 0.4, 0.09, 0.08)),
    ];
    pb::Detection {
        photo_id: photo_id(number),
        detection_type: pb::DetectionType::Damage.into(),
        model_version: "bench-1.0.0".to_owned(),
        results: Some(pb::DetectionResults { objects, extra: None }),
        processing_time: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
        ..pb::Detection::default()
    }
}
