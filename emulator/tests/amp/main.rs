//! AMP's side of the stand-in, whole requests against whole answers. The signer is `aws-sigv4`, which the code under
//! test does not use.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy.toml exempts only functions that are marked as tests"
)]

mod engine;
mod forwarding;
mod ingest;
mod limits;
mod query;
mod refusals;
mod schema_v2;
mod signatures;
mod world;
