//! Traces: OpenTelemetry's own variables, each also as a flag.
//!
//! In: what they say. Out: the [`Tracing`] of a valid configuration, or none where traces are off, which they are until an
//! endpoint is named. Where they are off nothing else of them is read: a platform sets these variables for all that runs there, and what
//! another program of the pod is told is no fault here. Where they are on, what is not spoken (gRPC, JSON, a sampler from
//! afar) is a fault with its mend; silence would look like a collector that loses spans.
//!
//! Numbers are as the OpenTelemetry specification writes them: times in milliseconds, without a unit.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Uri, http::uri};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;

use super::settings;
use super::values::{self, Expected};
use crate::config::loader::Reader;

/// What stands for a value that is not shown.
pub(super) const WITHHELD: &str = "[withheld]";
/// What OTLP adds to a base URL.
const TRACES: &str = "/v1/traces";
const LONGEST: u64 = 10 * 60 * 1000;

/// Which spans are made, and where they go.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// The whole URL.
    pub endpoint: Uri,
    /// Sent with every export; their values are secret.
    pub headers: HeaderMap,
    /// Of one try.
    pub timeout: Duration,
    /// Where further roots stand.
    pub certificate: Option<PathBuf>,
    /// What is trusted beside everything else.
    pub roots: Vec<CertificateDer<'static>>,
    /// Whether what is sent is compressed.
    pub gzip: bool,
    /// `service.name`.
    pub service_name: String,
    /// What else is said of this process.
    pub resource: Vec<(String, String)>,
    /// Which batches are traced.
    pub sampling: Sampling,
    /// How spans wait.
    pub queue: Waiting,
}

/// Which batches are traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Whether the sender's own decision counts where it made one.
    pub by_parent: bool,
    /// The share of all others, 0 to 1.
    pub share: f64,
}

/// How spans wait for their export.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// How long, at most.
    pub delay: Duration,
    /// How many; further ones are dropped.
    pub spans: usize,
    /// How many go in one request.
    pub at_once: usize,
    /// How long one request and its tries may take.
    pub timeout: Duration,
}

