//! Where is the schema, and what would bring it further? Asked without the lock that migrations share and without
//! writing anything, so that it also answers while somebody migrates.

use tokio_postgres::Client;

use super::error::MigrateError;
use super::history::{self, Applied};
use super::plan::{self, Planned};
use super::version::{VERSIONS, Version};
use crate::db::catalog::{self, Fact};

/// A session that reads the schema, with the rights of photometa_owner where its login may have them.
#[derive(Debug)]
pub struct Observer {
    pub(super) client: Client,
    pub(super) versions: &'static [Version],
}

impl Observer {
    /// Connects, for reading only.
    ///
    /// # Errors
    /// [`MigrateError::Database`].
    pub async fn connect(target: impl Into<crate::db::Target>) -> Result<Self, MigrateError> {
        let client = crate::db::session(target, "photometa observe").await?;
        client.batch_execute("set default_transaction_read_only = on; set row_security = off").await?;
        let owner = client
            .query_opt(
                "select from pg_roles where rolname = 'photometa_owner' and pg_has_role(current_user, oid, 'member')",
                &[],
            )
            .await?;
        if owner.is_some() {
            client.batch_execute("set role photometa_owner").await?;
        }
        Ok(Self::over(client, VERSIONS))
    }

    pub(super) fn over(client: Client, versions: &'static [Version]) -> Self {
        Self { client, versions }
    }

    /// Answers the newest applied version; `None` on an empty database.
    ///
    /// # Errors
    /// [`MigrateError::Database`].
    pub async fn current(&self) -> Result<Option<u32>, MigrateError> {
        Ok(self.applied().await?.last().map(|applied| applied.number))
    }

    /// Answers every applied version, oldest first.
    ///
    /// # Errors
    /// [`MigrateError::Database`].
    pub async fn applied(&self) -> Result<Vec<Applied>, MigrateError> {
        Ok(history::read(&self.client).await?)
    }

    /// Answers what the missing versions would do: their statements, the locks these take on tables that are there
    /// already, and how many rows those have. Changes nothing and locks nothing.
    ///
    /// # Errors
    /// [`MigrateError`].
    pub async fn plan(&self) -> Result<Vec<Planned>, MigrateError> {
        let current = self.checked().await?;
        Ok(plan::plan(&self.client, &self.versions[current as usize..]).await?)
    }

    /// Makes sure that every version is applied.
    ///
    /// # Errors
    /// [`MigrateError::Behind`], and those of [`Migrator::up`](super::Migrator::up).
    pub async fn up_to_date(&self) -> Result<(), MigrateError> {
        let (database, program) = (self.checked().await?, self.known());
        if database < program { Err(MigrateError::Behind { database, program }) } else { Ok(()) }
    }

    /// Answers indexes that a failed CREATE INDEX CONCURRENTLY left behind: they cost writes and serve nothing.
    ///
    /// # Errors
    /// [`MigrateError::Database`].
    pub async fn invalid_indexes(&self) -> Result<Vec<String>, MigrateError> {
        Ok(catalog::invalid_indexes(&self.client).await?)
    }

    /// Answers every fact of the schema as it is.
    ///
    /// # Errors
    /// [`MigrateError::Database`].
    pub async fn facts(&self) -> Result<Vec<Fact>, MigrateError> {
        self.client.batch_execute("begin read only").await?;
        let facts = catalog::facts(&self.client).await;
        self.client.batch_execute("rollback").await?;
        Ok(facts?)
    }

    /// The session itself, acting as photometa_owner.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn known(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }

    pub(super) async fn checked(&self) -> Result<u32, MigrateError> {
        super::checked(&self.client, self.versions).await
    }
}
