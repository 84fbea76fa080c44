//! Where a machine's metadata server is, and whom its tokens are for.
//!
//! Tokens are fetched from there over plain http, so nothing but the clouds' own addresses and loopback is admitted.

use hyper::Uri;

use super::{has_valid_port, is_loopback};
use crate::config::error::{Expected, checked, expected};

const AZURE: &[&str] = &["169.254.169.254"];
/// As Google documents them.
const GOOGLE: &[&str] = &[
    "169.254.169.254",
    "[fd20:ce::254]",
    "metadata.google.internal",
];

/// Azure's metadata service, as Azure's SDKs take it: a URL without a path.
pub(crate) fn azure_imds(text: &str) -> Result<Uri, Expected> {
    let what = "http://169.254.169.254, or for a stand-in http:// with a loopback address";
    let url: Option<Uri> = text.parse().ok();
    let url = url.filter(|url| url.scheme_str() == Some("http") && url.path() == "/");
    match url {
        Some(url) if url.query().is_none() && is_admitted(&url, AZURE) => Ok(url),
        _ => expected(what),
    }
}

/// Google's metadata server, as Google's libraries take it: a host, with a port if need be.
pub(crate) fn gce_host(text: &str) -> Result<String, Expected> {
    let what = "a host without http://: metadata.google.internal, 169.254.169.254 or [fd20:ce::254], or for a stand-in a loopback address with its port";
    let url: Option<Uri> = format!("http://{text}/").parse().ok();
    let valid = url.is_some_and(|url| {
        is_admitted(&url, GOOGLE) && url.authority().is_some_and(|authority| authority == text)
    });
    checked(text, valid, what)
}

/// Another port than the usual one is for a stand-in.
fn is_admitted(url: &Uri, hosts: &[&str]) -> bool {
    let host = url.host().unwrap_or_default();
    let plain = url
        .authority()
        .is_some_and(|authority| !authority.as_str().contains('@') && has_valid_port(authority));
    let real = hosts.contains(&host) && matches!(url.port_u16(), None | Some(80));
    plain && (real || is_loopback(host))
}

/// An App ID URI at Azure, any text at Google.
pub(crate) fn audience(text: &str) -> Result<String, Expected> {
    if let Some(resource) = text.strip_suffix("/.default") {
        return expected(format!(
            "the App ID URI alone, without /.default: {resource}"
        ));
    }
    let valid =
        !text.is_empty() && text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic());
    let what = "an audience without white space, for example sts.amazonaws.com, or in Azure an App ID URI such as api://amp";
    checked(text, valid, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_fetched_from_the_cloud_or_from_this_machine_alone() {
        for fine in [
            "http://169.254.169.254",
            "http://169.254.169.254:80/",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/",
        ] {
            assert!(azure_imds(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "169.254.169.254",
            "https://169.254.169.254",
            "http://169.254.169.254:8080",
            "http://127.0.0.1:99999",
            "http://169.254.170.2",
            "http://imds.example",
            "http://127.0.0.1@imds.example/",
            "http://127.0.0.1.imds.example/",
            "http://169.254.169.254/metadata",
            "http://169.254.169.254/?a",
        ] {
            assert!(azure_imds(wrong).is_err(), "{wrong}");
        }
        for fine in [
            "metadata.google.internal",
            "169.254.169.254",
            "169.254.169.254:80",
            "[fd20:ce::254]",
            "127.0.0.1:8080",
            "localhost:8080",
        ] {
            assert_eq!(gce_host(fine), Ok(fine.to_owned()));
        }
        for wrong in [
            "",
            "http://169.254.169.254",
            "169.254.169.254:8080",
            "127.0.0.1:99999",
            "169.254.169.254/x",
            "metadata.google.internal.example",
            "x@127.0.0.1",
            "127.0.0.1:8080/?",
            "fd20:ce::254",
        ] {
            assert!(gce_host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_audience_is_no_scope() {
        assert!(audience("sts.amazonaws.com").is_ok() && audience("api://t/amp").is_ok());
        let expected = audience("api://amp/.default").unwrap_err().0;
        assert!(
            expected.ends_with("without /.default: api://amp"),
            "{expected}"
        );
        for wrong in ["", "a b", "ä"] {
            assert!(audience(wrong).is_err(), "{wrong}");
        }
    }
}
