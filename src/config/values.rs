//! Parses the text of a setting into a value, one function per kind, and formats it back.
//!
//! In: the text of a setting. Out: the value, or what was expected, to show beside setting and text. Nothing here reads a file, the
//! environment or the clock.

pub(super) mod identity;
pub(super) mod metadata;
pub(super) mod otlp;
pub(super) mod roles_anywhere;
mod session_name;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::Authority;

use super::error::{Expected, checked, expected};

pub(super) use session_name::{session_name, session_name_of_pod};

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Expected> {
    let text = text.replace("localhost:", "127.0.0.1:");
    text.parse()
        .or_else(|_| expected("an address and port, for example 127.0.0.1:8005 or [::1]:8005"))
}

/// A host name as browsers write it, without a port.
pub(super) fn host_name(text: &str) -> Result<String, Expected> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let what = "host names without scheme, port or path, for example amp-sidecar.monitoring.svc";
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let valid = text.len() <= 253 && text.chars().all(plain);
    checked(&name, valid, what)
}

pub(super) fn switch(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => expected("true or false"),
    }
}

/// One of several keywords.
pub(super) fn choose<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Expected> {
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    expected(names.join(" or "))
}

/// The keyword for a value of [`choose`].
pub(super) fn chosen<T: PartialEq>(value: &T, choices: &[(&str, T)]) -> String {
    let choice = choices.iter().find(|(_, choice)| choice == value);
    choice.map_or("", |(name, _)| name).to_owned()
}

pub(super) fn percent(text: &str) -> Result<u8, Expected> {
    text.strip_suffix('%')
        .and_then(|number| number.parse().ok())
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| Expected("a percentage from 1% to 100%".into()))
}

/// A share of a core, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuShare(u32);

impl CpuShare {
    /// So many millionths of a core.
    #[must_use]
    pub const fn from_millionths(millionths: u32) -> Self {
        Self(millionths)
    }

    /// In percent of a core.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// Nanoseconds of each second.
    #[must_use]
    pub fn of_a_second(self) -> f64 {
        f64::from(self.0) * 1000.0
    }
}

pub(super) fn cpu_share(text: &str) -> Result<CpuShare, Expected> {
    text.strip_suffix('%')
        .and_then(|number| number.parse().ok())
        .filter(|percent: &f64| (0.001..=100.0).contains(percent))
        .map(|percent| CpuShare::from_millionths((percent * 10_000.0).round() as u32))
        .ok_or_else(|| Expected("a percentage from 0.001% to 100%, for example 0.2%".into()))
}

pub(super) fn log_level(text: &str) -> Result<tracing::Level, Expected> {
    text.parse()
        .or_else(|_| expected("error, warn, info, debug or trace"))
}

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// One or more numbers with units: `90s`, `15m`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, Expected> {
    let millis = milliseconds(text.trim()).filter(|millis| *millis > 0);
    millis.map(Duration::from_millis).ok_or_else(|| {
        Expected("a duration with a unit, for example 500ms, 25s, 15m or 1h30m".into())
    })
}

fn milliseconds(mut rest: &str) -> Option<u64> {
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let end = tail.find(|c: char| c.is_ascii_digit());
        let (unit, tail) = tail.split_at(end.unwrap_or(tail.len()));
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*millis)?)?;
        rest = tail;
    }
    Some(total)
}

/// In the largest units that fit: `1h30m`.
pub(super) fn duration_text(duration: &Duration) -> String {
    let mut left = duration.as_millis();
    let mut text = String::new();
    for (unit, millis) in UNITS.map(|(unit, millis)| (unit, u128::from(millis))) {
        if left >= millis {
            let _written = write!(text, "{}{unit}", left / millis);
            left %= millis;
        }
    }
    text
}

/// A duration of `least` to `most` seconds; `range` is that in words.
pub(super) fn duration_within(
    text: &str,
    (least, most): (u64, u64),
    range: &str,
) -> Result<Duration, Expected> {
    let value = duration(text)?;
    if value < Duration::from_secs(least) || value > Duration::from_secs(most) {
        return expected(format!("a duration from {range}"));
    }
    Ok(value)
}

