//! One span, or none.
//!
//! In: what the stage it is about says of itself. Out: the span, as this is dropped. A span that is not sampled is none, and
//! then nothing here does anything; what would have to be made for it belongs into [`Span::describe`].

use std::borrow::Cow;

use hyper::{HeaderMap, Uri};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{self as sdk, SdkTracer};

/// A request id is a UUID.
const LONGEST_ID: usize = 64;

/// A span that lasts as long as this does.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Recording>>);

#[derive(Debug)]
struct Recording {
    span: sdk::Span,
    tracer: SdkTracer,
}

// === impl Span ===

impl Span {
    /// None.
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

    /// A span within this one, of work that is done here.
    #[must_use]
    pub(crate) fn child(&self, name: &'static str) -> Self {
        self.within(name, SpanKind::Internal)
    }

    /// A span within this one, of a request to another.
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

    /// Says something of it; what was said before under this key counts no more.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(own) = &mut self.0 {
            own.span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Counts something of it.
    pub(crate) fn count(&mut self, key: &'static str, count: u64) {
        self.set(key, i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Says what takes work to say.
    pub(crate) fn describe(&mut self, describe: impl FnOnce(&mut Self)) {
        if self.0.is_some() {
            describe(self);
        }
    }

    /// Where a request goes, as the semantic conventions for HTTP name it.
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

    /// The number that AWS asks for, of an answer.
    pub(crate) fn answered(&mut self, headers: &HeaderMap) {
        self.describe(|span| {
            let id = headers.get("x-amzn-requestid");
            let id = id.and_then(|id| id.to_str().ok());
            if let Some(id) = id.filter(|id| id.len() <= LONGEST_ID) {
                span.set("aws.request_id", id.to_owned());
            }
        });
    }

    /// It did not end well, in the one name that metrics and log have for this.
    pub(crate) fn failed(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(own) = &mut self.0 {
            let name = name.into();
            own.span
                .set_attribute(KeyValue::new("error.type", name.clone()));
            own.span.set_status(Status::error(name));
        }
    }
}
