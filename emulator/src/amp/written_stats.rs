//! The counts of the `X-Prometheus-Remote-Write-*-Written` headers.
//!
//! The distributor counts them, `refusal` writes them into the response: neither imports the other.

use remote_write_proto::v1;

/// How many samples, histograms and exemplars of a batch the engine calls written: those that passed the distributor, and
/// none where an ingester refused one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WrittenStats {
    pub(super) samples: u64,
    pub(super) histograms: u64,
    pub(super) exemplars: u64,
}

impl WrittenStats {
    /// Counts one series' parts.
    pub(super) fn add(
        &mut self,
        samples: &[v1::Sample],
        histograms: &[v1::Histogram],
        exemplars: &[v1::Exemplar],
    ) {
        self.samples += samples.len() as u64;
        self.histograms += histograms.len() as u64;
        self.exemplars += exemplars.len() as u64;
    }
}
