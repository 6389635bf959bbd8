//! The contract as a page: services with their RPCs, each with its messages, then what several RPCs share.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

const HEAD: &str = "# RPCs

Every RPC of `photometa.v1` with its messages. This page is made of the comments in [proto/photometa/v1](../proto/photometa/v1)
by `just rpcs`; `cargo test` compares it. Commands to try: [cookbook.md](cookbook.md). What is bounded:
[limits.md](limits.md).

Every call but health and reflection carries `authorization: Bearer <JWT>`. Every refusal has a [reason](#reasons). A field
marked *optional* tells 0 and empty from absent.
";

/// Whether a package is the contract's own.
pub fn is_ours(package: &str) -> bool {
    package == "photometa.v1"
}

/// The comment of what stands at a path of a file: its lines joined, with a blank line between paragraphs.
pub fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let places = &file.file_descriptor_proto().source_code_info.as_ref().unwrap().location;
    let text = places.iter().find(|place| place.path == path).map(|place| place.leading_comments().to_owned());
    let text = text.unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|lines| lines.lines().map(str::trim).collect::<Vec<_>>().join(" "));
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// A comment without its closing words on roles, and those.
pub fn roles(comment: &str) -> (String, String) {
    match comment.rsplit_once("Roles: ") {
        Some((text, roles)) => (text.trim().to_owned(), roles.trim().trim_end_matches('.').to_owned()),
        None => (comment.to_owned(), String::new()),
    }
}

struct Page<'a> {
    text: String,
    pool: &'a DescriptorPool,
    /// Reasons by their names without prefix.
    reasons: Vec<String>,
    /// How many RPCs take or answer a message, directly.
    used: BTreeMap<String, usize>,
}

/// Writes the page.
pub fn render(pool: &DescriptorPool) -> String {
    let reasons = pool.get_enum_by_name("photometa.v1.ErrorReason").unwrap();
    let mut page = Page {
        text: HEAD.to_owned(),
        pool,
        reasons: reasons.values().map(|value| reason(value.name()).to_owned()).collect(),
        used: BTreeMap::new(),
    };
    for method in page.methods() {
        for message in [method.input(), method.output()] {
            *page.used.entry(message.full_name().to_owned()).or_default() += 1;
        }
    }
    page.contents();
    page.services();
    page.shared();
    page.reasons(&reasons);
    page.text
}

fn reason(value: &str) -> &str {
    value.trim_start_matches("ERROR_REASON_")
}

/// Where a message or an enum stands on the page.
fn anchor(name: &str) -> String {
    name.to_lowercase()
}

