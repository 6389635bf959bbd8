//! Settings that cannot all be meant. What one alone may be, its parser says; what the database has room for, the doctor.

use super::database::{standby, target};
use super::{Credentials, Database, Listen};
use crate::db::TargetError;

/// Connection strings that are none, or not what they are for. Whether the files that they name are, is seen when they
/// are used.
fn unreadable(database: &Database) -> Vec<String> {
    let Database { database_url, migration_url, read_database_url, .. } = database;
    let read = [
        database_url.as_ref().map(|url| target("PHOTOMETA_DATABASE_URL", url)),
        migration_url.as_ref().map(|url| target("PHOTOMETA_MIGRATION_URL", url)),
        read_database_url.as_ref().map(standby),
    ];
    let problem = |outcome| match outcome {
        Err(TargetError::Unreadable(problem)) => Some(problem),
        Ok(_) | Err(TargetError::Tls(_)) => None,
    };
    read.into_iter().flatten().filter_map(problem).collect()
}

/// What contradicts itself, each with its numbers and what to change.
pub fn contradictions(database: &Database, credentials: &Credentials, listen: &Listen) -> Vec<String> {
    let mut found = Vec::new();
    let both = "or unset both for a private PostgreSQL";
    if database.database_url.is_none() {
        if database.migration_url.is_some() {
            found.push(format!(
                "PHOTOMETA_MIGRATION_URL is set, and PHOTOMETA_DATABASE_URL is not: set it to the login role's connection, {both}"
            ));
        }
        if database.read_database_url.is_some() {
            found.push(format!(
                "PHOTOMETA_READ_DATABASE_URL is set, and PHOTOMETA_DATABASE_URL is not: set that to the primary's connection, {both}"
            ));
        }
    } else if !credentials.has_key() {
        found.push(
            "there is a database but no key to verify credentials with; set PHOTOMETA_JWKS (the issuer's key set, a URL or a file), \
             PHOTOMETA_JWT_PUBLIC_KEY (a PEM file), or PHOTOMETA_JWT_SECRET (openssl rand -hex 32)"
                .to_owned(),
        );
    }
    found.extend(unreadable(database));
    if let Some(share) = database.pool_share
        && share > database.pool_size
    {
        let size = database.pool_size;
        found.push(format!(
            "one organization may have {share} connections of {size}, which is {} more than there are: lower PHOTOMETA_POOL_SHARE to {size} at most, \
             or raise PHOTOMETA_POOL_SIZE to {share}",
            share - size
        ));
    }
    if let Err(error) = credentials.sources(None) {
        found.push(format!("PHOTOMETA_JWKS: {error}"));
    }
    if credentials.jwks_ca.is_some()
        && !credentials.jwks.as_ref().is_some_and(|jwks| jwks.reveal().starts_with("https:"))
    {
        found.push(
            "PHOTOMETA_JWKS_CA is set, and PHOTOMETA_JWKS is no https:// URL, so that there is nobody to trust: set that, or unset this"
                .to_owned(),
        );
    }
    found.extend(listen.tls.contradictions());
    if listen.admin.admin_address_file.is_some() && listen.admin.admin_listen.is_none() {
        found.push(
            "PHOTOMETA_ADMIN_ADDRESS_FILE is set, and PHOTOMETA_ADMIN_LISTEN is not, so that there is no address to write: set that, or unset this"
                .to_owned(),
        );
    }
    if listen.address_file.is_some() && listen.address_file == listen.admin.admin_address_file {
        found.push(
            "PHOTOMETA_ADDRESS_FILE and PHOTOMETA_ADMIN_ADDRESS_FILE are one file, which cannot have two addresses: change one"
                .to_owned(),
        );
    }
    found
}
