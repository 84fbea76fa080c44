//! Everything that a comparison measured, and the figures derived from it.
//!
//! `goals` judges it and `report` renders it; neither is imported here.

use std::collections::BTreeMap;

use super::bodies::{Body, LARGE, SMALL};
use super::error::Error;
use super::measurements::{Measurements, Table};
use super::options::Options;
use super::pace::{Pace, RATES};
use super::proxies::COUNTING;
use super::quiet::Load;

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Results {
    pub(super) options: Options,
    pub(super) bodies: Vec<Body>,
    pub(super) signs: BTreeMap<String, bool>,
    pub(super) waits: BTreeMap<String, bool>,
    pub(super) cpu: Table,
    pub(super) by_connections: Table,
    pub(super) by_size: Table,
    pub(super) sizes: Vec<Body>,
    pub(super) latency: Table,
    /// Idle, and at most under load.
    pub(super) memory: BTreeMap<String, [f64; 2]>,
    /// At most, and a while after.
    pub(super) crowd: [f64; 2],
    pub(super) pace: Pace,
    pub(super) gateways: Table,
    pub(super) scale: Table,
    /// What others took of the processors, before and meanwhile.
    pub(super) others: Vec<Load>,
    pub(super) start_up: Measurements,
    pub(super) binary: f64,
}

// === impl Results ===

impl Results {
    /// Whether nobody else was at work.
    ///
    /// # Errors
    /// [`Error::Busy`] says how much others took.
    pub fn quiet(&self) -> Result<(), Error> {
        self.others.iter().try_for_each(|load| load.quiet())
    }

    /// Which bodies came at which rates.
    pub(super) fn paced(&self) -> Vec<(&Body, u32)> {
        let real = [SMALL, LARGE];
        let bodies = self.bodies.iter();
        let bodies = bodies.filter(|body| real.contains(&body.name.as_str()));
        bodies
            .flat_map(|body| RATES.map(|rate| (body, rate)))
            .collect()
    }

    /// What a proxy adds to the way without one, in milliseconds.
    pub(super) fn added(&self, proxy: &str, quantile: &str) -> f64 {
        median(&self.latency, proxy, quantile) - median(&self.latency, "direct", quantile)
    }

    /// How much more a batch costs with two worker threads than with one.
    pub(super) fn sharing(&self, proxy: &str) -> f64 {
        median(&self.scale, proxy, "cost 2") / median(&self.scale, proxy, "cost 1")
    }

    /// How much more a byte costs between the two largest bodies than between the two before.
    pub(super) fn growth(&self) -> f64 {
        let cost = |body: &Body| median(&self.by_size, COUNTING, &body.name);
        let slopes: Vec<f64> = self
            .sizes
            .windows(2)
            .map(|pair| match pair {
                [small, large] => {
                    let more = large.bytes.len() - small.bytes.len();
                    (cost(large) - cost(small)) / more as f64
                }
                _ => f64::NAN,
            })
            .collect();
        match slopes.as_slice() {
            [.., before, last] => last / before,
            _ => f64::NAN,
        }
    }
}

/// The median of one proxy's numbers under this key; no number where there are none.
pub(crate) fn median(table: &Table, proxy: &str, key: &str) -> f64 {
    let found = table.get(&(proxy.to_owned(), key.to_owned()));
    found.map_or(f64::NAN, Measurements::median)
}
