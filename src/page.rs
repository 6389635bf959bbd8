//! Keyset pages and their tokens. A token carries the sort key of the last row shown; it is authenticated and
//! bound to the caller's organization and to the request it continues, and needs no state in the server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use opentelemetry::KeyValue;
use prost::Message;
use ring::digest::{SHA256, digest};
use ring::hmac;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::Caller;
use crate::check::{At, Violations};
use crate::contract;
use crate::error::{Error, Result};
use crate::telemetry::{RPC_METHOD, metrics, trace};

/// Rows of a page when the request does not say.
pub const DEFAULT_SIZE: i32 = 50;
/// Most rows of a page.
pub const MAX_SIZE: i32 = 1000;
/// Bytes of items after which a page ends early, so that the response stays below gRPC's 4 MiB.
pub const MAX_BYTES: usize = 3 * 1024 * 1024 + 512 * 1024;

const TAG: usize = 16;
const SCOPE: usize = 8;

/// Makes and reads page tokens. Every replica has the same key, so any of them reads any token.
#[derive(Clone)]
pub struct Pages {
    key: hmac::Key,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pages")
    }
}

/// Which page is asked for. `C` is the sort key of the last row of the page before.
#[derive(Debug)]
pub struct PageRequest<C> {
    /// Most rows of this page.
    pub size: usize,
    /// Only rows after this one.
    pub after: Option<C>,
    /// Which list it is, for metrics.
    rpc: &'static str,
    binding: Binding,
}

impl<C> PageRequest<C> {
    /// How many rows to ask the database for: one more than are shown, to know whether there is a next page.
    pub fn limit(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX) + 1
    }
}

/// What a token belongs to.
#[derive(Debug)]
pub struct Binding {
    organization: [u8; 16],
    scope: [u8; SCOPE],
}

impl Pages {
    /// Derives the token key from the service's secret.
    pub fn new(secret: &[u8]) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"photometa page tokens v1");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    /// Reads `page_size` and `page_token`. `scope` is the request without them (and without its view, which
    /// changes no row): a token continues only the request it came from.
    ///
    /// # Errors
    /// [`Error::PageToken`]; a negative size is a violation.
    pub fn read<C: DeserializeOwned>(
        &self,
        checks: &mut Violations,
        caller: &Caller,
        (size, token): (i32, &str),
        scope: &impl Message,
    ) -> Result<PageRequest<C>> {
        if size < 0 {
            checks.refuse(&At::REQUEST.field("page_size"), format!("is {size}; 0 to {MAX_SIZE} is allowed"));
        }
        let size = if size == 0 { DEFAULT_SIZE } else { size.clamp(1, MAX_SIZE) };
        let (binding, after) = self.resume(caller, "page_token", if checks.is_empty() { token } else { "" }, scope)?;
        let rpc = contract::name(&caller.rpc).unwrap_or(trace::OTHER);
        Ok(PageRequest { size: usize::try_from(size).unwrap_or(1), after, rpc, binding })
    }

    /// Reads a token, if there is one, of the field `field`. `scope` is the request without it.
    ///
    /// # Errors
    /// [`Error::PageToken`].
    pub fn resume<C: DeserializeOwned>(
        &self,
        caller: &Caller,
        field: &'static str,
        token: &str,
        scope: &impl Message,
    ) -> Result<(Binding, Option<C>)> {
        let mut named = caller.rpc.as_bytes().to_vec();
        named.push(0);
        scope.encode(&mut named).map_err(|error| Error::Internal(error.to_string()))?;
        let mut binding = Binding { organization: caller.organization.0.into_bytes(), scope: [0; SCOPE] };
        binding.scope.copy_from_slice(&digest(&SHA256, &named).as_ref()[..SCOPE]);
        let opened = (!token.is_empty()).then(|| self.open(&binding, token)).transpose();
        let after = opened.map_err(|problem| Error::PageToken(field, problem))?;
        Ok((binding, after))
    }

    /// Cuts what the database answered to one page, and names the next one. Rows are converted in order until
    /// the page is full, by number or by bytes.
    pub fn cut<T, C: Serialize, M: Message>(
        &self,
        request: &PageRequest<C>,
        rows: Vec<T>,
        key: impl Fn(&T) -> C,
        show: impl Fn(T) -> M,
    ) -> (Vec<M>, String) {
        let found = rows.len();
        let mut shown = Vec::with_capacity(found.min(request.size));
        let (mut bytes, mut last) = (0, None);
        for row in rows {
            let next = key(&row);
            let message = show(row);
            let size = message.encoded_len() + 8;
            if shown.len() == request.size || (!shown.is_empty() && bytes + size > MAX_BYTES) {
                break;
            }
            bytes += size;
            last = Some(next);
            shown.push(message);
        }
        let rows = u64::try_from(shown.len()).unwrap_or(u64::MAX);
        metrics().page_size.record(rows, &[KeyValue::new(RPC_METHOD, request.rpc)]);
        let token = if shown.len() < found {
            last.map(|key| self.seal(&request.binding, &key)).unwrap_or_default()
        } else {
            String::new()
        };
        (shown, token)
    }

    /// Token: tag, scope, sort key as JSON; in URL-safe base64. The tag covers the organization too.
    pub fn seal(&self, binding: &Binding, key: &impl Serialize) -> String {
        let key = serde_json::to_vec(key).unwrap_or_default();
        let mut token = self.tag(binding.organization, &binding.scope, &key).to_vec();
        token.extend_from_slice(&binding.scope);
        token.extend_from_slice(&key);
        URL_SAFE_NO_PAD.encode(token)
    }

    fn open<C: DeserializeOwned>(&self, binding: &Binding, token: &str) -> Result<C, &'static str> {
        let foreign = || "is not one that this organization was given";
        let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| foreign())?;
        let (tag, rest) = token.split_at_checked(TAG).ok_or_else(foreign)?;
        let (scope, key) = rest.split_at_checked(SCOPE).ok_or_else(foreign)?;
        let expected = self.tag(binding.organization, scope, key);
        if !same(tag, &expected) {
            return Err(foreign());
        }
        if scope != binding.scope {
            return Err("belongs to a request with another filter or order");
        }
        serde_json::from_slice(key).map_err(|_| foreign())
    }

    fn tag(&self, organization: [u8; 16], scope: &[u8], key: &[u8]) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&organization);
        context.update(scope);
        context.update(key);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG]);
        tag
    }
}

/// Compares in a time that does not tell how much is right.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |difference, (l, r)| difference | (l ^ r)) == 0
}
