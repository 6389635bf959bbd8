//! The program with TLS, as its user runs it: `serve`, the commands that ask it, and what they say when it does not work.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::authority::{NAME, UPLOADER, uri};
use super::{Authority, Files, entry};
use crate::program::{Folder, ORGANIZATION, Program, photometa, run, said, serve, serve_as};

/// A running server with files.
struct Secure {
    files: Files,
    data: Folder,
    program: Program,
}

impl Secure {
    fn start(files: Files) -> Self {
        let data = Folder::new("secure");
        let mut command = photometa(&data.0);
        let settings = &files.settings;
        for (name, path) in [
            ("PHOTOMETA_TLS_CERT", &settings.tls_cert),
            ("PHOTOMETA_TLS_KEY", &settings.tls_key),
            ("PHOTOMETA_TLS_CLIENT_CA", &settings.tls_client_ca),
            ("PHOTOMETA_TLS_IDENTITIES", &settings.tls_identities),
        ] {
            if let Some(path) = path {
                command.env(name, path);
            }
        }
        let output = fs::File::create(data.0.with_extension("out")).unwrap();
        command.stdout(Stdio::from(output));
        let program = serve_as(command, &data.0);
        Self { files, data, program }
    }

    fn file(&self, name: &str) -> String {
        self.files.folder.0.join(name).display().to_string()
    }

    fn healthcheck(&self, more: &[&str]) -> Output {
        let address = format!("https://{}", self.program.address);
        run(&self.data.0, &[&["healthcheck", "--address", &address], more].concat())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.data.0.with_extension("log")).unwrap()
    }

    /// What `serve` said on standard output.
    fn printed(&self) -> String {
        fs::read_to_string(self.data.0.with_extension("out")).unwrap()
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.data.0.with_extension("out"));
    }
}

fn fails(output: &Output, words: &str) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(words), "{words} in {text}");
}

#[test]
fn commands_reach_a_server_with_tls_and_say_what_is_wrong_otherwise() {
    let files = Files::new();
    fs::set_permissions(files.settings.tls_key.as_ref().unwrap(), fs::Permissions::from_mode(0o644)).unwrap();
    let secure = Secure::start(files);
    let ca = secure.file("ca.pem");
    let strangers = secure.files.folder.write("strangers.pem", &Authority::new("strangers").pem).display().to_string();
    let address = &secure.program.address;

    let ready = secure.healthcheck(&["--ca", &ca]);
    assert!(ready.status.success(), "{}", said(&ready));
    let named = secure.healthcheck(&["--ca", &ca, "--tls-server-name", NAME]);
    assert!(named.status.success(), "{}", said(&named));
    let seeded = run(&secure.data.0, &["seed", "--address", &format!("https://{address}"), "--tls-ca", &ca]);
    assert!(seeded.status.success(), "{}", said(&seeded));

    fails(&secure.healthcheck(&["--ca", &strangers]), "from an authority that is not trusted here");
    fails(&secure.healthcheck(&["--ca", &ca, "--tls-server-name", "other.test"]), "for another name");
    fails(&secure.healthcheck(&["--ca", "/nowhere.pem"]), "/nowhere.pem: cannot be read");
    let half = secure.healthcheck(&["--ca", &ca, "--client-key", &ca]);
    assert_eq!(half.status.code(), Some(2));
    assert!(said(&half).contains("PHOTOMETA_CLIENT_CERT is not"), "{}", said(&half));
    let plain = run(&secure.data.0, &["healthcheck", "--address", address]);
    fails(&plain, "this port speaks TLS: use https");
    let token = run(&secure.data.0, &["token", "--role", "service", "--org", ORGANIZATION]);
    let token = String::from_utf8(token.stdout).unwrap();
    let out = secure.file("out.json");
    let export = run(
        &secure.data.0,
        &[
            "export",
            "coco",
            "-o",
            &out,
            "--token",
            token.trim(),
            "--address",
            &format!("https://{address}"),
            "--ca",
            &ca,
        ],
    );
    assert!(export.status.success(), "{}", said(&export));

    assert!(secure.log().contains("everybody on this machine may read the private key"), "{}", secure.log());
    let printed = secure.printed();
    assert!(printed.contains(&format!("grpcurl -cacert ca.pem {address} list")), "{printed}");
    assert!(printed.contains(&format!("https://{address}/photometa")) && !printed.contains("plaintext"), "{printed}");
}

#[test]
fn commands_say_that_a_server_has_no_tls_or_an_expired_certificate() {
    let folder = Folder::new("insecure");
    let program = serve(&folder.0);
    let files = Files::new();
    let ca = files.folder.0.join("ca.pem").display().to_string();
    let https = format!("https://{}", program.address);

    fails(&run(&folder.0, &["healthcheck", "--address", &https, "--ca", &ca]), "speaks no TLS; use http://");
    drop(program);

    files.folder.write_pair("server", &files.servers.expired(&["127.0.0.1"]));
    let secure = Secure::start(files);

    fails(&secure.healthcheck(&["--ca", &ca]), "has expired");
    assert!(secure.log().contains("the server's certificate has expired"), "{}", secure.log());
}

#[test]
fn commands_show_their_certificate_to_a_server_that_wants_one() {
    let files =
        Files::mutual(photometa::config::ClientAuth::Required, &entry("uri", UPLOADER, uuid::Uuid::from_u128(0x5e1f)));
    files.folder.write_pair("client", &files.clients.client(vec![uri(UPLOADER)]));
    files.folder.write_pair("stranger", &Authority::new("strangers").client(vec![uri(UPLOADER)]));
    // Its own demo organization is made all the same, without a certificate.
    let secure = Secure::start(files);
    let ca = secure.file("ca.pem");
    let with = |name: &str| {
        let (certificate, key) = (secure.file(&format!("{name}.pem")), secure.file(&format!("{name}.key")));
        secure.healthcheck(&["--ca", &ca, "--client-cert", &certificate, "--client-key", &key])
    };

    let ready = with("client");
    assert!(ready.status.success(), "{}", said(&ready));
    fails(&secure.healthcheck(&["--ca", &ca]), "wants a certificate of its clients; set PHOTOMETA_CLIENT_CERT");
    fails(&with("stranger"), "does not accept the certificate in PHOTOMETA_CLIENT_CERT");
    assert!(secure.printed().contains("-cert client.pem -key client.key"), "{}", secure.printed());
}

#[test]
fn serve_reads_its_certificate_again_on_sighup() {
    let secure = Secure::start(Files::new());
    let newer = Authority::new("newer servers");
    let ca = secure.files.folder.write("newer.pem", &newer.pem).display().to_string();
    secure.files.folder.write_pair("server", &newer.server(&["127.0.0.1"]));

    let pid = secure.program.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());

    let started = Instant::now();
    while !secure.healthcheck(&["--ca", &ca]).status.success() {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", secure.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(secure.log().contains("asked to read the files of TLS again"), "{}", secure.log());
}

#[test]
fn serve_refuses_a_key_that_is_not_the_certificates() {
    let files = Files::new();
    let data = Folder::new("mismatch");
    let other = files.folder.write("other.key", &files.servers.server(&[NAME]).key);

    let output = photometa(&data.0)
        .args(["serve", "--listen", "127.0.0.1:0", "--tls-cert"])
        .arg(files.settings.tls_cert.as_ref().unwrap())
        .arg("--tls-key")
        .arg(&other)
        .output()
        .unwrap();

    fails(&output, "other.key: is not the key of the certificate in");
}
