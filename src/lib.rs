//! Signs and forwards Prometheus remote write to Amazon Managed Service for Prometheus.

/// The stages of a batch.
pub mod batch {
    pub mod inspect;
    pub mod split;
    pub mod wire;
}
