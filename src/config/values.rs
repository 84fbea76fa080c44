//! Text into valid values, one function a kind of value.
//!
//! In: the text of a setting. Out: the value, or in words what was expected, to be shown beside setting and value.
//! Nothing here reads a file, the environment or the clock.

mod identity;
mod session_name;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hyper::Uri;

pub(super) use identity::{
    Hop, client_id, entra_scope, hop, policy_arn, session_policy, source_identity, tag, tenant_id,
    token_path,
};

pub(super) use session_name::{session_name, session_name_of_pod};

/// What a setting should have been, in words that complete "expected …".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected(pub(crate) String);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn expected<T>(what: impl Into<String>) -> Result<T, Expected> {
    Err(Expected(what.into()))
}

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Expected> {
    let text = text.replace("localhost:", "127.0.0.1:");
    text.parse()
        .or_else(|_| expected("an address and a port, as 127.0.0.1:8005 or [::1]:8005"))
}

/// A host's name as browsers write it, without a port.
pub(super) fn host_name(text: &str) -> Result<String, Expected> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if text.len() > 253 || !text.chars().all(plain) {
        return expected(
            "names of hosts without scheme, port and path, as amp-sidecar.monitoring.svc",
        );
    }
    Ok(text.trim_end_matches('.').to_ascii_lowercase())
}

pub(super) fn switch(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => expected("true or false"),
    }
}

/// `1%` to `100%`.
pub(super) fn percent(text: &str) -> Result<u8, Expected> {
    text.strip_suffix('%')
        .and_then(|number| number.parse().ok())
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| Expected("a share from 1% to 100%".into()))
}

pub(super) fn on_or_off(text: &str) -> Result<bool, Expected> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => expected("on or off"),
    }
}

/// A number with a unit, or several: `90s`, `15m`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, Expected> {
    let what = || Expected("a duration with its unit, as 500ms, 25s, 15m or 1h30m".into());
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(what)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            _ => return Err(what()),
        };
        let number: u64 = number.parse().map_err(|_| what())?;
        let part = number.checked_mul(millis).ok_or_else(what)?;
        total = total
            .checked_add(Duration::from_millis(part))
            .ok_or_else(what)?;
        rest = tail;
    }
    if total.is_zero() {
        Err(what())
    } else {
        Ok(total)
    }
}

pub(super) fn duration_within(
    text: &str,
    least: Duration,
    most: Duration,
    words: &str,
) -> Result<Duration, Expected> {
    let value = duration(text)?;
    if value < least || value > most {
        expected(format!("a duration of {words}"))
    } else {
        Ok(value)
    }
}

/// A number of bytes: plain, or with `kB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB`, `GiB` (powers of 1024).
pub(super) fn bytes(text: &str) -> Result<usize, Expected> {
    let what = || Expected("a number of bytes above 0, as 1000000, 1MB or 32MiB".into());
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        _ => return Err(what()),
    };
    let number: usize = number.parse().map_err(|_| what())?;
    number
        .checked_mul(factor)
        .filter(|value| *value > 0)
        .ok_or_else(what)
}

/// As AWS writes them: `us-east-1`, `eu-central-1`, `us-gov-west-1`.
pub(crate) fn region(text: &str) -> Result<String, Expected> {
    let parts: Vec<&str> = text.split('-').collect();
    let lower = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let valid = parts.len() >= 3
        && parts.last().is_some_and(number)
        && parts.iter().rev().skip(1).all(|part| lower(part));
    if valid {
        Ok(text.to_owned())
    } else {
        expected("a region as AWS names it, for example eu-central-1")
    }
}

/// `ws-` and what follows, as AMP shows it; the whole ARN is a frequent mistake and gets its own words.
pub(crate) fn workspace_id(text: &str) -> Result<String, Expected> {
    if let Some((_, id)) = text.split_once(":workspace/") {
        return expected(format!("the workspace's id alone, not its ARN: {id}"));
    }
    let tail = text.strip_prefix("ws-").unwrap_or_default();
    let valid = (1..=64).contains(&tail.len())
        && tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if valid {
        Ok(text.to_owned())
    } else {
        expected("a workspace id, as ws- and letters, digits and dashes")
    }
}

