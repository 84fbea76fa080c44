//! Parses values that only `setup` takes.
//!
//! In: the text of an argument or a claim. Out: the value, or what was expected. The rules are those of the service that gets the value, so a
//! mistake shows here and not halfway through a script; they also exclude characters that are special to a shell, YAML or HCL.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Uri;

use crate::config::{Expected, checked, expected, is_guid, made_of};
use crate::credentials::issuer::UnfitIssuer;
use crate::tls_files::CaBundle;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The issuer as IAM requires it: https, no port, no query, at most 255 characters, reachable from AWS.
pub(super) fn issuer(text: &str) -> Result<String, Expected> {
    let what = "an https:// URL without query, fragment or credentials, as in the iss of a token";
    if let Some(issuer) = text.strip_suffix("/.well-known/openid-configuration") {
        return expected(format!(
            "the issuer alone: {issuer}, or with a trailing slash, as in the iss of a token"
        ));
    }
    if !text.is_empty() && !text.contains("://") && made_of(text, "./-_") {
        return expected(format!("{what}: write https:// before it, https://{text}"));
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return expected(what);
    };
    let host = uri.host().unwrap_or_default();
    if host.is_empty() || !made_of(text, ":/.-_~%[]") || text.len() > 255 {
        return expected(what);
    }
    if let Some(unfit) = UnfitIssuer::of(text) {
        return expected(format!(
            "an issuer that IAM can take, and {unfit}: {}",
            unfit.row().remedy
        ));
    }
    if uri.scheme_str() != Some("https") {
        return expected(what);
    }
    if host.contains(".oic.prod-aks.azure.") && !text.ends_with('/') {
        return expected(format!("{text}/ with a trailing slash, as all AKS issuers"));
    }
    Ok(text.to_owned())
}

/// A `sub` or `aud` in a policy: no IAM variable, nothing to escape.
pub(super) fn claim(text: &str) -> Result<String, Expected> {
    let valid = !text.is_empty() && text.len() <= 255 && made_of(text, ":/.-_@|=+,");
    checked(
        text,
        valid,
        "1 to 255 letters, digits and any of : / . - _ @ | = + ,",
    )
}

/// A name of a Kubernetes object.
pub(super) fn kubernetes_name(text: &str) -> Result<String, Expected> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let valid = text.len() <= 253
        && text.chars().all(inner)
        && edge(text.chars().next())
        && edge(text.chars().next_back());
    checked(
        text,
        valid,
        "a Kubernetes name: lower-case letters, digits and dashes, for example prometheus-server",
    )
}

/// The certificates in a file, as PEM without anything around them.
pub(super) fn ca_certificate(path: &str) -> Result<String, Expected> {
    let bundle = CaBundle::read(Path::new(path)).map_err(Expected)?;
    let mut pem = String::new();
    for certificate in &bundle.certificates {
        let base64 = BASE64.encode(certificate);
        let lines = base64.as_bytes().chunks(64);
        let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
        let lines = lines.join("\n");
        pem.push_str(&format!("{BEGIN}\n{lines}\n{END}\n"));
    }
    Ok(pem)
}

/// A common name that can be a session tag, as Roles Anywhere makes it one.
pub(super) fn common_name(text: &str) -> Result<String, Expected> {
    let valid = (1..=64).contains(&text.len()) && made_of(text, "_.:/=+-@ ");
    checked(
        text,
        valid,
        "1 to 64 letters, digits, spaces and any of _ . : / = + - @, which a session tag may have",
    )
}

/// The name of an EKS cluster, as EKS requires it.
pub(super) fn eks_cluster(text: &str) -> Result<String, Expected> {
    let valid = (1..=100).contains(&text.len())
        && made_of(text, "-_")
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    checked(
        text,
        valid,
        "the name of an EKS cluster: up to 100 letters, digits and any of - _",
    )
}

/// The name of an AKS cluster or of its resource group.
pub(super) fn azure_name(text: &str) -> Result<String, Expected> {
    let valid = (1..=90).contains(&text.len())
        && made_of(text, "-_.()")
        && !text.starts_with('-')
        && !text.ends_with('.');
    checked(
        text,
        valid,
        "an Azure resource name: up to 90 letters, digits and any of - _ . ( )",
    )
}

pub(super) fn guid(text: &str) -> Result<String, Expected> {
    let what = "a GUID, for example 00000000-0000-0000-0000-000000000000";
    checked(text, is_guid(text), what)
}

