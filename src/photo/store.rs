//! How photos are created.

use super::model::{NewPhoto, Photo};
use super::write;
use crate::auth::{Caller, Role};
use crate::create::{Create, Settled};
use crate::db::Tx;
use crate::error::{Error, Resource, Result};

impl Create for NewPhoto {
    type Stored = Photo;

    async fn insert(tx: &Tx, items: &[Self], open: &[usize]) -> Result<Settled<Self>> {
        write::insert(tx, items, open).await
    }

    async fn explain(tx: &Tx, items: &[Self], open: &[usize]) -> Result<Settled<Self>> {
        write::explain(tx, items, open).await
    }

    /// Those who do not see every photo may have chosen the key of one that they do not see.
    fn left(&self, caller: &Caller) -> Error {
        match caller.role {
            Role::OrgUser => Error::AlreadyExists(Resource::Photo, self.s3_key.clone()),
            Role::Operator | Role::OrgAdmin | Role::Service => Error::ConcurrentChange,
        }
    }
}
