//! The files behind TLS and client authentication: CA bundles, certificate chains, private keys, bearer tokens.
//!
//! In: paths, each with the setting that names it. Out: the validated content, or an [`InvalidFile`] that names setting and expected content. Files
//! rotate, so the same code reads them at the start, where `config` validates them, and later, where `net::tls` and `inbound::server_auth` reload
//! them. It depends on neither settings nor listeners.

mod bundle;
mod file;
mod server_auth;

pub(crate) use bundle::CaBundle;
pub use file::{InvalidFile, InvalidFiles, TlsFile};
pub use server_auth::ServerAuthFiles;

#[cfg(test)]
pub(crate) use bundle::tests::root;
