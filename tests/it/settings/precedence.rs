//! A flag wins over its variable, the variable over the file, and the file over the default: of every setting there is.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use photometa::cli::command;
use photometa::config::{FILE, Setting, settings};

use super::{json, program, setting};
use crate::program::{Folder, said};

/// Values for the file, the variable and the flag.
fn samples(setting: &Setting) -> [&'static str; 3] {
    if setting.is_switch() {
        return ["true", "false", "true"];
    }
    let kinds = [
        ["11s", "12s", "13s"],
        ["11", "12", "13"],
        ["127.0.0.1:11", "127.0.0.1:12", "127.0.0.1:13"],
        ["optional", "required", "optional"],
        ["https://a.example", "https://b.example", "https://c.example"],
    ];
    let fits = |values: &[&str; 3]| values.iter().all(|value| setting.check(value).is_ok());
    kinds.into_iter().find(fits).unwrap_or_else(|| panic!("no value for {}", setting.key()))
}

#[test]
fn every_setting_is_set_by_flag_variable_and_file_in_that_order_of_strength() {
    let all: Vec<_> = settings(&command()).into_iter().filter(|setting| setting.key() != FILE).collect();
    let folder = Folder::made("precedence");
    let (mut text, mut variables, mut flags) = (String::new(), Vec::new(), Vec::new());
    for setting in &all {
        let [in_file, in_variable, in_flag] = samples(setting);
        let quote = if setting.is_switch() || in_file.parse::<u32>().is_ok() { "" } else { "\"" };
        let _ = writeln!(text, "{} = {quote}{in_file}{quote}", setting.key());
        variables.push((setting.variable(), in_variable));
        flags.push(if setting.is_switch() { setting.flag() } else { format!("{}={in_flag}", setting.flag()) });
    }
    let file = folder.0.join("photometa.toml");
    fs::write(&file, text).unwrap();
    let named = ["config", "show", "--json", "--config", file.to_str().unwrap()];
    let flags: Vec<_> = named.into_iter().chain(flags.iter().map(String::as_str)).collect();

    let shown = [
        ("default", program(&[], &["config", "show", "--json"])),
        ("file", program(&[], &named)),
        ("variable", program(&variables, &named)),
        ("flag", program(&variables, &flags)),
    ]
    .map(|(source, output)| {
        assert!(output.status.success(), "{}", said(&output));
        (source, json(&output))
    });

    for (source, shown) in &shown {
        for (number, declared) in all.iter().enumerate() {
            let found = setting(shown, declared.key());
            assert_eq!(found["source"], *source, "{found}");
            assert_eq!(
                found.get("line").and_then(serde_json::Value::as_u64),
                (*source == "file").then(|| number as u64 + 1)
            );
            let [in_file, in_variable, in_flag] = samples(declared);
            let value = match *source {
                "file" => in_file,
                "variable" => in_variable,
                "flag" => in_flag,
                _ => continue,
            };
            if !declared.is_secret() {
                assert_eq!(found["value"], value, "{found}");
            }
        }
    }
}

#[test]
fn the_file_is_named_by_a_flag_or_a_variable_and_never_found_by_chance() {
    let folder = Folder::made("named");
    let file = folder.0.join("photometa.toml");
    fs::write(&file, "pool_size = 5\n").unwrap();
    let path = file.to_str().unwrap();

    let by_variable = json(&program(&[("PHOTOMETA_CONFIG", path)], &["config", "show", "--json"]));
    let mut unnamed = std::process::Command::new(env!("CARGO_BIN_EXE_photometa"));
    let unnamed = unnamed.env_clear().current_dir(&folder.0).args(["config", "show", "--json"]).output().unwrap();

    assert_eq!((&by_variable["file"], &setting(&by_variable, "pool_size")["value"]), (&path.into(), &"5".into()));
    assert_eq!(setting(&json(&unnamed), "pool_size")["value"], "16");
    assert!(json(&unnamed)["file"].is_null());
}

#[test]
fn the_file_counts_where_a_setting_is_used() {
    let folder = Folder::made("used");
    let file = folder.0.join("photometa.toml");
    fs::write(
        &file,
        "jwt_secret = \"one that is only in the file, and long enough\"\njwt_issuer = \"https://issuer\"\n",
    )
    .unwrap();

    let output = program(&[], &["token", "--role", "operator", "--config", file.to_str().unwrap()]);

    assert!(output.status.success(), "{}", said(&output));
    let token = String::from_utf8(output.stdout).unwrap();
    let claims =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, token.split('.').nth(1).unwrap());
    assert!(String::from_utf8(claims.unwrap()).unwrap().contains("https://issuer"), "{token}");
}

#[test]
fn config_show_tells_the_place_and_masks_the_secret() {
    let variables = [
        ("PHOTOMETA_DATABASE_URL", "postgres://app:geheim@db/photometa"),
        ("PHOTOMETA_MIGRATION_URL", "host=db user=owner password=geheim"),
        ("PHOTOMETA_JWT_SECRET", "geheim"),
        ("PHOTOMETA_TOKEN", "geheim"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=geheim"),
        ("RUST_LOG", "debug"),
    ];

    for json in [&["config", "show"][..], &["config", "show", "--json"]] {
        let output = program(&variables, json);

        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(!shown.contains("geheim"), "{shown}");
        for words in ["postgres://app:***@db/photometa", "host=db user=owner password=***", "RUST_LOG", "debug"] {
            assert!(shown.contains(words), "{words} in {shown}");
        }
    }
}

#[test]
fn a_variable_that_is_empty_says_nothing() {
    let folder = Folder::made("empty");
    let file = folder.0.join("photometa.toml");
    fs::write(&file, "pool_size = 5\n").unwrap();
    let all: Vec<_> = settings(&command()).into_iter().filter(|setting| setting.key() != FILE).collect();
    let variables: Vec<_> = all.iter().map(|setting| (setting.variable(), "")).collect();
    let named = ["config", "show", "--json", "--config", file.to_str().unwrap()];

    let output = program(&variables, &named);

    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "");
    assert_eq!(json(&output), json(&program(&[], &named)));
    assert_eq!(setting(&json(&output), "pool_size")["source"], "file");
    // Neither is there a file without a name.
    assert!(program(&[("PHOTOMETA_CONFIG", "")], &["config", "show"]).status.success());
}

#[test]
fn a_variable_that_is_no_text_is_named() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_photometa"));
    // A path may be so.
    command.env_clear().env("PHOTOMETA_DATA_DIR", OsStr::from_bytes(b"/tmp/\xff"));
    let path = command.args(["config", "show"]).output().unwrap();
    let issuer = command.env("PHOTOMETA_JWT_ISSUER", OsStr::from_bytes(b"\xff")).output().unwrap();

    assert!(path.status.success(), "{}", said(&path));
    assert_eq!(issuer.status.code(), Some(2));
    assert!(said(&issuer).contains("change or unset PHOTOMETA_JWT_ISSUER"), "{}", said(&issuer));
}
