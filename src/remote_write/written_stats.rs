//! AMP's written counts: the `X-Prometheus-Remote-Write-*-Written` headers of remote write 2.0.
//!
//! The sender gets them verbatim, with a refusal too, and they are never invented: a 2.0 sender takes missing or wrong counts
//! as samples that were not stored. If a batch was sent in parts, the counts of the parts are added, and a header that is
//! missing from one part's response is omitted. If it was converted to remote write 1.0, which has no such counts, they are
//! those of the contents that AMP accepted.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use crate::remote_write::contents::Contents;

const NAMES: [HeaderName; 3] = [
    HeaderName::from_static("x-prometheus-remote-write-samples-written"),
    HeaderName::from_static("x-prometheus-remote-write-histograms-written"),
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written"),
];

/// No valid count has more digits.
const LONGEST: usize = 20;

/// The headers that AMP sent. Boxed, because nearly every response has none.
#[derive(Debug, Clone, Default)]
pub struct WrittenStats(Option<Box<HeaderMap>>);

impl FromIterator<(HeaderName, HeaderValue)> for WrittenStats {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(named: I) -> Self {
        let mut named = named.into_iter().peekable();
        let is_some = named.peek().is_some();
        Self(is_some.then(|| Box::new(named.collect())))
    }
}

// === impl WrittenStats ===

impl WrittenStats {
    /// Reads them from a response of AMP; an invalid number counts as missing.
    #[must_use]
    pub fn of(answer: &HeaderMap) -> Self {
        let is_number = |value: &&HeaderValue| {
            value.len() <= LONGEST && value.as_bytes().iter().all(u8::is_ascii_digit)
        };
        let named = |name| {
            let value = answer.get(&name).filter(is_number)?.clone();
            Some((name, value))
        };
        NAMES.into_iter().filter_map(named).collect()
    }

    /// The counts for a batch that AMP accepted completely as remote write 1.0.
    #[must_use]
    pub fn counted(contents: &Contents) -> Self {
        let numbers = [contents.samples, contents.histograms, contents.exemplars];
        let named = NAMES.into_iter().zip(numbers);
        named
            .map(|(name, number)| (name, HeaderValue::from(number)))
            .collect()
    }

    /// Whether AMP sent none of the headers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Samples, histograms and exemplars, each `None` if its header is missing.
    #[must_use]
    pub fn numbers(&self) -> [Option<u64>; 3] {
        NAMES.map(|name| self.number(&name))
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let sum = |name: &HeaderName| self.number(name)?.checked_add(other.number(name)?);
        let named = |name: &HeaderName| Some((name.clone(), HeaderValue::from(sum(name)?)));
        NAMES.iter().filter_map(named).collect()
    }

    /// The headers for the sender.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().flat_map(|headers| headers.iter())
    }

    fn number(&self, name: &HeaderName) -> Option<u64> {
        let headers = self.0.as_ref()?;
        headers.get(name)?.to_str().ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(numbers: [Option<&str>; 3]) -> WrittenStats {
        let named = NAMES.into_iter().zip(numbers);
        named
            .filter_map(|(name, number)| Some((name, number?.parse().unwrap())))
            .collect()
    }

    #[test]
    fn parts_are_added_up_and_nothing_is_invented() {
        let sum =
            written([Some("3"), Some("1"), None]).plus(&written([Some("4"), None, Some("9")]));
        assert_eq!(sum.numbers(), [Some(7), None, None]);
        let odd = written([Some("3"), None, None]).plus(&written([Some("many"), None, None]));
        assert!(odd.is_empty());
    }
}
