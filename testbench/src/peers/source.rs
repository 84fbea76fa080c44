//! An exporter on loopback, for a Prometheus to scrape.
//!
//! In: how many series. Out: `/metrics` with that many counters and gauges whose values change with each scrape. The same
//! [`Exposition`] feeds the built-in sender, so that both send alike. Gauges take fractions that need all 52 bits, so
//! that a value which lost a bit on its way is noticed.
//!
//! For some scrapes there may be one series more ([`Source::show_error`]), whose label holds whatever a test is about.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, StatusCode};

use emulator::amp::Labels;
use emulator::http::{Bound, Reply, Serve, Server, answer};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const COUNTER: &str = "shop_requests_total";
const GAUGE: &str = "shop_queue_seconds";
/// The metric of [`Source::show_error`].
pub const ERROR: &str = "last_error_info";

/// A fixed set of series, half of them counters, and their values by tick.
#[derive(Debug, Clone)]
pub struct Exposition {
    series: Arc<[Labels]>,
    counters: usize,
}

/// A running exporter; it stops when this is dropped.
#[derive(Debug)]
pub struct Source {
    address: SocketAddr,
    scrapes: Arc<AtomicU64>,
    error: Arc<Mutex<ShownError>>,
    _server: Server,
}

/// The value of a label, and for how many scrapes it is still shown.
#[derive(Debug, Default)]
struct ShownError {
    text: String,
    scrapes: u64,
}

#[derive(Debug)]
struct Exporter {
    exposition: Exposition,
    scrapes: Arc<AtomicU64>,
    error: Arc<Mutex<ShownError>>,
}

// === impl Exposition ===

impl Exposition {
    /// So many series.
    #[must_use]
    pub fn new(series: usize) -> Self {
        let counters = series.div_ceil(2);
        let labels = |index: usize| {
            if index < counters {
                let handler = format!("/articles/{index}");
                let code = if index.is_multiple_of(10) {
                    "500"
                } else {
                    "200"
                };
                Labels::new([
                    ("__name__", COUNTER),
                    ("code", code),
                    ("handler", handler.as_str()),
                ])
            } else {
                let queue = format!("orders-{index}");
                Labels::new([("__name__", GAUGE), ("queue", queue.as_str())])
            }
        };
        Self {
            series: (0..series).map(labels).collect(),
            counters,
        }
    }

    /// The label sets, in a fixed order.
    #[must_use]
    pub fn series(&self) -> &[Labels] {
        &self.series
    }

    /// The value of the series at `index` of [`Self::series`] at a tick.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "ticks and indices are far below 2^53"
    )]
    pub fn value(&self, index: usize, tick: u64) -> f64 {
        let index_number = index as u64;
        if index < self.counters {
            (tick * (1 + index_number % 7) + index_number) as f64
        } else {
            ((tick * 31 + index_number * 17) % 1000) as f64 / 7.0
        }
    }

    fn text(&self, tick: u64) -> String {
        let mut text = String::with_capacity(self.series.len() * 64);
        for (index, labels) in self.series.iter().enumerate() {
            if index == 0 {
                text.push_str("# TYPE shop_requests_total counter\n");
            } else if index == self.counters {
                text.push_str("# TYPE shop_queue_seconds gauge\n");
            }
            let name = labels.get("__name__").unwrap_or_default();
            let value = self.value(index, tick);
            let mut separator = "{";
            text.push_str(name);
            for (label, value) in labels.iter().filter(|(label, _)| *label != "__name__") {
                // Writing to a string cannot fail.
                let _written = write!(text, "{separator}{label}=\"{value}\"");
                separator = ",";
            }
            let _written = writeln!(text, "}} {value}");
        }
        text
    }
}

// === impl Source ===

impl Source {
    /// Serves so many series on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(series: usize) -> io::Result<Self> {
        let bound = Bound::to(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = bound.address();
        let scrapes = Arc::new(AtomicU64::new(0));
        let error = Arc::<Mutex<ShownError>>::default();
        let exporter = Exporter {
            exposition: Exposition::new(series),
            scrapes: Arc::clone(&scrapes),
            error: Arc::clone(&error),
        };
        Ok(Self {
            address,
            scrapes,
            error,
            _server: bound.serve(exporter, None),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows the series [`ERROR`] with this text, which needs no escaping, in its label `error` in the next so many scrapes.
    pub fn show_error(&self, text: &str, scrapes: u64) {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        *error = ShownError {
            text: text.to_owned(),
            scrapes,
        };
    }

    /// How often it was scraped.
    #[must_use]
    pub fn scrapes(&self) -> u64 {
        self.scrapes.load(Ordering::Relaxed)
    }
}

impl Serve for Exporter {
    async fn serve(&self, request: Request<Bytes>, _peer: SocketAddr) -> Reply {
        Reply::Whole(if request.uri().path() == "/metrics" {
            let tick = self.scrapes.fetch_add(1, Ordering::Relaxed);
            let text = self.exposition.text(tick) + &self.error();
            answer(StatusCode::OK, CONTENT_TYPE, text)
        } else {
            let text = "served here: /metrics\n".to_owned();
            answer(StatusCode::NOT_FOUND, "text/plain", text)
        })
    }
}

impl Exporter {
    /// The line of the error that is shown, if one is.
    fn error(&self) -> String {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        if error.scrapes == 0 {
            return String::new();
        }
        error.scrapes -= 1;
        let text = &error.text;
        format!("# TYPE {ERROR} gauge\n{ERROR}{{error=\"{text}\"}} 1\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::metrics::Metrics;

    #[test]
    fn every_series_is_shown_with_its_value() {
        for count in [1, 2, 7, 200] {
            let exposition = Exposition::new(count);
            let metrics = Metrics::parse(&exposition.text(5));
            for (index, labels) in exposition.series().iter().enumerate() {
                let name = labels.get("__name__").expect("named");
                let others: Vec<_> = labels
                    .iter()
                    .filter(|(label, _)| *label != "__name__")
                    .collect();
                assert_eq!(metrics.value(name, &others), Ok(exposition.value(index, 5)));
            }
        }
        let exposition = Exposition::new(200);
        let changed =
            (0..200).filter(|&index| exposition.value(index, 1) != exposition.value(index, 2));
        assert_eq!(changed.count(), 200);
    }

    #[tokio::test]
    async fn an_error_is_shown_for_so_many_scrapes() {
        let source = Source::start(1).await.expect("a source");
        source.show_error("Rate exceeded", 1);
        let scrape = || {
            let within = std::time::Duration::from_secs(5);
            crate::peers::call::text(source.address(), http::Method::GET, "/metrics", within)
        };
        let shown = Metrics::parse(&scrape().await.expect("served"));
        assert_eq!(shown.value(ERROR, &[("error", "Rate exceeded")]), Ok(1.0));
        let after = Metrics::parse(&scrape().await.expect("served"));
        assert_eq!(after.find_value(ERROR, &[]), Ok(None));
    }
}
