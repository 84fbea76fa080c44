//! Signs Prometheus remote write and forwards it to Amazon Managed Service for Prometheus (AMP), with AWS credentials that it
//! gets for a projected service-account token.
//!
//! A batch, from the sender and back to it:
//!
//! ```text
//! inbound::listener ─▶ router ─▶ batch ( admission ─▶ receive ─▶ inspect ─▶ deliver ( sign ─▶ forward ) ) ─▶ outcome ─▶ inbound
//!                                                    remote_write          sigv4      net     amp_response, verdict
//! ```
//!
//! The credentials, beside it:
//!
//! ```text
//! token file ─▶ credentials ( token ─▶ [entra] ─▶ sts ─▶ [sts, role by role] ─▶ cache ) ─▶ batch, query
//! ```
//!
//! The list below is the order of the layers: a module imports only modules above it, and no two files import each other in a
//! circle. `tests/it/layers.rs` checks both.

// The ground: used by all, importing nothing.
pub mod remedies;

pub mod sanitize;

pub mod clock;

pub mod tls_files;

pub mod config;

// What is on the wire.
pub mod http;

pub mod remote_write;

pub mod net;

pub mod sigv4;

// What becomes of a batch, and how it is counted and logged.
pub mod outcome;

pub mod telemetry;

// The data path.
pub mod credentials;

pub mod inbound;

pub mod batch;

pub mod query;

pub mod workspace;

pub mod router;

// The process.
pub mod admin;

pub mod app;

// The commands.
pub mod setup;

pub mod check;

pub mod cli;

/// How the sidecar names itself to AMP and STS.
pub const USER_AGENT: &str = concat!("amp-sidecar/", env!("CARGO_PKG_VERSION"));
