//! A local stand-in for what `amp-sidecar` talks to, strict enough that
//! passing it means something.
//!
//! ```text
//! issuer ──token──▶ token_folder ──▶ (the sidecar) ──▶ sts ──session──▶ (the sidecar) ──▶ amp
//!    ▲                                                  │                                  │
//!    └───────── discovery, JWKS: fetched ───────────────┘        sessions: looked up ◀─────┘
//! ```
//!
//! - [`world`] wires it all up in one process; tests and the binary start here.
//! - [`issuer`], [`token_folder`]: a Kubernetes OIDC issuer and a projected volume.
//! - [`anywhere`]: IAM Roles Anywhere's CreateSession, its trust anchor and profile, for who has a certificate.
//! - [`entra`]: Entra ID's token endpoint, for who goes by way of it.
//! - [`machine`]: the metadata servers of Azure and Google, for a machine with an identity of its own.
//! - [`sts`], [`sessions`]: AssumeRoleWithWebIdentity and AssumeRole, trust policies, what was issued.
//! - [`iam`]: the language of policies, and session policies.
//! - `account_admin`, `names`: IAM's API, and a proxy that leads real host names here, for a rehearsal of an installation.
//! - [`container`], [`credentials_file`]: credentials without STS: the agents of EKS and ECS, a file that an agent rotates.
//! - [`amp`]: the remote-write endpoint of a workspace.
//! - [`fault`], [`journal`], [`call_log`]: which faults are injected when, what each target received, and how it was judged.
//! - [`tcp`]: a proxy that injects faults below HTTP.
//! - [`clock`], [`tls`]: wall time with an offset, certificates of an own authority.
//!
//! It never depends on the sidecar, nor on the library that the sidecar signs
//! with: neither can hide the other's mistake.

mod account_admin;
mod admin;
pub mod amp;
pub mod anywhere;
pub mod call_log;
pub mod cli;
pub mod clock;
pub mod container;
pub mod credentials_file;
pub mod entra;
pub mod fault;
mod fetch;
mod form;
mod front;
pub mod http;
pub mod iam;
pub mod issuer;
pub mod journal;
mod jwt;
pub mod machine;
mod names;
mod oidc;
mod seconds;
pub mod secrets;
pub mod sessions;
mod sigv4;
pub mod sts;
pub mod tcp;
pub mod tls;
pub mod token_folder;
pub mod world;
