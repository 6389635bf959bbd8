//! An issuer of tokens, for tests: keys of every type, and a server of their set that can be slow, wrong or gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use photometa::auth::token::{Claims, Expectations, Keyring, Place, SigningKey, Sources, Verifier};
use photometa::error::CredentialProblem;
use rcgen::PublicKeyData as _;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::claims;
use crate::harness::A;
use crate::program::Folder;

/// The folder of keys and tokens that another program has made.
pub fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/auth/vectors")
}

/// A key of the issuer's.
pub struct Key {
    /// Its name.
    pub kid: String,
    /// Its private part.
    pub signing: SigningKey,
    /// Its public part as a member of a set.
    pub jwk: Value,
    /// Its public part in PEM.
    pub pem: String,
    pair: Option<rcgen::KeyPair>,
}

impl Key {
    /// A new ES256 key.
    pub fn p256(kid: &str) -> Self {
        Self::new(kid, &rcgen::PKCS_ECDSA_P256_SHA256, |raw| {
            let (x, y) = raw[1..].split_at(32);
            json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
        })
    }

    /// A new EdDSA key.
    pub fn ed25519(kid: &str) -> Self {
        let jwk = |raw: &[u8]| json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(raw)});
        Self::new(kid, &rcgen::PKCS_ED25519, jwk)
    }

    fn new(kid: &str, algorithm: &'static rcgen::SignatureAlgorithm, jwk: impl Fn(&[u8]) -> Value) -> Self {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let folder = Folder::made("key");
        let file = folder.0.join("private.pem");
        fs::write(&file, pair.serialize_pem()).unwrap();
        let signing = SigningKey::from_pem_file(&file).unwrap().named(Some(kid.to_owned()));
        let mut jwk = jwk(pair.der_bytes());
        jwk["kid"] = json!(kid);
        Self { kid: kid.to_owned(), signing, jwk, pem: pair.public_key_pem(), pair: Some(pair) }
    }

    /// The RSA key of the vectors.
    pub fn rsa() -> Self {
        let signing = SigningKey::from_pem_file(&vectors().join("rsa_test_only.key.pem")).unwrap();
        let known: Value = serde_json::from_slice(&fs::read(vectors().join("pyjwt.json")).unwrap()).unwrap();
        let mut jwk = known[0]["jwk"].clone();
        jwk["kid"] = json!("rsa");
        let pem = fs::read_to_string(vectors().join("rsa_test_only.pem")).unwrap();
        let signing = signing.named(Some("rsa".to_owned()));
        Self { kid: "rsa".to_owned(), signing, jwk, pem, pair: None }
    }

    /// A credential of an administrator of A, signed with it.
    pub fn credential(&self) -> String {
        format!("Bearer {}", self.signing.sign(&claims(A.as_admin())).unwrap())
    }

    /// Signs any bytes, with a key that was made here.
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        let der = self.pair.as_ref().unwrap().serialize_der();
        let random = ring::rand::SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random).unwrap();
        pair.sign(&random, message).unwrap().as_ref().to_vec()
    }

    /// The same, under another name.
    pub fn credential_named(&self, kid: Option<&str>) -> String {
        let signing = self.signing.clone().named(kid.map(str::to_owned));
        format!("Bearer {}", signing.sign(&claims(A.as_admin())).unwrap())
    }
}

/// A set of keys.
pub fn set(keys: &[&Key]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk.clone()).collect::<Vec<_>>()})
}

/// How the server of a set answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With this.
    Document(Value),
    /// With these bytes as they are.
    Raw(String),
    /// With a set that does not end.
    Endless,
    /// With a byte of it now and then.
    Slowly,
    /// Not at all, and hangs up.
    Nothing,
}

/// A server of a set.
pub struct Issuer {
    /// Its URL.
    pub url: String,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Issuer {
    /// Serves on a free port.
    pub async fn start(answer: Answer) -> Self {
        Self::serve(answer, "http", None).await
    }

    /// Serves over TLS, with a certificate of an authority that is written to `ca`.
    pub async fn start_tls(answer: Answer, ca: &Path) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
        fs::write(ca, authority.pem()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let config = ServerConfig::builder_with_provider(photometa::tls::provider());
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        Self::serve(answer, "https", Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(answer: Answer, scheme: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://localhost:{}/jwks.json", listener.local_addr().unwrap().port());
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicU32::new(0)));
        let (answers, count) = (Arc::clone(&answer), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let answer = answers.lock().unwrap().clone();
                match tls.clone() {
                    None => tokio::spawn(serve(stream, answer)),
                    Some(tls) => tokio::spawn(async move { serve(tls.accept(stream).await.ok()?, answer).await }),
                };
            }
        });
        Self { url, answer, asked, task }
    }

    /// Serves these keys.
    pub async fn of(keys: &[&Key]) -> Self {
        Self::start(Answer::Document(set(keys))).await
    }

    /// Answers otherwise from now on.
    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Serves other keys from now on.
    pub fn has(&self, keys: &[&Key]) {
        self.answers(Answer::Document(set(keys)));
    }

    /// How often it was asked.
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Where it is, for a verifier.
    pub fn sources(&self) -> Sources {
        Sources { jwks: Some(self.url.parse::<Place>().unwrap()), ..Sources::default() }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    match answer {
        Answer::Document(document) => {
            let body = document.to_string();
            let text = format!("{ok}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(text.as_bytes()).await.ok()?;
            stream.shutdown().await.ok()?;
        }
        Answer::Raw(text) => stream.write_all(text.as_bytes()).await.ok()?,
        Answer::Endless => {
            stream.write_all(format!("{ok}\r\n{{\"keys\": [").as_bytes()).await.ok()?;
            loop {
                stream.write_all(&[b' '; 4096]).await.ok()?;
            }
        }
        Answer::Slowly => {
            stream.write_all(format!("{ok}content-length: 1000\r\n\r\n").as_bytes()).await.ok()?;
            loop {
                stream.write_all(b" ").await.ok()?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Answer::Nothing => {}
    }
    Some(())
}

/// A verifier of what these sources have.
pub async fn verifier(sources: Sources) -> Verifier {
    Verifier::new(Keyring::open(sources).await.unwrap(), &Expectations::default())
}

/// What a verifier says of an authorization entry, within ten seconds.
pub async fn verify(verifier: &Verifier, authorization: &str) -> Result<Claims, CredentialProblem> {
    verifier.verify([authorization.as_bytes()], Instant::now() + Duration::from_secs(10)).await
}

/// Why it is refused.
pub async fn why(verifier: &Verifier, authorization: &str) -> &'static str {
    match verify(verifier, authorization).await {
        Err(CredentialProblem::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}
