//! How the bytes of a key or a key set are had: from a file, or over HTTP within bounds of time and size.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::KeyError;
use crate::tls::Trust;

/// Longest file or answer, in bytes.
const MOST_BYTES: usize = 1024 * 1024;
/// Longest time of a fetch, its connection and its last byte included.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was had.
#[derive(Debug)]
pub(super) struct Fetched {
    pub bytes: Bytes,
    /// How long it says that it is good.
    pub max_age: Option<Duration>,
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read, is no file, or is too long.
pub(super) async fn file(path: &Path) -> Result<Fetched, KeyError> {
    let failed = |error: std::io::Error| KeyError::new(format!("it cannot be read: {error}"));
    let metadata = tokio::fs::metadata(path).await.map_err(failed)?;
    if !metadata.is_file() {
        return Err(KeyError::new("it is no file"));
    }
    if metadata.len() > MOST_BYTES as u64 {
        return Err(too_long());
    }
    let bytes = Bytes::from(tokio::fs::read(path).await.map_err(failed)?);
    Ok(Fetched { bytes, max_age: None })
}

/// Gets a URL. Redirects are not followed: they could lead anywhere.
///
/// # Errors
/// When there is no answer in time, another one than 200, or one that is too long.
pub(super) async fn url(uri: &Uri, trust: &Trust) -> Result<Fetched, KeyError> {
    let got = tokio::time::timeout(PATIENCE, get(uri, trust)).await;
    got.unwrap_or_else(|_| Err(KeyError::new(format!("it did not answer within {PATIENCE:?}"))))
}

async fn get(uri: &Uri, trust: &Trust) -> Result<Fetched, KeyError> {
    // Made each time, so that authorities may change, too.
    let tls = trust.client(None).map_err(|error| KeyError::new(error.to_string()))?;
    let connector =
        hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build::<_, Empty<Bytes>>(connector);
    let request = Request::get(uri).header(ACCEPT, "application/jwk-set+json, application/json");
    let request = request.body(Empty::new()).map_err(|error| KeyError::new(error.to_string()))?;
    let answer = client.request(request).await.map_err(|error| KeyError::new(told(&error)))?;
    match answer.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => {
            return Err(KeyError::new(format!(
                "it answered {status}; redirects are not followed: name the place itself"
            )));
        }
        status => return Err(KeyError::new(format!("it answered {status}"))),
    }
    let max_age = max_age(answer.headers());
    let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await;
    let bytes = body.map_err(|error| match error.downcast::<http_body_util::LengthLimitError>() {
        Ok(_) => too_long(),
        Err(error) => KeyError::new(told(error.as_ref())),
    })?;
    Ok(Fetched { bytes: bytes.to_bytes(), max_age })
}

fn too_long() -> KeyError {
    KeyError::new(format!("it is longer than {MOST_BYTES} bytes"))
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get(CACHE_CONTROL)?.to_str().ok()?;
    let seconds = directives.split(',').find_map(|directive| directive.trim().strip_prefix("max-age="))?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

/// An error and what it comes from.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn max_age_is_read_among_other_directives() {
        for (text, expected) in [
            ("max-age=60", Some(60)),
            ("public, max-age=900, must-revalidate", Some(900)),
            ("no-cache", None),
            ("max-age=soon", None),
            ("s-maxage=5", None),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(text))]);

            assert_eq!(max_age(&headers), expected.map(Duration::from_secs), "{text}");
        }
    }
}
