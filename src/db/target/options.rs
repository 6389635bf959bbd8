//! libpq's options of TLS, taken out of a connection string of either form; the rest is left to the driver.

use std::borrow::Cow;
use std::path::PathBuf;

use super::TargetError;

/// How far TLS goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// None.
    Disable,
    /// Where the server has it, whoever that is.
    Prefer,
    /// Always, with a server that proves its name.
    Verify,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// The string without them.
    pub(super) rest: String,
    pub(super) mode: Option<Mode>,
    /// Whose authorities are trusted; the system's without one.
    pub(super) root: Option<PathBuf>,
    /// Our own certificate and its key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// Reads a connection string.
///
/// # Errors
/// [`TargetError::Unreadable`] says which option cannot be used, and what can.
pub(super) fn read(text: &str) -> Result<Options, TargetError> {
    let mut found = Found::default();
    let rest = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        url(text, &mut found)?
    } else {
        words(text, &mut found)?
    };
    let Found { mode, root, certificate, key } = found;
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(unreadable("has sslcert and no sslkey; name both or neither")),
        (None, Some(_)) => return Err(unreadable("has sslkey and no sslcert; name both or neither")),
    };
    if mode == Some(Mode::Disable) && (root.is_some() || identity.is_some()) {
        return Err(unreadable("has sslmode=disable and certificates; leave out one of them"));
    }
    Ok(Options { rest, mode, root, identity })
}

#[derive(Default)]
struct Found {
    mode: Option<Mode>,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Found {
    /// Takes an option that is one of TLS, and otherwise tells how the driver calls it; `None` when it was taken.
    fn take<'a>(&mut self, name: &'a str, value: &'a str) -> Result<Option<(&'a str, &'a str)>, TargetError> {
        match (name, value) {
            ("sslmode", "disable") => self.mode = Some(Mode::Disable),
            ("sslmode", "allow" | "prefer") => self.mode = Some(Mode::Prefer),
            ("sslmode", "require" | "verify-full") => self.mode = Some(Mode::Verify),
            ("sslmode", "verify-ca") => {
                return Err(unreadable(
                    "has sslmode=verify-ca, which lets any server of the authority in; use verify-full",
                ));
            }
            ("sslmode", _) => {
                return Err(unreadable("has an unknown sslmode; use disable, prefer, require or verify-full"));
            }
            // libpq's word for what is the default here.
            ("sslrootcert", "system" | "") => {}
            ("sslrootcert", path) => self.root = Some(path.into()),
            ("sslcert", path) => self.certificate = Some(path.into()),
            ("sslkey", path) => self.key = Some(path.into()),
            // A server that takes writes, in libpq's newer words.
            ("target_session_attrs", "primary") => return Ok(Some((name, "read-write"))),
            ("target_session_attrs", "standby") => return Ok(Some((name, "read-only"))),
            _ => return Ok(Some((name, value))),
        }
        Ok(None)
    }
}

fn url(text: &str, found: &mut Found) -> Result<String, TargetError> {
    let Some((before, query)) = text.split_once('?') else { return Ok(text.to_owned()) };
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        // What is no pair, the driver complains of.
        let Some((name, value)) = pair.split_once('=') else {
            kept.push(Cow::Borrowed(pair));
            continue;
        };
        let decoded = decoded(value)?;
        match found.take(name, &decoded)? {
            Some((name, kept_value)) if kept_value != decoded => kept.push(format!("{name}={kept_value}").into()),
            Some(_) => kept.push(pair.into()),
            None => {}
        }
    }
    let separator = if kept.is_empty() { "" } else { "?" };
    Ok(format!("{before}{separator}{}", kept.join("&")))
}

fn decoded(value: &str) -> Result<String, TargetError> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |digit: Option<u8>| char::from(digit?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push(high * 16 + low),
            _ => return Err(unreadable("has a % that is not followed by two hexadecimal digits")),
        }
    }
    String::from_utf8(bytes).map_err(|_| unreadable("has an option that is no UTF-8"))
}

/// `name = value` again and again; a value may be in apostrophes, and a backslash takes the next character as it is.
fn words(text: &str, found: &mut Found) -> Result<String, TargetError> {
    let mut rest = text.chars().peekable();
    let mut kept = String::with_capacity(text.len());
    loop {
        while rest.next_if(|next| next.is_whitespace()).is_some() {}
        let mut name = String::new();
        while let Some(next) = rest.next_if(|next| *next != '=') {
            name.push(next);
        }
        let name = name.trim_end();
        if rest.next().is_none() {
            // What stands there alone, the driver complains of.
            kept.push_str(name);
            return Ok(kept);
        }
        while rest.next_if(|next| next.is_whitespace()).is_some() {}
        let quoted = rest.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match rest.next() {
                None if quoted => return Err(unreadable("has a value whose apostrophe is missing")),
                None => break,
                Some('\'') if quoted => break,
                Some(next) if !quoted && next.is_whitespace() => break,
                Some('\\') => value.extend(rest.next()),
                Some(next) => value.push(next),
            }
        }
        if let Some((name, value)) = found.take(name, &value)? {
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            kept.extend([name, "='", &value, "' "]);
        }
    }
}

fn unreadable(problem: &str) -> TargetError {
    TargetError::Unreadable(problem.to_owned())
}
