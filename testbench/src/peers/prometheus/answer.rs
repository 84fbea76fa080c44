//! Answers of Prometheus' query API, read to the bit and the millisecond.
//!
//! In: JSON. Out: [`Samples`] of a range selector, [`InstantValue`]s of any other expression. Whole native histograms are
//! left out of both.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::peers::PeerError;
use crate::peers::samples::Samples;
use emulator::amp::Labels;

/// What a Prometheus is called in errors.
pub(super) const NAME: &str = "prometheus";

/// One value of an instant vector, with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct InstantValue {
    /// The labels, `__name__` among them where there is one.
    pub labels: BTreeMap<String, String>,
    /// The value, which may be NaN or infinite.
    pub value: f64,
}

#[derive(Deserialize)]
struct QueryAnswer<T> {
    data: QueryData<T>,
}

#[derive(Deserialize)]
struct QueryData<T> {
    result: Vec<T>,
}

#[derive(Deserialize)]
struct RangeSeries {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

#[derive(Deserialize)]
struct InstantSeries {
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

/// The samples of an answer to a range selector.
pub(super) fn range_result(text: &str) -> Result<Samples, PeerError> {
    let mut samples = Samples::new();
    for series in results::<RangeSeries>(text)? {
        let labels = Labels::new(series.metric);
        for (seconds, value) in series.values {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "three decimals of a second are exact in a double until the year 200000"
            )]
            let timestamp = (seconds * 1000.0).round() as i64;
            samples.insert(labels.clone(), timestamp, number(&value)?);
        }
    }
    Ok(samples)
}

/// The values of an answer to any other expression.
pub(super) fn vector(text: &str) -> Result<Vec<InstantValue>, PeerError> {
    let values = results::<InstantSeries>(text)?.into_iter();
    let values = values.filter_map(|series| {
        let (_, value) = series.value?;
        Some(number(&value).map(|value| InstantValue {
            labels: series.metric,
            value,
        }))
    });
    values.collect()
}

fn results<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, PeerError> {
    let answer: QueryAnswer<T> =
        serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    Ok(answer.data.result)
}

/// Rust reads `+Inf` and `NaN` as Prometheus writes them.
fn number(text: &str) -> Result<f64, PeerError> {
    text.parse()
        .map_err(|_| invalid(format!("{text:?} for a value")))
}

fn invalid(what: String) -> PeerError {
    PeerError::Answer {
        program: NAME.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_samples_are_read_to_the_bit_and_the_millisecond() {
        let text = r#"{"status":"success","data":{"result":[
            {"metric":{"__name__":"a","x":"1"},"values":[[1700000000.123,"0.14285714285714285"],[1700000001,"NaN"],[1700000002.999,"+Inf"]]},
            {"metric":{"__name__":"h"},"histograms":[[1700000000,{"count":"1"}]]}]}}"#;
        let samples = range_result(text).expect("readable");
        let seen: Vec<_> = samples
            .iter()
            .map(|(_, time, value)| (time, value.to_bits()))
            .collect();
        assert_eq!(seen[0], (1_700_000_000_123, (1.0_f64 / 7.0).to_bits()));
        assert_eq!(seen[2], (1_700_000_002_999, f64::INFINITY.to_bits()));
        assert_eq!((samples.len(), samples.series()), (3, 1));
        assert!(range_result(r#"{"data":{"result":[{"metric":{},"values":[[1,"x"]]}]}}"#).is_err());
    }

    #[test]
    fn values_are_read_and_histograms_left_out() {
        let text = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"a","x":"1"},"value":[1700000000.1,"0.5"]},
            {"metric":{},"value":[1700000000.1,"+Inf"]},
            {"metric":{},"histogram":[1700000000.1,{"count":"1","sum":"2","buckets":[]}]}]}}"#;
        let readings = vector(text).expect("readable");
        assert_eq!(readings.len(), 2);
        assert_eq!(readings[0].labels.get("x").map(String::as_str), Some("1"));
        assert_eq!((readings[0].value, readings[1].value), (0.5, f64::INFINITY));
        assert!(vector(r#"{"data":{"result":[{"metric":{},"value":[1,"x"]}]}}"#).is_err());
    }
}
