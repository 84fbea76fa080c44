//! The one way out to the network, for AMP, STS, Entra ID and a trace collector.
//!
//! ```text
//! resolver, happy_eyeballs, proxy_tunnel, tls ─▶ connect ─▶ stream ─▶ pool:   AMP, the collector (kept-alive connections)
//!                                                                  ╰─▶ client: STS, Entra ID, an issuer (one connection a call)
//! ```
//!
//! [`transport`] bundles it for the callers, [`error`] names what failed at each stage.

pub mod client;
pub mod connect;
pub mod error;
mod happy_eyeballs;
pub(crate) mod pool;
mod proxy_tunnel;
mod resolver;
pub mod stream;
pub mod tls;
pub mod transport;
