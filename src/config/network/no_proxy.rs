//! The value of `--no-proxy`: hosts that are reached without the proxy.
//!
//! In: a comma-separated list. Out: a [`NoProxy`] that matches host and port, and a line for each invalid entry with the likely intention. Go,
//! curl and others parse this variable differently; accepted is what they share (hosts and domains, `.domain`, `*.domain`, addresses, networks,
//! `*`), and Go's `host:port`. An invalid entry is a warning and not an error: the variable is often set for a whole cluster.

use std::fmt;
use std::net::IpAddr;

use hyper_util::client::proxy::matcher::Matcher;

use crate::config::error::redact;

/// A proxy rule for every target, of which the list is the exception.
const ANY: &str = "http://proxy.invalid/";

/// The hosts that are reached without the proxy.
#[derive(Debug)]
pub(crate) struct NoProxy {
    /// The valid entries, as curl writes them.
    text: String,
    /// One line for each invalid entry.
    pub(crate) ignored: Vec<String>,
    everything: bool,
    hosts: Matcher,
    with_port: Vec<(u16, Matcher)>,
}

#[derive(Debug, PartialEq, Eq)]
struct NoProxyEntry {
    host: String,
    port: Option<u16>,
}

// === impl NoProxy ===

impl NoProxy {
    pub(crate) fn parse(list: &str) -> Self {
        let (mut entries, mut ignored) = (Vec::new(), Vec::new());
        let texts = list.split(',').map(str::trim);
        for text in texts.filter(|text| !text.is_empty()) {
            match NoProxyEntry::parse(text) {
                Ok(entry) => entries.push(entry),
                Err(hint) => ignored.push(format!(
                    "the entry {:?} is not valid and is ignored: {hint}",
                    redact(text)
                )),
            }
        }
        let texts: Vec<String> = entries.iter().map(NoProxyEntry::text).collect();
        let all = entries.iter().filter(|entry| entry.port.is_none());
        let all: Vec<&str> = all.map(|entry| entry.host.as_str()).collect();
        let with_port = entries
            .iter()
            .filter_map(|entry| Some((entry.port?, matcher(&entry.host))));
        Self {
            text: texts.join(","),
            ignored,
            everything: all.contains(&"*"),
            hosts: matcher(&all.join(",")),
            with_port: with_port.collect(),
        }
    }

    /// Whether the URL's host is reached without the proxy.
    pub(crate) fn contains(&self, url: &hyper::Uri) -> bool {
        let port = url.port_u16().unwrap_or(443);
        let mut with_port = self.with_port.iter();
        self.everything
            || self.hosts.intercept(url).is_none()
            || with_port.any(|(of, matcher)| *of == port && matcher.intercept(url).is_none())
    }
}

impl PartialEq for NoProxy {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for NoProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// hyper-util's rules match curl's.
fn matcher(hosts: &str) -> Matcher {
    Matcher::builder().all(ANY).no(hosts).build()
}

// === impl NoProxyEntry ===

impl NoProxyEntry {
    /// The entry, or the likely intention.
    fn parse(text: &str) -> Result<Self, String> {
        const QUOTES: [char; 3] = ['"', '\'', '`'];
        if text.contains(QUOTES) {
            let bare = text.replace(QUOTES, "");
            return Err(format!("without quotes: {}", redact(&bare)));
        }
        if text.contains(|c: char| c == ';' || c == '|' || c.is_whitespace()) {
            let parts = text.split(|c: char| c == ';' || c == '|' || c.is_whitespace());
            let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
            return Err(format!(
                "separate entries with commas: {}",
                redact(&parts.join(","))
            ));
        }
        if let Some((_, rest)) = text.split_once("://") {
            let (place, _) = rest.split_once('/').unwrap_or((rest, ""));
            let (_, place) = place.rsplit_once('@').unwrap_or(("", place));
            return Err(format!("use a host, not a URL: {place}"));
        }
        if let Some((address, length)) = text.split_once('/') {
            let most = match address.parse() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => {
                    return Err(format!(
                        "use a host without a path, {address}, or a network such as 10.0.0.0/8"
                    ));
                }
            };
            let fits = |length: u8| length <= most;
            return match length.parse() {
                Ok(length) if fits(length) => Ok(Self::everywhere(text)),
                _ => Err(format!("the prefix of this network is /0 to /{most}")),
            };
        }
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self::everywhere(text));
        }
        let (host, port) = match text.rsplit_once(':') {
            None => (text, None),
            Some((host, port)) => match port.parse::<u16>() {
                Ok(port) if port != 0 => (host, Some(port)),
                // Only an address may be in brackets.
                _ if text.ends_with(']') => (text, None),
                _ => {
                    return Err(
                        "a port is a number from 1 to 65535 after a single colon".to_owned()
                    );
                }
            },
        };
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(address) if address.parse::<IpAddr>().is_ok() => address.to_owned(),
            _ => domain(host)?,
        };
        Ok(Self { host, port })
    }

    fn everywhere(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            port: None,
        }
    }

    fn text(&self) -> String {
        let Self { host, port } = self;
        match port {
            None => host.clone(),
            Some(port) if host.contains(':') => format!("[{host}]:{port}"),
            Some(port) => format!("{host}:{port}"),
        }
    }
}

