//! The remote-write messages as prost types.
//!
//! For the tests, which hold the sidecar's own walk over the wire format against prost, and for the
//! emulator, which stores what it decodes. The sidecar itself depends on this crate in its tests only, so
//! neither prost nor the schema compiler is part of its build.
#![allow(
    missing_docs,
    clippy::doc_markdown,
    reason = "generated from the schemas, which carry the words"
)]

/// Remote write 1.0.
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/as_written/prometheus.rs"));
}

/// Remote write 2.0.
pub mod v2 {
    include!(concat!(
        env!("OUT_DIR"),
        "/as_written/io.prometheus.write.v2.rs"
    ));
}

impl From<v1::WriteRequest> for v2::Request {
    /// The same series in version 2.0, each with metadata as its senders add them.
    fn from(request: v1::WriteRequest) -> Self {
        let mut symbols = vec![String::new()];
        let mut refer = |symbol: String| {
            let known = symbols.iter().position(|known| *known == symbol);
            known.unwrap_or_else(|| {
                symbols.push(symbol);
                symbols.len() - 1
            }) as u32
        };
        let series = |series: v1::TimeSeries| v2::TimeSeries {
            labels_refs: series
                .labels
                .into_iter()
                .flat_map(|label| [refer(label.name), refer(label.value)])
                .collect(),
            samples: series
                .samples
                .iter()
                .map(|sample| v2::Sample {
                    value: sample.value,
                    timestamp: sample.timestamp,
                    start_timestamp: 0,
                })
                .collect(),
            metadata: Some(v2::Metadata {
                r#type: v2::metadata::MetricType::Counter.into(),
                help_ref: refer("What it counts.".to_owned()),
                unit_ref: 0,
            }),
            ..Default::default()
        };
        let timeseries = request.timeseries.into_iter().map(series).collect();
        Self {
            symbols,
            timeseries,
        }
    }
}

/// The same messages with every string as bytes: what prost accepts of the wire format alone, without its
/// check that strings are UTF-8.
pub mod as_bytes {
    /// Remote write 1.0.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/as_bytes/prometheus.rs"));
    }

    /// Remote write 2.0.
    pub mod v2 {
        include!(concat!(
            env!("OUT_DIR"),
            "/as_bytes/io.prometheus.write.v2.rs"
        ));
    }
}