impl Reader<'_> {
    /// `Some(None)` where traces are off.
    pub(super) fn tracing(&mut self) -> Option<Option<Tracing>> {
        let whole = self.given(&settings::OTLP_TRACES_ENDPOINT);
        if whole.is_none() && self.given(&settings::OTLP_ENDPOINT).is_none() {
            return Some(None);
        }
        let disabled = self.parse(&settings::OTEL_SDK_DISABLED, values::switch)?;
        let exporter = self.parse(&settings::TRACES_EXPORTER, |text| match text {
            "otlp" => Ok(true),
            "none" => Ok(false),
            _ => Err(Expected(
                "otlp or none; no other exporter is built in".into(),
            )),
        })?;
        if disabled || !exporter {
            return Some(None);
        }
        let endpoint = match whole {
            Some(_) => {
                self.parse_given(&settings::OTLP_TRACES_ENDPOINT, |text| collector(text, ""))
            }
            None => self.parse_given(&settings::OTLP_ENDPOINT, |text| collector(text, TRACES)),
        };
        let spoken = self.parse(&settings::OTLP_PROTOCOL, protocol);
        let headers = match self.given(&settings::OTLP_HEADERS) {
            Some(_) => self.parse_given(&settings::OTLP_HEADERS, headers),
            None => Some(HeaderMap::new()),
        };
        let gzip = self.parse(&settings::OTLP_COMPRESSION, |text| match text {
            "gzip" => Ok(true),
            "none" => Ok(false),
            _ => Err(Expected("none or gzip".into())),
        });
        let roots = self.roots(&settings::OTLP_CERTIFICATE);
        let resource = match self.given(&settings::OTEL_RESOURCE_ATTRIBUTES) {
            Some(_) => self.parse_given(&settings::OTEL_RESOURCE_ATTRIBUTES, pairs),
            None => Some(Vec::new()),
        };
        let timeout = self.parse(&settings::OTLP_TIMEOUT, milliseconds);
        let sampling = self.sampling();
        let queue = self.waiting();
        spoken?;
        Some(Some(Tracing {
            endpoint: endpoint?,
            headers: headers?,
            timeout: timeout?,
            certificate: self.given(&settings::OTLP_CERTIFICATE).map(PathBuf::from),
            roots: roots?,
            gzip: gzip?,
            service_name: self.service_name(resource.as_deref()?),
            resource: resource?,
            sampling: sampling?,
            queue: queue?,
        }))
    }

    /// A name of its own beats the one among the attributes, that beats the default.
    fn service_name(&self, resource: &[(String, String)]) -> String {
        let attribute = || {
            let named = resource.iter().find(|(key, _)| key == "service.name");
            named.map(|(_, name)| name.clone())
        };
        self.given(&settings::OTEL_SERVICE_NAME)
            .or_else(attribute)
            .unwrap_or_else(|| settings::OTEL_SERVICE_NAME.shown_default().to_owned())
    }

    fn sampling(&mut self) -> Option<Sampling> {
        let sampler = self.parse(&settings::TRACES_SAMPLER, |text| {
            let (by_parent, rest) = match text.strip_prefix("parentbased_") {
                Some(rest) => (true, rest),
                None => (false, text),
            };
            match rest {
                "always_on" => Ok((by_parent, Some(1.0))),
                "always_off" => Ok((by_parent, Some(0.0))),
                "traceidratio" => Ok((by_parent, None)),
                _ => Err(Expected(
                    "always_on, always_off or traceidratio, each also with parentbased_ before it"
                        .into(),
                )),
            }
        });
        let share = self.parse(&settings::TRACES_SAMPLER_ARG, |text| {
            let share: Option<f64> = text.parse().ok();
            share
                .filter(|share| (0.0..=1.0).contains(share))
                .ok_or_else(|| Expected("a share from 0 to 1, as 0.1".into()))
        });
        let (by_parent, fixed) = sampler?;
        let share = share?;
        Some(Sampling {
            by_parent,
            share: fixed.unwrap_or(share),
        })
    }

    fn waiting(&mut self) -> Option<Waiting> {
        let delay = self.parse(&settings::BSP_SCHEDULE_DELAY, milliseconds);
        let timeout = self.parse(&settings::BSP_EXPORT_TIMEOUT, milliseconds);
        let spans = self.parse(&settings::BSP_MAX_QUEUE_SIZE, |text| {
            number(text, 65_536, "spans")
        });
        let at_once = self.parse(&settings::BSP_MAX_EXPORT_BATCH_SIZE, |text| {
            number(text, 65_536, "spans")
        });
        let (spans, at_once) = (spans?, at_once?);
        if at_once > spans {
            let what = "at most --bsp-max-queue-size";
            self.fault(&settings::BSP_MAX_EXPORT_BATCH_SIZE, what);
            return None;
        }
        Some(Waiting {
            delay: delay?,
            spans: usize::try_from(spans).ok()?,
            at_once: usize::try_from(at_once).ok()?,
            timeout: timeout?,
        })
    }
}

// === impl Tracing ===

impl Tracing {
    /// The same whatever its certificates hold, which are read again while the program runs.
    pub(super) fn without_roots(&self) -> Self {
        Self {
            roots: Vec::new(),
            ..self.clone()
        }
    }
}

// === impl Sampling ===

impl Sampling {
    /// As the specification names it.
    #[must_use]
    pub fn name(&self) -> String {
        let parent = if self.by_parent { "parentbased_" } else { "" };
        let sampler = match self.share {
            0.0 => "always_off",
            1.0 => "always_on",
            _ => "traceidratio",
        };
        format!("{parent}{sampler}")
    }
}

/// Plain http is usual within a cluster: nothing secret is in a span.
fn collector(text: &str, more: &str) -> Result<Uri, Expected> {
    let what = || {
        Expected("an http:// or https:// URL without query, fragment or credentials, as http://otel-collector:4318".into())
    };
    if text.contains('#') {
        return Err(what());
    }
    let base: Uri = text.parse().map_err(|_| what())?;
    let authority = base.authority().ok_or_else(what)?;
    let fine = matches!(base.scheme_str(), Some("http" | "https"))
        && !authority.host().is_empty()
        && !authority.as_str().contains('@')
        && base.query().is_none();
    if !fine {
        return Err(what());
    }
    if more.is_empty() {
        return Ok(base);
    }
    let path = format!("{}{more}", base.path().trim_end_matches('/'));
    let mut parts = base.into_parts();
    parts.path_and_query = Some(uri::PathAndQuery::try_from(path).map_err(|_| what())?);
    Uri::from_parts(parts).map_err(|_| what())
}