/// `*.example.com` in curl's form, `.example.com`; a name without its trailing dot.
fn domain(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let curled = match text.strip_prefix('*') {
        Some(rest) if rest.starts_with('.') => rest,
        _ => text,
    };
    let curled = curled.trim_end_matches('.');
    if curled.contains('*') {
        return Err("* is valid alone or before a domain, as in *.example.com".to_owned());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if curled.chars().all(plain) && curled.contains(|c: char| c.is_ascii_alphanumeric()) {
        Ok(curled.to_owned())
    } else {
        Err("use a host, a domain such as .example.com, an address, or a network such as 10.0.0.0/8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(list: &str, target: &str) -> bool {
        NoProxy::parse(list).contains(&target.parse().unwrap())
    }

    #[test]
    fn a_port_counts_as_in_go() {
        let list = "sts.example.com:443,.internal:8443,[fd00::1]:9443,10.0.0.1:8443";
        for (target, held) in [
            ("https://sts.example.com/", true),
            ("https://sts.example.com:443/", true),
            ("https://sts.example.com:8443/", false),
            ("https://amp.internal:8443/", true),
            ("https://amp.internal/", false),
            ("https://[fd00::1]:9443/", true),
            ("https://[fd00::1]/", false),
            ("https://10.0.0.1:8443/", true),
            ("https://10.0.0.1/", false),
        ] {
            assert_eq!(holds(list, target), held, "{target}");
        }
        assert_eq!(NoProxy::parse(list).text, list);
    }

    #[test]
    fn an_invalid_entry_is_named_with_what_is_meant_and_the_others_count() {
        for (entry, meant) in [
            ("a.com;b.com", "separate entries with commas: a.com,b.com"),
            ("a.com b.com", "separate entries with commas: a.com,b.com"),
            ("\"a.com\"", "without quotes: a.com"),
            ("'a.com", "without quotes: a.com"),
            ("https://a.com/path", "use a host, not a URL: a.com"),
            (
                "http://me:hunter2@a.com:1/",
                "use a host, not a URL: a.com:1",
            ),
            ("a.com/path", "use a host without a path, a.com"),
            ("10.0.0.0/33", "the prefix of this network is /0 to /32"),
            ("a.com:port", "a port is a number"),
            ("a.com:0", "a port is a number"),
            ("a*.com", "* is valid alone"),
            ("<local>", "use a host, a domain"),
            (".", "use a host, a domain"),
        ] {
            let no_proxy = NoProxy::parse(&format!("{entry}, fine.example,"));
            let [message] = no_proxy.ignored.as_slice() else {
                panic!("{entry}: {:?}", no_proxy.ignored);
            };
            assert!(message.contains(meant), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
            assert_eq!(no_proxy.text, "fine.example", "{entry}");
            assert!(no_proxy.contains(&"https://x.fine.example/".parse().unwrap()));
        }
    }

    #[test]
    fn what_other_programs_accept_is_accepted() {
        let list = "*.a.com, B.com. ,10.0.0.0/8,fd00::/8,fd00::2,[fd00::3],192.0.2.1,localhost,kubernetes.default.svc,my_host,,";
        let no_proxy = NoProxy::parse(list);
        assert_eq!(no_proxy.ignored, Vec::<String>::new());
        let shown = ".a.com,B.com,10.0.0.0/8,fd00::/8,fd00::2,fd00::3,192.0.2.1,localhost,kubernetes.default.svc,my_host";
        assert_eq!(no_proxy.text, shown);
        assert_eq!(NoProxy::parse(shown).text, shown);
        for target in ["https://x.a.com/", "https://b.com/", "https://[fd00::3]/"] {
            assert!(no_proxy.contains(&target.parse().unwrap()), "{target}");
        }
        assert!(holds("*", "https://192.0.2.7/") && holds("*", "https://any.example/"));
        assert!(!holds("", "https://any.example/"));
    }
}
