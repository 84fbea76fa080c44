//! Real processes around the emulator, and the tests and measurements made with them.
//!
//! ```text
//! source ─▶ Prometheus, vmagent or the built-in sender ─▶ amp-sidecar ─▶ emulator (STS, AMP)
//!    └──────────────── compared with what the emulated AMP stored ───────────┘
//! ```
//!
//! - [`peers`]: processes around a world, and the comparison of what was sent with what was stored.
//! - [`demo`]: all of it together, with faults one after the other.
//! - [`durability`]: every fault, played with real senders: is a sample lost?
//! - [`compare`]: what the sidecar costs beside other proxies.
//! - [`soak`]: a thousand senders and random faults for hours: does anything grow?
//!
//! It never depends on the sidecar's crate: the program under test is a binary.

pub mod compare;
pub mod demo;
pub mod durability;
pub mod peers;
mod signer;
pub mod soak;
mod timestamp;
