//! The sender's trace context, from its `traceparent` and `tracestate` (W3C Trace Context).
//!
//! In: a request's headers. Out: the parent context of its batch's span; empty if the sender sent no valid one. It is kept with each span of
//! the batch, so a `tracestate` beyond the 512 characters that the standard requires is dropped.

use hyper::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;

const LONGEST: usize = 512;

struct Headers<'a>(&'a HeaderMap);

pub(super) fn of(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers))
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key)?.to_str().ok()?;
        (value.len() <= LONGEST).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0
            .keys()
            .map(hyper::header::HeaderName::as_str)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use opentelemetry::trace::TraceContextExt;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_parent_is_continued_and_nonsense_is_none() {
        let headers = |parent: &str, state: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_str(parent).unwrap());
            headers.insert("tracestate", HeaderValue::from_str(state).unwrap());
            headers
        };
        let seen = of(&headers(PARENT, "a=b"));
        let context = seen.span().span_context().clone();
        assert!(context.is_valid() && context.is_remote() && context.is_sampled());
        assert_eq!(context.trace_state().header(), "a=b");
        let long = format!(
            "a={},b={},c={}",
            "x".repeat(200),
            "y".repeat(200),
            "z".repeat(200)
        );
        let seen = of(&headers(PARENT, &long));
        assert!(seen.span().span_context().is_valid());
        assert_eq!(seen.span().span_context().trace_state().header(), "");
        for nonsense in [
            "",
            "00",
            "zz-1-2-3",
            &PARENT.to_uppercase(),
            &"-".repeat(60_000),
        ] {
            assert!(!of(&headers(nonsense, "")).span().span_context().is_valid());
        }
    }
}
