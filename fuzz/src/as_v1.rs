//! A batch of remote write 2.0 as one of 1.0, by prost's types: the judge of the sidecar's own conversion.
//!
//! The unit tests of `src/batch/convert` include this file, too, so that it names nothing of the sidecar.

use std::collections::BTreeSet;

use prost::Message;
use remote_write_proto::as_bytes::{v1, v2};

/// `None` where a reference is bad or has no partner. Metadata is sorted.
pub(super) fn convert(request: &v2::Request) -> Option<v1::WriteRequest> {
    let mut metadata = BTreeSet::new();
    let mut timeseries = Vec::new();
    for series in &request.timeseries {
        let labels = labels(request, &series.labels_refs)?;
        if let Some(said) = series.metadata {
            let help = symbol(request, said.help_ref)?;
            let unit = symbol(request, said.unit_ref)?;
            let kind = if (0..=7).contains(&said.r#type) {
                said.r#type
            } else {
                0
            };
            let name = family(&labels, kind, !series.histograms.is_empty());
            if !name.is_empty() && (kind != 0 || !help.is_empty() || !unit.is_empty()) {
                metadata.insert((name, kind, unit, help));
            }
        }
        let exemplars = series.exemplars.iter().map(|exemplar| {
            Some(v1::Exemplar {
                labels: self::labels(request, &exemplar.labels_refs)?,
                value: exemplar.value,
                timestamp: exemplar.timestamp,
            })
        });
        let samples = series.samples.iter().map(|sample| v1::Sample {
            value: sample.value,
            timestamp: sample.timestamp,
        });
        timeseries.push(v1::TimeSeries {
            labels,
            samples: samples.collect(),
            exemplars: exemplars.collect::<Option<_>>()?,
            histograms: series.histograms.iter().map(histogram).collect(),
        });
    }
    let metadata = metadata.into_iter();
    let metadata = metadata.map(|(name, kind, unit, help)| v1::MetricMetadata {
        r#type: kind,
        metric_family_name: name,
        help,
        unit,
    });
    Some(v1::WriteRequest {
        timeseries,
        metadata: metadata.collect(),
    })
}

/// As bytes, since numbers that are none do not equal themselves.
pub(super) fn bytes(request: &v1::WriteRequest) -> Vec<u8> {
    request.encode_to_vec()
}

fn symbol(request: &v2::Request, reference: u32) -> Option<Vec<u8>> {
    match request.symbols.get(reference as usize) {
        None if reference == 0 => Some(Vec::new()),
        symbol => symbol.cloned(),
    }
}

fn labels(request: &v2::Request, references: &[u32]) -> Option<Vec<v1::Label>> {
    let (pairs, rest) = references.as_chunks::<2>();
    let label = |[name, value]: &[u32; 2]| {
        Some(v1::Label {
            name: symbol(request, *name)?,
            value: symbol(request, *value)?,
        })
    };
    let labels: Option<Vec<_>> = pairs.iter().map(label).collect();
    labels.filter(|_| rest.is_empty())
}

/// How the metric is called that a series of this name and type is part of.
fn family(labels: &[v1::Label], kind: i32, is_native: bool) -> Vec<u8> {
    let name = labels.iter().find(|one| one.name == b"__name__");
    let name = name.map(|one| one.value.clone()).unwrap_or_default();
    let has_quantile = labels.iter().any(|one| one.name == b"quantile");
    let ends: &[&str] = match (kind, is_native, has_quantile) {
        (3, false, _) => &["_bucket", "_sum", "_count"],
        (4, false, _) => &["_bucket", "_gsum", "_gcount"],
        (5, _, false) => &["_sum", "_count"],
        (6, _, _) => &["_info"],
        _ => &[],
    };
    for end in ends {
        if name.len() > end.len() && name.ends_with(end.as_bytes()) {
            return name[..name.len() - end.len()].to_vec();
        }
    }
    name
}

fn histogram(of: &v2::Histogram) -> v1::Histogram {
    let spans = |spans: &[v2::BucketSpan]| {
        let span = |span: &v2::BucketSpan| v1::BucketSpan {
            offset: span.offset,
            length: span.length,
        };
        spans.iter().map(span).collect()
    };
    v1::Histogram {
        count: of.count.map(|count| match count {
            v2::histogram::Count::CountInt(count) => v1::histogram::Count::CountInt(count),
            v2::histogram::Count::CountFloat(count) => v1::histogram::Count::CountFloat(count),
        }),
        sum: of.sum,
        schema: of.schema,
        zero_threshold: of.zero_threshold,
        zero_count: of.zero_count.map(|count| match count {
            v2::histogram::ZeroCount::ZeroCountInt(count) => {
                v1::histogram::ZeroCount::ZeroCountInt(count)
            }
            v2::histogram::ZeroCount::ZeroCountFloat(count) => {
                v1::histogram::ZeroCount::ZeroCountFloat(count)
            }
        }),
        negative_spans: spans(&of.negative_spans),
        negative_deltas: of.negative_deltas.clone(),
        negative_counts: of.negative_counts.clone(),
        positive_spans: spans(&of.positive_spans),
        positive_deltas: of.positive_deltas.clone(),
        positive_counts: of.positive_counts.clone(),
        reset_hint: of.reset_hint,
        timestamp: of.timestamp,
        custom_values: of.custom_values.clone(),
    }
}
