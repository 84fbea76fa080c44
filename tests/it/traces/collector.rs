//! A collector: accepts OTLP over HTTP, and decodes it with the official messages.

use std::convert::Infallible;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;

use crate::leak_check;

/// How it responds to exports.
#[derive(Clone, Copy)]
pub enum Mood {
    Takes,
    RejectsOne,
    Answers(u16),
    Hangs,
}

/// The content of one request, decompressed.
#[derive(Clone)]
pub struct Export {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// A span, with its resource attributes.
#[derive(Clone)]
pub struct Seen {
    pub span: Span,
    pub service: String,
    pub resource: Vec<KeyValue>,
}

#[derive(Clone)]
pub struct Collector {
    pub address: String,
    mood: Arc<Mutex<Mood>>,
    exports: Arc<Mutex<Vec<Export>>>,
}

impl Collector {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            address: listener.local_addr().unwrap().to_string(),
            mood: Arc::new(Mutex::new(mood)),
            exports: Arc::default(),
        };
        let serving = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let one = serving.clone();
                let service = hyper::service::service_fn(move |request| one.clone().take(request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        collector
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        assert_eq!(request.uri().path(), "/v1/traces");
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        let (head, body) = request.into_parts();
        let mut body = body.collect().await.unwrap().to_bytes().to_vec();
        if head
            .headers
            .get("content-encoding")
            .is_some_and(|it| it == "gzip")
        {
            let packed = std::mem::take(&mut body);
            GzDecoder::new(packed.as_slice())
                .read_to_end(&mut body)
                .unwrap();
        }
        let mood = *self.mood.lock().unwrap();
        let mut response = Response::new(Full::default());
        match mood {
            Mood::Hangs => std::future::pending().await,
            Mood::Answers(status) => *response.status_mut() = status.try_into().unwrap(),
            Mood::Takes | Mood::RejectsOne => {
                leak_check::show(&String::from_utf8_lossy(&body));
                self.exports.lock().unwrap().push(Export {
                    headers: head.headers,
                    body,
                });
                let rejected_spans = i64::from(matches!(mood, Mood::RejectsOne));
                let partial_success = Some(ExportTracePartialSuccess {
                    rejected_spans,
                    error_message: "one is bad".into(),
                });
                let answer = ExportTraceServiceResponse { partial_success };
                *response.body_mut() = Full::from(answer.encode_to_vec());
            }
        }
        Ok(response)
    }

    pub fn exports(&self) -> Vec<Export> {
        self.exports.lock().unwrap().clone()
    }

    pub fn spans(&self) -> Vec<Seen> {
        let exports = self.exports();
        let messages = exports
            .iter()
            .map(|export| ExportTraceServiceRequest::decode(export.body.as_slice()).unwrap());
        let of_resources = messages.flat_map(|message| message.resource_spans);
        of_resources
            .flat_map(|of_resource| {
                let resource = of_resource.resource.unwrap_or_default().attributes;
                let service = text(&resource, "service.name").unwrap_or_default();
                let spans = of_resource.scope_spans.into_iter();
                spans.flat_map(|scope| scope.spans).map(move |span| Seen {
                    span,
                    service: service.clone(),
                    resource: resource.clone(),
                })
            })
            .collect()
    }

    /// All spans, once one of them matches.
    pub async fn until(&self, what: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        for _ in 0..600 {
            let spans = self.spans();
            if spans.iter().any(&what) {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no such span within 30 s");
    }
}

impl Seen {
    pub fn text(&self, key: &str) -> Option<String> {
        text(&self.span.attributes, key)
    }

    pub fn number(&self, key: &str) -> Option<i64> {
        match value(&self.span.attributes, key)? {
            any_value::Value::IntValue(number) => Some(number),
            _ => None,
        }
    }

    pub fn error(&self) -> Option<String> {
        let status = self.span.status.clone().unwrap_or_default();
        // `STATUS_CODE_ERROR`
        (status.code == 2).then_some(status.message)
    }
}

/// Those within `parent`, oldest first.
pub fn children<'a>(spans: &'a [Seen], parent: &Seen) -> Vec<&'a Seen> {
    let within = |seen: &&Seen| {
        seen.span.parent_span_id == parent.span.span_id
            && seen.span.trace_id == parent.span.trace_id
    };
    let mut children: Vec<_> = spans.iter().filter(within).collect();
    children.sort_by_key(|seen| seen.span.start_time_unix_nano);
    children
}

pub fn names<'a>(spans: &[&'a Seen]) -> Vec<&'a str> {
    spans.iter().map(|seen| seen.span.name.as_str()).collect()
}

fn value(attributes: &[KeyValue], key: &str) -> Option<any_value::Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone()?.value
}

pub fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    match value(attributes, key)? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}