/// `arn:<partition>:iam::<account>:role/<path and name>`, 20 to 2048 characters (STS API reference).
pub(super) fn role_arn(text: &str) -> Result<String, Expected> {
    let what = "a role's ARN, as arn:aws:iam::111122223333:role/NAME";
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts.as_slice() else {
        return expected(what);
    };
    if *service == "sts" && resource.starts_with("assumed-role/") {
        return expected(format!("{what}; this is the ARN of a session of a role"));
    }
    let printable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    let valid = *arn == "arn"
        && is_partition(partition)
        && *service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && resource
            .strip_prefix("role/")
            .is_some_and(|name| !name.is_empty() && printable(name))
        && (20..=2048).contains(&text.len());
    if valid {
        Ok(text.to_owned())
    } else {
        expected(what)
    }
}

/// The form that the names of AWS' partitions have, of which there may be more than we know.
fn is_partition(text: &str) -> bool {
    text.starts_with("aws") && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

/// An absolute `https` URL, or an `http` one whose host is loopback; no credentials, query or fragment.
pub(super) fn endpoint(text: &str) -> Result<Uri, Expected> {
    let what = "an absolute https:// URL without query, fragment or credentials";
    if text.contains('#') {
        return expected(what);
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return expected(what);
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return expected(what);
    };
    if uri.query().is_some() || authority.as_str().contains('@') || authority.host().is_empty() {
        return expected(what);
    }
    match scheme {
        "https" => Ok(uri),
        "http" if is_loopback(authority.host()) => Ok(uri),
        "http" => expected(
            "https://; plain http would show credentials to the network and is for loopback only",
        ),
        _ => expected(what),
    }
}

/// Whether a URL's host can only be this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_their_unit() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in [
            "",
            "10",
            "s",
            "10 s",
            "1d",
            "0s",
            "-1s",
            "99999999999999999999h",
            "1.5h",
        ] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn bytes_know_both_kinds_of_units() {
        assert_eq!(bytes("1MB"), Ok(1_000_000));
        assert_eq!(bytes("32MiB"), Ok(33_554_432));
        assert_eq!(bytes("7"), Ok(7));
        for wrong in ["", "0", "MB", "1TB", "99999999999999999999", "-1", "1.5MB"] {
            assert!(bytes(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn arns_of_sessions_and_workspaces_are_told_apart() {
        assert!(role_arn("arn:aws:iam::111122223333:role/path/amp").is_ok());
        assert!(role_arn("arn:aws-us-gov:iam::111122223333:role/amp").is_ok());
        let told = role_arn("arn:aws:sts::111122223333:assumed-role/amp/pod")
            .unwrap_err()
            .0;
        assert!(told.contains("session of a role"), "{told}");
        for wrong in [
            "",
            "amp",
            "arn:aws:iam::111122223333:user/x",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::111122223333:role/",
            "arn:aws\u{f}:iam::111122223333:role/amp",
        ] {
            assert!(role_arn(wrong).is_err(), "{wrong:?}");
        }
        let told = workspace_id("arn:aws:aps:eu-central-1:111122223333:workspace/ws-1")
            .unwrap_err()
            .0;
        assert!(told.contains("ws-1"), "{told}");
        assert!(workspace_id("ws-0b1c-2").is_ok());
        for wrong in ["", "ws-", "ws-a/b", "ws-ä", "../ws-1"] {
            assert!(workspace_id(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for fine in [
            "https://sts.eu-central-1.amazonaws.com",
            "http://127.0.0.1:9",
            "http://[::1]:9/x",
            "http://localhost:9",
        ] {
            assert!(endpoint(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "http://10.0.0.1/",
            "http://localhost.example/",
            "https://a:b@c/",
            "https://x/?q",
            "https://x/#f",
            "/x",
            "",
            "ftp://x/",
        ] {
            assert!(endpoint(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn regions_look_like_regions() {
        for fine in [
            "us-east-1",
            "us-gov-west-1",
            "ap-southeast-7",
            "us-iso-east-1",
        ] {
            assert!(region(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "us-east",
            "us-east-1a",
            "US-EAST-1",
            "us_east_1",
            "us--1",
            "-east-1",
        ] {
            assert!(region(wrong).is_err(), "{wrong}");
        }
    }
}
