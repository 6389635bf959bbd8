//! Certificates for tests: an authority, and what it signs.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};

use crate::program::Folder;

/// The name in the servers' certificates.
pub const NAME: &str = "photometa.test";
/// An alternative name of a client's certificate.
pub const UPLOADER: &str = "spiffe://photometa.test/uploader";

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub pem: String,
}

/// A certificate with its key, in PEM.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate of a server by these names, or addresses.
    pub fn server(&self, names: &[&str]) -> Pair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        self.sign(CertificateParams::new(names).unwrap(), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate of a client by these names.
    pub fn client(&self, names: Vec<SanType>) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// The same, for a short time.
    pub fn client_for(&self, names: Vec<SanType>, time: Duration) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_after = date_time_ymd(1970, 1, 1) + (SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time);
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate of a server that is not valid any more.
    pub fn expired(&self, names: &[&str]) -> Pair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate of whoever logs in to PostgreSQL under this name.
    pub fn login(&self, user: &str) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, purpose: ExtendedKeyUsagePurpose) -> Pair {
        let key = KeyPair::generate().unwrap();
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }
}

/// An alternative name of the kind URI.
pub fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

/// An alternative name of the kind DNS.
pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

impl Folder {
    /// Writes a file, as a whole, and answers where it is.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, partial) = (self.0.join(name), self.0.join(format!("{name}.partial")));
        std::fs::write(&partial, text).unwrap();
        std::fs::rename(&partial, &path).unwrap();
        path
    }

    /// Writes a certificate and its key, and answers where they are.
    pub fn write_pair(&self, name: &str, pair: &Pair) -> (PathBuf, PathBuf) {
        (self.write(&format!("{name}.pem"), &pair.certificate), self.write(&format!("{name}.key"), &pair.key))
    }
}
