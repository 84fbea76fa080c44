//! The world as its callers meet it: over sockets, with a client of bytes.
//!
//! Nothing here shares code with the emulator's own HTTP: what goes over the
//! wire is written and read as text, so that a fault below HTTP is seen as
//! what it is. How AMP judges batches is tested in `amp`.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy.toml exempts only functions that are marked as tests"
)]

mod admin;
mod anywhere;
mod chain;
mod client;
mod container;
mod entra;
mod faults;
mod machine;
mod signing;
mod sts;
mod tls;
mod tokens;
mod workspaces;
