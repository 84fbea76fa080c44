//! The real sidecar in a world of its own: every test starts the emulator and the [`App`](amp_sidecar::app::App) in process,
//! on free ports, and speaks to them over sockets as a sender would.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_debug_implementations,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod bodies;
mod browser;
mod cgroup;
mod check;
mod chromium;
mod corpora;
mod credentials;
mod crowd;
mod data_path;
mod demo;
mod foreign_senders;
mod foreign_sts;
mod framing;
mod gateway;
mod hostile_answers;
mod hostile_senders;
mod identities;
mod layers;
mod leaving;
mod logging;
mod metrics;
mod misdirected;
mod namespace;
mod network;
mod only_ours_is_signed;
mod progress;
mod prometheus;
mod proxies;
mod reading;
mod resolving;
mod rig;
mod sandbox;
mod secrecy;
mod setup;
mod several;
mod shown;
mod splitting;
mod status;
mod status_page;
mod the_program;
mod token_access;
mod traces;
mod trust;
mod upstream_faults;
mod watching;
