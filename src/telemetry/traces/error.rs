//! Why traces cannot be exported at all, as opposed to a collector that is not there.

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A certificate that is no CA's.
    #[error("--otlp-certificate or --ca-bundle holds an invalid CA certificate: {0}")]
    Roots(#[from] rustls::Error),
    /// An endpoint that cannot be connected to, which a checked configuration excludes.
    #[error("--otlp-endpoint names no host")]
    Endpoint,
}
