//! Rules of the house for the source tree: who may know whom, how long files are, and what must be said.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use photometa::db::migrate::VERSIONS;
use photometa::pb::ErrorReason;
use prost_reflect::{EnumDescriptor, MessageDescriptor, ServiceDescriptor};

use crate::rpcs::POOL;

/// Modules that belong to one resource each.
const RESOURCES: [&str; 8] = ["organization", "user", "project", "photo", "detection", "tag", "feedback", "training"];

/// What a resource may know of another one.
const NEIGHBOURS: [(&str, &str); 10] = [
    // View FULL.
    ("photo/service.rs", "tag"),
    ("photo/service.rs", "detection"),
    // Photos are found by tags and detections.
    ("photo/filter.rs", "tag"),
    ("photo/filter.rs", "detection"),
    // A verdict is about a detection, shows on it, and corrects its objects.
    ("feedback/", "detection"),
    // Training data are detections as they stood, by the answers before that.
    ("training/", "detection"),
    ("training/reader.rs", "feedback"),
    ("feedback/service.rs", "training"),
    // Operators see the backlogs of all organizations.
    ("detection/backlog/watch.rs", "organization"),
    // It tells the limits of the others.
    ("session/service.rs", "*"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder of the crate.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            // What the examples generate and install is nobody's prose.
            let generated = ["stubs", "__pycache__", "node_modules"].iter().any(|name| path.ends_with(name));
            if !path.is_dir() {
                found.push(path);
            } else if !generated {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A file of `src`: its path below it, and its code without comments and unit tests.
struct Source {
    path: String,
    code: String,
}

impl Source {
    fn is(&self, name: &str) -> bool {
        self.path.ends_with(&format!("/{name}"))
    }

    /// Its resource, if it belongs to one.
    fn resource(&self) -> Option<&'static str> {
        let (folder, _) = self.path.split_once('/')?;
        RESOURCES.into_iter().chain(["session"]).find(|resource| *resource == folder)
    }

    /// The modules of this crate that it names: `auth`, `db`, `pb` …
    fn knows(&self) -> BTreeSet<String> {
        let named = self.code.split("crate::").skip(1).flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => heads(group),
            None => vec![word(rest)],
        });
        named.filter(|name| !name.is_empty()).collect()
    }

    fn names(&self, module: &str) -> bool {
        let path = format!("{module}::");
        self.code
            .match_indices(&path)
            .any(|(at, _)| !self.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    }
}

/// The first words of the members of a `use` group.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut start) = (0, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                heads.push(word(group[start..at].trim()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn sources() -> Vec<Source> {
    let folder = root().join("src");
    let sources = files("src").into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        Source { path: path.strip_prefix(&folder).unwrap().display().to_string(), code: code.join("\n") }
    };
    sources.map(read).collect()
}

/// All code of the crate.
pub fn code() -> String {
    sources().into_iter().map(|source| source.code).collect()
}

/// Asserts that no file breaks a rule.
fn none<'a>(rule: &str, broken: impl Iterator<Item = &'a Source>) {
    let broken: Vec<_> = broken.map(|source| &source.path).collect();
    assert!(broken.is_empty(), "{rule}: {broken:?}");
}

#[test]
fn sources_are_read_as_they_are_written() {
    let code = "use crate::{a, b::{c, d}, e};\nuse crate::f::{g};\ncrate::h!()".to_owned();
    let knows = Source { path: String::new(), code }.knows();

    assert_eq!(knows.into_iter().collect::<Vec<_>>(), ["a", "b", "e", "f", "h"]);
    assert!(sources().len() > 60);
}

#[test]
fn model_knows_neither_wire_nor_database() {
    let sources = sources();
    let models = sources.iter().filter(|source| source.is("model.rs"));
    none(
        "model knows wire or database",
        models.filter(|source| {
            let knows = source.knows();
            ["pb", "db", "error", "check", "page"].iter().any(|module| knows.contains(*module))
                || ["pb", "tonic", "tokio_postgres", "prost", "prost_types"].iter().any(|module| source.names(module))
        }),
    );
}

