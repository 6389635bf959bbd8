//! Secrets are shown nowhere: not by `--help`, not by `Debug`, and not in what the program logs of a whole run.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser as _;
use photometa::auth::token::{Sources, Verifier};
use photometa::cli::Cli;
use photometa::page::Pages;
use photometa::pb;
use photometa::pb::session_service_client::SessionServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::issuer::{Issuer, Key};
use crate::cluster::TestDatabase;
use crate::harness::Bearer;
use crate::program::{Folder, photometa, said};

/// What no text may have, in every setting that takes a secret.
const MARK: &str = "c0ffee5ecret";

fn settings() -> BTreeMap<&'static str, String> {
    let url = format!("postgres://somebody:{MARK}@127.0.0.1:1/nowhere");
    BTreeMap::from([
        ("PHOTOMETA_DATABASE_URL", url.clone()),
        ("PHOTOMETA_MIGRATION_URL", url.clone()),
        ("PHOTOMETA_READ_DATABASE_URL", url),
        ("PHOTOMETA_JWT_SECRET", format!("{MARK} and more, so that it is of 32 bytes")),
        ("PHOTOMETA_PAGE_SECRET", format!("{MARK} and more, so that it is of 32 bytes")),
        ("PHOTOMETA_JWKS", format!("http://127.0.0.1:1/jwks.json?key={MARK}")),
        ("PHOTOMETA_TOKEN", format!("{MARK}.{MARK}.{MARK}")),
    ])
}

fn assert_silent(text: &str, what: &str) {
    let place = text.find(MARK).map(|at| text[at.saturating_sub(200)..text.len().min(at + 100)].to_owned());
    assert_eq!(place, None, "{what}");
}

/// The help of a command and of every command below it.
fn help(folder: &Folder, command: &[String]) -> Vec<(String, String)> {
    let output = photometa(&folder.0).args(command).arg("--help").envs(settings()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("Usage:"), "{command:?}: {text}");
    let listed = text.split("Commands:\n").nth(1).map(|rest| rest.split("\n\n").next().unwrap_or_default());
    let below: Vec<String> = listed
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect();
    let mut found = vec![(command.join(" "), text)];
    for name in below {
        found.extend(help(folder, &[command, &[name]].concat()));
    }
    found
}

#[test]
fn help_of_every_command_shows_no_secret_of_the_environment() {
    let folder = Folder::made("help");

    let found = help(&folder, &[]);

    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["", "serve", "token", "seed", "doctor", "migrate up", "import coco", "export coco", "healthcheck"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    for (name, text) in &found {
        assert_silent(text, name);
    }
    assert!(found[0].1.contains("PHOTOMETA_PAGE_SECRET"));
}

#[test]
fn wrong_usage_shows_no_secret_of_the_environment() {
    let folder = Folder::made("usage");
    for arguments in [
        &["serve", "--nonsense"][..],
        &["token"],
        &["token", "--role", "nobody"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        let output = photometa(&folder.0).args(arguments).envs(settings()).output().unwrap();

        assert!(!output.status.success(), "{arguments:?}");
        assert_silent(&said(&output), &format!("{arguments:?}"));
    }
    for (name, value) in [
        ("PHOTOMETA_JWKS", format!("https://me:{MARK}@issuer.example/jwks.json")),
        ("PHOTOMETA_DATABASE_URL", format!("postgres://somebody:{MARK}@[nowhere/x")),
    ] {
        let mut command = photometa(&folder.0);
        // Its other URLs are not reached before this one is read.
        let output =
            command.args(["serve", "--listen", "127.0.0.1:0"]).envs(settings()).env(name, value).output().unwrap();

        assert!(!output.status.success(), "{name}");
        assert_silent(&said(&output), name);
    }
}

#[test]
fn debug_shows_no_secret() {
    let flags: Vec<String> = settings()
        .into_iter()
        .filter(|(name, _)| *name != "PHOTOMETA_TOKEN")
        .flat_map(|(name, value)| {
            [name.trim_start_matches("PHOTOMETA_").to_lowercase().replace('_', "-").replacen("", "--", 1), value]
        })
        .collect();
    let seed = ["seed".to_owned(), "--token".to_owned(), MARK.to_owned()];
    let cli = Cli::try_parse_from([vec!["photometa".to_owned()], flags, seed.to_vec()].concat()).unwrap();
    let sources = Sources { secret: Some(MARK.into()), ..Sources::default() };
    let verifier = Verifier::hs256(MARK.as_bytes(), &photometa::auth::token::Expectations::default());
    let shown = format!("{cli:?} {sources:?} {verifier:?} {:?}", Pages::new(MARK.as_bytes()));

    assert!(shown.contains("page_secret"), "{shown}");
    assert_silent(&shown, "Debug");
    let bytes = format!("{:?}", MARK.as_bytes());
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    let key = Key::p256("key");
    let shown = format!("{:?}", key.signing);
    assert!(!shown.contains(", 48, "), "the private key's bytes: {shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_of_a_whole_run_at_trace_shows_no_secret() {
    let database = TestDatabase::clone_template().await;
    let folder = Folder::made("log");
    let key = Key::p256("key");
    let issuer = Issuer::of(&[&key]).await;
    let (log, address) = (folder.0.join("log"), folder.0.join("address"));
    let url = |user: &str| format!("{} password={MARK}", database.url(user));
    let mut child = photometa(&folder.0)
        .args(["serve", "--listen", "127.0.0.1:0", "--address-file"])
        .arg(&address)
        .env("PHOTOMETA_DATABASE_URL", url("photometa_app"))
        .env("PHOTOMETA_MIGRATION_URL", url("postgres"))
        .env("PHOTOMETA_JWT_SECRET", &settings()["PHOTOMETA_JWT_SECRET"])
        .env("PHOTOMETA_PAGE_SECRET", &settings()["PHOTOMETA_PAGE_SECRET"])
        .env("PHOTOMETA_JWKS", format!("{}?key={MARK}", issuer.url))
        .env("RUST_LOG", "trace")
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !address.exists() {
        assert!(child.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(60), "it is ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let channel = Channel::from_shared(format!("http://{}", fs::read_to_string(&address).unwrap())).unwrap();
    let channel = channel.connect().await.unwrap();
    let (good, bad) = (key.credential(), key.credential_named(Some("unknown")));
    for (authorization, accepted) in [(&good, true), (&bad, false), (&format!("Bearer {MARK}"), false)] {
        let bearer = Bearer::new(authorization);
        let mut sessions = SessionServiceClient::new(InterceptedService::new(channel.clone(), bearer));
        let answer = sessions.who_am_i(pb::WhoAmIRequest {}).await;
        assert_eq!(answer.is_ok(), accepted, "{answer:?}");
    }
    let ended = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(ended.success() && child.wait().unwrap().success());

    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("\"TRACE\"") && text.contains("credentials are verified with these keys"));
    assert_silent(&text, "the log");
    for token in [&good, &bad] {
        let signature = token.rsplit_once('.').unwrap().1;
        assert!(!text.contains(signature), "a credential is in the log");
    }
}
