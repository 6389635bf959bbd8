//! Which service account a client's certificate stands for: a file of JSON that an operator writes.

use std::collections::HashMap;

use serde::Deserialize;
use uuid::Uuid;

use crate::error::CredentialProblem;

/// Something that a certificate is known by. The kinds are kept apart: a DNS name is never taken for a URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// An alternative name of the kind URI, such as spiffe://example.com/uploader.
    Uri(String),
    /// An alternative name of the kind DNS, in lower case.
    Dns(String),
    /// The SHA-256 of the whole certificate.
    Sha256([u8; 32]),
}

/// A service account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) sub: Uuid,
    pub(super) org: Uuid,
}

/// The accounts by what certificates are known by.
#[derive(Debug, Default)]
pub(super) struct Identities(HashMap<Identity, Account>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    identities: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    uri: Option<String>,
    dns: Option<String>,
    sha256: Option<String>,
    sub: Uuid,
    org: Uuid,
}

impl Entry {
    fn identity(&self) -> Result<Identity, &'static str> {
        match (&self.uri, &self.dns, &self.sha256) {
            (Some(uri), None, None) if !uri.is_empty() => Ok(Identity::Uri(uri.clone())),
            (None, Some(name), None) if !name.is_empty() => Ok(Identity::Dns(name.to_ascii_lowercase())),
            (None, None, Some(hex)) => {
                fingerprint(hex).map(Identity::Sha256).ok_or("has a sha256 that is not 64 hexadecimal digits")
            }
            _ => Err("needs exactly one of uri, dns and sha256"),
        }
    }
}

impl Identities {
    /// Reads the file.
    ///
    /// # Errors
    /// Says what is wrong, and with which entry, counted from 1.
    pub(super) fn read(json: &[u8]) -> Result<Self, String> {
        let File { identities } = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut accounts = HashMap::new();
        for (entry, number) in identities.into_iter().zip(1..) {
            let identity = entry.identity().map_err(|problem| format!("entry {number} {problem}"))?;
            if entry.org.is_nil() {
                return Err(format!("entry {number} has a nil org"));
            }
            if accounts.insert(identity, Account { sub: entry.sub, org: entry.org }).is_some() {
                return Err(format!("entry {number} is of an identity that an earlier entry has"));
            }
        }
        Ok(Self(accounts))
    }

    /// The account of a certificate that is known by these, if any is known. Two accounts for one certificate are a
    /// mistake in the file, and nobody then: which one was meant, nobody can tell.
    pub(super) fn account(&self, identities: &[Identity]) -> Option<Result<Account, CredentialProblem>> {
        let mut found = identities.iter().filter_map(|identity| self.0.get(identity));
        let first = found.next()?;
        if found.any(|other| other != first) {
            return Some(Err(CredentialProblem::Invalid("is a certificate that stands for two service accounts")));
        }
        Some(Ok(*first))
    }
}

/// Reads a fingerprint as openssl prints it, or without colons.
fn fingerprint(hex: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b':').collect();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00000000-0000-4000-8000-000000000001";
    const TWO: &str = "00000000-0000-4000-8000-000000000002";

    fn entry(identity: &str, sub: &str) -> String {
        format!(r#"{{{identity}, "sub": "{sub}", "org": "{TWO}"}}"#)
    }

    fn read(entries: &[String]) -> Result<Identities, String> {
        Identities::read(format!(r#"{{"identities": [{}]}}"#, entries.join(", ")).as_bytes())
    }

    #[test]
    fn account_keeps_the_kinds_of_names_apart() {
        let known =
            read(&[entry(r#""uri": "spiffe://a/b""#, ONE), entry(r#""dns": "Worker.example.com""#, TWO)]).unwrap();
        let account = |identity| known.account(&[identity]).map(|found| found.unwrap().sub.to_string());

        assert_eq!(account(Identity::Uri("spiffe://a/b".to_owned())).as_deref(), Some(ONE));
        assert_eq!(account(Identity::Dns("worker.example.com".to_owned())).as_deref(), Some(TWO));
        assert_eq!(account(Identity::Dns("spiffe://a/b".to_owned())), None);
        assert_eq!(account(Identity::Sha256([0; 32])), None);
    }

    #[test]
    fn account_is_nobody_for_a_certificate_with_two() {
        let known =
            read(&[entry(r#""uri": "u""#, ONE), entry(r#""dns": "d""#, TWO), entry(r#""dns": "e""#, ONE)]).unwrap();
        let of = |dns: &str| known.account(&[Identity::Uri("u".to_owned()), Identity::Dns(dns.to_owned())]);

        assert!(matches!(of("d"), Some(Err(CredentialProblem::Invalid(_)))));
        assert!(matches!(of("e"), Some(Ok(_))), "both are the same account");
    }

    #[test]
    fn read_takes_fingerprints_as_openssl_prints_them() {
        let colons = ["AB"; 32].join(":");
        for hex in [colons, "ab".repeat(32)] {
            let known = read(&[entry(&format!(r#""sha256": "{hex}""#), ONE)]).unwrap();

            assert!(known.account(&[Identity::Sha256([0xab; 32])]).is_some(), "{hex}");
        }
    }

    #[test]
    fn read_says_which_entry_is_wrong() {
        let good = entry(r#""dns": "d""#, ONE);
        for (bad, word) in [
            (entry(r#""dns": "d""#, TWO), "entry 2 is of an identity that an earlier entry has"),
            (entry(r#""dns": "a", "uri": "b""#, ONE), "entry 2 needs exactly one of"),
            (entry(r#""dns": """#, ONE), "entry 2 needs exactly one of"),
            (entry(r#""sha256": "00""#, ONE), "entry 2 has a sha256"),
            (entry(r#""dns": "x", "role": "org_admin""#, ONE), "unknown field `role`"),
            (entry(r#""dns": "x""#, "me"), "UUID"),
        ] {
            let problem = read(&[good.clone(), bad]).unwrap_err();

            assert!(problem.contains(word), "{word} in {problem}");
        }
    }
}
