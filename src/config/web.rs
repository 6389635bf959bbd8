//! Settings of browsers.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use http::HeaderValue;
use http::uri::Uri;

/// Which pages may call from a browser.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Browsers")]
pub struct Web {
    /// Pages that may call from browsers, by gRPC-Web: an origin such as https://app.example.com, or * for every page
    /// there is. May be given several times, or as a list with commas. With any, the port takes HTTP/1.1 as well, unless it
    /// speaks TLS, where browsers speak HTTP/2. Callers need a credential all the same.
    #[arg(long, env = "PHOTOMETA_CORS_ALLOW_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
    pub cors_allow_origin: Vec<Origin>,
}

/// Where a page comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Anywhere.
    Any,
    /// A scheme, a host, and a port where it is not the scheme's own: just as browsers write it.
    Exact(HeaderValue),
}

/// Why a text is no origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnOrigin(String);

impl fmt::Display for NotAnOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAnOrigin {}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let wrong = |why: &str| {
            NotAnOrigin(format!("{why}; an origin is such as https://app.example.com or http://localhost:3000"))
        };
        let uri: Uri = text.parse().map_err(|_| wrong("it cannot be read"))?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("it begins with neither http:// nor https://"));
        };
        if authority.host().contains('*') {
            return Err(wrong("there are no patterns; name each origin"));
        }
        // What browsers send is compared letter by letter, so that anything else would never be met.
        let (host, port) = (authority.host().to_ascii_lowercase(), authority.port_u16());
        let default = if scheme == "http" { 80 } else { 443 };
        let port = port.filter(|port| *port != default).map(|port| format!(":{port}")).unwrap_or_default();
        let origin = format!("{scheme}://{host}{port}");
        if text != origin {
            return Err(wrong(&format!("browsers would write {origin}")));
        }
        HeaderValue::from_str(&origin).map(Self::Exact).map_err(|_| wrong("it cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_as_browsers_write_them() {
        for text in ["https://app.example.com", "http://localhost:3000", "http://[::1]:8080", " https://a.b "] {
            assert_eq!(text.parse(), Ok(Origin::Exact(HeaderValue::from_str(text.trim()).unwrap())), "{text}");
        }
        assert_eq!("*".parse(), Ok(Origin::Any));
    }

    #[test]
    fn what_no_browser_would_send_is_refused_with_what_it_would() {
        for (text, word) in [
            ("", "cannot be read"),
            ("app.example.com", "neither http://"),
            ("null", "neither http://"),
            ("https://*.example.com", "no patterns"),
            ("ftp://example.com", "neither http://"),
            ("https://app.example.com/", "browsers would write https://app.example.com;"),
            ("https://App.example.com", "browsers would write https://app.example.com;"),
            ("https://app.example.com:443", "browsers would write https://app.example.com;"),
            ("http://somebody@localhost", "browsers would write http://localhost;"),
        ] {
            let told = text.parse::<Origin>().unwrap_err().to_string();

            assert!(told.contains(word), "{text}: {told}");
        }
    }
}
