//! Who is at the other end: an address and, with mutual TLS, a certificate.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use x509_cert::Certificate as Parsed;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::identities::Identity;
use super::room::Place;
use super::tls::Material;
use crate::auth::Role;
use crate::auth::token::Claims;
use crate::digest::sha256;
use crate::error::CredentialProblem;

/// Most calls of a connection at once to health and reflection, which anybody may make.
const ANYBODYS: usize = 16;

/// The other end of a connection; with every request of it.
#[derive(Debug, Clone)]
pub(in crate::server) struct Peer {
    /// None for this process itself.
    pub(super) address: Option<SocketAddr>,
    /// When streams should end by themselves, because the connection does soon.
    pub(in crate::server) ends: Option<Instant>,
    /// Its place in the room; none for this process itself.
    pub(super) place: Weak<Place>,
    anybodys: Arc<Semaphore>,
    certified: Option<Arc<Certified>>,
}

impl Default for Peer {
    fn default() -> Self {
        let anybodys = Arc::new(Semaphore::new(ANYBODYS));
        Self { address: None, ends: None, place: Weak::new(), anybodys, certified: None }
    }
}

/// A certificate that an authority of ours has signed, and what it stands for today.
#[derive(Debug)]
struct Certified {
    certificate: Certificate,
    current: watch::Receiver<Arc<Material>>,
}

impl Peer {
    /// Without a certificate.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self { address: Some(address), ..Self::default() }
    }

    /// With one, which is verified, and what certificates stand for.
    pub(super) fn certified(self, certificate: Certificate, current: watch::Receiver<Arc<Material>>) -> Self {
        Self { certified: Some(Arc::new(Certified { certificate, current })), ..self }
    }

    /// A credential of it was accepted: it keeps its place.
    pub(in crate::server) fn prove(&self) {
        if let Some(place) = self.place.upgrade() {
            place.prove();
        }
    }

    /// The right to make a call that anybody may make; none when it has as many as it may have.
    pub(in crate::server) fn as_anybody(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.anybodys).try_acquire_owned().ok()
    }

    /// What the certificate stands for, as a token would say it: nothing for somebody without one, or one that nobody
    /// has said anything about. It is looked up at each call, so that taking an identity away works at once.
    pub(in crate::server) fn claims(&self) -> Option<Result<Claims, CredentialProblem>> {
        let Certified { certificate, current } = self.certified.as_deref()?;
        let account = match current.borrow().identities.account(&certificate.identities)? {
            Ok(account) => account,
            Err(problem) => return Some(Err(problem)),
        };
        // The connection outlives the certificate.
        if certificate.expired() {
            return Some(Err(CredentialProblem::Expired));
        }
        Some(Ok(Claims {
            sub: account.sub,
            org: Some(account.org),
            role: Role::Service,
            exp: certificate.expires,
            iss: None,
            aud: None,
        }))
    }
}

/// What is in a certificate that matters here.
#[derive(Debug)]
pub(super) struct Certificate {
    /// Its fingerprint and its alternative names.
    pub(super) identities: Vec<Identity>,
    /// The last second that it is valid in, since 1970.
    pub(super) expires: u64,
}

impl Certificate {
    /// Reads it.
    ///
    /// # Errors
    /// When it is no X.509.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Self, x509_cert::der::Error> {
        let parsed = Parsed::from_der(certificate)?.tbs_certificate;
        let mut identities = vec![Identity::Sha256(sha256(certificate))];
        if let Some((_, SubjectAltName(names))) = parsed.get::<SubjectAltName>()? {
            identities.extend(names.iter().filter_map(|name| match name {
                GeneralName::UniformResourceIdentifier(uri) => Some(Identity::Uri(uri.to_string())),
                GeneralName::DnsName(name) => Some(Identity::Dns(name.to_string().to_ascii_lowercase())),
                _ => None,
            }));
        }
        Ok(Self { identities, expires: parsed.validity.not_after.to_unix_duration().as_secs() })
    }

    /// Its last second is over.
    pub(super) fn expired(&self) -> bool {
        self.expires < SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}
