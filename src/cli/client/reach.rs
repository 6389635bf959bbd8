//! How commands reach the server: plainly or over TLS, or from within the server itself; and in words why they do not.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error as RustlsError};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::Failure;
use super::way::Way;
use crate::cli::Misuse;
use crate::config;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What may wait in a connection within the process.
const OWN_BYTES: usize = 64 * 1024;

/// Connects to `host:port`, `http://host:port` or `https://host:port`. A connection that is lost later is made again by the
/// next call.
///
/// # Errors
/// When the address is none, nobody answers there within 5 seconds, or TLS does not come about.
pub(in crate::cli) async fn connect(client: &config::Client) -> Result<Channel, Failure> {
    let address = &client.address;
    let uri = if address.contains("://") { address.clone() } else { format!("http://{address}") };
    let uri: Uri = uri.parse().map_err(|error| no_address(address, &error))?;
    let host = uri.host().ok_or_else(|| no_address(address, &"there is no host"))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let (secure, port) = match (uri.scheme_str(), uri.port_u16()) {
        (Some("https"), port) => (true, port.unwrap_or(443)),
        (Some("http"), port) => (false, port.unwrap_or(80)),
        _ => return Err(no_address(address, &"it begins with neither http:// nor https://").into()),
    };
    let way = if secure {
        tls(&client.tls, Way::plain(host.clone(), port), &host)?
    } else if client.tls.tls_ca.is_some() || client.tls.client_cert.is_some() || client.tls.client_key.is_some() {
        return Err(format!("there are settings of TLS, and {address} has none; write https:// before it").into());
    } else {
        Way::plain(host, port)
    };
    let tried = tokio::time::timeout(CONNECT_TIMEOUT, way.try_once()).await;
    tried.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut))).map_err(|error| {
        let cause = root_cause(&error);
        if error.kind() == io::ErrorKind::Other || refusal(&error).is_some() {
            return format!("there is no connection to {address}: {cause}");
        }
        format!(
            "nobody answers at {address} ({cause}); is `photometa serve` running? set PHOTOMETA_ADDRESS or --address"
        )
    })?;
    let connect = service_fn(move |_| {
        let way = way.clone();
        async move { way.open().await.map(TokioIo::new) }
    });
    // The way is ours, TLS included, and the address only what calls are told to be for.
    let plain = Endpoint::from_static("http://photometa").origin(uri).connect_timeout(CONNECT_TIMEOUT);
    Ok(plain.connect_with_connector(connect).await?)
}

fn no_address(address: &str, problem: &dyn std::fmt::Display) -> Misuse {
    Misuse(format!("{address} is no address ({problem}); set PHOTOMETA_ADDRESS or --address to host:port"))
}

/// Connects through a door of a server in this process.
///
/// # Errors
/// When the server has ended.
pub(in crate::cli) async fn inside(door: mpsc::Sender<DuplexStream>) -> Result<Channel, Failure> {
    let connect = service_fn(move |_| {
        let door = door.clone();
        async move {
            let (ours, theirs) = tokio::io::duplex(OWN_BYTES);
            door.send(theirs).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            io::Result::Ok(TokioIo::new(ours))
        }
    });
    Ok(Endpoint::from_static("http://photometa").connect_with_connector(connect).await?)
}

fn tls(settings: &config::ClientTls, way: Way, host: &str) -> Result<Way, Failure> {
    let trust = settings.trust();
    let config = match (&settings.client_cert, &settings.client_key) {
        (Some(certificate), Some(key)) => trust.client(Some((certificate, key)))?,
        (None, None) => trust.client(None)?,
        (Some(_), None) => {
            return Err(Misuse(config::half("PHOTOMETA_CLIENT_CERT", "PHOTOMETA_CLIENT_KEY")).into());
        }
        (None, Some(_)) => {
            return Err(Misuse(config::half("PHOTOMETA_CLIENT_KEY", "PHOTOMETA_CLIENT_CERT")).into());
        }
    };
    let name = settings.tls_server_name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| format!("{name} is no name that a certificate could have; see PHOTOMETA_TLS_SERVER_NAME"))?;
    Ok(way.secure(config, name))
}

/// What a call went wrong with in the end: "Connection refused" rather than "transport error".
pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    if let Some(refusal) = refusal(error) {
        return explained(refusal);
    }
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// What TLS came to grief with, if it did.
fn refusal<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a RustlsError> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<RustlsError>() {
            return Some(found);
        }
        // An I/O error does not name what it was made of as its source, but that one's.
        let made_of = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = made_of.and_then(|made_of| made_of.downcast_ref::<RustlsError>()) {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

fn explained(error: &RustlsError) -> String {
    match error {
        RustlsError::InvalidCertificate(problem) => match problem {
            CertificateError::UnknownIssuer => {
                "the server's certificate is from an authority that is not trusted here; name a file of the right one with PHOTOMETA_TLS_CA or --tls-ca".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "the server's certificate is for another name ({problem}); use that in the address, or set PHOTOMETA_TLS_SERVER_NAME"
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("the server's certificate has expired ({problem})")
            }
            other => format!("the server's certificate is not accepted: {other}"),
        },
        RustlsError::InvalidMessage(_) => {
            "what answers there speaks no TLS; use http://host:port, or host:port alone".to_owned()
        }
        RustlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a certificate of its clients; set PHOTOMETA_CLIENT_CERT and PHOTOMETA_CLIENT_KEY".to_owned()
        }
        RustlsError::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::DecryptError
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown),
        ) => format!("the server does not accept the certificate in PHOTOMETA_CLIENT_CERT ({alert:?})"),
        other => format!("TLS failed: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> config::Client {
        config::Client { address: address.to_owned(), token: None, tls: config::ClientTls::default() }
    }

    #[tokio::test]
    async fn connect_names_the_address_when_nobody_answers() {
        let failure = connect(&client("127.0.0.1:1")).await.expect_err("nobody listens on port 1");

        let text = failure.to_string();
        assert!(text.contains("127.0.0.1:1") && text.contains("PHOTOMETA_ADDRESS"), "{text}");
    }

    #[tokio::test]
    async fn connect_wants_https_with_settings_of_tls() {
        let mut client = client("127.0.0.1:1");
        client.tls.tls_ca = Some("ca.pem".into());

        let failure = connect(&client).await.expect_err("it would be plain");

        assert!(failure.to_string().contains("https://"), "{failure}");
    }
}
