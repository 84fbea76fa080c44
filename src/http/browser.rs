//! What a browser on the same machine may ask for: what a person opens, and nothing that another page has it ask.
//!
//! In: a request, the host that it is for and its [`Purpose`]. Out: nothing, or a [`CrossOrigin`] that says why not. A page
//! of another site can make a browser send here in two ways:
//!
//! - *Across origins.* Browsers then say so, by `Sec-Fetch-Site` or `Origin`. Who says so is refused, but for a link that a
//!   person follows to a page on the admin port, whose answer the other site cannot read.
//! - *By rebinding*: the page's own name is led to 127.0.0.1, so that to the browser this is the same origin; it then
//!   says `Origin` with every POST, and with a GET nothing. But it still calls us by the page's name. So a browser must call
//!   us by an address, by `localhost` or by a name of `--allow-host`, and what is worth reading is not given to anybody who
//!   does not. Where TLS is spoken the certificate has said as much.
//!
//! Senders and scrapers say none of what browsers say, so they may use any name, as a Service's. That `Host` be checked for
//! them too was rejected: an alias in `/etc/hosts` would cost samples, and a browser cannot pass for a sender.

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

/// By which names a listener may be called, beside addresses and localhost.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts {
    /// In lower case.
    pub allowed: Vec<String>,
    /// Whether the certificate has said which name this is.
    pub certified: bool,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To write.
    Batch,
    /// To read a workspace.
    Query,
    /// Probes and metrics.
    Probe,
    /// What people look at.
    Page,
}

/// A request that a page of another site may be behind.
#[derive(Debug, thiserror::Error)]
pub enum CrossOrigin {
    /// The browser says so.
    #[error(
        "a page of another origin had a browser ask for this ({said}), and nothing is given to those; a sender must not send Origin or Sec-Fetch-Site"
    )]
    Page {
        /// What it says.
        said: String,
    },
    /// The name may be the page's own.
    #[error(
        "this was asked for by the name {name:?}, which may be a page's own: use an address or localhost, or name it in --allow-host"
    )]
    Name {
        /// Of the `Host` header.
        name: String,
    },
}

// === impl AllowedHosts ===

impl AllowedHosts {
    /// Whether a request for `host` may have what it asks for.
    ///
    /// # Errors
    /// [`CrossOrigin`].
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

    /// Addresses cannot be led elsewhere, and nobody else is called localhost.
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
    /// Whether the answer is worth reading.
    fn is_read(self) -> bool {
        matches!(self, Self::Query | Self::Page)
    }

    /// Whether people follow links to it.
    fn is_linked(self) -> bool {
        matches!(self, Self::Probe | Self::Page)
    }
}

/// What the browser says of another origin, if it does.
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

/// Whether a person followed a link, so that the answer fills the window.
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

/// Whether it bears anything that browsers send and senders, scrapers and kubelets do not.
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
