//! The variables of the environment that no option reads: those that look like ours and are not, and those that others define.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

use super::mask::masked_variable;
use super::setting::{Setting, nearest};

/// How our variables begin.
const PREFIX: &str = "PHOTOMETA_";
/// What Kubernetes sets for a Service that is called photometa, and what the tests are steered by.
const OTHERS: [&str; 4] = ["PHOTOMETA_PORT_", "PHOTOMETA_SERVICE_HOST", "PHOTOMETA_SERVICE_PORT", "PHOTOMETA_TEST_"];

/// Variables that steer logs and telemetry, where they are set, and their values as they may be shown.
pub fn standard() -> Vec<(String, String)> {
    let known = |name: &str| ["RUST_LOG", "NO_COLOR"].contains(&name) || name.starts_with("OTEL_");
    let mut found: Vec<_> = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| known(name))
        .map(|(name, value)| (name.clone(), masked_variable(&name, &value)))
        .collect();
    found.sort();
    found
}

/// Whether what is printed may have colours: on a terminal, unless `NO_COLOR` or `CLICOLOR` says otherwise.
pub fn colours(terminal: bool) -> bool {
    let says = |name: &str| value(name.as_ref());
    let forced = says("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    let off = says("NO_COLOR").is_some_and(|value| !value.is_empty());
    !off && (forced || terminal && says("CLICOLOR").is_none_or(|value| value != "0"))
}

/// What of the log is wanted, where somebody says so. An empty variable says nothing, as those of telemetry.
pub fn log_filter() -> Option<String> {
    let said = value("RUST_LOG".as_ref()).map(|value| value.to_string_lossy().into_owned());
    said.filter(|value| !value.trim().is_empty())
}

/// The command as it is where variables that are empty are not set: Compose's `${X:-}` makes such, and no setting has an
/// empty value.
pub fn heed_no_empty(command: Command) -> Command {
    let heed = |arg: Arg| {
        let empty = arg.get_env().is_some_and(|name| value(name).is_some_and(|value| value.is_empty()));
        if empty { arg.env(None) } else { arg }
    };
    command.mut_args(heed).mut_subcommands(heed_no_empty)
}

fn value(name: &OsStr) -> Option<OsString> {
    env::vars_os().find(|(variable, _)| variable == name).map(|(_, value)| value)
}

/// Whether a setting's variable is text, where that setting is.
pub fn is_text(setting: &Setting) -> bool {
    value(setting.variable().as_ref()).is_none_or(|value| value.to_str().is_some() || setting.check(&value).is_ok())
}

/// Whether a variable has this value.
pub fn says(variable: &str, value: &str) -> bool {
    env::vars_os().any(|(name, said)| name == variable && said == value)
}

/// What is to be said of variables that begin as ours do, and that nothing reads.
pub fn unknown(settings: &[Setting]) -> Vec<String> {
    let mut names: Vec<_> = env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    names.sort();
    names.iter().filter_map(|name| complaint(name, settings)).collect()
}

fn complaint(name: &str, settings: &[Setting]) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    let known = || settings.iter().map(Setting::variable);
    if name == "PHOTOMETA_PORT" || OTHERS.iter().any(|other| name.starts_with(other)) || known().any(|own| own == name)
    {
        return None;
    }
    // Some are not called as ours are.
    if known().any(|own| own == rest) {
        return Some(format!("nothing reads the variable {name}; did you mean {rest}?"));
    }
    let nearest = nearest(&rest.to_uppercase(), known().filter_map(|own| own.strip_prefix(PREFIX)));
    Some(match nearest {
        Some(own) => format!("nothing reads the variable {name}; did you mean {PREFIX}{own}?"),
        None => format!("nothing reads the variable {name}; `photometa config describe` lists those that are read"),
    })
}
