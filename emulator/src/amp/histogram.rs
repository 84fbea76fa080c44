//! Whether a native histogram is one: the checks of Prometheus' histogram package and Cortex' limits, in their order and
//! words.
//!
//! A histogram with too many buckets is good if a lower resolution brings them under the limit, as the engine then stores
//! it; here it is stored as it came.

use std::collections::BTreeSet;

use prost::Message;
use remote_write_proto::v1;

use super::{go, limits::Limits};

/// The lowest and the highest resolution, and what stands for custom buckets.
const LOWEST: i32 = -4;
const HIGHEST: i32 = 8;
const CUSTOM: i32 = -53;

/// Why a histogram is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum HistogramFault {
    #[error(
        "native histogram sample size bytes exceeded for metric (actual: {actual}, limit: {limit}) metric: {}",
        go::quoted_start(metric)
    )]
    Size {
        actual: usize,
        limit: usize,
        metric: String,
    },
    #[error(
        "invalid native histogram schema {schema} for metric: {}. supported schema from {LOWEST} to {HIGHEST}",
        go::quoted_start(metric)
    )]
    Schema { schema: i32, metric: String },
    #[error(
        "invalid native histogram, validation err: {why}, metric: {}",
        go::quoted_start(metric)
    )]
    Invalid { why: String, metric: String },
    #[error(
        "native histogram bucket count exceeded for metric (limit: {limit}) metric: {}",
        go::quoted_start(metric)
    )]
    Buckets { limit: usize, metric: String },
}

/// Checks one histogram; `metric` is how its series is shown.
pub(super) fn check(
    histogram: &v1::Histogram,
    limits: &Limits,
    metric: impl Fn() -> String,
) -> Result<(), HistogramFault> {
    let actual = histogram.encoded_len();
    if let Some(limit) = limits
        .max_native_histogram_sample_size_bytes
        .filter(|limit| actual > *limit)
    {
        return Err(HistogramFault::Size {
            actual,
            limit,
            metric: metric(),
        });
    }
    let schema = histogram.schema;
    if schema != CUSTOM && !(LOWEST..=HIGHEST).contains(&schema) {
        return Err(HistogramFault::Schema {
            schema,
            metric: metric(),
        });
    }
    valid(histogram).map_err(|why| HistogramFault::Invalid {
        why,
        metric: metric(),
    })?;
    match limits.max_native_histogram_buckets {
        Some(limit) if limit > 0 && fewest_buckets(histogram) > limit => {
            Err(HistogramFault::Buckets {
                limit,
                metric: metric(),
            })
        }
        _ => Ok(()),
    }
}

fn valid(histogram: &v1::Histogram) -> Result<(), String> {
    let side = |side: &'static str| move |why| format!("{side} side: {why}");
    let (negative, positive) = (
        Side::of(
            histogram,
            &histogram.negative_deltas,
            &histogram.negative_counts,
        ),
        Side::of(
            histogram,
            &histogram.positive_deltas,
            &histogram.positive_counts,
        ),
    );
    let mut found = Found::default();
    if histogram.schema == CUSTOM {
        custom_bounds(
            &histogram.custom_values,
            &histogram.positive_spans,
            positive.count(),
        )
        .map_err(|why| format!("custom buckets: {why}"))?;
        custom_has_nothing_else(histogram, &negative)?;
    } else {
        spans(&histogram.positive_spans, positive.count()).map_err(side("positive"))?;
        spans(&histogram.negative_spans, negative.count()).map_err(side("negative"))?;
        negative.add_to(&mut found).map_err(side("negative"))?;
        if let Some(v1::histogram::ZeroCount::ZeroCountFloat(zero)) = histogram.zero_count
            && zero < 0.0
        {
            let zero = go::float(zero);
            return Err(format!(
                "zero bucket has observation count of {zero}: {NEGATIVE_BUCKET}"
            ));
        }
        if !histogram.custom_values.is_empty() {
            return Err("histogram with exponential schema must not have custom bounds".to_owned());
        }
    }
    if let Some(v1::histogram::Count::CountFloat(count)) = histogram.count
        && count < 0.0
    {
        let count = go::float(count);
        return Err(format!(
            "observation count is  {count}: histogram's observation count is negative"
        ));
    }
    positive.add_to(&mut found).map_err(side("positive"))?;
    counted(histogram, found.0)
}

/// Only integer histograms are counted: their buckets must add up.
fn counted(histogram: &v1::Histogram, found: u64) -> Result<(), String> {
    let count = match histogram.count {
        Some(v1::histogram::Count::CountFloat(_)) => return Ok(()),
        Some(v1::histogram::Count::CountInt(count)) => count,
        None => 0,
    };
    let zero = match histogram.zero_count {
        Some(v1::histogram::ZeroCount::ZeroCountInt(zero)) => zero,
        _ => 0,
    };
    let found = found.wrapping_add(zero);
    let problem = if histogram.sum.is_nan() {
        (found > count).then_some(
            "histogram's observation count should be at least the number of observations found in the buckets",
        )
    } else {
        (found != count).then_some(
            "histogram's observation count should equal the number of observations found in the buckets (in absence of \
             NaN)",
        )
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(format!(
            "{found} observations found in buckets, but the Count field is {count}: {problem}"
        )),
    }
}

const NEGATIVE_BUCKET: &str = "histogram has a bucket whose observation count is negative";

