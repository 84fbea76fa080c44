//! Rejects requests that a page of another site makes a local browser send.
//!
//! In: a request, its host and its [`Purpose`]. Out: nothing, or a [`CrossOrigin`] with the reason. Such a page has two ways:
//!
//! - *Cross-origin requests.* Browsers mark them with `Sec-Fetch-Site` or `Origin`. A marked request is rejected, unless a
//!   person follows a link to a page on the admin port, because the other site cannot read the response.
//! - *DNS rebinding*: the page's own name resolves to 127.0.0.1, so the browser sees the same origin; it then sends `Origin`
//!   with every POST, but not with a GET. The `Host` is still the page's name. So a browser must use an address, `localhost` or
//!   a name of `--allow-host`, and sensitive responses require that of every client. With TLS the certificate has already
//!   proved the name.
//!
//! Senders and scrapers send no browser headers, so they may use any name, such as a Service's. Checking their `Host` too was
//! rejected: an alias in `/etc/hosts` would cost samples, and a browser cannot imitate a sender.

use std::net::IpAddr;

use hyper::header::{
    ACCEPT_LANGUAGE, COOKIE, HeaderName, ORIGIN, REFERER, UPGRADE_INSECURE_REQUESTS, USER_AGENT,
};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, Request};

use crate::sanitize::sanitize;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The host names allowed in requests to a listener, besides addresses and localhost.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts {
    /// In lower case.
    pub allowed: Vec<String>,
    /// Whether TLS proves the host name.
    pub certified: bool,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Remote write.
    Batch,
    /// Queries.
    Query,
    /// Probes and metrics.
    Probe,
    /// Pages for people.
    Page,
}

/// A request that a page of another site may have caused.
#[derive(Debug, thiserror::Error)]
pub enum CrossOrigin {
    /// The browser marks it as cross-origin.
    #[error(
        "cross-origin browser request refused ({said}); a sender must not send Origin or Sec-Fetch-Site"
    )]
    Page {
        /// The header's value.
        said: String,
    },
    /// The host name may be the page's own.
    #[error(
        "host name {name:?} refused, because DNS rebinding may have led a browser here: use an address or localhost, or add the name to --allow-host"
    )]
    Name {
        /// The `Host` header's value.
        name: String,
    },
}

// === impl AllowedHosts ===

impl AllowedHosts {
    /// Checks a request for `host`.
    pub fn admit<B>(
        &self,
        request: &Request<B>,
        host: Option<&Authority>,
        purpose: Purpose,
    ) -> Result<(), CrossOrigin> {
        let headers = request.headers();
        if let Some(said) = crosses(headers, host)
            && !(purpose.is_linked() && is_followed(request))
        {
            return Err(CrossOrigin::Page { said });
        }
        let name = host.map(Authority::host).unwrap_or_default();
        if self.certified || self.has(name) || !(purpose.is_read() || is_browser(headers)) {
            return Ok(());
        }
        let name = sanitize(name);
        Err(CrossOrigin::Name { name })
    }

    /// An address cannot be rebound, and no other host is called localhost.
    fn has(&self, name: &str) -> bool {
        let address = name.trim_start_matches('[').trim_end_matches(']');
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        address.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.allowed.contains(&name)
    }
}

// === impl Purpose ===

impl Purpose {
    /// Whether the response contains data.
    fn is_read(self) -> bool {
        matches!(self, Self::Query | Self::Page)
    }

    /// Whether people follow links to it.
    fn is_linked(self) -> bool {
        matches!(self, Self::Probe | Self::Page)
    }
}

/// The header with which a browser marks a cross-origin request, if any.
fn crosses(headers: &HeaderMap, host: Option<&Authority>) -> Option<String> {
    let sites = headers.get_all(FETCH_SITE).iter();
    let site = |value: &[u8]| value == b"same-origin" || value == b"none";
    let origins = headers.get_all(ORIGIN).iter();
    let own = |value: &[u8]| {
        let authority = value
            .strip_prefix(b"http://")
            .or_else(|| value.strip_prefix(b"https://"));
        authority.zip(host).is_some_and(|(authority, host)| {
            authority.eq_ignore_ascii_case(host.as_str().as_bytes())
        })
    };
    let site = sites
        .map(|value| ("Sec-Fetch-Site", value, site(value.as_bytes())))
        .find(|(_, _, same)| !same);
    let origin = origins
        .map(|value| ("Origin", value, own(value.as_bytes())))
        .find(|(_, _, same)| !same);
    let (name, value, _) = site.or(origin)?;
    let value = sanitize(&String::from_utf8_lossy(value.as_bytes()));
    Some(format!("{name} is {value}"))
}

/// Whether a person followed a link, so that the response fills the window.
fn is_followed<B>(request: &Request<B>) -> bool {
    let says = |name: HeaderName, word: &str| {
        let mut values = request.headers().get_all(name).iter();
        values.next().is_some_and(|value| value == word) && values.next().is_none()
    };
    request.method() == Method::GET
        && !request.headers().contains_key(ORIGIN)
        && says(FETCH_MODE, "navigate")
        && says(FETCH_DEST, "document")
}

/// Whether it has headers that browsers send and senders, scrapers and kubelets do not.
fn is_browser(headers: &HeaderMap) -> bool {
    const THEIRS: [HeaderName; 8] = [
        ORIGIN,
        FETCH_SITE,
        FETCH_MODE,
        FETCH_DEST,
        ACCEPT_LANGUAGE,
        REFERER,
        COOKIE,
        UPGRADE_INSECURE_REQUESTS,
    ];
    let agent = headers.get(USER_AGENT).map(|agent| agent.as_bytes());
    THEIRS.iter().any(|name| headers.contains_key(name))
        || agent.is_some_and(|agent| agent.starts_with(b"Mozilla/"))
}

#[cfg(test)]
mod tests;
