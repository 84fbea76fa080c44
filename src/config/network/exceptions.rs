//! What `--no-proxy` says: hosts that are reached without the proxy.
//!
//! In: a list, separated by commas. Out: [`Exceptions`] that know whether a host and port is among them, and a line for each
//! entry that means nothing, with what was probably meant. Go, curl and everything else read this variable by rules of their
//! own; what all of them share is taken (hosts and domains, `.domain`, `*.domain`, addresses, networks, `*`), and Go's
//! `host:port`. An entry that means nothing is a warning and not a fault: the variable is often set for a whole cluster.

use std::net::IpAddr;

use hyper_util::client::proxy::matcher::Matcher;

use crate::config::sources::withhold;

/// Asked for every target, so that a host that no exception holds is intercepted.
const ANY: &str = "http://proxy.invalid/";

/// What is reached without the proxy.
#[derive(Debug)]
pub(in crate::config) struct Exceptions {
    /// What counts, as curl writes it.
    pub(in crate::config) shown: String,
    /// One line for each entry that means nothing.
    pub(in crate::config) ignored: Vec<String>,
    everything: bool,
    hosts: Matcher,
    with_port: Vec<(u16, Matcher)>,
}

/// An entry that means something.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    host: String,
    port: Option<u16>,
}

// === impl Exceptions ===

impl Exceptions {
    pub(in crate::config) fn read(list: &str) -> Self {
        let (mut entries, mut ignored) = (Vec::new(), Vec::new());
        let texts = list.split(',').map(str::trim);
        for text in texts.filter(|text| !text.is_empty()) {
            match Entry::read(text) {
                Ok(entry) => entries.push(entry),
                Err(meant) => ignored.push(format!(
                    "the entry {:?} means nothing and is ignored: {meant}",
                    withhold(text)
                )),
            }
        }
        let shown: Vec<String> = entries.iter().map(Entry::shown).collect();
        let all = entries.iter().filter(|entry| entry.port.is_none());
        let all: Vec<&str> = all.map(|entry| entry.host.as_str()).collect();
        let with_port = entries.iter().filter_map(|entry| {
            let matcher = matcher(&entry.host);
            Some((entry.port?, matcher))
        });
        Self {
            shown: shown.join(","),
            ignored,
            everything: all.contains(&"*"),
            hosts: matcher(&all.join(",")),
            with_port: with_port.collect(),
        }
    }

    /// Whether the host is reached without the proxy.
    pub(in crate::config) fn hold(&self, target: &hyper::Uri) -> bool {
        let port = target.port_u16().unwrap_or(443);
        self.everything
            || self.hosts.intercept(target).is_none()
            || self
                .with_port
                .iter()
                .any(|(of, matcher)| *of == port && matcher.intercept(target).is_none())
    }
}

/// hyper-util's rules are curl's.
fn matcher(hosts: &str) -> Matcher {
    Matcher::builder().all(ANY).no(hosts).build()
}

// === impl Entry ===

