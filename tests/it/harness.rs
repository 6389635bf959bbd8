//! A running service for one test: the real server over a socket, on a database of its own, and clients for
//! whoever the test wants to be.

mod people;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use photometa::auth::token::{Claims, Expectations, Verifier, sign_hs256};
use photometa::config::{Limits, Web};
use photometa::db::migrate::newest;
use photometa::db::{Db, PoolSettings, Standby, Target};
use photometa::page::Pages;
use photometa::pb;
use photometa::server::{self, Condition, Connections, Parts};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_postgres::Client as Postgres;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;

use crate::cluster::{TestDatabase, connect};
pub use people::{A, B, OPERATOR, Organization, Who};

/// Every table of the schema.
pub const TABLES: [&str; 12] = [
    "organizations",
    "users",
    "projects",
    "project_members",
    "photos",
    "detections",
    "detection_labels",
    "detection_events",
    "tags",
    "feedback",
    "review_claims",
    "categories",
];

/// How the service uses its database: four connections, of which an organization may have all but one.
const POOL: PoolSettings = PoolSettings { size: 4, share: 3, wait: Duration::from_secs(10) };

/// Signs the tests' credentials.
pub const SECRET: &[u8] = b"the secret of the integration tests, 32 bytes and more";

/// Signs a credential that is valid for an hour.
pub fn token(who: Who) -> String {
    let exp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    sign(&Claims { sub: who.subject, org: who.organization, role: who.role, exp, iss: None, aud: None })
}

/// Signs claims as they are.
pub fn sign(claims: &Claims) -> String {
    sign_hs256(claims, SECRET).unwrap()
}

/// Adds a credential to every call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<tonic::metadata::Ascii>);

impl Bearer {
    /// Sends this authorization entry.
    pub fn new(value: &str) -> Self {
        Self(value.parse().unwrap())
    }
}

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A channel with a credential.
pub type Authenticated = InterceptedService<Channel, Bearer>;

/// A running service.
pub struct App {
    /// Its database, past row security: for arranging and asserting.
    pub postgres: Postgres,
    /// Connections without a credential.
    pub channel: Channel,
    /// Where it listens.
    pub address: SocketAddr,
    /// The database itself.
    pub database: TestDatabase,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
}

/// What a test may want to be different.
struct Setup {
    limits: Limits,
    connections: Connections,
    web: Web,
    verifier: Verifier,
}

impl Default for Setup {
    fn default() -> Self {
        let verifier = Verifier::hs256(SECRET, &Expectations::default());
        Self { limits: Limits::default(), connections: Connections::default(), web: Web::default(), verifier }
    }
}

macro_rules! clients {
    ($($name:ident: $module:ident::$client:ident),+ $(,)?) => {$(
        /// A client of this service for somebody.
        pub fn $name(&self, who: Who) -> pb::$module::$client<Authenticated> {
            pb::$module::$client::new(self.authenticated(who)).max_decoding_message_size(64 << 20).max_encoding_message_size(64 << 20)
        }
    )+};
}

impl App {
    /// Starts the service on a fresh database with two organizations.
    pub async fn start() -> Self {
        Self::start_on(TestDatabase::clone_template().await).await
    }

    /// Starts the service on a database.
    pub async fn start_on(database: TestDatabase) -> Self {
        let connection = database.app();
        Self::start_through(database, connection).await
    }

    /// Starts the service on a database, with reads from a standby.
    pub async fn start_reading_from(database: TestDatabase, standby: Standby) -> Self {
        let db = Db::new(database.app(), POOL).unwrap().reading_from(standby).unwrap();
        Self::serve(database, db).await
    }

    /// Starts the service on a fresh database, with its connections taken and kept like this.
    pub async fn start_behind(connections: Connections) -> Self {
        let database = TestDatabase::clone_template().await;
        let db = Db::new(database.app(), POOL).unwrap();
        Self::serve_with(database, db, Setup { connections, ..Setup::default() }).await
    }

    /// The same, for pages of these origins too.
    pub async fn start_for_browsers(origins: &[&str], connections: Connections) -> Self {
        let database = TestDatabase::clone_template().await;
        let db = Db::new(database.app(), POOL).unwrap();
        let web = Web { cors_allow_origin: origins.iter().map(|origin| origin.parse().unwrap()).collect() };
        Self::serve_with(database, db, Setup { connections, web, ..Setup::default() }).await
    }

    /// Another connection to it.
    pub async fn connect(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    /// Starts another replica of the service on the same database.
    pub async fn replica(&self) -> Self {
        Self::start_on(self.database.clone()).await
    }

    /// Starts the service on a database that it reaches in another way, such as a pooler.
    pub async fn start_through(database: TestDatabase, connection: impl Into<Target>) -> Self {
        Self::serve(database, Db::new(connection, POOL).unwrap()).await
    }

    /// Starts the service on a fresh database, with limits of the test's own.
    pub async fn start_with(limits: Limits) -> Self {
        let database = TestDatabase::clone_template().await;
        let db = Db::new(database.app(), PoolSettings { size: 8, share: 8, ..POOL }).unwrap();
        Self::serve_with(database, db, Setup { limits, ..Setup::default() }).await
    }

    /// Starts the service on a fresh database, with another verifier of credentials.
    pub async fn start_trusting(verifier: Verifier) -> Self {
        let database = TestDatabase::clone_template().await;
        let db = Db::new(database.app(), POOL).unwrap();
        Self::serve_with(database, db, Setup { verifier, ..Setup::default() }).await
    }

    async fn serve(database: TestDatabase, db: Db) -> Self {
        Self::serve_with(database, db, Setup::default()).await
    }

    async fn serve_with(database: TestDatabase, db: Db, setup: Setup) -> Self {
        let Setup { limits, connections, web, verifier } = setup;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plain = connections.tls.is_none();
        let parts = Parts {
            db,
            pages: Pages::new(SECRET),
            verifier,
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
            limits,
            connections,
            web,
            schema_version: newest(),
            ready: watch::Sender::new(false),
            condition: Condition::default(),
        };
        let mut ready = parts.ready.subscribe();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server::serve(parts, listener, async {
            let _ = stopped.await;
        }));
        // As serve does before it tells its address: calls before that are refused.
        ready.wait_for(|ready| *ready).await.unwrap();
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        // Of no use where the server speaks TLS.
        let channel = if plain { endpoint.connect().await.unwrap() } else { endpoint.connect_lazy() };
        let postgres = connect(&database.superuser()).await;
        Self { postgres, channel, address, database, stop: Some(stop), server }
    }

