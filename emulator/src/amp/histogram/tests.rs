use super::*;

fn histogram(count: u64, deltas: &[i64]) -> v1::Histogram {
    v1::Histogram {
        count: Some(v1::histogram::Count::CountInt(count)),
        positive_spans: vec![v1::BucketSpan {
            offset: 0,
            length: u32::try_from(deltas.len()).unwrap(),
        }],
        positive_deltas: deltas.to_vec(),
        sum: 1.0,
        timestamp: 1,
        ..Default::default()
    }
}

fn fault(histogram: &v1::Histogram, limits: &Limits) -> String {
    match check(histogram, limits, || "h".to_owned()) {
        Ok(()) => String::new(),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn good_ones_pass_and_bad_ones_are_refused_in_the_words_of_the_engine() {
    let any = Limits::default();
    let good = histogram(5, &[2, 1]);
    assert_eq!(fault(&good, &any), "");
    assert_eq!(
        fault(&histogram(3, &[2, 1]), &any),
        "invalid native histogram, validation err: 5 observations found in buckets, but the Count field is 3: \
         histogram's observation count should equal the number of observations found in the buckets (in absence of \
         NaN), metric: \"h\""
    );
    let stale = v1::Histogram {
        sum: f64::from_bits(0x7ff0_0000_0000_0002),
        ..histogram(0, &[])
    };
    assert_eq!(fault(&stale, &any), "");
    let schema = v1::Histogram {
        schema: 12,
        ..good.clone()
    };
    assert_eq!(
        fault(&schema, &any),
        "invalid native histogram schema 12 for metric: \"h\". supported schema from -4 to 8"
    );
    assert_eq!(
        fault(&histogram(1, &[1, -2]), &any),
        "invalid native histogram, validation err: positive side: bucket number 2 has observation count of -1: \
         histogram has a bucket whose observation count is negative, metric: \"h\""
    );
    let custom = |bounds: &[f64]| v1::Histogram {
        schema: CUSTOM,
        custom_values: bounds.to_vec(),
        ..good.clone()
    };
    assert_eq!(fault(&custom(&[1.0, 5.0]), &any), "");
    assert_eq!(
        fault(&custom(&[5.0, 2.0]), &any),
        "invalid native histogram, validation err: custom buckets: previous bound is 5.000000 and current is \
         2.000000: histogram custom bounds must be in strictly increasing order, metric: \"h\""
    );
    let float = v1::Histogram {
        count: Some(v1::histogram::Count::CountFloat(7.5)),
        positive_counts: vec![1.5, 6.0],
        positive_deltas: Vec::new(),
        ..good.clone()
    };
    assert_eq!(fault(&float, &any), "");
}

#[test]
fn size_and_buckets_are_limited_where_a_lower_resolution_does_not_help() {
    let good = histogram(5, &[2, 1]);
    let size = Limits {
        max_native_histogram_sample_size_bytes: Some(10),
        ..Limits::default()
    };
    assert_eq!(
        fault(&good, &size),
        format!(
            "native histogram sample size bytes exceeded for metric (actual: {}, limit: 10) metric: \"h\"",
            good.encoded_len()
        )
    );
    let one = Limits {
        max_native_histogram_buckets: Some(1),
        ..Limits::default()
    };
    // Buckets 0 and 1 are on either side of 1.0, which no resolution brings together.
    assert_eq!(
        fault(&good, &one),
        "native histogram bucket count exceeded for metric (limit: 1) metric: \"h\""
    );
    let mut beside = good;
    beside.positive_spans[0].offset = 1;
    assert_eq!(fault(&beside, &one), "", "buckets 1 and 2 become one");
}
