//! The files behind TLS and client authentication: CA bundles, certificate chains, private keys, bearer tokens.
//!
//! In: paths, each with the setting that names it. Out: what the files hold, checked, or an [`InvalidFile`] that names setting
//! and expectation. Files rotate, so the same code reads them at the start, where `config` validates them, and ever after, where
//! `net::tls` and `inbound::server_auth` reload them. A leaf: it knows neither settings nor listeners.

mod bundle;
mod file;
mod server_auth;

pub(crate) use bundle::CaBundle;
pub use file::{InvalidFile, InvalidFiles, TlsFile};
pub use server_auth::ServerAuthFiles;

#[cfg(test)]
pub(crate) use bundle::tests::root;
