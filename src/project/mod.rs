//! Projects: building sites, and who belongs to them. A project's name is unique within the organization; people
//! see the projects they are members of; an archived project takes no new photos, and one with photos stays.

mod convert;
mod member;
mod model;
mod query;
mod service;

pub use service::Service;
