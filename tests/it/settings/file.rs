//! What is said of a file of settings that cannot be meant: the file, the line and the key, all problems at once.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;

use super::{json, program, setting};
use crate::program::{Folder, said};

/// A file with this text, and what `config show --json` makes of it.
fn shown(name: &str, text: &str) -> (Folder, PathBuf, Output) {
    let folder = Folder::made(name);
    let file = folder.0.join("photometa.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let output = program(&[], &["config", "show", "--json", "--config", file.to_str().unwrap()]);
    (folder, file, output)
}

#[test]
fn values_are_numbers_words_and_truths() {
    let text = "max_connections = 1_000\nrequest_timeout = \"1m 30s\"\nallow_unsafe_role = true\npool_size = 4\n";

    let (_folder, _, output) = shown("kinds", text);

    for (key, value) in
        [("max_connections", "1000"), ("request_timeout", "1m 30s"), ("allow_unsafe_role", "true"), ("pool_size", "4")]
    {
        assert_eq!(setting(&json(&output), key)["value"], value);
    }
}

#[test]
fn every_problem_is_told_with_its_line_and_key() {
    let text = "pool-size = 16\npool_wait = 3\nnonsense = 1\npool_share = 0\nallow_unsafe_role = \"yes\"\n\
                listen = [\"127.0.0.1:1\"]\nPHOTOMETA_JWKS = \"x\"\nconfig = \"other.toml\"\ntls_client_auth = \"maybe\"\n\
                jwt_secret = true\njwt_issuer = 12345\ndata_dir = 1.5\npool_size = \"16\"\ntls_cert = \"\"\n[database]\nurl = 1\n";

    let (_folder, file, output) = shown("problems", text);

    assert_eq!(output.status.code(), Some(2));
    let said = said(&output);
    for (line, words) in [
        (1, "there is no setting pool-size; did you mean pool_size?"),
        (2, "pool_wait: time unit needed"),
        (3, "there is no setting nonsense"),
        (4, "pool_share: 0 is not in 1..=65535"),
        (5, "allow_unsafe_role is string; it should be true or false"),
        (6, "listen is array; it should be one value"),
        (7, "did you mean jwks?"),
        (8, "config cannot be set here"),
        (9, "tls_client_auth: it should be one of required, optional"),
        (10, "jwt_secret is boolean; it should be in quotes"),
        (11, "jwt_issuer is integer; it should be in quotes"),
        (12, "data_dir is float; it should be in quotes"),
        (13, "pool_size is string; it should be a number, without quotes"),
        (14, "tls_cert: it is empty; leave it out"),
        (15, "there is no section [database]"),
    ] {
        assert!(said.contains(&format!("{}:{line}: ", file.display())), "{line} in {said}");
        assert!(said.contains(words), "{words} in {said}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_told_without_what_stands_in_it() {
    let (_folder, file, output) = shown("broken", "pool_size = 4\njwt_secret = \"geheim\n");

    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains(&format!("{}:2: ", file.display())), "{}", said(&output));
    assert!(!said(&output).contains("geheim"), "{}", said(&output));
}

#[test]
fn a_file_that_is_away_is_told_with_what_names_it() {
    let output = program(&[("PHOTOMETA_CONFIG", "/nowhere/photometa.toml")], &["token", "--role", "operator"]);

    assert_eq!(output.status.code(), Some(2));
    for words in ["/nowhere/photometa.toml", "PHOTOMETA_CONFIG"] {
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}

#[test]
fn help_needs_no_file() {
    let output = program(&[("PHOTOMETA_CONFIG", "/nowhere/photometa.toml")], &["--help"]);

    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn secrets_that_others_may_read_are_warned_of() {
    let (_folder, file, _) = shown("exposed", "jwt_secret = \"geheim\"\n");
    let arguments = ["config", "show", "--config", file.to_str().unwrap()];

    let kept = program(&[], &arguments);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let exposed = program(&[], &arguments);

    assert_eq!(said(&kept), "");
    assert!(said(&exposed).contains(&format!("chmod 600 {}", file.display())), "{}", said(&exposed));
}

#[test]
fn a_value_that_cannot_be_read_is_told_with_the_variable_it_comes_from() {
    let variable = program(&[("PHOTOMETA_POOL_SIZE", "many")], &["config", "show"]);
    let flag = program(&[("PHOTOMETA_POOL_SIZE", "3")], &["config", "show", "--pool-size", "many"]);

    assert_eq!((variable.status.code(), flag.status.code()), (Some(2), Some(2)));
    assert!(said(&variable).contains("change or unset PHOTOMETA_POOL_SIZE"), "{}", said(&variable));
    assert!(!said(&flag).contains("PHOTOMETA_POOL_SIZE"), "{}", said(&flag));
    // No truth, and so neither: least of all the one that is dangerous.
    let neither = program(&[("PHOTOMETA_ALLOW_UNSAFE_ROLE", "flase")], &["config", "show"]);
    assert_eq!(neither.status.code(), Some(2), "{}", said(&neither));
    assert!(said(&neither).contains("change or unset PHOTOMETA_ALLOW_UNSAFE_ROLE"), "{}", said(&neither));
    let host = program(&[], &["serve", "--listen", "localhost:50051"]);
    assert_eq!(host.status.code(), Some(2));
    assert!(said(&host).contains("such as 0.0.0.0:50051"), "{}", said(&host));
}

#[test]
fn the_file_to_start_from_sets_nothing_and_is_right_when_it_is_switched_on() {
    let template = String::from_utf8(program(&[], &["config", "describe", "--toml"]).stdout).unwrap();
    let on: String = template
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.split_once(" = ").is_some_and(|(key, value)| !key.contains(' ') && !value.contains('…')))
        .fold(String::new(), |text, line| text + line + "\n");
    let (_one, _, untouched) = shown("template", &template);
    let (_other, _, switched) = shown("switched", &on);

    let all = |output: &Output, source: &str| {
        let settings = json(output)["settings"].as_array().unwrap().clone();
        settings.iter().filter(|setting| setting["source"] == source).count()
    };
    assert_eq!(all(&untouched, "file"), 0);
    assert!(all(&switched, "file") > 15, "{on}");
}
