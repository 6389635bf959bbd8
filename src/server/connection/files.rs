//! The files that TLS is made of, and what comes of them. All are read at once: a certificate goes with its key.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{Context, Digest, SHA256};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::identities::Identities;
use super::peer::Certificate;
use super::tls::Material;
use crate::config::{ClientAuth, ServerTls};
use crate::tls::{TlsError, authorities_in, certificates_in, private_key_in, provider};

/// The files of a server.
#[derive(Debug)]
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    clients: Option<Clients>,
}

#[derive(Debug)]
struct Clients {
    authorities: PathBuf,
    required: bool,
    identities: Option<PathBuf>,
}

/// What is in them.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Vec<u8>,
    identities: Vec<u8>,
}

impl Files {
    /// Those of the settings; none when the server is to speak plainly.
    ///
    /// # Errors
    /// When there is one without what it needs.
    pub(super) fn of(settings: &ServerTls) -> Result<Option<Self>, TlsError> {
        let ServerTls { tls_cert, tls_key, tls_client_ca, tls_client_auth, tls_identities } = settings;
        if let Some(problem) = settings.contradictions().into_iter().next() {
            return Err(TlsError::setting(problem));
        }
        let (Some(certificate), Some(key)) = (tls_cert.clone(), tls_key.clone()) else { return Ok(None) };
        let clients = tls_client_ca.as_ref().map(|authorities| Clients {
            authorities: authorities.clone(),
            required: *tls_client_auth != Some(ClientAuth::Optional),
            identities: tls_identities.clone(),
        });
        Ok(Some(Self { certificate, key, clients }))
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// Names the one that cannot be read.
    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        let clients = self.clients.as_ref();
        let identities = clients.and_then(|clients| clients.identities.as_deref());
        Ok(Contents {
            certificate: crate::tls::read(&self.certificate)?,
            key: crate::tls::read(&self.key)?,
            authorities: clients.map(|clients| crate::tls::read(&clients.authorities)).transpose()?.unwrap_or_default(),
            identities: identities.map(crate::tls::read).transpose()?.unwrap_or_default(),
        })
    }

    /// Makes what connections need of what was read.
    ///
    /// # Errors
    /// Names the file that is wrong, or the two that do not go together.
    pub(super) fn material(&self, contents: &Contents) -> Result<Material, TlsError> {
        let chain = certificates_in(&self.certificate, &contents.certificate)?;
        let key = private_key_in(&self.key, &contents.key)?;
        let own = chain.first().map(Certificate::read).transpose();
        let own = own.map_err(|error| TlsError::file(&self.certificate, format!("is no certificate: {error}")))?;
        let versions = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| TlsError::file(&self.certificate, error))?;
        let clients = match &self.clients {
            None => versions.with_no_client_auth(),
            Some(Clients { authorities, required, .. }) => {
                let roots = authorities_in(authorities, &contents.authorities)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                let verifier = if *required { verifier } else { verifier.allow_unauthenticated() };
                let verifier = verifier.build().map_err(|error| TlsError::file(authorities, error))?;
                versions.with_client_cert_verifier(verifier)
            }
        };
        let mut server = clients.with_single_cert(chain, key).map_err(|error| self.mismatch(&error))?;
        server.alpn_protocols = vec![super::tls::H2.to_vec()];
        let identities = match self.clients.as_ref().and_then(|clients| clients.identities.as_ref()) {
            Some(path) => Identities::read(&contents.identities).map_err(|problem| TlsError::file(path, problem))?,
            None => Identities::default(),
        };
        Ok(Material { server: Arc::new(server), identities, expires: own.map_or(0, |own| own.expires) })
    }

    fn mismatch(&self, error: &rustls::Error) -> TlsError {
        let problem = match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("is not the key of the certificate in {}", self.certificate.display())
            }
            other => format!("cannot be used with {}: {other}", self.certificate.display()),
        };
        TlsError::file(&self.key, problem)
    }

    /// The key, if everybody on this machine can read it.
    pub(super) fn exposed_key(&self) -> Option<&Path> {
        let open = std::fs::metadata(&self.key).is_ok_and(|found| found.mode() & 0o004 != 0);
        open.then_some(&self.key)
    }
}

impl Contents {
    /// Tells other contents from these.
    pub(super) fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        for part in [&self.certificate, &self.key, &self.authorities, &self.identities] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        context.finish()
    }
}