/// The buckets of one side, in whichever form they came.
#[derive(Debug)]
enum Side<'a> {
    Deltas(&'a [i64]),
    Counts(&'a [f64]),
}

/// Observations found so far.
#[derive(Debug, Default)]
struct Found(u64);

impl<'a> Side<'a> {
    fn of(histogram: &v1::Histogram, deltas: &'a [i64], counts: &'a [f64]) -> Self {
        match histogram.count {
            Some(v1::histogram::Count::CountFloat(_)) => Self::Counts(counts),
            Some(v1::histogram::Count::CountInt(_)) | None => Self::Deltas(deltas),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Deltas(deltas) => deltas.len(),
            Self::Counts(counts) => counts.len(),
        }
    }

    fn add_to(&self, found: &mut Found) -> Result<(), String> {
        let negative = |number: usize, count: String| {
            format!("bucket number {number} has observation count of {count}: {NEGATIVE_BUCKET}")
        };
        match self {
            Self::Deltas(deltas) => {
                let mut last = 0_i64;
                for (index, delta) in deltas.iter().enumerate() {
                    last = last.wrapping_add(*delta);
                    let count =
                        u64::try_from(last).map_err(|_| negative(index + 1, last.to_string()))?;
                    found.0 = found.0.wrapping_add(count);
                }
            }
            Self::Counts(counts) => {
                for (index, count) in counts.iter().enumerate() {
                    if *count < 0.0 {
                        return Err(negative(index + 1, go::float(*count)));
                    }
                }
            }
        }
        Ok(())
    }
}

fn spans(spans: &[v1::BucketSpan], buckets: usize) -> Result<(), String> {
    for (index, span) in spans.iter().enumerate().skip(1) {
        offset_is_not_negative(index, span)?;
    }
    as_many_as_spanned(spans, buckets)
}

fn offset_is_not_negative(index: usize, span: &v1::BucketSpan) -> Result<(), String> {
    if span.offset < 0 {
        return Err(format!(
            "span number {} with offset {}: histogram has a span whose offset is negative",
            index + 1,
            span.offset
        ));
    }
    Ok(())
}

fn as_many_as_spanned(spans: &[v1::BucketSpan], buckets: usize) -> Result<(), String> {
    let spanned: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if u64::try_from(buckets) != Ok(spanned) {
        return Err(format!(
            "spans need {spanned} buckets, have {buckets} buckets: histogram spans specify different number of buckets than \
             provided"
        ));
    }
    Ok(())
}

fn custom_bounds(bounds: &[f64], spans: &[v1::BucketSpan], buckets: usize) -> Result<(), String> {
    let mut last = f64::NEG_INFINITY;
    for (index, bound) in bounds.iter().enumerate() {
        if bound.is_nan() {
            return Err("histogram custom bounds must not be NaN".to_owned());
        }
        if index > 0 && *bound <= last {
            return Err(format!(
                "previous bound is {last:.6} and current is {bound:.6}: histogram custom bounds must be in strictly \
                 increasing order"
            ));
        }
        last = *bound;
    }
    if last == f64::INFINITY {
        return Err(
            "last +Inf bound must not be explicitly defined: histogram custom bounds must be finite".to_owned(),
        );
    }
    for (index, span) in spans.iter().enumerate() {
        offset_is_not_negative(index, span)?;
    }
    as_many_as_spanned(spans, buckets)?;
    let length: i64 = spans
        .iter()
        .map(|span| i64::from(span.length) + i64::from(span.offset))
        .sum();
    let defined = bounds.len();
    if i64::try_from(defined + 1).is_ok_and(|most| most < length) {
        return Err(format!(
            "only {defined} custom bounds defined which is insufficient to cover total span length of {length}: histogram \
             custom bounds are too few"
        ));
    }
    Ok(())
}

fn custom_has_nothing_else(histogram: &v1::Histogram, negative: &Side<'_>) -> Result<(), String> {
    use v1::histogram::ZeroCount;
    let zero = match histogram.zero_count {
        Some(ZeroCount::ZeroCountInt(count)) => count != 0,
        Some(ZeroCount::ZeroCountFloat(count)) => count != 0.0,
        None => false,
    };
    let problem = if zero {
        "must have zero count of 0"
    } else if histogram.zero_threshold != 0.0 {
        "must have zero threshold of 0"
    } else if !histogram.negative_spans.is_empty() {
        "must not have negative spans"
    } else if negative.count() > 0 {
        "must not have negative buckets"
    } else {
        return Ok(());
    };
    Err(format!("custom buckets: {problem}"))
}

/// How many buckets are left at the lowest resolution that there is.
fn fewest_buckets(histogram: &v1::Histogram) -> usize {
    let merged = match histogram.schema {
        CUSTOM => 0,
        schema => u32::try_from(schema - LOWEST).unwrap_or_default(),
    };
    let left = |spans: &[v1::BucketSpan]| {
        let mut left = BTreeSet::new();
        let mut index = 0_i64;
        for span in spans {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                // Bucket i has the values up to base to the power of i: two by two they become one.
                left.insert(((index - 1) >> merged) + 1);
                index += 1;
            }
        }
        left.len()
    };
    left(&histogram.positive_spans) + left(&histogram.negative_spans)
}

#[cfg(test)]
mod tests;
