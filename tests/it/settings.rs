//! Settings and the command line: three names for each setting, the order in which they win, and what is said of those
//! that cannot be meant.

mod contradiction;
mod file;
mod names;
mod precedence;
mod programs;
mod room;

use std::process::{Command, Output};

use serde_json::Value;

/// The program with an environment of these variables alone.
pub fn program(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_photometa"));
    command.env_clear().envs(variables.iter().copied()).args(arguments).output().unwrap()
}

/// What a command printed as JSON.
pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// One setting of what `config show --json` printed.
pub fn setting<'a>(shown: &'a Value, key: &str) -> &'a Value {
    let mut settings = shown["settings"].as_array().unwrap().iter();
    settings.find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("no {key} in {shown}"))
}