/// A number of bytes: plain, or with `kB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB`, `GiB` (powers of 1024).
pub(super) fn bytes(text: &str) -> Result<usize, Expected> {
    let what = || Expected("a positive number of bytes, for example 1000000, 1MB or 32MiB".into());
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
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
    let bytes = number.checked_mul(factor).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(what)
}

/// As in AWS' documentation: `us-east-1`, `eu-central-1`, `us-gov-west-1`.
pub(crate) fn region(text: &str) -> Result<String, Expected> {
    const WHAT: &str = "an AWS region, for example eu-central-1";
    let zone = text.strip_suffix(|c: char| c.is_ascii_lowercase());
    if let Some(region) = zone.filter(|region| is_region(region)) {
        return expected(format!(
            "{WHAT}; this is an availability zone, its region is {region}"
        ));
    }
    checked(text, is_region(text), WHAT)
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lower = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() >= 3
        && parts.last().is_some_and(number)
        && parts.iter().rev().skip(1).all(|part| lower(part))
}

/// `ws-` and a suffix; the full ARN is a frequent mistake and gets its own message.
pub(crate) fn workspace_id(text: &str) -> Result<String, Expected> {
    if let Some((_, id)) = text.split_once(":workspace/") {
        return expected(format!("the workspace ID alone, not its ARN: {id}"));
    }
    let tail = text.strip_prefix("ws-").unwrap_or_default();
    let valid = (1..=64).contains(&tail.len())
        && tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let what = "a workspace ID: ws- followed by letters, digits and dashes";
    let alias = !text.is_empty() && !text.starts_with("ws-") && identity::made_of(text, "-_. ");
    if alias {
        return expected(format!(
            "{what}; is this an alias? Find its ID: aws amp list-workspaces --alias {text:?}"
        ));
    }
    checked(text, valid, what)
}

/// An absolute `https` URL, or an `http` one whose host is loopback; no credentials, query or fragment.
pub(super) fn endpoint(text: &str) -> Result<Uri, Expected> {
    let uri = url(text).ok_or_else(|| {
        Expected("an absolute https:// URL without query, fragment or credentials".into())
    })?;
    if uri.scheme_str() == Some("http") && !is_loopback(uri.host().unwrap_or_default()) {
        return expected(
            "https://: plain http would expose credentials on the network and is allowed for loopback only",
        );
    }
    Ok(uri)
}

/// An absolute `http` or `https` URL without credentials, query or fragment.
fn url(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok().filter(|_| !text.contains('#'))?;
    let authority = uri.authority()?;
    let valid = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.query().is_none()
        && has_valid_port(authority)
        && !authority.as_str().contains('@')
        && !authority.host().is_empty();
    valid.then_some(uri)
}

/// Whether the port is a number up to 65535, if there is one. Of another one a [`Uri`] says that there is none, and the usual one would be used.
pub(crate) fn has_valid_port(authority: &Authority) -> bool {
    let after_host = authority.as_str().rsplit(['@', ']']).next();
    authority.port_u16().is_some() || !after_host.unwrap_or_default().contains(':')
}

/// Whether a URL's host must be this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_port_that_cannot_be_is_not_the_usual_one() {
        for text in [
            "https://a.example:443/",
            "https://[::1]:8443",
            "https://[::1]",
            "https://a.example",
        ] {
            assert!(super::endpoint(text).is_ok(), "{text}");
        }
        for text in [
            "https://a.example:65536/",
            "http://127.0.0.1:99999",
            "https://[::1]:70000",
            "https://a.example:/",
        ] {
            assert!(super::endpoint(text).is_err(), "{text}");
        }
    }

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
    fn a_workspace_id_is_not_an_arn() {
        let message = workspace_id("arn:aws:aps:eu-central-1:111122223333:workspace/ws-1")
            .unwrap_err()
            .0;
        assert!(message.contains("ws-1"), "{message}");
        let alias = workspace_id("production").unwrap_err().0;
        assert!(
            alias
                .ends_with("an alias? Find its ID: aws amp list-workspaces --alias \"production\""),
            "{alias}"
        );
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
        let zone = region("eu-central-1a").unwrap_err().0;
        assert!(
            zone.ends_with("an availability zone, its region is eu-central-1"),
            "{zone}"
        );
    }
}
