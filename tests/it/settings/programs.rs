//! What other programs get: one JSON document on standard output, completions that shells take, and exit statuses.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{json, program};
use crate::cluster::TestDatabase;
use crate::program::{Folder, ORGANIZATION, PROJECT, photometa, run, said, serve};

fn keys(document: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn commands_that_call_a_server_answer_in_one_document() {
    let folder = Folder::new("documents");
    let server = serve(&folder.0);
    let there = ["--address", server.address.as_str()];
    let with = |words: &[&str]| json(&run(&folder.0, &[words, &there].concat()));

    let ready = with(&["healthcheck", "--json"]);
    let seeded = with(&["seed", "--json"]);
    let token = json(&run(&folder.0, &["token", "--json", "--role", "service", "--org", ORGANIZATION, "--ttl", "5m"]));
    let credential = token["token"].as_str().unwrap();
    let file = folder.0.with_extension("json");
    let exported = with(&["export", "coco", "--json", "-o", file.to_str().unwrap(), "--token", credential]);
    let imported =
        with(&["import", "coco", file.to_str().unwrap(), "--json", "--project", PROJECT, "--token", credential]);

    std::fs::remove_file(&file).unwrap();
    assert_eq!(ready, json!({"ready": true, "address": server.address, "service": "", "problem": null}));
    assert_eq!(keys(&seeded), ["changed_since", "created", "unchanged"]);
    assert!(seeded["created"].as_u64().unwrap() > 50, "{seeded}");
    assert_eq!(keys(&token), ["organization", "role", "seconds", "subject", "token"]);
    assert_eq!((&token["organization"], &token["seconds"]), (&json!(ORGANIZATION), &json!(300)));
    assert_eq!(keys(&exported), ["annotations", "bytes", "files", "images", "negatives", "seconds"]);
    assert_eq!(exported["files"], json!([file]));
    assert_eq!(keys(&imported), ["detections", "others", "photos", "seconds"]);
    assert_eq!(imported["photos"]["unchanged"], exported["images"], "{imported}");
    assert_eq!(imported["detections"]["refusals"], json!([]), "{imported}");
}

#[test]
fn healthcheck_answers_in_a_document_also_when_nobody_is_there() {
    let output = program(&[], &["healthcheck", "--json", "--address", "127.0.0.1:1"]);

    assert_eq!(output.status.code(), Some(1));
    let answer = json(&output);
    assert_eq!((&answer["ready"], &answer["address"]), (&json!(false), &json!("127.0.0.1:1")));
    assert!(answer["problem"].as_str().unwrap().contains("photometa serve"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_answers_in_documents_and_checks() {
    let database = TestDatabase::empty().await;
    let owner = database.url("postgres");
    let folder = Folder::new("stages");
    let migrate = |words: &[&str]| {
        let mut command: Command = photometa(&folder.0);
        command.env("PHOTOMETA_MIGRATION_URL", &owner).arg("migrate").args(words).output().unwrap()
    };
    migrate(&["up", "--to", "1"]);

    let (early, plan) = (migrate(&["status", "--json", "--check"]), json(&migrate(&["plan", "--json"])));
    let up = json(&migrate(&["up", "--json"]));
    let (late, none) = (migrate(&["status", "--json", "--check"]), json(&migrate(&["plan", "--json"])));
    let down = json(&migrate(&["down", "--to", "1", "--json"]));

    assert_eq!(early.status.code(), Some(1));
    assert!(said(&early).contains("migrate up"), "{}", said(&early));
    let first = json(&early);
    assert_eq!(keys(&first), ["invalid_indexes", "layout", "newest", "problem", "up_to_date", "version", "versions"]);
    assert_eq!((&first["version"], &first["up_to_date"]), (&json!(1), &json!(false)));
    assert_eq!(keys(&first["versions"][0]), ["applied_at", "known", "name", "number"]);
    assert!(first["versions"][1]["applied_at"].is_null());
    let newest = first["newest"].as_u64().unwrap();
    assert_eq!(plan["versions"].as_array().unwrap().len() as u64, newest - 1);
    assert_eq!(keys(&plan["versions"][0]["statements"][0]), ["locks", "sql"]);
    assert_eq!(up["applied"].as_array().unwrap().len() as u64, newest - 1);
    assert_eq!((&up["version"], &up["invalid_indexes"]), (&json!(newest), &json!([])));
    assert!(late.status.success(), "{}", said(&late));
    assert_eq!((&json(&late)["up_to_date"], &none["versions"]), (&json!(true), &json!([])));
    assert_eq!((down["undone"].as_array().unwrap().len() as u64, &down["version"]), (newest - 1, &json!(1)));
}

#[test]
fn completions_are_taken_by_the_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = program(&[], &["completions", shell]);

        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("pool-size") && script.contains("healthcheck"), "{shell}");
    }
    let script = program(&[], &["completions", "bash"]).stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(&script).unwrap();

    assert!(bash.wait().unwrap().success());
}

#[test]
fn help_tells_the_exit_statuses_and_teaches_by_examples() {
    let help = String::from_utf8(program(&[], &["--help"]).stdout).unwrap();

    assert!(help.contains("Exit status: 0 done; 1 it failed") && help.contains("Examples:"), "{help}");
    for words in
        [&["migrate"][..], &["token"], &["import", "coco"], &["export", "coco"], &["config", "show"], &["completions"]]
    {
        let help = String::from_utf8(program(&[], &[words, &["--help"]].concat()).stdout).unwrap();
        assert!(help.contains("Examples:"), "{words:?}");
    }
}

#[test]
fn durations_of_no_length_are_refused_where_nothing_would_be_in_time() {
    for flag in ["--request-timeout=0s", "--handshake-timeout=0s", "--connection-idle=0s", "--stream-idle-timeout=0s"] {
        let output = program(&[], &["serve", flag]);

        assert_eq!(output.status.code(), Some(2), "{flag}");
        assert!(said(&output).contains("more than nothing"), "{}", said(&output));
    }
}

/// A file that takes nothing: its disk is full.
fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure_and_one_that_nobody_reads_is_not() {
    let secret = ("PHOTOMETA_JWT_SECRET", "0123456789abcdef0123456789abcdef");
    for words in [
        &["token", "--role", "operator"][..],
        &["token", "--role", "operator", "--json"],
        &["config", "show"],
        &["config", "show", "--json"],
        &["config", "describe", "--toml"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_photometa"));
        command.env_clear().envs([secret]).args(words);

        let lost = command.stdout(full()).stderr(Stdio::piped()).output().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let unread = command.stdout(writer).output().unwrap();

        assert_eq!(lost.status.code(), Some(1), "{words:?}: {}", said(&lost));
        assert!(said(&lost).contains("cannot write to standard output"), "{words:?}: {}", said(&lost));
        assert!(unread.status.success(), "{words:?}: {}", said(&unread));
    }
}

#[test]
fn a_command_that_cannot_complain_ends_with_its_status_all_the_same() {
    for (words, status) in [
        (&["healthcheck", "--address", "127.0.0.1:1"][..], 1),
        (&["token", "--role", "service"], 2),
        (&["serve", "--migration-url", "postgres://x@127.0.0.1:1/y"], 2),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_photometa"));
        // The log is not taken either.
        command.env_clear().env("RUST_LOG", "debug").env("PHOTOMETA_TYPO", "1").args(words);

        let ended = command.stdout(Stdio::null()).stderr(full()).status().unwrap();

        assert_eq!(ended.code(), Some(status), "{words:?}");
    }
}

#[test]
fn words_that_cannot_be_meant_are_wrong_usage() {
    let folder = Folder::made("misuse");
    let file = folder.0.join("data.json");
    let (file, same) = (file.to_str().unwrap(), format!("{}/./data.json", folder.0.display()));
    let secret = ("PHOTOMETA_JWT_SECRET", "0123456789abcdef0123456789abcdef");
    for (words, told) in [
        (&["token", "--role", "service"][..], "needs --org"),
        (&["token", "--role", "operator", "--org", ORGANIZATION], "leave --org out"),
        (&["token", "--role", "operator", "--ttl", "1ms"], "between 1s and 10years"),
        (&["token", "--role", "operator", "--ttl", "11years"], "between 1s and 10years"),
        (&["export", "coco", "-o", "-", "--split-by", "photo"], "give -o a name"),
        (&["export", "coco", "-o", file, "--skipped", file], "give --skipped another name"),
        (&["export", "coco", "-o", file, "--skipped", &same], "give --skipped another name"),
        (&["healthcheck", "--address", "ftp://x"], "is no address"),
    ] {
        let output = program(&[secret], words);

        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(told), "{words:?}: {}", said(&output));
    }
    assert_eq!(folder.files(), Vec::<String>::new());
    assert!(program(&[secret], &["token", "--role", "operator", "--ttl", "10years"]).status.success());
}
