//! Settings of TLS that do not go together, and files that are not what they should be: each is named.

use std::path::Path;

use photometa::config::{ClientAuth, ServerTls};
use photometa::server::Tls;

use super::Files;
use super::authority::NAME;

/// What is said of settings that are refused.
fn said(settings: &ServerTls) -> String {
    Tls::of(settings).expect_err("they should be refused").to_string()
}

#[tokio::test]
async fn settings_that_need_others_say_which() {
    let path = || Some(Path::new("there.pem").to_owned());
    let (cert, key) = ("PHOTOMETA_TLS_CERT", "PHOTOMETA_TLS_KEY");
    let ca = "PHOTOMETA_TLS_CLIENT_CA";
    let none = ServerTls::default;
    let pair = || ServerTls { tls_cert: path(), tls_key: path(), ..none() };
    for (settings, given, missing) in [
        (ServerTls { tls_cert: path(), ..none() }, cert, key),
        (ServerTls { tls_key: path(), ..none() }, key, cert),
        (ServerTls { tls_client_ca: path(), ..none() }, ca, cert),
        (ServerTls { tls_identities: path(), ..none() }, "PHOTOMETA_TLS_IDENTITIES", cert),
        (ServerTls { tls_client_auth: Some(ClientAuth::Optional), ..none() }, "PHOTOMETA_TLS_CLIENT_AUTH", cert),
        (ServerTls { tls_identities: path(), ..pair() }, "PHOTOMETA_TLS_IDENTITIES", ca),
        (ServerTls { tls_client_auth: Some(ClientAuth::Required), ..pair() }, "PHOTOMETA_TLS_CLIENT_AUTH", ca),
    ] {
        let text = said(&settings);

        assert!(text.starts_with(&format!("{given} is set, and {missing} is not")), "{text}");
    }
    assert!(Tls::of(&none()).unwrap().is_none());
}

#[tokio::test]
async fn files_that_are_wrong_are_named() {
    let files = Files::mutual(ClientAuth::Required, "");
    let with = |change: &dyn Fn(&mut ServerTls)| {
        let mut settings = files.settings.clone();
        change(&mut settings);
        settings
    };
    let other = files.folder.write("other.key", &files.servers.server(&[NAME]).key);
    let text = files.folder.write("text.pem", "not a certificate");
    let twice = files.folder.write("twice.json", r#"{"identities": [{"dns": "a"}]}"#);

    for (settings, file, problem) in [
        (with(&|all| all.tls_key = Some(other.clone())), "other.key", "is not the key of the certificate in"),
        (with(&|all| all.tls_key = all.tls_cert.clone()), "server.pem", "has no private key"),
        (with(&|all| all.tls_cert = Some(text.clone())), "text.pem", "has no certificate"),
        (with(&|all| all.tls_cert = Some("/nowhere.pem".into())), "nowhere.pem", "cannot be read"),
        (with(&|all| all.tls_client_ca = Some(text.clone())), "text.pem", "has no certificate"),
        (with(&|all| all.tls_identities = Some(twice.clone())), "twice.json", "missing field `sub`"),
    ] {
        let text = said(&settings);

        assert!(text.contains(file) && text.contains(problem), "{file} {problem}: {text}");
    }
}
