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
pub mod browser;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connections;
pub mod credentials;
pub mod dial;
pub mod door;
pub mod drain;
pub mod faults;
pub mod head;
pub mod http_date;
pub mod listener;
pub mod misdirected;
pub mod query;
pub mod quote;
pub mod reload;
pub mod resolve;
pub mod router;
pub mod sandbox;
pub mod setup;
pub mod sigv4;
pub mod status;
pub mod telemetry;
pub mod tls;
pub mod traces;
pub mod workspace;

/// How the sidecar names itself to AMP and STS.
pub const USER_AGENT: &str = concat!("amp-sidecar/", env!("CARGO_PKG_VERSION"));
