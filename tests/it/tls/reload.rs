//! Files that change while the server runs: new connections get what is new, and what is broken changes nothing.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use photometa::config::{ClientAuth, ServerTls};
use tonic::Code;
use uuid::Uuid;

use super::authority::{NAME, UPLOADER, uri};
use super::{Authority, Files, connect, entry, who_am_i};
use crate::harness::App;

/// The server looks every five seconds; this is for slow machines.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until new connections succeed for those who trust `authority`.
async fn until_trusted(app: &App, authority: &Authority) {
    let started = Instant::now();
    while connect(app, authority, None).await.is_err() {
        assert!(started.elapsed() < PATIENCE, "the new certificate is not there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn new_connections_get_the_certificate_that_a_link_now_leads_to() {
    let files = Files::new();
    // As Kubernetes mounts secrets: files are links into a folder that is a link, and that one is swapped.
    let (folder, other) = (&files.folder, Authority::new("newer servers"));
    for (version, authority) in [("v1", &files.servers), ("v2", &other)] {
        std::fs::create_dir(folder.0.join(version)).unwrap();
        let pair = authority.server(&[NAME]);
        folder.write(&format!("{version}/tls.crt"), &pair.certificate);
        folder.write(&format!("{version}/tls.key"), &pair.key);
    }
    symlink("v1", folder.0.join("..data")).unwrap();
    let linked = ["tls.crt", "tls.key"].map(|name| {
        symlink(format!("..data/{name}"), folder.0.join(name)).unwrap();
        Some(folder.0.join(name))
    });
    let [tls_cert, tls_key] = linked;
    let app = Files { settings: ServerTls { tls_cert, tls_key, ..Default::default() }, ..files }.started().await;
    let (app, files) = app;
    let old = files.channel(&app, None).await.unwrap();

    symlink("v2", files.folder.0.join("..new")).unwrap();
    std::fs::rename(files.folder.0.join("..new"), files.folder.0.join("..data")).unwrap();
    until_trusted(&app, &other).await;

    assert!(files.channel(&app, None).await.is_err(), "the old certificate is still shown");
    let answered = who_am_i(old, None).await.unwrap_err();
    assert_eq!(answered.code(), Code::Unauthenticated, "a connection that was there goes on");
}

#[tokio::test]
async fn broken_files_change_nothing_until_they_are_right() {
    let files = Files::new();
    let app = files.start().await;
    let newer = Authority::new("newer servers");
    let pair = newer.server(&[NAME]);

    // Its key is still the old one.
    files.folder.write("server.pem", &pair.certificate);
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(files.channel(&app, None).await.is_ok());
    std::fs::remove_file(files.folder.0.join("server.key")).unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(files.channel(&app, None).await.is_ok());

    files.folder.write("server.key", &pair.key);
    until_trusted(&app, &newer).await;
}

#[tokio::test]
async fn identity_that_is_taken_away_is_nobody_on_connections_that_are_there() {
    let files = Files::mutual(ClientAuth::Required, &entry("uri", UPLOADER, Uuid::from_u128(7)));
    let app = files.start().await;
    let channel = files.channel(&app, Some(&files.clients.client(vec![uri(UPLOADER)]))).await.unwrap();
    assert!(who_am_i(channel.clone(), None).await.is_ok());

    files.identities("");

    let started = Instant::now();
    while who_am_i(channel.clone(), None).await.is_ok() {
        assert!(started.elapsed() < PATIENCE, "the identity was taken away, and is still heard");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn new_connections_need_a_certificate_of_the_new_authority() {
    let files = Files::mutual(ClientAuth::Required, &entry("uri", UPLOADER, Uuid::from_u128(7)));
    let app = files.start().await;
    let old = files.clients.client(vec![uri(UPLOADER)]);
    let newer = Authority::new("newer clients");
    let new = newer.client(vec![uri(UPLOADER)]);
    let heard = async |own| match files.channel(&app, Some(own)).await {
        Ok(channel) => who_am_i(channel, None).await.is_ok(),
        Err(_) => false,
    };
    assert!(heard(&old).await && !heard(&new).await);

    files.folder.write("clients.pem", &newer.pem);

    let started = Instant::now();
    while !heard(&new).await {
        assert!(started.elapsed() < PATIENCE, "the new authority is not there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!heard(&old).await);
}

impl Files {
    async fn started(self) -> (App, Self) {
        (self.start().await, self)
    }
}
