//! What each setting is in the end, and who said so.

use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;

use super::file::File;
use super::mask::masked;
use super::setting::Setting;

/// Who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The command line.
    Flag,
    /// The environment.
    Variable,
    /// The settings' file.
    File,
    /// Nobody.
    Default,
}

/// One setting's value. Secrets are masked.
#[derive(Debug, Clone, Serialize)]
pub struct Effective {
    /// Its name in the file.
    pub key: String,
    /// Its name on the command line.
    pub flag: String,
    /// Its name in the environment.
    pub variable: String,
    /// As it would be written behind the flag; absent when it is not set.
    pub value: Option<String>,
    /// Who said so.
    pub source: Source,
    /// The line of the file that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// What a command was told: every setting that it takes.
pub fn effective(settings: &[Setting], matches: &ArgMatches, file: Option<&File>) -> Vec<Effective> {
    let told = settings.iter().filter_map(|setting| {
        let key = setting.key();
        let raw = matches.try_get_raw(key).ok()?;
        let words: Vec<_> = raw.into_iter().flatten().map(|word| word.to_string_lossy().into_owned()).collect();
        let value = if setting.is_switch() {
            matches.try_get_one::<bool>(key).ok().flatten().map(bool::to_string)
        } else {
            (!words.is_empty()).then(|| words.join(","))
        };
        let line = file.and_then(|file| file.line(key));
        let source = match matches.value_source(key) {
            Some(ValueSource::CommandLine) => Source::Flag,
            Some(ValueSource::EnvVariable) => Source::Variable,
            _ if line.is_some() => Source::File,
            _ => Source::Default,
        };
        Some(Effective {
            key: key.to_owned(),
            flag: setting.flag(),
            variable: setting.variable().to_owned(),
            value: value.map(|value| if setting.is_secret() { masked(key, &value) } else { value }),
            source,
            line: line.filter(|_| source == Source::File),
        })
    });
    told.collect()
}