#[test]
fn queries_know_no_wire_and_convert_knows_no_database() {
    let sources = sources();
    let resources = || sources.iter().filter(|source| source.resource().is_some());
    let sql = resources().filter(|source| source.knows().contains("sql"));
    none(
        "a file with SQL knows the wire",
        sql.filter(|source| {
            source.knows().contains("pb") || ["pb", "tonic", "prost"].iter().any(|name| source.names(name))
        }),
    );
    none(
        "convert knows the database",
        resources().filter(|source| source.is("convert.rs")).filter(|source| {
            source.knows().contains("db") || ["tokio_postgres", "query", "tonic"].iter().any(|name| source.names(name))
        }),
    );
    none(
        "SQL outside of query, member and write",
        resources().filter(|source| source.knows().contains("sql")).filter(|source| {
            !["query.rs", "member.rs"].iter().any(|name| source.is(name))
                && !source.path.contains("write")
                && !source.path.contains("/query/")
        }),
    );
}

#[test]
fn resources_know_one_another_only_where_it_is_said() {
    for source in sources() {
        let Some(own) = source.resource() else { continue };
        for other in RESOURCES.into_iter().filter(|other| *other != own && source.knows().contains(*other)) {
            let allowed = NEIGHBOURS
                .iter()
                .any(|(path, neighbour)| source.path.starts_with(path) && (*neighbour == other || *neighbour == "*"));
            assert!(allowed, "{} knows {other}", source.path);
        }
    }
}

#[test]
fn nothing_but_the_command_line_knows_the_server() {
    let sources = sources();
    let outside = sources.iter().filter(|source| !source.path.starts_with("server/") && source.path != "lib.rs");
    none(
        "knows the server",
        outside.clone().filter(|source| !source.path.starts_with("cli/") && source.knows().contains("server")),
    );
    none(
        "knows the command line",
        outside.filter(|source| {
            !source.path.starts_with("cli") && source.path != "main.rs" && source.knows().contains("cli")
        }),
    );
}

#[test]
fn only_error_makes_statuses() {
    let makes = |source: &&Source| {
        let calls = source.code.split("Status::").skip(1).map(word);
        calls
            .into_iter()
            .any(|name| name.starts_with(char::is_lowercase) && !["from", "from_header_map"].contains(&name.as_str()))
    };
    let sources = sources();
    // Clients receive statuses; tonic_types::Status and ServingStatus are other things.
    let server = sources.iter().filter(|source| source.path != "error.rs" && !source.path.starts_with("cli/"));
    none("makes a status", server.filter(makes));
}

#[test]
fn only_config_and_telemetry_read_the_environment() {
    let reads = |source: &&Source| {
        ["env::var", "env::vars", "env::var_os", "option_env!"].iter().any(|call| source.code.contains(call))
    };
    let sources = sources();
    let readers = |path: &str| ["config.rs", "telemetry.rs"].contains(&path) || path.starts_with("config/");
    let others = sources.iter().filter(|source| !readers(&source.path));
    none("reads the environment", others.filter(reads));
}

/// The compiler refuses unsafe code, and clippy what is not justified, unless a file says otherwise.
#[test]
fn only_the_starter_of_postgresql_is_unsafe() {
    let word = ["un", "safe"].concat();
    let written = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        let mut words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && !"_-".contains(c)));
        words.any(|found| {
            found == word || found == format!("{word}_code") || found.starts_with(&format!("undocumented_{word}"))
        })
    };
    let rust = ["src", "tests", "benches", "fuzz"].into_iter().flat_map(files);
    let rust = rust.chain([root().join("build.rs")]).filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let found: Vec<_> =
        rust.filter(written).map(|path| path.strip_prefix(root()).unwrap().display().to_string()).collect();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();

    assert_eq!(found, ["src/db/embedded/process.rs"]);
    for lint in [format!("{word}_code = \"deny\""), format!("undocumented_{word}_blocks = \"deny\"")] {
        assert!(manifest.contains(&lint), "Cargo.toml does not say {lint}");
    }
}

#[test]
fn sql_is_static() {
    let verbs = ["select", "insert", "update", "delete"];
    let makes = |source: &&Source| verbs.iter().any(|verb| source.code.contains(&format!("format!(\"{verb} ")));
    let sources = sources();
    none("makes SQL out of parts", sources.iter().filter(|source| source.resource().is_some()).filter(makes));
}