    /// Asks the server to end, and waits until it has.
    pub async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        (&mut self.server).await.unwrap().unwrap();
    }

    /// A channel with a credential.
    pub fn authenticated(&self, who: Who) -> Authenticated {
        self.with_authorization(&format!("Bearer {}", token(who)))
    }

    /// A channel with this authorization entry.
    pub fn with_authorization(&self, value: &str) -> Authenticated {
        InterceptedService::new(self.channel.clone(), Bearer::new(value))
    }

    clients! {
        photos: photo_service_client::PhotoServiceClient,
        detections: detection_service_client::DetectionServiceClient,
        tags: tag_service_client::TagServiceClient,
        feedback: feedback_service_client::FeedbackServiceClient,
        organizations: organization_service_client::OrganizationServiceClient,
        users: user_service_client::UserServiceClient,
        projects: project_service_client::ProjectServiceClient,
        sessions: session_service_client::SessionServiceClient,
    }

    /// Hides a table's rows from transactions that only read, as if they had come or gone in between.
    pub async fn hide_from_readers(&self, table: &str) {
        let hide = format!(
            "create policy hidden on companycam_photos.{table} as restrictive for select
             using (not current_setting('transaction_read_only')::boolean)"
        );
        self.postgres.batch_execute(&hide).await.unwrap();
    }

    /// The number that a query answers, past row security.
    pub async fn count(&self, query: &str) -> i64 {
        self.postgres.query_one(query, &[]).await.unwrap().try_get(0).unwrap()
    }

    /// The number of rows of every tenant table: what a refused call must not change.
    pub async fn rows(&self) -> Vec<i64> {
        let mut counts = Vec::new();
        for table in TABLES {
            counts.push(self.count(&format!("select count(*) from companycam_photos.{table}")).await);
        }
        counts
    }

    /// Registers a photo in `house` of the person's organization.
    pub async fn photo(&self, organization: Organization, s3_key: &str) -> pb::Photo {
        let request = pb::CreatePhotoRequest { photo: Some(photo(organization.house, s3_key)) };
        self.photos(organization.as_service()).create_photo(request).await.unwrap().into_inner().photo.unwrap()
    }

    /// Stores a detection with one object `o1` on a photo.
    pub async fn detection(&self, organization: Organization, photo_id: &str) -> pb::Detection {
        let request = pb::CreateDetectionRequest { detection: Some(detection(photo_id)) };
        self.detections(organization.as_service())
            .create_detection(request)
            .await
            .unwrap()
            .into_inner()
            .detection
            .unwrap()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A photo that is right in every field.
pub fn photo(project: Uuid, s3_key: &str) -> pb::Photo {
    pb::Photo {
        project_id: project.to_string(),
        s3_url: format!("https://example.com/{s3_key}"),
        s3_key: s3_key.to_owned(),
        width: Some(400),
        height: Some(200),
        ..Default::default()
    }
}

/// A detection that is right in every field, with one object `o1`.
pub fn detection(photo_id: &str) -> pb::Detection {
    pb::Detection {
        photo_id: photo_id.to_owned(),
        detection_type: pb::DetectionType::Damage.into(),
        model_version: "cracks-1".to_owned(),
        results: Some(pb::DetectionResults { objects: vec![object("o1")], extra: None }),
        processing_time: Some(prost_types::Duration { seconds: 0, nanos: 250_000_000 }),
        ..Default::default()
    }
}

/// An object that is right in every field.
pub fn object(object_id: &str) -> pb::DetectedObject {
    pb::DetectedObject {
        object_id: object_id.to_owned(),
        label: "crack".to_owned(),
        confidence: Some(0.75),
        r#box: Some(pb::BoundingBox { x: 0.25, y: 0.25, width: 0.5, height: 0.25 }),
        ..Default::default()
    }
}

/// The details of an error.
pub fn details(status: &Status) -> ErrorDetails {
    status.get_error_details()
}

/// The reason of an error.
pub fn reason(status: &Status) -> String {
    let info = details(status).error_info().cloned().unwrap_or_else(|| panic!("an ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "photometa.v1");
    info.reason
}

/// The paths of an error's field violations.
pub fn paths(status: &Status) -> Vec<String> {
    let violations = details(status).bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

/// Says that a test cannot run here, where a passing test's own output is not shown.
#[expect(clippy::explicit_write, reason = "what the macros print is captured")]
pub fn skipped(why: &str) {
    writeln!(std::io::stderr(), "skipped: {why}").unwrap();
}
