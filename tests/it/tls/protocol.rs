//! What is agreed on in a handshake: versions of TLS, and HTTP/2 by its name.

use std::io;
use std::sync::Arc;

use photometa::pb::WhoAmIRequest;
use photometa::server::{Connections, Tls};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{AlertDescription, ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Code;

use super::Files;
use super::authority::NAME;
use crate::harness::{A, App, token};
use crate::web::client::{frames, http2_over};

async fn handshake(
    files: &Files,
    app: &App,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(files.servers.pem.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(photometa::tls::provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let io = TcpStream::connect(app.address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), io).await
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_with_http2() {
    let files = Files::new();
    let app = files.start().await;

    for (version, number) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let stream = handshake(&files, &app, &[version], &["http/1.1", "h2"]).await.unwrap();

        let session = stream.get_ref().1;
        assert_eq!((session.protocol_version(), session.alpn_protocol()), (Some(number), Some(&b"h2"[..])));
    }
}

#[tokio::test]
async fn client_that_does_not_offer_http2_is_told_so() {
    let files = Files::new();
    let app = files.start().await;

    for protocols in [&[][..], &["http/1.1"], &["h3", "ftp"]] {
        let refused = handshake(&files, &app, rustls::ALL_VERSIONS, protocols).await.unwrap_err();

        let alert = refused.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        let expected = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
        assert_eq!(alert, Some(&expected), "{protocols:?}");
    }
}

#[tokio::test]
async fn page_calls_over_tls_by_http2_as_browsers_do() {
    let files = Files::new();
    let app = browsers(&files).await;
    let stream = handshake(&files, &app, rustls::ALL_VERSIONS, &["h2", "http/1.1"]).await.unwrap();
    let authorization = format!("Bearer {}", token(A.as_admin()));

    let headers = [("authorization", authorization.as_str()), ("origin", "https://app.example.com")];
    let reply = http2_over(stream, "photometa.v1.SessionService/WhoAmI", &headers, &frames(&WhoAmIRequest {})).await;

    assert_eq!(
        (reply.grpc().1.code(), reply.header("access-control-allow-origin")),
        (Code::Ok, "https://app.example.com")
    );
}

/// A server for pages too.
async fn browsers(files: &Files) -> App {
    let tls = Tls::of(&files.settings).unwrap();
    App::start_for_browsers(&["https://app.example.com"], Connections { tls, ..Default::default() }).await
}

#[tokio::test]
async fn http1_over_tls_is_told_what_is_spoken() {
    let files = Files::new();
    for app in [files.start().await, browsers(&files).await] {
        http1_is_refused(&files, &app).await;
    }
}

async fn http1_is_refused(files: &Files, app: &App) {
    let mut stream = handshake(files, app, rustls::ALL_VERSIONS, &["h2"]).await.unwrap();

    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: photometa\r\n\r\n").await.unwrap();

    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 505 ") && answer.ends_with("needs HTTP/2\n"), "{answer}");
}
