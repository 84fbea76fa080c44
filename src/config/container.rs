//! The endpoint that gives a container its credentials: that of the EKS Pod Identity agent, of the ECS agent, or another one of their protocol.
//!
//! In: the variables that EKS and ECS set. Out: the endpoint, and what authorizes a request to it. Over plain http only this machine and the
//! three addresses of AWS' agents are asked, since the response holds keys: the address decides, a name never does, `localhost` apart.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hyper::Uri;
use hyper::header::HeaderValue;

use super::error::{Expected, expected};
use super::values;

/// Where a relative URI leads: the ECS agent.
const ECS_AGENT: &str = "http://169.254.170.2";
/// The ECS agent's address, and those of the EKS Pod Identity agent.
const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// How a container gets its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerConfig {
    /// The URL to get.
    pub endpoint: Uri,
    /// What authorizes the request; the ECS agent needs nothing.
    pub authorization: Option<ContainerToken>,
}

/// The value of the `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerToken {
    /// A file's content.
    File(PathBuf),
    /// The value itself, marked as sensitive.
    Text(HeaderValue),
}

// === impl ContainerConfig ===

impl ContainerConfig {
    /// The file of the token, if there is one.
    pub(super) fn token_file(&self) -> Option<&Path> {
        match &self.authorization {
            Some(ContainerToken::File(file)) => Some(file),
            Some(ContainerToken::Text(_)) | None => None,
        }
    }
}

/// `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
pub(super) fn full_uri(text: &str) -> Result<Uri, Expected> {
    let what = "an absolute URL without fragment or credentials, for example http://169.254.170.23/v1/credentials";
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        scheme
            && !text.contains('#')
            && !authority.contains('@')
            && uri.authority().is_some_and(values::has_valid_port)
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    let uri = uri.ok_or_else(|| Expected(what.to_owned()))?;
    if uri.scheme_str() == Some("http") && !uri.host().is_some_and(may_be_plain) {
        return expected(format!(
            "https://, or http:// to loopback or an agent's address ({}): anything else on the network could read the credentials",
            AGENTS.join(", ")
        ));
    }
    Ok(uri)
}

/// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, at the ECS agent.
pub(super) fn relative_uri(text: &str) -> Result<Uri, Expected> {
    let what = "a path, for example /v2/credentials/00000000-0000-0000-0000-000000000000";
    let valid = text.starts_with('/') && !text.contains('#');
    let whole = format!("{ECS_AGENT}{text}").parse::<Uri>().ok();
    whole
        .filter(|_| valid)
        .ok_or_else(|| Expected(what.to_owned()))
}

/// The path of [`relative_uri`].
pub(super) fn relative_text(uri: &Uri) -> String {
    uri.path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned()
}

/// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
pub(super) fn authorization(text: &str) -> Result<HeaderValue, Expected> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Expected("a token without line breaks or other control characters".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn may_be_plain(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let agent = |ip: IpAddr| AGENTS.iter().any(|agent| agent.parse() == Ok(ip));
    values::is_loopback(host) || address.parse().is_ok_and(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_this_machine_and_to_the_agents_alone() {
        for fine in [
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://[fd00:ec2:0:0::23]:80/v1/credentials",
            "http://169.254.170.2/v2/credentials/x?y=z",
            "http://127.0.0.1:51679/get",
            "http://127.9.9.9/",
            "http://[::1]:9/",
            "http://localhost:9/",
            "https://169.254.169.254/",
            "https://credentials.example/x?role=a",
        ] {
            assert_eq!(
                full_uri(fine).map(|uri| uri.to_string()),
                Ok(fine.to_owned())
            );
        }
        for wrong in [
            "http://169.254.169.254/latest/meta-data",
            "http://169.254.170.23.example/",
            "http://169.254.170.3/",
            "http://[fd00:ec2::254]/",
            "http://[::ffff:169.254.170.2]/",
            "http://localhost.example/",
            "http://2852039191/",
            "http://10.0.0.1/",
        ] {
            let error = full_uri(wrong).unwrap_err().0;
            assert!(
                error.contains("169.254.170.23, fd00:ec2::23"),
                "{wrong}: {error}"
            );
        }
        for wrong in [
            "",
            "/v1/credentials",
            "169.254.170.23/v1",
            "ftp://127.0.0.1/",
            "http://127.0.0.1@10.0.0.1/",
            "http://127.0.0.1/#x",
        ] {
            let error = full_uri(wrong).unwrap_err().0;
            assert!(error.starts_with("an absolute URL"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_relative_uri_stays_at_the_ecs_agent() {
        let fine = "/v2/credentials/0000?x=y";
        let uri = relative_uri(fine).unwrap();
        assert_eq!(uri.to_string(), format!("http://169.254.170.2{fine}"));
        assert_eq!(relative_text(&uri), fine);
        for wrong in ["", "v2/x", "@10.0.0.1/", ".example/", "0/", "/a b", "/#"] {
            assert!(relative_uri(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_authorization_is_one_line_and_never_shown() {
        let value = authorization("Basic planted").unwrap();
        assert!(!format!("{value:?}").contains("planted"));
        assert!(authorization("a\nb").is_err());
    }
}
