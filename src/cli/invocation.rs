//! From words to a command: the command line and the environment are read, then the file that they name, and then all of
//! it together.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use super::{Cli, complain};
use crate::config::{self, Effective, FILE, File, Setting};

/// Commands that need little of what all of them take, and the groups or settings that they do need. What they do not
/// need they still take: one environment does for all.
const FRUGAL: [(&str, &[&str]); 7] = [
    ("seed", &["data_dir", "Credentials"]),
    ("token", &["data_dir", "Credentials"]),
    ("import", &[]),
    ("export", &[]),
    ("healthcheck", &[]),
    ("completions", &[]),
    ("migrate", &["database_url", "migration_url", "data_dir", "pg_bin"]),
];

/// What the settings are, and what is to be said of them.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Where the file is, if one was read.
    pub(super) file: Option<PathBuf>,
    /// Those that the command takes.
    pub(super) settings: Vec<Effective>,
    /// For whoever starts the command.
    pub(super) warnings: Vec<String>,
}

/// The command line, with every name of every setting in its help.
pub fn command() -> Command {
    let whole = config::teach(Cli::command());
    let general: Vec<_> =
        whole.get_arguments().filter(|arg| arg.is_global_set() && !arg.is_hide_set()).cloned().collect();
    FRUGAL.into_iter().fold(whole, |whole, (name, needs)| {
        let spared = general.iter().filter(|arg| {
            let group = arg.get_help_heading().unwrap_or_default();
            arg.get_id() != FILE && !needs.contains(&arg.get_id().as_str()) && !needs.contains(&group)
        });
        let spared: Vec<_> = spared.map(|arg| arg.clone().hide(true)).collect();
        whole.mut_subcommand(name, |command| command.args(spared))
    })
}

impl Cli {
    /// Reads what this process was started with. Help and wrong words are printed.
    ///
    /// # Errors
    /// The exit status, when there is nothing to run.
    pub fn read() -> Result<Self, ExitCode> {
        let words: Vec<OsString> = std::env::args_os().collect();
        Self::understand(&words)
    }

    fn understand(words: &[OsString]) -> Result<Self, ExitCode> {
        let command = command();
        let settings = config::settings(&command);
        // Without the file first: help must not need it, and only this says which it is.
        let matches = parse(command.clone(), words, &settings)?;
        let Some(path) = matches.get_one::<PathBuf>(FILE) else {
            return Self::of(&matches, &settings, None);
        };
        let file = File::read(path, &settings).map_err(|problems| {
            complain(&problems);
            ExitCode::from(2)
        })?;
        let matches = parse(file.feed(command), words, &settings)?;
        Self::of(&matches, &settings, Some(&file))
    }

    fn of(matches: &ArgMatches, settings: &[Setting], file: Option<&File>) -> Result<Self, ExitCode> {
        let mut cli = Self::from_arg_matches(matches).map_err(|error| status(&error))?;
        let mut deepest = matches;
        while let Some((_, deeper)) = deepest.subcommand() {
            deepest = deeper;
        }
        cli.told = Told {
            file: file.map(|file| file.path().to_owned()),
            settings: config::effective(settings, deepest, file),
            warnings: config::unknown(settings).into_iter().chain(file.and_then(File::warning)).collect(),
        };
        Ok(cli)
    }
}

fn parse(command: Command, words: &[OsString], settings: &[Setting]) -> Result<ArgMatches, ExitCode> {
    let mut command = config::heed_no_empty(command);
    let matches = command.try_get_matches_from_mut(words).map_err(|error| {
        let code = status(&error);
        if let Some(variable) = origin(&error, settings) {
            complain(&format!("that value is the variable's: change or unset {variable}"));
        }
        code
    })?;
    // What stands before a subcommand is the whole program's, and these are one command's.
    if let Some((name, _)) = matches.subcommand() {
        let before = |arg: &&clap::Arg| {
            !arg.is_global_set() && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        let early = command.get_arguments().find(before).and_then(clap::Arg::get_long).map(str::to_owned);
        if let Some(flag) = early {
            let problem = format!("--{flag} stands before the command {name}; write it behind, if {name} takes it");
            return Err(status(&command.error(ErrorKind::ArgumentConflict, problem)));
        }
    }
    Ok(matches)
}

/// Prints what clap has to say, and answers the exit status that goes with it.
fn status(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    match error.print() {
        // Help and the version are an answer. Whoever has closed the pipe knows enough.
        Err(problem) if !error.use_stderr() && problem.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format_args!("cannot write to standard output: {problem}"));
            ExitCode::FAILURE
        }
        _ => code,
    }
}

/// The variable that a value comes from that cannot be read, if it does.
fn origin(error: &clap::Error, settings: &[Setting]) -> Option<String> {
    if error.kind() == ErrorKind::InvalidUtf8 {
        // Which one, clap does not say.
        let wrong = settings.iter().find(|setting| !config::is_text(setting));
        return wrong.map(|setting| setting.variable().to_owned());
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (usage, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let flag = usage.split([' ', '=']).next().unwrap_or_default();
    let setting = settings.iter().find(|setting| setting.flag() == flag)?;
    config::says(setting.variable(), value).then(|| setting.variable().to_owned())
}
