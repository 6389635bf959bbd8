//! `SessionService`: answers from the credential and from constants alone.

use tonic::{Request, Response, Status};

use crate::auth::{Caller, EVERYONE};
use crate::pb::{self, session_service_server::SessionService};
use crate::{MAX_BATCH, MAX_REQUEST_BYTES, detection, json, page, photo};

/// Serves sessions.
#[derive(Debug)]
pub struct Service;

#[tonic::async_trait]
impl SessionService for Service {
    async fn who_am_i(&self, request: Request<pb::WhoAmIRequest>) -> Result<Response<pb::WhoAmIResponse>, Status> {
        let caller = Caller::of(&request, EVERYONE)?;
        let pb::WhoAmIRequest {} = request.into_inner();
        let organization = caller.organization;
        Ok(Response::new(pb::WhoAmIResponse {
            subject: caller.subject.to_string(),
            organization_id: if organization.0.is_nil() { String::new() } else { organization.to_string() },
            role: caller.role.name().to_owned(),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            limits: Some(limits()),
        }))
    }
}

fn limits() -> pb::Limits {
    let number = |limit: usize| i32::try_from(limit).unwrap_or(i32::MAX);
    pb::Limits {
        max_request_bytes: number(MAX_REQUEST_BYTES).into(),
        max_page_size: page::MAX_SIZE,
        max_batch_size: number(MAX_BATCH),
        max_exif_bytes: number(photo::MAX_EXIF_BYTES),
        max_results_bytes: number(detection::MAX_RESULTS_BYTES),
        max_json_depth: number(json::MAX_DEPTH),
        ingest_window_items: number(detection::WINDOW_ITEMS),
        ingest_window_bytes: number(detection::WINDOW_BYTES).into(),
    }
}
