//! TLS of the server: who gets in with what, which certificate stands for whom, and what a change of files does.

pub mod authority;
mod clients;
mod program;
mod protocol;
mod reload;
mod settings;

use std::path::PathBuf;

use photometa::config::{ClientAuth, ServerTls};
use photometa::pb::session_service_client::SessionServiceClient;
use photometa::pb::{self, WhoAmIResponse};
use photometa::server::{Connections, Tls};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Code, Status};

use self::authority::{Authority, NAME, Pair};
use crate::harness::{A, App, Bearer, reason, token};
use crate::program::Folder;

/// The files of a server, with the authorities that they are from.
struct Files {
    folder: Folder,
    servers: Authority,
    clients: Authority,
    settings: ServerTls,
}

impl Files {
    /// Of a server that asks nothing of its clients.
    fn new() -> Self {
        let (folder, servers, clients) = (Folder::made("tls"), Authority::new("servers"), Authority::new("clients"));
        let (certificate, key) = folder.write_pair("server", &servers.server(&[NAME, "127.0.0.1"]));
        folder.write("ca.pem", &servers.pem);
        let settings = ServerTls { tls_cert: Some(certificate), tls_key: Some(key), ..Default::default() };
        Self { folder, servers, clients, settings }
    }

    /// Of one that asks for their certificates, and knows the service accounts behind these.
    fn mutual(auth: ClientAuth, identities: &str) -> Self {
        let mut files = Self::new();
        files.settings.tls_client_ca = Some(files.folder.write("clients.pem", &files.clients.pem));
        files.settings.tls_client_auth = Some(auth);
        files.settings.tls_identities = Some(files.identities(identities));
        files
    }

    fn identities(&self, entries: &str) -> PathBuf {
        self.folder.write("identities.json", &format!(r#"{{"identities": [{entries}]}}"#))
    }

    /// Starts the service with them. The harness's own channel is plain and of no use, so it is not there.
    async fn start(&self) -> App {
        let tls = Tls::of(&self.settings).unwrap();
        App::start_behind(Connections { tls, ..Default::default() }).await
    }

    /// A channel of a client that trusts the server's authority, with a certificate of its own or none.
    async fn channel(&self, app: &App, own: Option<&Pair>) -> Result<Channel, tonic::transport::Error> {
        connect(app, &self.servers, own).await
    }
}

async fn connect(app: &App, trusted: &Authority, own: Option<&Pair>) -> Result<Channel, tonic::transport::Error> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&trusted.pem)).domain_name(NAME);
    let tls = match own {
        Some(own) => tls.identity(Identity::from_pem(&own.certificate, &own.key)),
        None => tls,
    };
    Channel::from_shared(format!("https://{}", app.address)).unwrap().tls_config(tls).unwrap().connect().await
}

/// An entry of the file of identities.
fn entry(kind: &str, identity: &str, subject: uuid::Uuid) -> String {
    format!(r#"{{"{kind}": "{identity}", "sub": "{subject}", "org": "{}"}}"#, A.id)
}

/// Who the service takes the caller for.
async fn who_am_i(channel: Channel, authorization: Option<&str>) -> Result<WhoAmIResponse, Status> {
    let request = pb::WhoAmIRequest::default();
    let answer = match authorization {
        Some(value) => SessionServiceClient::with_interceptor(channel, Bearer::new(value)).who_am_i(request).await,
        None => SessionServiceClient::new(channel).who_am_i(request).await,
    };
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn calls_over_tls_are_answered_and_streams_stay_whole() {
    let files = Files::new();
    let app = files.start().await;
    let channel = files.channel(&app, None).await.unwrap();

    let me = who_am_i(channel.clone(), Some(&format!("Bearer {}", token(A.as_admin())))).await.unwrap();
    let nobody = who_am_i(channel, None).await.unwrap_err();

    assert_eq!(me.subject, A.admin.to_string());
    assert_eq!((nobody.code(), reason(&nobody).as_str()), (Code::Unauthenticated, "CREDENTIAL_MISSING"));
}

#[tokio::test]
async fn client_that_trusts_another_authority_does_not_connect() {
    let files = Files::new();
    let app = files.start().await;

    let refused = connect(&app, &Authority::new("others"), None).await;

    assert!(refused.is_err());
    assert!(files.channel(&app, None).await.is_ok());
}
