//! Organizations: the tenants. Only operators see them, all of them; an organization's name is unique and never
//! changes, and it goes only when it has no users and no projects.

mod convert;
mod model;
mod query;
mod service;

pub use service::Service;
