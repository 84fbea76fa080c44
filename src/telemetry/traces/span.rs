//! One span, or none.
//!
//! In: attributes from the stage that it covers. Out: the span, when this is dropped. An unsampled span is `None` and every method does
//! nothing; expensive attributes belong in [`Span::describe`].

use std::borrow::Cow;

use hyper::{HeaderMap, Uri};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{self as sdk, SdkTracer};

/// A request id is a UUID.
const LONGEST_ID: usize = 64;

/// A span that lasts until this is dropped.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Recording>>);

#[derive(Debug)]
struct Recording {
    span: sdk::Span,
    tracer: SdkTracer,
}

// === impl Span ===

impl Span {
    /// No span.
    #[must_use]
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(super) fn begin(
        tracer: &SdkTracer,
        name: &'static str,
        kind: SpanKind,
        parent: &Context,
    ) -> Self {
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        let span = tracer.build_with_context(builder, parent);
        Self(span.is_recording().then(|| {
            let tracer = tracer.clone();
            Box::new(Recording { span, tracer })
        }))
    }

    /// A child span, of work in this process.
    #[must_use]
    pub(crate) fn child(&self, name: &'static str) -> Self {
        self.within(name, SpanKind::Internal)
    }

    /// A child span, of a request to a peer.
    #[must_use]
    pub(crate) fn request(&self, name: &'static str) -> Self {
        self.within(name, SpanKind::Client)
    }

    fn within(&self, name: &'static str, kind: SpanKind) -> Self {
        match &self.0 {
            None => Self(None),
            Some(own) => {
                let parent = own.span.span_context().clone();
                let parent = Context::new().with_remote_span_context(parent);
                Self::begin(&own.tracer, name, kind, &parent)
            }
        }
    }

    #[must_use]
    pub(crate) fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// Sets an attribute; a later value replaces an earlier one.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(own) = &mut self.0 {
            own.span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Sets a numeric attribute.
    pub(crate) fn count(&mut self, key: &'static str, count: u64) {
        self.set(key, i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Sets attributes that are expensive to compute.
    pub(crate) fn describe(&mut self, describe: impl FnOnce(&mut Self)) {
        if self.0.is_some() {
            describe(self);
        }
    }

    /// The URL of a request, in the semantic conventions for HTTP.
    pub(crate) fn at(&mut self, url: &Uri) {
        self.describe(|span| {
            let by_scheme = if url.scheme_str() == Some("http") {
                80
            } else {
                443
            };
            let port = url.port_u16().unwrap_or(by_scheme);
            span.set("url.full", url.to_string());
            span.set("server.address", url.host().unwrap_or_default().to_owned());
            span.set("server.port", i64::from(port));
        });
    }

    /// The request id of a response, which AWS support asks for.
    pub(crate) fn answered(&mut self, headers: &HeaderMap) {
        self.describe(|span| {
            let id = headers.get("x-amzn-requestid");
            let id = id.and_then(|id| id.to_str().ok());
            if let Some(id) = id.filter(|id| id.len() <= LONGEST_ID) {
                span.set("aws.request_id", id.to_owned());
            }
        });
    }

    /// Marks it failed, with the name that metrics and log use.
    pub(crate) fn failed(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(own) = &mut self.0 {
            let name = name.into();
            own.span
                .set_attribute(KeyValue::new("error.type", name.clone()));
            own.span.set_status(Status::error(name));
        }
    }
}
