//! photometa keeps photos, detections, tags and feedback of many organizations: gRPC on the outside,
//! PostgreSQL with row security on the inside.
//!
//! Reading order: a request enters through [`server`], which finds out who asks ([`auth`]) and until when; a
//! resource's `service` turns the message into a model ([`check`], [`json`], the resource's `convert`), runs its
//! `query` through the one door to the database ([`db`]), and answers. What can go wrong is in [`error`]. Creates come
//! in crowds: which of them share a transaction is in [`group`], and what becomes of each in [`create`](mod@create).

pub mod config;
pub mod server;

pub mod auth;
pub mod batch;
pub mod chance;
pub mod check;
pub mod codec;
pub mod contract;
pub mod create;
pub mod digest;
pub mod error;
pub mod etag;
pub mod geometry;
pub mod group;
pub mod id;
pub mod json;
pub mod lsn;
pub mod page;
pub mod panics;
pub mod seldom;
pub mod streaming;
pub mod tls;

pub mod db;

pub mod detection;
pub mod feedback;
pub mod organization;
pub mod photo;
pub mod project;
pub mod session;
pub mod tag;
pub mod training;
pub mod user;

pub mod cli;
pub mod telemetry;

/// Largest request the server decodes.
pub const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Most items of a batch.
pub const MAX_BATCH: usize = 1000;

/// The contract: code generated from `proto/photometa/v1`, where it is documented.
#[expect(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod pb {
    tonic::include_proto!("photometa.v1");

    impl WriteOutcome {
        /// What a retry-safe create did.
        pub fn of(created: bool) -> Self {
            if created { Self::Created } else { Self::Unchanged }
        }
    }

    /// The contract's descriptor set, comments included: what reflection serves.
    pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
}
