//! Writing without the service, through tokio-postgres: the service's transaction in one flight, and COPY.

use std::pin::pin;

use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::Failure;
use super::rows::{Batch, ORGANIZATION, PROJECT, context, insert};
use super::server::Server;

/// Columns that COPY fills; the others have defaults.
const COPY: &str = "copy companycam_photos.detections (organization_id, id, project_id, photo_id, photo_created_at,
    detection_type, model_version, results, object_count, confidence, processing_time_ms, created_at, updated_at, content_digest)
    from stdin (format binary)";
const COPY_TYPES: [Type; 14] = [
    Type::UUID,
    Type::UUID,
    Type::UUID,
    Type::UUID,
    Type::TIMESTAMPTZ,
    Type::TEXT,
    Type::TEXT,
    Type::JSONB,
    Type::INT4,
    Type::FLOAT8,
    Type::INT4,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::BYTEA,
];

/// A connection that runs the service's transaction.
#[derive(Debug)]
pub struct Flight {
    client: Client,
    insert: Statement,
    context: String,
    organization: Uuid,
}

impl Flight {
    /// Connects as the service does, and prepares its statement.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn connect(server: &Server) -> Result<Self, Failure> {
        let client = server.connect("photometa_app").await?;
        let insert = client.prepare(insert()).await?;
        Ok(Self { client, insert, context: context().join("; "), organization: ORGANIZATION.parse()? })
    }

    /// Stores rows: BEGIN, context, INSERT and COMMIT are sent before the first of them is answered.
    ///
    /// # Errors
    /// When PostgreSQL refuses, or stores fewer rows.
    pub async fn store(&self, batch: &Batch) -> Result<(), Failure> {
        let params: [&(dyn ToSql + Sync); 11] = [
            &self.organization,
            &batch.ids,
            &batch.photos,
            &batch.types,
            &batch.models,
            &batch.runs,
            &batch.results,
            &batch.confidences,
            &batch.processing_times,
            &batch.digests,
            &batch.at,
        ];
        // In this order: a request is sent when it is first polled.
        let (begin, context, rows, commit) = tokio::join!(
            biased;
            self.client.batch_execute("begin"),
            self.client.batch_execute(&self.context),
            self.client.query(&self.insert, &params),
            self.client.batch_execute("commit"),
        );
        begin?;
        context?;
        let stored = rows?.len();
        commit?;
        if stored == batch.ids.len() { Ok(()) } else { Err(format!("stored {stored} rows").into()) }
    }
}

/// A connection that copies, as a superuser: COPY into a table under row security is refused to others.
#[derive(Debug)]
pub struct Copy {
    client: Client,
    organization: Uuid,
    project: Uuid,
}

impl Copy {
    /// Connects.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn connect(server: &Server) -> Result<Self, Failure> {
        let client = server.superuser().await?;
        Ok(Self { client, organization: ORGANIZATION.parse()?, project: PROJECT.parse()? })
    }

    /// Stores rows, in a transaction of their own.
    ///
    /// # Errors
    /// When PostgreSQL refuses, or stores fewer rows.
    pub async fn store(&self, batch: &Batch) -> Result<(), Failure> {
        let sink = self.client.copy_in(COPY).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &COPY_TYPES));
        for row in 0..batch.ids.len() {
            let values: [&(dyn ToSql + Sync); 14] = [
                &self.organization,
                &batch.ids[row],
                &self.project,
                &batch.photos[row],
                &batch.at,
                &batch.types[row],
                &batch.models[row],
                &batch.results[row],
                &2i32,
                &batch.confidences[row],
                &batch.processing_times[row],
                &batch.at,
                &batch.at,
                &batch.digests[row],
            ];
            writer.as_mut().write(&values).await?;
        }
        let stored = writer.finish().await?;
        if stored == batch.ids.len() as u64 { Ok(()) } else { Err(format!("stored {stored} rows").into()) }
    }
}