impl Page<'_> {
    fn methods(&self) -> Vec<MethodDescriptor> {
        let ours = self.pool.services().filter(|service| is_ours(service.package_name()));
        ours.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn contents(&mut self) {
        let mut services: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for method in self.methods() {
            let link = format!("[{0}](#{1})", method.name(), anchor(method.name()));
            services.entry(method.parent_service().name().to_owned()).or_default().push(link);
        }
        self.line("\n| service | RPCs |\n|---|---|");
        for (service, rpcs) in services {
            self.line(&format!("| [{service}](#{}) | {} |", anchor(&service), rpcs.join(", ")));
        }
        self.line("\nWhat they share: [messages](#messages), [enums](#enums), [reasons](#reasons).");
    }

    fn services(&mut self) {
        let mut services: Vec<_> = self.pool.services().filter(|service| is_ours(service.package_name())).collect();
        services.sort_by(|a, b| a.name().cmp(b.name()));
        for service in services {
            let about = self.prose(&comment(&service.parent_file(), service.path()));
            self.line(&format!("\n## {}\n\n{about}", service.name()));
            for method in service.methods() {
                self.method(&method);
            }
        }
    }

    fn method(&mut self, method: &MethodDescriptor) {
        let (about, roles) = roles(&comment(&method.parent_file(), method.path()));
        let about = self.prose(&about);
        let link = |message: &MessageDescriptor, streams: bool| {
            let stream = if streams { "stream " } else { "" };
            format!("{stream}[{0}](#{1})", message.name(), anchor(message.name()))
        };
        let taken = link(&method.input(), method.is_client_streaming());
        let answered = link(&method.output(), method.is_server_streaming());
        let (service, name) = (method.parent_service(), method.name());
        self.line(&format!("\n### {name}\n\n{about}\n"));
        self.line(&format!("`{}/{name}` takes {taken} and answers {answered}. Roles: {roles}.", service.full_name()));
        for message in [method.input(), method.output()] {
            self.message(&message);
        }
    }

    fn shared(&mut self) {
        let mut messages: Vec<_> = self
            .pool
            .all_messages()
            .filter(|message| is_ours(message.package_name()) && !message.is_map_entry())
            .collect();
        messages.sort_by(|a, b| a.name().cmp(b.name()));
        self.line("\n## Messages");
        for message in
            messages.iter().filter(|message| !self.used.contains_key(message.full_name())).cloned().collect::<Vec<_>>()
        {
            self.message(&message);
        }
        let mut enums: Vec<_> = self.pool.all_enums().filter(|kind| is_ours(kind.package_name())).collect();
        enums.sort_by(|a, b| a.name().cmp(b.name()));
        self.line("\n## Enums");
        for kind in enums.iter().filter(|kind| kind.name() != "ErrorReason") {
            let about = self.prose(&comment(&kind.parent_file(), kind.path()));
            self.line(&format!("\n<a id=\"{}\"></a>**{}**: {about}\n", anchor(kind.name()), kind.name()));
            self.line("| value | number | meaning |\n|---|---|---|");
            for value in kind.values() {
                let meaning = self.cell(&comment(&kind.parent_file(), value.path()));
                self.line(&format!("| `{}` | {} | {meaning} |", value.name(), value.number()));
            }
        }
    }

    fn message(&mut self, message: &MessageDescriptor) {
        let file = message.parent_file();
        let about = comment(&file, message.path());
        // "The request of X." says what the page says anyway.
        let about = if about.starts_with("The request of ") || about.starts_with("The response of ") {
            about.split_once('.').map(|(_, rest)| rest.trim().to_owned()).unwrap_or_default()
        } else {
            about
        };
        let about = self.prose(&about);
        let name = message.name();
        let head =
            format!("\n<a id=\"{}\"></a>**{name}**{}{about}", anchor(name), if about.is_empty() { "" } else { ": " });
        if message.fields().len() == 0 {
            return self.line(&format!("{head} has no fields."));
        }
        self.line(&format!("{head}\n\n| field | type | meaning |\n|---|---|---|"));
        for field in message.fields() {
            let mut meaning = self.cell(&comment(&file, field.path()));
            if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
                let _ = write!(meaning, " One of `{}`.", oneof.name());
            }
            self.line(&format!("| `{}` | {} | {meaning} |", field.name(), kind(&field)));
        }
    }

    fn reasons(&mut self, reasons: &EnumDescriptor) {
        let about = comment(&reasons.parent_file(), reasons.path());
        self.line(&format!("\n## Reasons\n\n<a id=\"errorreason\"></a>{about}\n\n| reason | meaning |\n|---|---|"));
        for value in reasons.values().filter(|value| value.number() != 0) {
            let (name, meaning) = (reason(value.name()), self.cell(&comment(&reasons.parent_file(), value.path())));
            self.line(&format!("| <a id=\"{}\"></a>`{name}` | {meaning} |", anchor(name)));
        }
    }

    /// Text of a comment as Markdown: reasons are links, and what looks like markup is none.
    fn prose(&self, text: &str) -> String {
        let mut out = String::new();
        for (number, part) in text.split('`').enumerate() {
            if number % 2 == 1 {
                let _ = write!(out, "`{part}`");
                continue;
            }
            let mut word = String::new();
            for character in part.chars().chain(['\0']) {
                if character.is_ascii_alphanumeric() || character == '_' {
                    word.push(character);
                    continue;
                }
                if self.reasons.contains(&word) && word.contains('_') {
                    let _ = write!(out, "[{word}](#{})", anchor(&word));
                } else {
                    out.push_str(&word);
                }
                word.clear();
                match character {
                    '\0' => {}
                    '<' => out.push_str("&lt;"),
                    '*' | '[' | ']' | '|' => out.extend(['\\', character]),
                    _ => out.push(character),
                }
            }
        }
        out
    }

    fn cell(&self, text: &str) -> String {
        self.prose(text).replace("\n\n", "<br>")
    }
}

/// The type of a field, with a link where the page has it.
fn kind(field: &FieldDescriptor) -> String {
    let link = |name: &str, full: &str, package: &str| {
        if is_ours(package) { format!("[{name}](#{})", anchor(name)) } else { format!("`{full}`") }
    };
    let name = match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => {
            return format!(
                "map of {} to {}",
                kind(&entry.map_entry_key_field()),
                kind(&entry.map_entry_value_field())
            );
        }
        Kind::Message(message) => link(message.name(), message.full_name(), message.package_name()),
        Kind::Enum(kind) => link(kind.name(), kind.full_name(), kind.package_name()),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    match () {
        () if field.is_list() => format!("repeated {name}"),
        () if field.field_descriptor_proto().proto3_optional() => format!("{name}, *optional*"),
        () => name,
    }
}