/// Google's number of a service account; an email address is a frequent mistake.
pub(super) fn unique_id(text: &str) -> Result<String, Expected> {
    let valid = (10..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    checked(
        text,
        valid,
        "the service account's unique id, a number of about 21 digits and not its email address",
    )
}

pub(super) fn app_id_uri(text: &str) -> Result<String, Expected> {
    let tail = text.strip_prefix("api://").unwrap_or_default();
    checked(
        text,
        claim(text).is_ok() && !tail.is_empty() && !tail.ends_with('/'),
        "an App ID URI of the form api://<tenant-id>/NAME or api://<client-id>, without a slash at its end",
    )
}

pub(super) fn account(text: &str) -> Result<String, Expected> {
    let valid = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    checked(
        text,
        valid,
        "the account's 12 digits without dashes, for example 111122223333",
    )
}

pub(super) fn partition(text: &str) -> Result<String, Expected> {
    let valid = text == "aws" || text.starts_with("aws-") && made_of(text, "-");
    checked(
        text,
        valid && text.chars().all(|c| !c.is_ascii_uppercase()),
        "a partition, for example aws, aws-us-gov or aws-cn",
    )
}

pub(super) fn role_name(text: &str) -> Result<String, Expected> {
    if text.starts_with("arn:") {
        return expected("the role's name alone, not its ARN");
    }
    let valid = (1..=64).contains(&text.len()) && made_of(text, "_+=,.@-");
    checked(
        text,
        valid,
        "a role's name: 1 to 64 letters, digits and any of _ + = , . @ -",
    )
}

pub(super) fn image(text: &str) -> Result<String, Expected> {
    let valid = !text.is_empty()
        && text.len() <= 512
        && made_of(text, "._-/:@")
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    checked(
        text,
        valid,
        "an image with tag or digest, for example registry.example/amp-sidecar:0.1.0",
    )
}

/// A page to link to: the alert's name follows after a `#`.
pub(super) fn page(text: &str) -> Result<String, Expected> {
    let web = text.starts_with("https://") || text.starts_with("http://");
    checked(
        text,
        web && made_of(text, ":/.-_~%?=&+@"),
        "the http(s) URL of your copy of docs/runbooks.md, without #",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_that_is_nearly_right_is_named() {
        for (wrong, words) in [
            (
                "oidc.example.com/t",
                "write https:// before it, https://oidc.example.com/t",
            ),
            (
                "https://oidc.example.com/.well-known/openid-configuration",
                "the issuer alone: https://oidc.example.com, or with",
            ),
        ] {
            let expected = issuer(wrong).unwrap_err().0;
            assert!(expected.contains(words), "{expected}");
        }
    }

    #[test]
    fn what_the_service_would_refuse_is_refused_here() {
        type Parse = fn(&str) -> Result<String, Expected>;
        let cases: [(Parse, &[&str], &[&str]); 11] = [
            (
                unique_id,
                &["107517467455664443765"],
                &["", "prometheus@example.iam.gserviceaccount.com", "1e21"],
            ),
            (
                issuer,
                &[
                    "https://eu.oic.prod-aks.azure.com/t/u/",
                    "https://oidc.example.com",
                    "https://127.0.0.1:9/t/",
                ],
                &[
                    "",
                    "eu.oic.prod-aks.azure.com/t/u/",
                    "http://oidc.example.com",
                    "https://eu.oic.prod-aks.azure.com/t/u",
                    "https://kubernetes.default.svc",
                    "https://kubernetes.default.svc.cluster.local",
                    "https://oidc.example.com:6443",
                    "https://10.0.0.1/",
                    "https://oidc.example.com/.well-known/openid-configuration",
                    "https://a.b/?q",
                    "https://a.b/$(x)",
                    "https://u:p@a.b/",
                ],
            ),
            (
                claim,
                &["system:serviceaccount:a:b", "api://x/y"],
                &["", "${aws:username}", "a b", "a'b", "*"],
            ),
            (
                kubernetes_name,
                &["a", "prometheus-server"],
                &["", "-a", "a-", "A", "a_b", "a:b"],
            ),
            (
                guid,
                &["01234567-89ab-cdef-0123-456789ABCDEF"],
                &[
                    "",
                    "0123456789abcdef",
                    "g1234567-89ab-cdef-0123-456789abcdef",
                ],
            ),
            (
                app_id_uri,
                &["api://t/amp-sidecar"],
                &["", "api://", "https://x", "api://x/"],
            ),
            (
                account,
                &["111122223333"],
                &["", "1111-2222-3333", "11112222333"],
            ),
            (
                common_name,
                &["amp-sidecar", "a b@c"],
                &["", "a (b)", "a*", "${x}", "a'b"],
            ),
            (
                role_name,
                &["amp-sidecar"],
                &["", "a/b", "arn:aws:iam::111122223333:role/x", "a b"],
            ),
            (
                image,
                &["r.example:5000/a/b:1@sha256:0"],
                &["", "a b", "-a", "$(x)"],
            ),
            (
                page,
                &["https://wiki.example/runbooks.md?at=main"],
                &[
                    "",
                    "docs/runbooks.md",
                    "https://a.b/#c",
                    "https://a.b/{{x}}",
                ],
            ),
        ];
        for (parse, fine, wrong) in cases {
            for text in fine {
                assert_eq!(parse(text), Ok((*text).to_owned()));
            }
            for text in wrong {
                assert!(parse(text).is_err(), "{text:?}");
            }
        }
    }

    #[test]
    fn a_region_shows_its_partition() {
        for (region, partition) in [
            ("eu-central-1", "aws"),
            ("us-gov-west-1", "aws-us-gov"),
            ("cn-north-1", "aws-cn"),
            ("us-isob-east-1", "aws-iso-b"),
        ] {
            assert_eq!(crate::config::partition_id(region), partition);
        }
    }
}
