//! Whether IAM can take an issuer as an OIDC provider.
//!
//! In: a token's `iss`, or the URL that somebody wants to register. Out: why IAM cannot take it, if so. IAM wants an https URL without
//! a port, and AWS reads the documents behind it from the internet (CreateOpenIDConnectProvider in IAM's API reference). A loopback
//! address is left out: only a stand-in for STS can be asked about such a token.

use std::net::IpAddr;

use hyper::Uri;

use crate::remedies::Remedy;
use crate::remedies::first_hour::{ISSUER_INTERNAL, ISSUER_UNFIT};

/// What the discovery document's URL has after the issuer's.
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Ends of names that no public resolver knows.
const PRIVATE_NAMES: [&str; 7] = [
    ".cluster.local",
    ".corp",
    ".home.arpa",
    ".internal",
    ".lan",
    ".local",
    ".svc",
];

/// Why IAM cannot take an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitIssuer {
    #[error("it is not a URL")]
    NotAUrl,
    #[error("it is not https")]
    NotHttps,
    #[error("it has the port {0}")]
    Port(u16),
    #[error("{0} is a private address, which AWS cannot reach")]
    PrivateAddress(IpAddr),
    /// A name of this cluster or network.
    #[error("{0} is known only inside the cluster or network")]
    PrivateName(String),
    #[error("it is the URL of the discovery document, not of the issuer, {0}")]
    Discovery(String),
}

impl UnfitIssuer {
    /// `None` if IAM can take it.
    #[must_use]
    pub fn of(issuer: &str) -> Option<Self> {
        let Ok(url) = issuer.parse::<Uri>() else {
            return Some(Self::NotAUrl);
        };
        let Some(host) = url.host() else {
            return Some(Self::NotAUrl);
        };
        let host = host
            .trim_matches(['[', ']'])
            .trim_end_matches('.')
            .to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return None;
        }
        if let Some(address) = address.filter(is_private) {
            return Some(Self::PrivateAddress(address));
        }
        let is_private_name = !host.contains('.')
            || PRIVATE_NAMES.iter().any(|end| host.ends_with(end))
            || host.starts_with("kubernetes.default.svc");
        if address.is_none() && is_private_name {
            return Some(Self::PrivateName(host));
        }
        if url.scheme_str() != Some("https") {
            return Some(Self::NotHttps);
        }
        if let Some((before, _)) = issuer.split_once(DISCOVERY) {
            return Some(Self::Discovery(format!("{before} or {before}/")));
        }
        // IAM refuses the usual port as well, where it is written out.
        url.port_u16().map(Self::Port)
    }

    /// The row of the table.
    #[must_use]
    pub(crate) fn row(&self) -> Remedy {
        match self {
            Self::PrivateName(_) => ISSUER_INTERNAL,
            _ => ISSUER_UNFIT,
        }
    }
}

fn is_private(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            v4.is_private() || v4.is_link_local() || v4.is_unspecified() || is_shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_iam_cannot_take_is_said_with_the_reason() {
        for (issuer, why) in [
            ("https://oidc.example.com:6443", "it has the port 6443"),
            ("https://oidc.example.com:443/", "it has the port 443"),
            ("http://oidc.example.com/", "it is not https"),
            ("https://10.96.0.1/", "10.96.0.1 is a private address"),
            ("https://100.64.0.1:6443", "100.64.0.1 is a private address"),
            ("https://[fd00::1]:6443", "fd00::1 is a private address"),
            (
                "https://kubernetes.default.svc",
                "kubernetes.default.svc is known only inside",
            ),
            (
                "https://kubernetes.default.svc.prod.example",
                "kubernetes.default.svc.prod.example is known only inside",
            ),
            ("https://api.prod.internal:6443/", "api.prod.internal is"),
            ("https://master", "master is known only inside"),
            (
                "https://oidc.example.com/.well-known/openid-configuration",
                "not of the issuer, https://oidc.example.com or https://oidc.example.com/",
            ),
            ("kubernetes/serviceaccount", "it is not a URL"),
        ] {
            let unfit = UnfitIssuer::of(issuer).unwrap().to_string();
            assert!(unfit.contains(why), "{issuer}: {unfit}");
        }
        for fit in [
            "https://eastus.oic.prod-aks.azure.com/t/u/",
            "https://oidc.example.com",
            "https://192.0.2.1/",
            "http://127.0.0.1:9/t/",
            "https://localhost:6443",
        ] {
            assert_eq!(UnfitIssuer::of(fit), None, "{fit}");
        }
    }
}
