//! What settings there are: the command line's options that have a variable. The one declaration gives each its three
//! names, `--pool-size`, `PHOTOMETA_POOL_SIZE` and `pool_size`, its help and its rules.

use std::collections::HashSet;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

/// What names the file itself, and so cannot stand in it.
pub const FILE: &str = "config";

/// One setting, as some command declares it.
#[derive(Debug, Clone)]
pub struct Setting(Arg);

impl Setting {
    /// Its name in the file.
    pub fn key(&self) -> &str {
        self.0.get_id().as_str()
    }

    /// Its name on the command line, with the dashes.
    pub fn flag(&self) -> String {
        format!("--{}", self.0.get_long().unwrap_or_default())
    }

    /// Its name in the environment.
    pub fn variable(&self) -> &str {
        self.0.get_env().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// What it is about: the heading of its group in the help.
    pub fn group(&self) -> &str {
        self.0.get_help_heading().unwrap_or("Options")
    }

    /// What it means, with its default in brackets where that is no one value.
    pub fn help(&self) -> String {
        let help = self.0.get_long_help().or(self.0.get_help()).map(StyledStr::to_string).unwrap_or_default();
        help.split(" [toml: ").next().unwrap_or_default().to_owned()
    }

    /// What it is when nobody says otherwise, if that is one value.
    pub fn default(&self) -> Option<String> {
        let values = self.0.get_default_values();
        let words: Vec<_> = values.iter().map(|value| value.to_string_lossy()).collect();
        (!words.is_empty()).then(|| words.join(","))
    }

    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.0.is_hide_env_values_set()
    }

    /// Whether it is true or false.
    pub fn is_switch(&self) -> bool {
        matches!(self.0.get_action(), ArgAction::SetTrue | ArgAction::SetFalse)
    }

    /// Whether it is a number, and nothing else is.
    pub fn is_number(&self) -> bool {
        self.check("11").is_ok() && self.check("eleven").is_err()
    }

    /// Whether it may have several values.
    pub fn is_list(&self) -> bool {
        matches!(self.0.get_action(), ArgAction::Append)
    }

    /// Asks the command line's own rules.
    ///
    /// # Errors
    /// Why they do not take the value.
    pub fn check(&self, value: impl AsRef<OsStr>) -> Result<(), String> {
        let value = value.as_ref();
        if value.is_empty() {
            return Err("it is empty; leave it out".to_owned());
        }
        let alone = Command::new("photometa").arg(self.0.clone().env(None).action(ArgAction::Set));
        let mut word = OsString::from(format!("{}=", self.flag()));
        word.push(value);
        let words = ["photometa".into(), word];
        alone.try_get_matches_from(words).map(drop).map_err(|error| match (error.kind(), error.source()) {
            (ErrorKind::ValueValidation, Some(problem)) => problem.to_string(),
            _ => match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(words)) => format!("it should be one of {}", words.join(", ")),
                _ => "it cannot be read".to_owned(),
            },
        })
    }
}

fn is_setting(arg: &Arg) -> bool {
    // PATH and its like are hidden: they are the system's.
    arg.get_env().is_some() && !arg.is_hide_set()
}

/// Every setting that some command takes, in the order of the help.
pub fn settings(command: &Command) -> Vec<Setting> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    collect(command, &mut |arg| {
        if is_setting(arg) && seen.insert(arg.get_id().clone()) {
            found.push(Setting(arg.clone()));
        }
    });
    found
}

fn collect(command: &Command, each: &mut impl FnMut(&Arg)) {
    command.get_arguments().for_each(&mut *each);
    command.get_subcommands().for_each(|command| collect(command, each));
}

/// The command with the third name of each setting in its help: clap itself shows the flag and the variable.
pub fn teach(command: Command) -> Command {
    let named = |arg: Arg| {
        if !is_setting(&arg) || arg.get_id() == FILE {
            return arg;
        }
        let with_name = |help: &StyledStr| format!("{help} [toml: {}]", arg.get_id());
        let (short, long) = (arg.get_help().map(with_name), arg.get_long_help().map(with_name));
        let arg = short.into_iter().fold(arg, Arg::help);
        long.into_iter().fold(arg, Arg::long_help)
    };
    command.mut_args(named).mut_subcommands(teach)
}

/// The name that is nearest to a wrong one, if any is near.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // As clap does with flags.
    let near = names.map(|name| (strsim::jaro(wrong, name), name)).filter(|(confidence, _)| *confidence > 0.7);
    near.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}
