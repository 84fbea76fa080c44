//! A world with real processes around it: the sidecar as built from this workspace, and a Prometheus from the `PATH`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy.toml exempts only functions that are marked as tests"
)]

mod arrival;
mod faces;
