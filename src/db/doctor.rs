//! Is this database fit to keep tenants apart and to serve? Every check answers findings, and each finding that is
//! not fine says what to do. Nothing is changed: what the canaries write is rolled back.

mod canary;
mod roles;
mod rules;
mod schema;
mod server;

use serde::Serialize;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::migrate::MigrateError;
use super::{SEE_TO_IT, Target};

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Not checked, and why.
    Skipped,
    /// Works, but somebody should know.
    Warning,
    /// Must be mended.
    Failed,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check, such as `row security`.
    pub check: &'static str,
    /// How serious it is.
    pub state: State,
    /// What was found; names the object.
    pub message: String,
    /// What to do; absent where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// There is no database to examine.
    pub fn unreachable(message: String) -> Self {
        let fix = format!("{SEE_TO_IT}; `photometa migrate up` must have been run once, which makes the login role");
        Self::failed("connection", message, fix)
    }

    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, state: State::Ok, message: message.into(), fix: None }
    }

    fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, state: State::Skipped, message: message.into(), fix: None }
    }

    fn warning(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, state: State::Warning, message: message.into(), fix: Some(fix.into()) }
    }

    fn failed(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, state: State::Failed, message: message.into(), fix: Some(fix.into()) }
    }
}

/// How the service is going to use the database.
#[derive(Debug, Clone, Copy)]
pub struct Deployment {
    /// Connections of one replica.
    pub pool_size: u16,
    /// Replicas that run at once.
    pub replicas: u16,
}

/// Examines the database as the service's login role sees it.
pub async fn examine(login: &Target, deployment: Deployment) -> Vec<Finding> {
    let mut client = match super::session(login, "photometa doctor").await {
        Ok(client) => client,
        Err(error) => {
            return vec![Finding::unreachable(format!("the database cannot be reached: {error}"))];
        }
    };
    // What is asked for by name is PostgreSQL's own, whatever stands in other schemas. A setting that the login was given
    // would decide what the canaries can see.
    let settings =
        "set search_path = ''; set row_security = on; set lock_timeout = '2s'; set statement_timeout = '30s'";
    if let Err(error) = client.batch_execute(settings).await {
        return caught("connection", Err(error));
    }
    let mut findings = Vec::new();
    findings.extend(caught("connection", server::connection(&client).await));
    if let Some(host) = login.unverified() {
        let message = format!(
            "nobody verifies that {host} is the database: whoever is in between could read and change everything"
        );
        let fix = "add sslmode=verify-full to the URL, and sslrootcert=FILE for an authority of your own";
        findings.push(Finding::warning("connection", message, fix));
    }
    findings.extend(caught("durability", server::durability(&client).await));
    findings.extend(caught("abandoned statements", server::abandoned(&client).await));
    findings.extend(caught("connections", server::connections(&client, login, deployment).await));
    findings.extend(caught("clock", server::clock(&client).await));
    findings.extend(caught("login role", roles::login(&client).await));
    findings.extend(caught("roles", roles::attributes(&client).await));
    findings.extend(caught("roles", roles::memberships(&client).await));
    let standing = schema::version(&mut client).await;
    let current = matches!(standing, Ok((true, _)));
    findings.extend(caught("version", standing.map(|(_, findings)| findings)));
    if matches!(schema::is_migrating(&client).await, Ok(true)) {
        let message = "somebody migrates this database now; what depends on its schema was not checked: run it again";
        findings.push(Finding::skipped("declared schema", message));
        findings.push(Finding::skipped("isolation", message));
        return findings;
    }
    findings.extend(caught("declared schema", schema::declared(&mut client, current).await));
    findings.extend(caught("tenancy", rules::check(&client).await));
    findings.extend(caught("indexes", schema::indexes(&client).await));
    findings.extend(caught("extensions", server::extensions(&client).await));
    findings.extend(caught("isolation", canary::attack(&mut client, current).await));
    findings
}

/// Whether the database has room for the connections of all replicas.
///
/// # Errors
/// The driver's.
pub async fn room(
    client: &Client,
    login: &Target,
    deployment: Deployment,
) -> Result<Vec<Finding>, tokio_postgres::Error> {
    server::connections(client, login, deployment).await
}

/// Examines a standby that answers reads. Its schema, roles and rules are the primary's.
pub async fn examine_standby(login: &Target, deployment: Deployment) -> Vec<Finding> {
    let client = match super::session(login, "photometa doctor").await {
        Ok(client) => client,
        Err(error) => {
            let fix = "see that it runs and that PHOTOMETA_READ_DATABASE_URL names it; until then the primary answers its reads";
            return vec![Finding::warning("replica", format!("the replica cannot be reached: {error}"), fix)];
        }
    };
    let mut findings = caught("replica", server::standby(&client).await);
    findings.extend(caught("replica", server::connections(&client, login, deployment).await));
    findings.extend(caught("replica", roles::login(&client).await));
    for finding in &mut findings {
        finding.check = "replica";
    }
    findings
}

/// A check that could not be made has failed.
fn caught(check: &'static str, outcome: Result<Vec<Finding>, tokio_postgres::Error>) -> Vec<Finding> {
    outcome.unwrap_or_else(|error| {
        let fix = match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => "grant the login role what deploy/postgres/roles.sql grants",
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => {
                "run it where writes are taken: the canaries write, and roll back"
            }
            Some(&(SqlState::LOCK_NOT_AVAILABLE | SqlState::QUERY_CANCELED | SqlState::T_R_DEADLOCK_DETECTED)) => {
                "somebody else works on the schema; run it again"
            }
            _ => "see the server's log for what it says of this, and run it again",
        };
        vec![Finding::failed(check, format!("the check could not be made: {}", super::causes(&error)), fix)]
    })
}

/// One column of names, from a query without parameters.
async fn names(client: &Client, query: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    client.query(query, &[]).await?.iter().map(|row| row.try_get(0)).collect()
}

impl From<&MigrateError> for Finding {
    fn from(error: &MigrateError) -> Self {
        let fix = match error {
            MigrateError::Ahead { .. } => "run the photometa that knows this version",
            MigrateError::Edited { .. } => "restore the file in migrations/, and put the change into a new version",
            _ => "run `photometa migrate status`",
        };
        Self::failed("version", error.to_string(), fix)
    }
}
