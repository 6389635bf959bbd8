//! What a newcomer can paste.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use crate::auth::Role;
use crate::auth::token::SigningKey;
use crate::cli::seed::Tenant;
use crate::cli::{Failure, token};
use crate::config::{ClientAuth, Credentials, Database, Secret, ServerTls};

/// How long the development credential that is printed is valid.
const DEVELOPMENT_TTL: Duration = Duration::from_secs(24 * 3600);

/// Prints how to try what there is.
pub(super) fn print(
    (address, tls): (SocketAddr, &ServerTls),
    tenant: Tenant,
    jwt_secret: &Secret,
    credentials: &Credentials,
    database: &Database,
    development: bool,
) -> Result<(), Failure> {
    let who = (Role::OrgAdmin, Some(tenant.organization), tenant.user);
    let key = SigningKey::hs256(jwt_secret.reveal().as_bytes());
    let token = token::sign(&key, credentials, who, DEVELOPMENT_TTL)?;
    let photo = format!(
        r#"{{"photo":{{"projectId":"{}","s3Key":"site/roof-1.jpg","s3Url":"https://example.com/site/roof-1.jpg","width":4032,"height":3024}}}}"#,
        tenant.project
    );
    let version = env!("CARGO_PKG_VERSION");
    let folder = database.data_dir();
    let signed = if development { "a development secret signs its credentials; this one" } else { "this credential" };
    let with_token = "-H \"authorization: Bearer $PHOTOMETA_TOKEN\"";
    let (scheme, grpcurl, buf) = match &tls.tls_cert {
        None => {
            ("http", "grpcurl -plaintext".to_owned(), "buf curl --protocol grpc --http2-prior-knowledge".to_owned())
        }
        // Which authority's it is, only the operator knows.
        Some(_) if tls.tls_client_ca.is_some() && tls.tls_client_auth != Some(ClientAuth::Optional) => (
            "https",
            "grpcurl -cacert ca.pem -cert client.pem -key client.key".to_owned(),
            "buf curl --protocol grpc --cacert ca.pem --cert client.pem --key client.key".to_owned(),
        ),
        Some(_) => {
            ("https", "grpcurl -cacert ca.pem".to_owned(), "buf curl --protocol grpc --cacert ca.pem".to_owned())
        }
    };
    let text = format!(
        "photometa {version} serves on {address}
its own PostgreSQL, for development, keeps its data in {folder}
{signed} is an administrator's, for 24 hours:

  export PHOTOMETA_TOKEN={token}

with grpcurl:
  {grpcurl} {address} list
  {grpcurl} {with_token} -d '{photo}' {address} photometa.v1.PhotoService/CreatePhoto
  {grpcurl} {with_token} {address} photometa.v1.PhotoService/ListPhotos
with buf:
  {buf} --list-methods {scheme}://{address}
  {buf} {with_token} -d '{photo}' {scheme}://{address}/photometa.v1.PhotoService/CreatePhoto
  {buf} {with_token} -d '{{}}' {scheme}://{address}/photometa.v1.PhotoService/ListPhotos
",
        folder = folder.display()
    );
    // Whoever does not listen need not be told.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
