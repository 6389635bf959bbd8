//! `photometa config`: what the settings are, who said so, and what there is to set.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::invocation::{Told, command};
use super::{Failure, complain, print, print_json};
use crate::config::{self, Credentials, Database, Effective, FILE, Listen, Setting, Source};

/// Shows settings. Changes nothing, and asks nobody.
#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print what every setting is for a command that is started like this one, and who said so. Secrets are masked.
    Show(Box<Show>),
    /// Print every setting there is: its names, its default and its meaning.
    Describe {
        /// As a file of settings to start from, with nothing set, instead of a page of Markdown.
        #[arg(long)]
        toml: bool,
    },
}

/// What `config show --help` ends with.
const EXAMPLES: &str = "\
Examples:
  photometa config show --config photometa.toml
  photometa config show --json | jq -r '.settings[] | select(.source != \"default\") | .key'
      What somebody has set.

A flag wins over its variable, the variable over the file, and the file over the default. What `serve` would refuse is told
on standard error.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Show {
    /// Print one JSON document instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    client: config::Client,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown {
    /// The file that was read.
    file: Option<String>,
    settings: Vec<Effective>,
    /// Variables that steer logs and telemetry by their own rules.
    variables: Vec<Standard>,
    /// What `serve` would refuse.
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Standard {
    variable: String,
    value: String,
}

impl Config {
    pub(super) fn run(self, database: &Database, credentials: &Credentials, told: Told) -> Result<(), Failure> {
        match self.what {
            What::Show(show) => {
                let problems = config::contradictions(database, credentials, &show.listen);
                for problem in &problems {
                    complain(&format_args!("serve would refuse this: {problem}"));
                }
                show.run(database, told, problems)
            }
            What::Describe { toml } => {
                let settings = config::settings(&command());
                print(&if toml { template(&settings) } else { page(&settings) })
            }
        }
    }
}

impl Show {
    fn run(&self, database: &Database, told: Told, problems: Vec<String>) -> Result<(), Failure> {
        let mut settings = told.settings;
        for setting in settings.iter_mut().filter(|setting| setting.value.is_none()) {
            // What is computed when nobody says it.
            setting.value = match setting.key.as_str() {
                "data_dir" => Some(database.data_dir().display().to_string()),
                "pool_share" => Some(database.pool().share.to_string()),
                _ => None,
            };
        }
        let variables = config::standard().into_iter().map(|(variable, value)| Standard { variable, value });
        let file = told.file.map(|file| file.display().to_string());
        let shown = Shown { file, settings, variables: variables.collect(), problems };
        if self.json {
            return print_json(&shown);
        }
        print(&table(&shown))
    }
}

fn table(shown: &Shown) -> String {
    let rows: Vec<[String; 3]> = shown
        .settings
        .iter()
        .map(|Effective { key, flag, variable, value, source, line }| {
            let source = match source {
                Source::Flag => format!("flag {flag}"),
                Source::Variable => format!("variable {variable}"),
                Source::File => {
                    format!("{}:{}", shown.file.as_deref().unwrap_or_default(), line.unwrap_or_default())
                }
                Source::Default => "default".to_owned(),
            };
            [key.clone(), value.clone().unwrap_or_else(|| "-".to_owned()), source]
        })
        .chain(
            shown
                .variables
                .iter()
                .map(|Standard { variable, value }| [variable.clone(), value.clone(), format!("variable {variable}")]),
        )
        .collect();
    let width = |column: usize, most: usize| {
        rows.iter().map(|row| row[column].chars().count()).filter(|width| *width <= most).max().unwrap_or_default()
    };
    let (key, value) = (width(0, 40), width(1, 40));
    let mut text = String::new();
    for [name, is, source] in &rows {
        let _ = writeln!(text, "{name:key$}  {is:value$}  {source}");
    }
    text
}

/// The meaning without the brackets of a default that is no one value, and that default.
fn meaning(setting: &Setting) -> (String, Option<String>) {
    let help = setting.help().split_whitespace().collect::<Vec<_>>().join(" ");
    match help.split_once(" [default: ") {
        Some((before, behind)) => {
            let (default, rest) = behind.split_once(']').unwrap_or((behind, ""));
            (format!("{before}{rest}"), Some(default.to_owned()))
        }
        None => (help, setting.default()),
    }
}

fn page(settings: &[Setting]) -> String {
    let mut text = String::new();
    for group in groups(settings) {
        let _ = writeln!(text, "### {group}\n\n| flag | variable | key | default | meaning |\n|---|---|---|---|---|");
        for setting in settings.iter().filter(|setting| setting.group() == group) {
            let (meaning, default) = meaning(setting);
            let default = default.filter(|_| !setting.is_switch()).unwrap_or_else(|| "–".to_owned());
            let key = if setting.key() == FILE { "–".to_owned() } else { format!("`{}`", setting.key()) };
            let _ = writeln!(
                text,
                "| `{}` | `{}` | {key} | {default} | {} |",
                setting.flag(),
                setting.variable(),
                meaning.replace('|', "\\|")
            );
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

fn template(settings: &[Setting]) -> String {
    let mut text = String::from("# Settings of photometa. Flags and PHOTOMETA_… variables win over them.\n");
    let settings: Vec<_> = settings.iter().filter(|setting| setting.key() != FILE).cloned().collect();
    for group in groups(&settings) {
        let _ = writeln!(text, "\n# {group}");
        for setting in settings.iter().filter(|setting| setting.group() == group) {
            let (meaning, default) = meaning(setting);
            let value = match setting.default() {
                Some(number) if number.parse::<i64>().is_ok() || setting.is_switch() => number,
                Some(word) => format!("\"{word}\""),
                None => "\"…\"".to_owned(),
            };
            let otherwise = default.filter(|_| setting.default().is_none());
            let otherwise = otherwise.map(|words| format!(" [default: {words}]")).unwrap_or_default();
            let _ = writeln!(text, "\n# {meaning}{otherwise}\n# {} = {value}", setting.key());
        }
    }
    text
}

fn groups(settings: &[Setting]) -> Vec<&str> {
    let mut groups = Vec::new();
    for setting in settings {
        if !groups.contains(&setting.group()) {
            groups.push(setting.group());
        }
    }
    groups
}
