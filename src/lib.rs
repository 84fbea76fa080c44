//! Signs Prometheus remote write and forwards it to Amazon Managed Service for Prometheus (AMP), with credentials that a
//! projected service-account token is exchanged for.
//!
//! A batch:
//!
//! ```text
//! sender ─▶ listener (door) ─▶ router (head, browser) ─▶ batch::{media ─▶ admission ─▶ receive ─▶ inspect ─▶ deliver ─▶ sign ─▶ forward ─▶ reply ─▶ verdict} ─▶ sender
//!                                                                                                       ▲        └─ connections, dial, resolve, tls
//! ```
//!
//! A query, where the workspace may be read:
//!
//! ```text
//! reader ─▶ listener ─▶ router ─▶ query::{api ─▶ ask ─▶ sign ─▶ answer ─▶ stream} ─▶ reader
//!                                                         └─ connections, as above
//! ```
//!
//! The credentials of both, beside these paths:
//!
//! ```text
//! token file ─▶ credentials::{token ─▶ [entra] ─▶ sts ─▶ [sts, role by role] ─▶ cache} ─▶ batch::sign
//! ```
//!
//! Each [`workspace`] has both of its own. [`config`] says what they may do, [`app`] wires them, [`admin`] and [`telemetry`] show
//! them, [`clock`] gives them the time, [`sigv4`] signs, [`faults`] logs and remembers what went wrong, [`traces`] tells a collector,
//! [`drain`] knows when they may end, [`reload`] puts a new configuration in place, [`status`] tells people how it all stands,
//! [`sandbox`] gives up beforehand what none of it needs.
//!
//! [`setup`] stands beside it all: it prints what must exist in AWS, Azure and Kubernetes, and ends; so does [`check`], which
//! takes the whole way once and names what is broken.

pub mod admin;
pub mod app;
pub mod batch;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod http;
pub mod inbound;
pub mod net;
pub mod outcome;
pub mod query;
pub mod remedies;
pub mod remote_write;
pub mod router;
pub mod sanitize;
pub mod setup;
pub mod sigv4;
pub mod telemetry;
pub mod workspace;

/// How the sidecar names itself to AMP and STS.
pub const USER_AGENT: &str = concat!("amp-sidecar/", env!("CARGO_PKG_VERSION"));
