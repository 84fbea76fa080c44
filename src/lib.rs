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
//!
//! The program needs the few modules that are always public; with the feature `internals`, tests, benchmarks and fuzzers see the
//! others too. Without it the compiler reports whatever only they would use.
#![cfg_attr(
    not(feature = "internals"),
    allow(unreachable_pub, reason = "public only with the feature")
)]
#![cfg_attr(
    feature = "internals",
    allow(
        missing_docs,
        reason = "asked for where the surface is the real one: without the feature"
    )
)]

// The ground: used by all, importing nothing.
#[cfg(feature = "internals")]
pub mod remedies;
#[cfg(not(feature = "internals"))]
mod remedies;

#[cfg(feature = "internals")]
pub mod sanitize;
#[cfg(not(feature = "internals"))]
mod sanitize;

#[cfg(feature = "internals")]
pub mod aws_keys;
#[cfg(not(feature = "internals"))]
mod aws_keys;

pub mod clock;

#[cfg(feature = "internals")]
pub mod tls_files;
#[cfg(not(feature = "internals"))]
mod tls_files;

pub mod config;

// What is on the wire.
#[cfg(feature = "internals")]
pub mod http;
#[cfg(not(feature = "internals"))]
mod http;

#[cfg(feature = "internals")]
pub mod remote_write;
#[cfg(not(feature = "internals"))]
mod remote_write;

#[cfg(feature = "internals")]
pub mod net;
#[cfg(not(feature = "internals"))]
mod net;

#[cfg(feature = "internals")]
pub mod sigv4;
#[cfg(not(feature = "internals"))]
mod sigv4;

// What becomes of a batch, and how it is counted and logged.
#[cfg(feature = "internals")]
pub mod outcome;
#[cfg(not(feature = "internals"))]
mod outcome;

#[cfg(feature = "internals")]
pub mod telemetry;
#[cfg(not(feature = "internals"))]
mod telemetry;

// The data path.
#[cfg(feature = "internals")]
pub mod credentials;
#[cfg(not(feature = "internals"))]
mod credentials;

#[cfg(feature = "internals")]
pub mod inbound;
#[cfg(not(feature = "internals"))]
mod inbound;

#[cfg(feature = "internals")]
pub mod batch;
#[cfg(not(feature = "internals"))]
mod batch;

#[cfg(feature = "internals")]
pub mod query;
#[cfg(not(feature = "internals"))]
mod query;

#[cfg(feature = "internals")]
pub mod workspace;
#[cfg(not(feature = "internals"))]
mod workspace;

#[cfg(feature = "internals")]
pub mod router;
#[cfg(not(feature = "internals"))]
mod router;

// The process.
#[cfg(feature = "internals")]
pub mod admin;
#[cfg(not(feature = "internals"))]
mod admin;

pub mod app;

// The commands.
pub mod setup;

pub mod check;

pub mod cli;

/// The commit that the program was built of: the build's environment names it, as `scripts/static` and the Dockerfile do. The
/// build does not ask git itself, since a source without history must give the same program.
pub const REVISION: &str = match option_env!("REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// How the sidecar names itself to AMP and STS.
pub const USER_AGENT: &str = concat!("amp-sidecar/", env!("CARGO_PKG_VERSION"));
