//! How AMP, STS and Entra ID are reached: directly, or through a proxy.
//!
//! In: `--https-proxy` and `--no-proxy`. Out: a [`Network`], which gives the [`Proxy`] for each URL, so that all callers agree. The rules of the
//! exceptions are in `no_proxy`. Loopback is never reached through a proxy. User and password of a proxy are kept as the header value, which no
//! `Debug` or `Display` shows.

mod no_proxy;

use std::fmt;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;

use super::error::{Expected, expected};
use super::values;
pub(super) use no_proxy::NoProxy;

const PROXY: &str = "a proxy URL, for example http://proxy.example:3128 or http://user:password@proxy.example:3128, with \
                     special characters in user and password percent-encoded";

/// How endpoints are reached; by default directly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    proxy: Option<(Proxy, Arc<NoProxy>)>,
}

/// A proxy between the program and an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Scheme, host and port only.
    pub url: Uri,
    /// The value of `Proxy-Authorization`, marked as sensitive.
    pub authorization: Option<HeaderValue>,
}

/// Whether a client with a proxy and these exceptions reaches `url` directly.
pub(crate) fn needs_no_proxy(no_proxy: &str, url: &Uri) -> bool {
    url.host().is_some_and(values::is_loopback) || NoProxy::parse(no_proxy).contains(url)
}

// === impl Network ===

impl Network {
    pub(super) fn new(proxy: Proxy, no_proxy: NoProxy) -> Self {
        Self {
            proxy: Some((proxy, Arc::new(no_proxy))),
        }
    }

    /// The proxy, if one is configured.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref().map(|(proxy, _)| proxy)
    }

    /// The exceptions.
    pub(super) fn no_proxy(&self) -> Option<&NoProxy> {
        self.proxy.as_ref().map(|(_, no_proxy)| no_proxy.as_ref())
    }

    /// The proxy for this URL, if any.
    pub(crate) fn proxy_for(&self, url: &Uri) -> Option<&Proxy> {
        let (proxy, no_proxy) = self.proxy.as_ref()?;
        let proxied = !values::is_loopback(url.host()?) && !no_proxy.contains(url);
        proxied.then_some(proxy)
    }
}

// === impl Proxy ===

impl Proxy {
    /// Of a URL with or without a scheme.
    pub(super) fn parse(url: &str) -> Result<Self, Expected> {
        let url = match url.split_once("://") {
            Some((scheme, rest)) => {
                // Schemes are case-insensitive (RFC 3986, section 3.1).
                let scheme = scheme.to_ascii_lowercase();
                if !matches!(scheme.as_str(), "http" | "https") {
                    return expected(format!("{PROXY}; only http and https are supported"));
                }
                format!("{scheme}://{rest}")
            }
            None => format!("http://{url}"),
        };
        let valid = url.parse().is_ok_and(|url: Uri| {
            let host = url.host().unwrap_or_default();
            let port = url.port_u16().map(|port| format!(":{port}"));
            let authority = url.authority().map_or("", |authority| authority.as_str());
            let (_, address) = authority.split_once('@').unwrap_or(("", authority));
            let path = url.path_and_query().map_or("", |path| path.as_str());
            let whole = address == format!("{host}{}", port.unwrap_or_default());
            !host.is_empty() && whole && matches!(path, "" | "/")
        });
        let anywhere = Uri::from_static("https://any.invalid/");
        let matcher = Matcher::builder().https(url.as_str()).build();
        match matcher.intercept(&anywhere) {
            Some(proxy) if valid && !url.contains('#') => Ok(Self {
                url: proxy.uri().clone(),
                authorization: proxy.basic_auth().cloned(),
            }),
            _ => expected(PROXY),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.scheme_str().unwrap_or("http");
        let authority = self.url.authority();
        let authority = authority.map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(url: &str, no_proxy: &str) -> Network {
        Network::new(Proxy::parse(url).unwrap(), NoProxy::parse(no_proxy))
    }

    fn proxy(url: &str, no_proxy: &str, target: &str) -> Option<Proxy> {
        let network = network(url, no_proxy);
        network.proxy_for(&target.parse().unwrap()).cloned()
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
        let network = network("http://me:hunter2@proxy.example:3128", "");
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
            assert!(Proxy::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn no_proxy_follows_curl_and_loopback_needs_no_entry() {
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
