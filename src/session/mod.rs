//! The caller's own session: who the credential says it is, and what the server accepts. Needs no database.

mod service;

pub use service::Service;
