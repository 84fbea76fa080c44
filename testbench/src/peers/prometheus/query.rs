//! An expression of Prometheus' query language, evaluated now.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;

use super::{NAME, Prometheus};
use crate::peers::PeerError;

/// One value of an answer, with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The labels, `__name__` among them where there is one.
    pub labels: BTreeMap<String, String>,
    /// The value, which may be no number.
    pub value: f64,
}

#[derive(Deserialize)]
struct Answered {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Valued>,
}

#[derive(Deserialize)]
struct Valued {
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

// === impl Prometheus ===

impl Prometheus {
    /// What the expression gives: an instant vector. Whole native histograms, which are no single value, are left out.
    ///
    /// # Errors
    /// [`PeerError`], with what Prometheus has to say of an expression that it does not take.
    pub async fn query(&self, expression: &str) -> Result<Vec<Reading>, PeerError> {
        let encoded: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let path = format!("/api/v1/query?query={encoded}");
        read(&self.ask(Method::GET, &path).await?)
    }
}

fn read(text: &str) -> Result<Vec<Reading>, PeerError> {
    let nonsense = |what: String| PeerError::Answer {
        program: NAME.to_owned(),
        what,
    };
    let answered: Answered =
        serde_json::from_str(text).map_err(|error| nonsense(error.to_string()))?;
    let readings = answered.data.result.into_iter().filter_map(|valued| {
        let (_, value) = valued.value?;
        // Rust reads `+Inf` and `NaN` as Prometheus writes them.
        let value = value
            .parse()
            .map_err(|_| nonsense(format!("{value:?} for a value")));
        Some(value.map(|value| Reading {
            labels: valued.metric,
            value,
        }))
    });
    readings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_histograms_left_out() {
        let text = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"a","x":"1"},"value":[1700000000.1,"0.5"]},
            {"metric":{},"value":[1700000000.1,"+Inf"]},
            {"metric":{},"histogram":[1700000000.1,{"count":"1","sum":"2","buckets":[]}]}]}}"#;
        let readings = read(text).expect("readable");
        assert_eq!(readings.len(), 2);
        assert_eq!(readings[0].labels.get("x").map(String::as_str), Some("1"));
        assert_eq!((readings[0].value, readings[1].value), (0.5, f64::INFINITY));
        assert!(read(r#"{"data":{"result":[{"metric":{},"value":[1,"x"]}]}}"#).is_err());
    }
}
