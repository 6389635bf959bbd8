//! The service's side: reads, and clients that repeat them.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use photometa::pb;
use photometa::pb::photo_service_client::PhotoServiceClient;
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::{Request, Status};

use super::Failure;
use super::calls::{self, Window};
use super::cpu::Used;
use super::report::Timing;
use super::server::Server;
use super::session::{Session, session};
use super::skim::Skim;
use super::world::World;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An administrator, who sees the whole organization.
    Admin,
    /// A member of ten of sixty projects.
    Member,
}

impl Role {
    /// Its name in credentials, and in tables of results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "org_admin",
            Self::Member => "org_user",
        }
    }
}

/// One read.
#[derive(Debug, Clone)]
pub enum Read {
    /// A photo.
    Get(pb::GetPhotoRequest),
    /// A page of photos.
    List(Box<pb::ListPhotosRequest>),
}

impl Read {
    /// A read of a page.
    pub fn of(request: pb::ListPhotosRequest) -> Self {
        Self::List(Box::new(request))
    }
}

/// A connection of one caller.
#[derive(Debug, Clone)]
pub struct Reader(PhotoServiceClient<Session>, Session);

impl Reader {
    /// Reads; answers how many photos there are.
    ///
    /// # Errors
    /// When the service refuses.
    pub async fn read(&mut self, read: &Read) -> Result<usize, Status> {
        match read {
            Read::Get(request) => {
                Ok(usize::from(self.0.get_photo(request.clone()).await?.into_inner().photo.is_some()))
            }
            Read::List(request) => Ok(self.list(pb::ListPhotosRequest::clone(request)).await?.photos.len()),
        }
    }

    /// Reads and throws the answer away as it came, as pgbench does with its rows.
    ///
    /// # Errors
    /// When the service refuses.
    pub async fn skim(&mut self, read: &Read) -> Result<(), Status> {
        let (path, request) = match read {
            Read::Get(request) => ("/photometa.v1.PhotoService/GetPhoto", request.encode_to_vec()),
            Read::List(request) => ("/photometa.v1.PhotoService/ListPhotos", request.encode_to_vec()),
        };
        let mut client = Grpc::new(self.1.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        client.unary(Request::new(request.into()), PathAndQuery::from_static(path), Skim).await.map(drop)
    }

    /// Reads a page.
    ///
    /// # Errors
    /// When the service refuses.
    pub async fn list(&mut self, request: pb::ListPhotosRequest) -> Result<pb::ListPhotosResponse, Status> {
        Ok(self.0.list_photos(request).await?.into_inner())
    }
}

/// So many connections to the service as somebody of an organization.
///
/// # Errors
/// When the service is not there.
pub async fn connect(server: &Server, world: &World, role: Role, count: usize) -> Result<Vec<Reader>, Failure> {
    let token = server.token(role.name(), &world.organization(), Some(&world.member())).await?;
    let mut readers = Vec::new();
    for _ in 0..count {
        let session = session(server.address, &token, Some(TIMEOUT)).await?;
        readers.push(Reader(PhotoServiceClient::new(session.clone()), session));
    }
    Ok(readers)
}

/// What clients saw.
#[derive(Debug)]
pub struct Run {
    /// How often and how soon they were answered.
    pub timing: Timing,
    /// Answers that count.
    pub answers: usize,
    /// Processor time meanwhile.
    pub used: Used,
}

/// Repeats the reads from all connections, each of which has its next call ready. It takes longer than the duration when
/// nothing is answered within it.
///
/// # Errors
/// When a call is refused.
pub async fn repeat(
    server: &Server,
    readers: &[Reader],
    reads: &[Read],
    (warmup, mut duration): (Duration, Duration),
) -> Result<Run, Failure> {
    let reads: Arc<[Read]> = reads.into();
    loop {
        let window = Window::after(warmup, duration);
        let mut callers = JoinSet::new();
        for (index, reader) in readers.iter().enumerate() {
            let (mut reader, reads) = (reader.clone(), Arc::clone(&reads));
            let call = async move |number: usize| reader.skim(&reads[number % reads.len()]).await;
            callers.spawn(calls::caller(call, index * 7, window));
        }
        let (seen, used) = calls::gather(callers, window, server.watch()?).await?;
        if let Some(refusal) = seen.refusal {
            return Err(format!("{} calls failed, one of them so: {refusal}", seen.errors).into());
        }
        if !seen.latencies.is_empty() {
            return Ok(Run { timing: Timing::of(&seen, duration), answers: seen.latencies.len(), used });
        }
        duration *= 4;
    }
}

/// Makes each read once; answers how many photos come, on average.
///
/// # Errors
/// When a call is refused.
#[expect(clippy::cast_precision_loss, reason = "counts of photos are far below 2^52")]
pub async fn once(reader: &mut Reader, reads: &[Read]) -> Result<f64, Failure> {
    let mut photos = 0;
    for read in reads {
        photos += reader.read(read).await?;
    }
    Ok(photos as f64 / reads.len() as f64)
}
