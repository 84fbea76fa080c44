//! Why tracing cannot be set up, as opposed to a collector that is down.

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A certificate that is not a CA's.
    #[error("--otlp-certificate or --ca-bundle holds an invalid CA certificate: {0}")]
    Roots(#[from] rustls::Error),
    /// An endpoint without a usable URL, which a valid configuration excludes.
    #[error("--otlp-endpoint has no host")]
    Endpoint,
}
