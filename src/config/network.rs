//! The way to AMP, STS and Entra: straight, or through a proxy.
//!
//! In: what `--https-proxy` and `--no-proxy` say. Out: a [`Network`], which says of each URL by what [`Proxy`] it is reached,
//! and is asked by both clients, the one for batches and the one for all else, so that they can never disagree. What the
//! exceptions mean is in `exceptions`. What is loopback is never asked of a proxy. A proxy's user and password are kept as
//! the header that they become, which no `Debug` or `Display` shows.

mod exceptions;

use std::fmt;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;

use super::values::{self, Expected};
use exceptions::Exceptions;

const PROXY: &str = "a proxy's URL, as http://proxy.example:3128 or http://user:password@proxy.example:3128, where what is \
                     special in user and password is percent-encoded";

/// The way out; by default straight.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    through: Option<Through>,
}

#[derive(Debug, Clone)]
struct Through {
    proxy: Proxy,
    exceptions: Arc<Exceptions>,
}

/// The proxy on the way to an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Scheme, host and port alone.
    pub url: Uri,
    /// What `Proxy-Authorization` says, marked as sensitive.
    pub authorization: Option<HeaderValue>,
}

// === impl Network ===

impl Network {
    /// Through the proxy at `url`, but to the hosts of `exceptions`.
    pub(super) fn through(url: &str, exceptions: &str) -> Result<Self, Expected> {
        let url = match url.split_once("://") {
            Some((scheme, rest)) => {
                // A scheme is the same in capitals (RFC 3986, 3.1).
                let scheme = scheme.to_ascii_lowercase();
                if !matches!(scheme.as_str(), "http" | "https") {
                    return Err(Expected(format!("{PROXY}; only http and https are spoken")));
                }
                format!("{scheme}://{rest}")
            }
            None => format!("http://{url}"),
        };
        let valid = url.parse().is_ok_and(|url: Uri| {
            let host = url.host().unwrap_or_default();
            let port = url
                .port_u16()
                .map_or(String::new(), |port| format!(":{port}"));
            let place = url.authority().map_or("", |authority| authority.as_str());
            let (_, place) = place.split_once('@').unwrap_or(("", place));
            let path = url.path_and_query().map_or("", |path| path.as_str());
            !host.is_empty() && place == format!("{host}{port}") && matches!(path, "" | "/")
        });
        if !valid || url.contains('#') {
            return Err(Expected(PROXY.to_owned()));
        }
        let anywhere = Uri::from_static("https://any.invalid/");
        let proxy = Matcher::builder()
            .https(url.as_str())
            .build()
            .intercept(&anywhere);
        let Some(proxy) = proxy else {
            return Err(Expected(PROXY.to_owned()));
        };
        let proxy = Proxy {
            url: proxy.uri().clone(),
            authorization: proxy.basic_auth().cloned(),
        };
        Ok(Self {
            through: Some(Through {
                proxy,
                exceptions: Arc::new(Exceptions::read(exceptions)),
            }),
        })
    }

    /// The proxy, whatever it is used for.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        self.through.as_ref().map(|through| &through.proxy)
    }

    /// What is reached straight all the same, as curl writes it.
    #[must_use]
    pub fn exceptions(&self) -> &str {
        self.through
            .as_ref()
            .map_or("", |through| through.exceptions.shown.as_str())
    }

    /// One line for each exception that means nothing.
    pub(super) fn ignored(&self) -> &[String] {
        self.through
            .as_ref()
            .map_or(&[], |through| &through.exceptions.ignored)
    }

    /// By what proxy this URL is reached, if by any.
    #[must_use]
    pub fn proxy_for(&self, url: &Uri) -> Option<&Proxy> {
        let Through { proxy, exceptions } = self.through.as_ref()?;
        let asked = !values::is_loopback(url.host()?) && !exceptions.hold(url);
        asked.then_some(proxy)
    }
}

impl PartialEq for Through {
    fn eq(&self, other: &Self) -> bool {
        self.proxy == other.proxy && self.exceptions.shown == other.exceptions.shown
    }
}

// === impl Proxy ===

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.scheme_str().unwrap_or("http");
        let authority = self
            .url
            .authority()
            .map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str, exceptions: &str, target: &str) -> Option<Proxy> {
        Network::through(url, exceptions)
            .unwrap()
            .proxy_for(&target.parse().unwrap())
            .cloned()
    }

    const AMP: &str =
        "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write";

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let proxy = proxy("http://me:p%40ss%3Aword@proxy.example:3128", "", AMP).unwrap();
        assert_eq!(proxy.to_string(), "http://proxy.example:3128");
        // base64 of "me:p@ss:word"
        assert_eq!(
            proxy.authorization.as_ref().unwrap(),
            "Basic bWU6cEBzczp3b3Jk"
        );
        let network = Network::through("http://me:hunter2@proxy.example:3128", "").unwrap();
        for shown in [format!("{proxy:?}"), format!("{network:?}")] {
            assert!(shown.contains("proxy.example"), "{shown}");
            for secret in ["p@ss", "p%40ss", "hunter2", "bWU6"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn a_scheme_may_be_left_out_and_what_is_no_proxy_is_refused() {
        assert_eq!(
            proxy("proxy:3128", "", AMP).unwrap().to_string(),
            "http://proxy:3128"
        );
        assert_eq!(
            proxy("me:pw@proxy:3128", "", AMP).unwrap().to_string(),
            "http://proxy:3128"
        );
        assert_eq!(
            proxy("HTTP://me:pw@Proxy:3128", "", AMP)
                .unwrap()
                .to_string(),
            "http://Proxy:3128"
        );
        assert_eq!(
            proxy("https://[fd00::1]:3128/", "", AMP)
                .unwrap()
                .to_string(),
            "https://[fd00::1]:3128"
        );
        for wrong in [
            "",
            "http://",
            "socks5://proxy:1080",
            "http://proxy:3128/path",
            "http://proxy:3128/?q",
            "http://a:b@c@proxy:3128",
            "http://me:pass/word@proxy:3128",
            "http://me:pass#word@proxy:3128",
            "http://proxy:port",
        ] {
            assert!(Network::through(wrong, "").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn exceptions_follow_curl_and_loopback_needs_none() {
        for (exceptions, direct) in [
            ("", false),
            ("amazonaws.com", true),
            (".amazonaws.com", true),
            ("*.amazonaws.com", true),
            (
                "localhost, .svc,aps-workspaces.eu-central-1.amazonaws.com",
                true,
            ),
            ("*", true),
            ("azonaws.com", false),
            ("10.0.0.0/8,amazonaws.org", false),
        ] {
            assert_eq!(
                proxy("http://proxy:3128", exceptions, AMP).is_none(),
                direct,
                "{exceptions:?}"
            );
        }
        assert!(
            proxy(
                "http://proxy:3128",
                "10.0.0.0/8,fd00::/8",
                "https://10.2.3.4/"
            )
            .is_none()
        );
        assert!(
            proxy(
                "http://proxy:3128",
                "10.0.0.0/8,fd00::/8",
                "https://[fd00::7]/"
            )
            .is_none()
        );
        assert!(
            proxy(
                "http://proxy:3128",
                "10.0.0.0/8,fd00::/8",
                "https://[fe80::7]/"
            )
            .is_some()
        );
        for local in [
            "https://127.0.0.1:1/",
            "https://[::1]:1/",
            "https://localhost:1/",
        ] {
            assert!(proxy("http://proxy:3128", "", local).is_none(), "{local}");
        }
    }
}
