//! The settings' file: TOML, one `key = value` for each setting, under the name of its flag with underscores. What it says
//! stands in for the defaults, so that flags and variables win over it and the command line's own rules hold for it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Command;
use toml::de::{DeTable, DeValue};

use super::setting::{FILE, Setting, nearest};

/// What a file says.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    values: BTreeMap<String, Entry>,
    /// Whether others on this machine may read it, and a secret in it.
    exposed: bool,
}

#[derive(Debug)]
struct Entry {
    line: usize,
    values: Vec<String>,
}

impl File {
    /// Reads a file of these settings.
    ///
    /// # Errors
    /// Everything that is wrong with it, one problem a line, each with its place. Never a value: it may be a secret.
    pub fn read(path: &Path, settings: &[Setting]) -> Result<Self, String> {
        let name = path.display();
        let unreadable =
            |error| format!("{name}: the file of settings cannot be read: {error}; see PHOTOMETA_CONFIG or --config");
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let mode = fs::metadata(path).map_err(unreadable)?.mode();
        let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;

        let table = DeTable::parse(&text).map_err(|error| {
            let place = error.span().map_or(1, |span| line(span.start));
            format!("{name}:{place}: {}", error.message().trim_end())
        })?;
        let (mut values, mut problems) = (BTreeMap::new(), Vec::new());
        for (key, value) in table.get_ref() {
            let place = line(key.span().start);
            match entry(key.get_ref(), value.get_ref(), settings) {
                Ok(given) => {
                    values.insert(key.get_ref().to_string(), Entry { line: place, values: given });
                }
                Err(problem) => problems.push((place, problem)),
            }
        }
        if !problems.is_empty() {
            problems.sort();
            let lines: Vec<_> = problems.iter().map(|(place, problem)| format!("{name}:{place}: {problem}")).collect();
            return Err(lines.join("\n"));
        }
        let secret = settings.iter().any(|setting| setting.is_secret() && values.contains_key(setting.key()));
        Ok(Self { path: path.to_owned(), values, exposed: secret && mode & 0o077 != 0 })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// In which line it says what a setting is, if it does.
    pub fn line(&self, key: &str) -> Option<usize> {
        self.values.get(key).map(|entry| entry.line)
    }

    /// What its owner should know.
    pub fn warning(&self) -> Option<String> {
        let path = self.path.display();
        self.exposed
            .then(|| format!("{path} has secrets in it, and others on this machine may read it; chmod 600 {path}"))
    }

    /// The command with what the file says in place of its defaults.
    pub fn feed(&self, command: Command) -> Command {
        let told = |arg: clap::Arg| match self.values.get(arg.get_id().as_str()) {
            Some(entry) if arg.get_env().is_some() => arg.default_values(entry.values.clone()),
            _ => arg,
        };
        command.mut_args(told).mut_subcommands(|command| self.feed(command))
    }
}

/// The values of one key.
fn entry(key: &str, value: &DeValue<'_>, settings: &[Setting]) -> Result<Vec<String>, String> {
    if key == FILE {
        return Err(format!("{key} cannot be set here: it says which file is read"));
    }
    let Some(setting) = settings.iter().find(|setting| setting.key() == key) else {
        return Err(unknown(key, value, settings));
    };
    let given = match value {
        DeValue::Boolean(value) if setting.is_switch() => vec![value.to_string()],
        _ if setting.is_switch() => return Err(format!("{key} is {}; it should be true or false", value.type_str())),
        DeValue::Array(values) if setting.is_list() => {
            values.iter().map(|value| scalar(setting, value.get_ref())).collect::<Result<_, _>>()?
        }
        value => vec![scalar(setting, value)?],
    };
    Ok(given)
}

fn unknown(key: &str, value: &DeValue<'_>, settings: &[Setting]) -> String {
    if value.is_table() {
        return format!("there is no section [{key}]: settings stand side by side, without sections");
    }
    let plain = key.replace('-', "_").to_lowercase();
    let plain = plain.strip_prefix("photometa_").unwrap_or(&plain);
    match nearest(plain, settings.iter().map(Setting::key).filter(|key| *key != FILE)) {
        Some(name) => format!("there is no setting {key}; did you mean {name}?"),
        None => format!("there is no setting {key}; `photometa config describe` lists them"),
    }
}

/// One value as the command line would have it, of the kind that the setting is.
fn scalar(setting: &Setting, value: &DeValue<'_>) -> Result<String, String> {
    let (key, kind) = (setting.key(), value.type_str());
    let given = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Integer(number) => {
            let number = i128::from_str_radix(&number.as_str().replace('_', ""), number.radix());
            number.map_err(|_| format!("{key}: the number cannot be read"))?.to_string()
        }
        DeValue::Float(number) => number.as_str().replace('_', ""),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return Err(format!("{key} is {kind}; it should be one value"));
        }
    };
    setting.check(&given).map_err(|problem| format!("{key}: {problem}"))?;
    match value {
        DeValue::String(_) if setting.is_number() => {
            Err(format!("{key} is {kind}; it should be a number, without quotes"))
        }
        DeValue::String(_) => Ok(given),
        DeValue::Integer(_) if setting.is_number() => Ok(given),
        _ => Err(format!("{key} is {kind}; it should be in quotes")),
    }
}