fn protocol(text: &str) -> Result<(), Expected> {
    match text {
        "http/protobuf" => Ok(()),
        "grpc" => Err(Expected(
            "http/protobuf; gRPC is not spoken here: set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf and name the collector's port for HTTP, 4318".into(),
        )),
        _ => Err(Expected(
            "http/protobuf, which every collector takes; JSON is not spoken here".into(),
        )),
    }
}

/// As W3C baggage: `key=value`, separated by commas, values percent-encoded.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Expected> {
    let what = || Expected("key=value pairs separated by commas, values percent-encoded".into());
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(what)?;
            let value = percent_decode_str(value.trim()).decode_utf8();
            let value = value.map_err(|_| what())?.into_owned();
            let key = key.trim();
            (!key.is_empty())
                .then(|| (key.to_owned(), value))
                .ok_or_else(what)
        })
        .collect()
}

fn headers(text: &str) -> Result<HeaderMap, Expected> {
    let no_header = |key: &str| {
        Expected(format!(
            "names and values of HTTP headers, which {key:?} is not"
        ))
    };
    pairs(text)?
        .into_iter()
        .map(|(key, value)| {
            if value == WITHHELD {
                return Err(Expected(format!(
                    "the value of {key}, which `amp-sidecar config` does not show"
                )));
            }
            let name = HeaderName::try_from(&key).map_err(|_| no_header(&key))?;
            let mut value = HeaderValue::try_from(value).map_err(|_| no_header(&key))?;
            value.set_sensitive(true);
            Ok((name, value))
        })
        .collect()
}

fn milliseconds(text: &str) -> Result<Duration, Expected> {
    number(text, LONGEST, "milliseconds").map(Duration::from_millis)
}

fn number(text: &str, most: u64, of: &str) -> Result<u64, Expected> {
    let number: Option<u64> = text.trim().parse().ok();
    number
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| Expected(format!("a number of {of} from 1 to {most}, without a unit")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{self, MINIMAL};

    fn read(env: &[(&'static str, &'static str)]) -> Result<Option<Tracing>, String> {
        let env: Vec<_> = MINIMAL.iter().chain(env).copied().collect();
        let read = tests::read(&[], &env);
        read.map(|config| config.tracing)
            .map_err(|rejected| rejected.to_string())
    }

    const ON: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[test]
    fn an_endpoint_switches_traces_on_and_its_own_variable_is_taken_as_it_is() {
        assert_eq!(read(&[]), Ok(None));
        for (variable, value, url) in [
            (
                ON.0,
                "http://collector:4318",
                "http://collector:4318/v1/traces",
            ),
            (
                ON.0,
                "https://c.example/otlp/",
                "https://c.example/otlp/v1/traces",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://c:1/spans",
                "http://c:1/spans",
            ),
        ] {
            let tracing = read(&[(variable, value)]).unwrap().unwrap();
            assert_eq!(tracing.endpoint.to_string(), url);
        }
        for off in [
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ] {
            assert_eq!(read(&[ON, off]), Ok(None), "{off:?}");
        }
    }

    #[test]
    fn what_is_meant_for_others_is_no_fault_where_traces_are_off() {
        let env = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ];
        assert_eq!(read(&env), Ok(None));
    }

    #[test]
    fn what_is_not_spoken_is_refused_with_its_mend_and_no_secret_is_shown() {
        for (variable, value, word) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "4318"),
            (
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                "http/json",
                "http/protobuf",
            ),
            ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote", "parentbased_"),
            ("OTEL_TRACES_SAMPLER_ARG", "10", "0 to 1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "gzip"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "key=value"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "api key=hunter2",
                "HTTP headers",
            ),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere", "PEM"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "from 1"),
            (
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
                "4096",
                "--bsp-max-queue-size",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "collector:4317",
                "http://",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://me:hunter2@c:4318",
                "credentials",
            ),
        ] {
            let told = read(&[ON, (variable, value)]).unwrap_err();
            assert!(told.contains(variable) && told.contains(word), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn values_are_read_as_the_specification_writes_them() {
        let tracing = read(&[
            ON,
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x-scope=t"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=other,k8s.pod.name=p-0",
            ),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ]);
        let tracing = tracing.unwrap().unwrap();
        assert_eq!(tracing.headers.get("api-key").unwrap(), "a b");
        assert!(!format!("{tracing:?}").contains("a b"));
        assert_eq!(tracing.service_name, "other");
        assert_eq!(
            tracing.sampling,
            Sampling {
                by_parent: false,
                share: 0.25
            }
        );
        assert_eq!(tracing.timeout, Duration::from_millis(1500));
    }
}