#[test]
fn every_module_says_what_it_is_for_in_five_lines() {
    for path in
        ["src", "tests", "fuzz"].into_iter().flat_map(files).filter(|path| path.extension().is_some_and(|e| e == "rs"))
    {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().take_while(|line| line.starts_with("//!")).count();
        let most = if path.ends_with("src/lib.rs") { 20 } else { 5 };
        assert!((1..=most).contains(&lines), "{} begins with {lines} lines of //!", path.display());
    }
}

#[test]
fn no_file_is_longer_than_it_may_be() {
    let folders = ["src", "tests", "proto", "migrations", "benches", "examples", "fuzz/src", "fuzz/tests"];
    let prose = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let lengths = folders.into_iter().flat_map(files).filter(|path| !prose(path)).map(|path| {
        let lines = fs::read_to_string(&path).map(|text| text.lines().count()).unwrap_or_default();
        (lines, path)
    });
    // A service has one file of the contract: where a message stands is part of what clients generate from it.
    let most = |path: &PathBuf| if path.extension().is_some_and(|extension| extension == "proto") { 600 } else { 400 };
    let long: Vec<_> = lengths.filter(|(lines, path)| *lines > most(path)).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn every_migration_is_listed_with_its_undo() {
    let stems = |folder: &str, prefix: char| -> Vec<String> {
        let names =
            fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let stems = names
            .filter(|name| name.starts_with(prefix))
            .filter_map(|name| name.strip_suffix(".sql").map(str::to_owned));
        stems.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let listed: Vec<_> = VERSIONS.iter().map(|version| version.name.to_owned()).collect();

    assert_eq!(stems("migrations", 'V'), listed);
    assert_eq!(stems("migrations/undo", 'U'), listed.iter().map(|name| name.replacen('V', "U", 1)).collect::<Vec<_>>());
    for (index, version) in VERSIONS.iter().enumerate() {
        assert!(version.name.starts_with(&format!("V{:04}__", index + 1)), "{}", version.name);
        assert!(
            version.up.starts_with("--") && version.up.contains("Undo: undo/U"),
            "{} explains nothing",
            version.name
        );
    }
}

#[test]
fn every_error_reason_is_used() {
    let error: String =
        sources().into_iter().filter(|source| source.path.starts_with("error")).map(|source| source.code).collect();
    for number in 1.. {
        let Ok(reason) = ErrorReason::try_from(number) else { break };
        assert!(error.contains(&format!("ErrorReason::{reason:?}")), "{reason:?} is never sent");
    }
}

#[test]
fn everything_in_the_contract_has_a_comment() {
    let mut silent = Vec::new();
    for message in
        POOL.all_messages().filter(|message| message.package_name() == "photometa.v1" && !message.is_map_entry())
    {
        silent.extend(uncommented_message(&message));
    }
    for kind in POOL.all_enums().filter(|kind| kind.package_name() == "photometa.v1") {
        silent.extend(uncommented_enum(&kind));
    }
    for service in POOL.services().filter(|service| service.package_name() == "photometa.v1") {
        silent.extend(uncommented_service(&service));
    }

    assert!(silent.is_empty(), "{silent:?}");
}

fn commented(file: &prost_reflect::FileDescriptor, path: &[i32]) -> bool {
    let places = &file.file_descriptor_proto().source_code_info.as_ref().unwrap().location;
    places.iter().any(|place| {
        place.path == path
            && (!place.leading_comments().trim().is_empty() || !place.trailing_comments().trim().is_empty())
    })
}

fn uncommented_message(message: &MessageDescriptor) -> Vec<String> {
    let file = message.parent_file();
    let fields =
        message.fields().filter(|field| !commented(&file, field.path())).map(|field| field.full_name().to_owned());
    let own = (!commented(&file, message.path())).then(|| message.full_name().to_owned());
    fields.chain(own).collect()
}

fn uncommented_enum(kind: &EnumDescriptor) -> Vec<String> {
    let file = kind.parent_file();
    let values =
        kind.values().filter(|value| !commented(&file, value.path())).map(|value| value.full_name().to_owned());
    let own = (!commented(&file, kind.path())).then(|| kind.full_name().to_owned());
    values.chain(own).collect()
}

fn uncommented_service(service: &ServiceDescriptor) -> Vec<String> {
    let file = service.parent_file();
    let rpcs = service.methods().filter(|rpc| !commented(&file, rpc.path())).map(|rpc| rpc.full_name().to_owned());
    let own = (!commented(&file, service.path())).then(|| service.full_name().to_owned());
    rpcs.chain(own).collect()
}
