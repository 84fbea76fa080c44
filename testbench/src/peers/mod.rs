//! Real processes around a [`World`](emulator::world::World), and the check of what arrived.
//!
//! ```text
//! source ◀─scrapes─ prometheus ─▶ sidecar ─▶ (the world's AMP)
//!                   sender ─────▶    │              │
//!                      │  samples    │ metrics      │ store
//!                      └──────────▶ compare ◀───────┘
//! ```
//!
//! - [`sidecar`]: amp-sidecar, or any other proxy's command line, pointed at a world.
//! - [`prometheus`]: a real Prometheus that writes through it, and its own raw samples.
//! - [`source`]: what that Prometheus scrapes. [`sender`]: what sends where there is no Prometheus.
//! - [`compare`]: which of a sender's [`samples`] the world has.
//! - [`process`], [`metrics`]: a child that never outlives us, and the text it shows its state in.
//!
//! Invariant: whatever is started here listens on loopback alone, keeps its files in a temporary folder, gets none of our
//! environment but the `PATH`, and ends when its handle is dropped.

pub(crate) mod call;
pub mod compare;
pub mod metrics;
pub mod process;
pub mod prometheus;
pub mod samples;
pub mod sender;
pub mod sidecar;
pub mod source;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use call::CallError;

use emulator::sessions::random_bytes;
use metrics::MetricError;

/// Why a peer could not be started or asked.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The program could not be started.
    #[error("cannot start {program}")]
    Spawn {
        /// Its name or path.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The program ended by itself.
    #[error("{program} ended ({status}); the end of its log:\n{log}")]
    Ended {
        /// Its name or path.
        program: String,
        /// How.
        status: ExitStatus,
        /// The end of what it wrote.
        log: String,
    },
    /// The program runs, but does not serve.
    #[error("{program} was not ready within {within:?}; the end of its log:\n{log}")]
    NotReady {
        /// Its name or path.
        program: String,
        /// How long it had.
        within: Duration,
        /// The end of what it wrote.
        log: String,
    },
    /// The program could not be watched or ended.
    #[error("cannot control {program}")]
    Control {
        /// Its name or path.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The sidecar could not be built.
    #[error("cannot build amp-sidecar: {0}; see above, or name a binary with --sidecar")]
    Build(String),
    /// There is no such program.
    #[error("there is no program at {}", .0.display())]
    NoProgram(PathBuf),
    /// No port, or no folder, could be had.
    #[error("cannot get a port or a folder for {program}")]
    Place {
        /// Its name or path.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A request to the peer failed.
    #[error("cannot get {what} from {program}")]
    Call {
        /// Its name or path.
        program: String,
        /// The path asked for.
        what: String,
        /// Why not.
        #[source]
        source: CallError,
    },
    /// The peer's answer is not what it should be.
    #[error("{program} gave an unexpected answer: {what}")]
    Answer {
        /// Its name or path.
        program: String,
        /// What is wrong with it.
        what: String,
    },
    /// A program does not show a metric that it should.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A URL is none that can be used here.
    #[error("{0:?} is not a plain http URL")]
    Url(String),
}

/// The kernel gives ports above these to clients that connect, so that one of them would not be free any
/// more when a peer comes back to it after a restart.
const PORTS: Range<u16> = 12_000..32_000;
const PORT_TRIES: usize = 1000;

/// Every port that this process has chosen: a peer that is restarted must find its own free.
static CHOSEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Free ports of 127.0.0.1, none of them chosen before by this process. Another process may take one before it is used.
///
/// # Errors
/// When there are none.
pub fn free_ports<const N: usize>() -> io::Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    let mut held = Vec::with_capacity(N);
    for address in &mut addresses {
        let listener = free_port()?;
        *address = listener.local_addr()?;
        // Kept until all are chosen, so that none is given twice.
        held.push(listener);
    }
    Ok(addresses)
}

/// A random one, since others look for one at the same time.
fn free_port() -> io::Result<TcpListener> {
    let mut last = None;
    for _ in 0..PORT_TRIES {
        let random = u16::from_be_bytes(random_bytes::<2>());
        let port = PORTS.start + random % (PORTS.end - PORTS.start);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => {
                let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
                if chosen.insert(port) {
                    return Ok(listener);
                }
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place where the testbench reads its environment: PATH and CARGO, and as the floor what it gives to a proxy"
)]
pub(crate) fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ_and_can_be_bound() {
        let ports: [SocketAddr; 8] = free_ports().expect("ports");
        let held: Vec<_> = ports.iter().map(TcpListener::bind).collect();
        assert!(held.iter().all(Result::is_ok), "{held:?}");
    }
}
