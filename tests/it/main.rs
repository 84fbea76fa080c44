//! The real sidecar in its own world: every test starts the emulator and the [`App`](amp_sidecar::app::App) in process, on free ports, and uses them over
//! sockets like a sender.
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

mod alerts_and_dashboard;
mod arranged;
mod bodies;
mod browser;
mod caught_up;
mod cgroup;
mod check;
mod check_prometheus;
mod check_samples;
mod chromium;
mod cli;
mod corpora;
mod counting;
mod credentials;
mod data_path;
mod demo;
mod drain;
mod drop_in;
mod foreign_senders;
mod framing;
mod gateway;
mod given_credentials;
mod guide;
mod hostile_answers;
mod hostile_senders;
mod identities;
mod layers;
mod leak_check;
mod load;
mod logging;
mod machine;
mod metrics;
mod misdirected;
mod multi_workspace;
mod mutants;
mod namespace;
mod network;
mod only_ours_is_signed;
mod pictures;
mod progress;
mod prometheus;
mod proxies;
mod query;
mod resolving;
mod rig;
mod roles_anywhere;
mod sandbox;
mod secrecy;
mod setup;
mod situations;
mod splitting;
mod status;
mod status_page;
mod stopping;
mod sts_impostor;
mod token_access;
mod traces;
mod trust;
mod upstream_faults;
