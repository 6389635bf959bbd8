//! The server: services, health, reflection, the layer around them, and a graceful end.

pub mod admin;
mod admission;
mod connection;
mod guard;
pub mod layer;
mod observed;
mod readiness;
mod web;

use std::future::Future;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tower::ServiceBuilder;

use crate::auth::token::Verifier;
use crate::config::{Limits, Web};
use crate::db::Db;
use crate::page::Pages;
use crate::streaming::Bounds;
use crate::{MAX_REQUEST_BYTES, detection, feedback, organization, pb, photo, project, session, tag, user};

use web::WebLayer;

/// Largest message to health and reflection, which anybody may send: a name.
const ANYBODYS_BYTES: usize = 4096;

pub use admin::Condition;
pub use connection::{ConnectionLimits, Connections, Tls};

/// How long clients have to notice NOT_SERVING before connections are told to go away.
const NOTICE: Duration = Duration::from_millis(200);
/// How long calls that were cut off have to get their answer out.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a server needs.
#[derive(Debug)]
pub struct Parts {
    /// The door to the database.
    pub db: Db,
    /// Makes page tokens.
    pub pages: Pages,
    /// Verifies credentials.
    pub verifier: Verifier,
    /// Longest time of a unary call.
    pub request_timeout: Duration,
    /// How long calls may go on after the end was asked for.
    pub drain_timeout: Duration,
    /// What it takes on at once.
    pub limits: Limits,
    /// How connections are taken and kept.
    pub connections: Connections,
    /// Which pages may call from browsers.
    pub web: Web,
    /// The version the schema must be at before the first call is taken.
    pub schema_version: u32,
    /// Told once that it is.
    pub ready: watch::Sender<bool>,
    /// Told whether it takes calls, and why not.
    pub condition: Condition,
}

/// Serves until `stop` resolves, then drains: health says NOT_SERVING, calls in flight end, streams stop reading
/// and end. After the drain timeout those that have not are told that the server is draining, and it ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve(parts: Parts, listener: TcpListener, stop: impl Future<Output = ()> + Send) -> std::io::Result<()> {
    let Parts {
        db,
        pages,
        verifier,
        request_timeout,
        drain_timeout,
        limits,
        connections,
        web,
        schema_version,
        ready,
        condition,
    } = parts;
    let (reporter, health) = tonic_health::server::health_reporter();
    let prepared = ready.subscribe();
    let mut readiness = readiness::watch(db.clone(), (reporter, condition), schema_version, ready).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTOR)
            // So that tools can read the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection_v1 = reflection().build_v1().map_err(std::io::Error::other)?;
    let reflection_v1alpha = reflection().build_v1alpha().map_err(std::io::Error::other)?;

    let (streams, cut) = (watch::Sender::new(false), watch::Sender::new(false));
    let bounds = Bounds { draining: streams.subscribe(), idle: limits.stream_idle_timeout };
    let calls = layer::CallLayer::new(verifier, request_timeout, &limits, prepared, cut.subscribe());
    let routes = services(Routes::new(health.max_decoding_message_size(ANYBODYS_BYTES)), &db, &pages, &bounds)
        .add_service(reflection_v1.max_decoding_message_size(ANYBODYS_BYTES))
        .add_service(reflection_v1alpha.max_decoding_message_size(ANYBODYS_BYTES));

    // gRPC-Web becomes gRPC; then ids, permits, deadline, credential, and a reason on every refusal.
    let web = WebLayer::of(&web);
    let http1 = web.is_some();
    let service = ServiceBuilder::new().option_layer(web).layer(calls).service(routes.prepare());

    let (drain, draining) = tokio::sync::oneshot::channel::<()>();
    let mut server = std::pin::pin!(connection::serve(listener, connections, http1, service, async {
        let _ = draining.await;
    }));
    tokio::select! {
        () = &mut server => return Ok(()),
        () = stop => {}
    }
    tracing::info!("draining");
    readiness.drain().await;
    tokio::time::sleep(NOTICE).await;
    let _ = drain.send(());
    streams.send_replace(true);
    readiness.end().await;
    if tokio::time::timeout(drain_timeout, &mut server).await.is_ok() {
        return Ok(());
    }
    tracing::warn!(timeout = ?drain_timeout, "ending without the calls that are still running");
    cut.send_replace(true);
    // Who does not read what it is told is not waited for.
    let _ = tokio::time::timeout(LAST_WORDS, server).await;
    db.rest(LAST_WORDS).await;
    Ok(())
}

/// Adds our own services.
pub fn services(routes: Routes, db: &Db, pages: &Pages, bounds: &Bounds) -> Routes {
    macro_rules! service {
        ($module:ident::$server:ident, $implementation:expr) => {
            pb::$module::$server::new($implementation)
                .max_decoding_message_size(MAX_REQUEST_BYTES)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
        };
    }
    macro_rules! with_database {
        ($resource:ident) => {
            $resource::Service { db: db.clone(), pages: pages.clone() }
        };
    }
    let detections = detection::Service::new(db.clone(), pages.clone(), bounds.clone());
    let photos = photo::Service::new(db.clone(), pages.clone());
    let feedback = feedback::Service { db: db.clone(), pages: pages.clone(), streams: bounds.clone() };
    routes
        .add_service(service!(session_service_server::SessionServiceServer, session::Service))
        .add_service(service!(photo_service_server::PhotoServiceServer, photos))
        .add_service(service!(detection_service_server::DetectionServiceServer, detections))
        .add_service(service!(tag_service_server::TagServiceServer, with_database!(tag)))
        .add_service(service!(feedback_service_server::FeedbackServiceServer, feedback))
        .add_service(service!(organization_service_server::OrganizationServiceServer, with_database!(organization)))
        .add_service(service!(user_service_server::UserServiceServer, with_database!(user)))
        .add_service(service!(project_service_server::ProjectServiceServer, with_database!(project)))
}
