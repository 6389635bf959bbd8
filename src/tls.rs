//! What every side of TLS shares: one provider of cryptography (ring), files in PEM, and whom a client trusts.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// What is wrong with the material of TLS. The text names the file, and never shows what is in it.
#[derive(Debug)]
pub struct TlsError(String);

impl TlsError {
    /// Something is wrong with what is set.
    pub fn setting(problem: impl fmt::Display) -> Self {
        Self(problem.to_string())
    }

    /// Something is wrong with a file.
    pub fn file(path: &Path, problem: impl fmt::Display) -> Self {
        Self(format!("{}: {problem}", path.display()))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// The cryptography of every connection. Named wherever a configuration is made, because a program with two of them
/// has no default.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Reads the certificates of a PEM file, in its order.
///
/// # Errors
/// When the file cannot be read or has none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates_in(path, &read(path)?)
}

/// The same of what is in a file that was read already.
///
/// # Errors
/// When it has none.
pub fn certificates_in(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::file(path, "has no certificate; it should begin with -----BEGIN CERTIFICATE-----")),
        Err(error) => Err(TlsError::file(path, format!("is no readable PEM: {}", pem_problem(&error)))),
    }
}

/// Reads the first private key of a PEM file: PKCS #8, PKCS #1 or SEC 1.
///
/// # Errors
/// When the file cannot be read or has none.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    private_key_in(path, &read(path)?)
}

/// The same of what is in a file that was read already.
///
/// # Errors
/// When it has none.
pub fn private_key_in(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(bytes)
        .map_err(|error| TlsError::file(path, format!("has no private key: {}", pem_problem(&error))))
}

/// Whom a client trusts.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// The authorities that the system trusts.
    #[default]
    System,
    /// Those of a PEM file, and nobody else.
    File(PathBuf),
}

impl Trust {
    /// The authorities.
    ///
    /// # Errors
    /// When there is none, or the file cannot be read.
    pub fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::System => {
                // What cannot be read of the system's is as good as not there, unless nothing is left.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(TlsError(
                        "the system trusts no certificate authority; install ca-certificates, or name a file of them"
                            .to_owned(),
                    ));
                }
            }
            Self::File(path) => return authorities_in(path, &read(path)?),
        }
        Ok(roots)
    }

    /// A client that trusts them, and shows the certificate of a file, with the key of another one, if it has any.
    ///
    /// # Errors
    /// As [`Trust::roots`], and when one of those files is wrong, or they do not go together.
    pub fn client(&self, identity: Option<(&Path, &Path)>) -> Result<ClientConfig, TlsError> {
        identified(client_builder().with_root_certificates(self.roots()?), identity)
    }
}

/// Begins a client, whoever it is going to trust.
///
/// # Panics
/// Never: the provider knows both versions of TLS.
pub fn client_builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    versions.expect("ring knows TLS 1.2 and 1.3")
}

/// Ends a client that is to show the certificate of a file, with the key of another one, if it has any.
///
/// # Errors
/// When one of the files is wrong, or they do not go together.
pub fn identified(
    client: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: Option<(&Path, &Path)>,
) -> Result<ClientConfig, TlsError> {
    let Some((certificate, key)) = identity else { return Ok(client.with_no_client_auth()) };
    client
        .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
        .map_err(|error| TlsError::file(key, format!("cannot be used with {}: {error}", certificate.display())))
}

/// Reads the authorities in what is in a PEM file.
///
/// # Errors
/// When it has none, or one that cannot be used.
pub fn authorities_in(path: &Path, bytes: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates_in(path, bytes)? {
        roots.add(authority).map_err(|error| TlsError::file(path, error))?;
    }
    Ok(roots)
}

/// Tells whether a host is this machine itself: nobody is between.
pub fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::file(path, format!("cannot be read: {error}")))
}

/// What is wrong with a PEM file; its sections are not repeated.
fn pem_problem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "there is nothing of the kind",
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::IllegalSectionStart { .. } => "a section begins wrongly",
        pem::Error::Base64Decode(_) => "a section is no Base64",
        _ => "it cannot be decoded",
    }
}