impl Entry {
    /// What it means, or what was probably meant.
    fn read(text: &str) -> Result<Self, String> {
        const QUOTES: [char; 3] = ['"', '\'', '`'];
        if text.contains(QUOTES) {
            let bare = text.replace(QUOTES, "");
            return Err(format!("without quotes, as {}", withhold(&bare)));
        }
        if text.contains(|c: char| c == ';' || c == '|' || c.is_whitespace()) {
            let parts = text.split(|c: char| c == ';' || c == '|' || c.is_whitespace());
            let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
            return Err(format!(
                "separate entries by commas, as {}",
                withhold(&parts.join(","))
            ));
        }
        if let Some((_, rest)) = text.split_once("://") {
            let (place, _) = rest.split_once('/').unwrap_or((rest, ""));
            let (_, place) = place.rsplit_once('@').unwrap_or(("", place));
            return Err(format!("a host and no URL, as {place}"));
        }
        if let Some((address, length)) = text.split_once('/') {
            let most = match address.parse() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => {
                    return Err(format!(
                        "a host without a path, as {address}; or a network, as 10.0.0.0/8"
                    ));
                }
            };
            let fits = |length: u8| length <= most;
            return match length.parse() {
                Ok(length) if fits(length) => Ok(Self::everywhere(text)),
                _ => Err(format!("a network ends in /0 to /{most}")),
            };
        }
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self::everywhere(text));
        }
        let (host, port) = match text.rsplit_once(':') {
            None => (text, None),
            Some((host, port)) => match port.parse::<u16>() {
                Ok(port) if port != 0 => (host, Some(port)),
                // An address alone may stand in brackets.
                _ if text.ends_with(']') => (text, None),
                _ => return Err("a port is a number from 1 to 65535, after one colon".to_owned()),
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

    fn shown(&self) -> String {
        let Self { host, port } = self;
        match port {
            None => host.clone(),
            Some(port) if host.contains(':') => format!("[{host}]:{port}"),
            Some(port) => format!("{host}:{port}"),
        }
    }
}

/// `*.example.com`, which other programs take, as curl writes it; without the dot of a name that is given in full.
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
        return Err("* stands alone, or before a domain as *.example.com".to_owned());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if curled.chars().all(plain) && curled.contains(|c: char| c.is_ascii_alphanumeric()) {
        Ok(curled.to_owned())
    } else {
        Err("a host, a domain as .example.com, an address, or a network as 10.0.0.0/8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(list: &str, target: &str) -> bool {
        Exceptions::read(list).hold(&target.parse().unwrap())
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
        assert_eq!(Exceptions::read(list).shown, list);
    }

    #[test]
    fn an_entry_that_means_nothing_is_named_with_what_is_meant_and_the_others_count() {
        for (entry, meant) in [
            ("a.com;b.com", "separate entries by commas, as a.com,b.com"),
            ("a.com b.com", "separate entries by commas, as a.com,b.com"),
            ("\"a.com\"", "without quotes, as a.com"),
            ("'a.com", "without quotes, as a.com"),
            ("https://a.com/path", "a host and no URL, as a.com"),
            (
                "http://me:hunter2@a.com:1/",
                "a host and no URL, as a.com:1",
            ),
            ("a.com/path", "a host without a path, as a.com"),
            ("10.0.0.0/33", "a network ends in /0 to /32"),
            ("a.com:port", "a port is a number"),
            ("a.com:0", "a port is a number"),
            ("a*.com", "* stands alone"),
            ("<local>", "a host, a domain"),
            (".", "a host, a domain"),
        ] {
            let exceptions = Exceptions::read(&format!("{entry}, fine.example,"));
            let [told] = exceptions.ignored.as_slice() else {
                panic!("{entry}: {:?}", exceptions.ignored);
            };
            assert!(told.contains(meant), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
            assert_eq!(exceptions.shown, "fine.example", "{entry}");
            assert!(exceptions.hold(&"https://x.fine.example/".parse().unwrap()));
        }
    }

    #[test]
    fn what_others_write_is_taken() {
        let list = "*.a.com, B.com. ,10.0.0.0/8,fd00::/8,fd00::2,[fd00::3],192.0.2.1,localhost,kubernetes.default.svc,my_host,,";
        let exceptions = Exceptions::read(list);
        assert_eq!(exceptions.ignored, Vec::<String>::new());
        let shown = ".a.com,B.com,10.0.0.0/8,fd00::/8,fd00::2,fd00::3,192.0.2.1,localhost,kubernetes.default.svc,my_host";
        assert_eq!(exceptions.shown, shown);
        assert_eq!(Exceptions::read(shown).shown, shown);
        for target in ["https://x.a.com/", "https://b.com/", "https://[fd00::3]/"] {
            assert!(exceptions.hold(&target.parse().unwrap()), "{target}");
        }
        assert!(holds("*", "https://192.0.2.7/") && holds("*", "https://any.example/"));
        assert!(!holds("", "https://any.example/"));
    }
}
