//! Users: the people of an organization. An email is unique in the whole service without regard to case and never
//! changes; whether it is taken here or elsewhere, nobody can tell. A user stays while photos refer to it.

mod convert;
mod model;
mod query;
mod service;

pub use service::Service;
