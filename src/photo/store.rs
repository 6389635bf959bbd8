//! How photos are created.

use super::model::{NewPhoto, Photo};
use super::write;
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

    /// A photo has the key that the caller may not see.
    fn left(&self) -> Error {
        Error::AlreadyExists(Resource::Photo, self.s3_key.clone())
    }
}
