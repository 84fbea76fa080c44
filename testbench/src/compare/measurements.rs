//! Measured numbers: every value of one thing, in order, and tables of them.

use std::collections::BTreeMap;

/// Every reading of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measurements(Vec<f64>);

/// By proxy, and by body or whatever else is varied.
pub(crate) type Table = BTreeMap<(String, String), Measurements>;

// === impl Measurements ===

impl Measurements {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The least and the most.
    pub(crate) fn spread(&self) -> (f64, f64) {
        (self.quantile(0.0), self.quantile(1.0))
    }

    pub(crate) fn quantile(&self, q: f64) -> f64 {
        quantile(&self.0, q)
    }
}

impl From<Vec<f64>> for Measurements {
    fn from(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

/// The nearest of what was read, in order.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    let place = (last * q).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_readings() {
        let samples = Measurements::from(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!((samples.median(), samples.spread()), (3.0, (1.0, 5.0)));
        assert_eq!(samples.quantile(0.99), 5.0);
        assert!(Measurements::default().median().is_nan());
    }
}
