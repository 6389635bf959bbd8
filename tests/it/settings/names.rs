//! Each setting has three names that are one, and all of them are in the help, in `config show` and on the page.

use std::collections::BTreeSet;

use clap::Command;
use photometa::cli::command;
use photometa::config::{FILE, settings};

use super::{json, program};
use crate::program::said;

#[test]
fn the_three_names_of_a_setting_are_one_word() {
    for setting in settings(&command()) {
        let key = setting.key();

        assert_eq!(setting.flag(), format!("--{}", key.replace('_', "-")));
        if key == "pg_bin" {
            // PostgreSQL's own tools call it that.
            assert_eq!(setting.variable(), "PG_BIN");
        } else {
            assert_eq!(setting.variable(), format!("PHOTOMETA_{}", key.to_uppercase()));
        }
    }
}

#[test]
fn config_show_takes_and_shows_every_setting_of_every_command() {
    let shown = json(&program(&[], &["config", "show", "--json"]));

    let names = shown["settings"].as_array().unwrap().iter().map(|setting| setting["key"].as_str().unwrap().to_owned());
    let all = settings(&command()).iter().map(|setting| setting.key().to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names.collect::<BTreeSet<_>>(), all);
    assert!(all.len() > 40, "{all:?}");
}

fn each(command: &mut Command, look: &mut impl FnMut(&mut Command)) {
    look(command);
    command.get_subcommands_mut().filter(|inner| inner.get_name() != "help").for_each(|inner| each(inner, look));
}

#[test]
fn help_shows_the_three_names_of_every_setting_that_it_shows() {
    let mut looked = 0;
    let mut whole = command();
    whole.build();

    each(&mut whole, &mut |command| {
        let help = command.render_long_help().to_string();
        // Not those of the commands below it.
        let own: BTreeSet<_> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
        for setting in settings(command).iter().filter(|setting| own.contains(setting.key())) {
            assert!(help.contains(&setting.flag()), "{}: {}", command.get_name(), setting.flag());
            assert!(help.contains(&format!("[env: {}", setting.variable())), "{}", setting.variable());
            if setting.key() != FILE {
                let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(flat.contains(&format!("[toml: {}]", setting.key())), "{}", setting.key());
            }
            looked += 1;
        }
    });

    assert!(looked > 100, "{looked}");
}

#[test]
fn help_of_commands_that_only_call_the_server_has_nothing_of_the_database() {
    for words in [&["export", "coco"][..], &["import", "coco"], &["healthcheck"]] {
        let output = program(&[], &[words, &["--help"]].concat());

        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(help.contains("--address") && help.contains("--config"), "{help}");
        assert!(!help.contains("--pool-size") && !help.contains("--jwt-secret"), "{words:?}");
    }
}

#[test]
fn settings_that_a_command_does_not_need_are_taken_all_the_same() {
    let output = program(
        &[("PHOTOMETA_POOL_SIZE", "3")],
        &["token", "--role", "operator", "--pool-size", "4", "--jwt-secret", "x"],
    );

    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_flag_before_the_command_that_has_it_is_not_lost_without_a_word() {
    let output = program(&[], &["--listen", "127.0.0.1:0", "config", "show"]);

    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--listen stands before the command config"), "{}", said(&output));
}

#[test]
fn the_page_of_settings_is_what_config_describe_prints() {
    let page = include_str!("../../../docs/configuration.md");
    let (_, behind) = page.split_once("<!-- begin generated settings -->\n").unwrap();
    let (table, _) = behind.split_once("<!-- end generated settings -->").unwrap();

    let printed = program(&[], &["config", "describe"]);

    assert_eq!(table, String::from_utf8_lossy(&printed.stdout), "just settings writes it");
}

#[test]
fn a_variable_that_nothing_reads_is_told_with_the_nearest_that_something_does() {
    for (variable, words) in [
        ("PHOTOMETA_POOLSIZE", "did you mean PHOTOMETA_POOL_SIZE?"),
        ("PHOTOMETA_DATABASE_URI", "did you mean PHOTOMETA_DATABASE_URL?"),
        ("PHOTOMETA_Jwt_Secret", "did you mean PHOTOMETA_JWT_SECRET?"),
        ("PHOTOMETA_PG_BIN", "did you mean PG_BIN?"),
        ("PHOTOMETA_XXXXXXXX", "config describe"),
    ] {
        let output = program(&[(variable, "1")], &["config", "show"]);

        assert!(output.status.success());
        let said = said(&output);
        assert!(said.contains(&format!("nothing reads the variable {variable};")) && said.contains(words), "{said}");
    }
}

#[test]
fn variables_of_kubernetes_and_of_the_tests_are_left_alone() {
    let variables = [
        ("PHOTOMETA_PORT", "tcp://10.0.0.1:50051"),
        ("PHOTOMETA_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("PHOTOMETA_SERVICE_HOST", "10.0.0.1"),
        ("PHOTOMETA_SERVICE_PORT_GRPC", "50051"),
        ("PHOTOMETA_TEST_SEED", "1"),
        ("PHOTOMETA_POOL_SIZE", "3"),
    ];

    let output = program(&variables, &["config", "show"]);

    assert_eq!(said(&output), "");
}
