//! Where a key set is: a file, or a URL that nobody between can change.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;

use super::KeyError;
use crate::tls::is_here;

/// Where a JSON Web Key Set is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// Behind a URL: https, or http on this machine itself.
    Url(Uri),
}

impl fmt::Display for Place {
    /// Without a query, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(uri) => {
                let scheme = uri.scheme_str().unwrap_or_default();
                let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
                write!(f, "{scheme}://{authority}{}", uri.path())
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Place {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::new("it is empty; name a file, or a URL that begins with https://"));
        }
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let uri: Uri = text.parse().map_err(|_| KeyError::new("it is no URL"))?;
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(KeyError::new("the URL names no host, or somebody at it; key sets are public"));
        }
        match uri.scheme_str() {
            Some("https") => Ok(Self::Url(uri)),
            Some("http") if uri.host().is_some_and(is_here) => Ok(Self::Url(uri)),
            Some("http") => Err(KeyError::new(
                "whoever is on the way could put keys of their own into it; use https (http is for this machine itself)",
            )),
            _ => Err(KeyError::new("the URL should begin with https://")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_a_file_or_a_url_that_nobody_between_can_change() {
        for (text, expected) in [
            ("/etc/photometa/jwks.json", true),
            ("jwks.json", true),
            ("https://issuer.example/jwks.json", true),
            ("https://issuer.example:8443/keys?tenant=1", true),
            ("http://localhost:8080/jwks", true),
            ("http://127.0.0.1/jwks", true),
            ("http://127.9.9.9/jwks", true),
            ("http://[::1]:80/jwks", true),
            ("", false),
            ("http://issuer.example/jwks.json", false),
            ("http://localhost.issuer.example/jwks.json", false),
            ("http://10.0.0.1/jwks.json", false),
            ("https://me:password@issuer.example/jwks.json", false),
            ("ftp://issuer.example/jwks.json", false),
            ("file:///etc/jwks.json", false),
            ("https://", false),
        ] {
            assert_eq!(text.parse::<Place>().is_ok(), expected, "{text}");
        }
    }

    #[test]
    fn place_shows_no_query() {
        let place: Place = "https://issuer.example/keys?key=hidden".parse().unwrap();

        assert_eq!(format!("{place} {place:?}"), "https://issuer.example/keys https://issuer.example/keys");
    }
}
