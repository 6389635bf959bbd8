//! A connection to the service whose calls carry what every real client's carry.

use std::net::SocketAddr;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::Failure;

/// A connection whose calls carry the credential.
pub type Session = InterceptedService<Channel, Bearer>;

/// Puts the credential and, but for streams, a deadline into a call's metadata, as every real client does.
#[derive(Debug, Clone)]
pub struct Bearer {
    value: MetadataValue<Ascii>,
    timeout: Option<Duration>,
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.value.clone());
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        Ok(request)
    }
}

/// Connects; `timeout` is the deadline of each call.
///
/// # Errors
/// When nobody answers there, or the token cannot stand in a header.
pub async fn session(address: SocketAddr, token: &str, timeout: Option<Duration>) -> Result<Session, Failure> {
    let bearer = Bearer { value: format!("Bearer {}", token.trim()).parse()?, timeout };
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    Ok(InterceptedService::new(channel, bearer))
}
