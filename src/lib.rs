//! Signs and forwards Prometheus remote write to Amazon Managed Service for Prometheus.
