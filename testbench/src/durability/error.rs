//! Why a row could not be played to its end.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crate::peers::PeerError;
use emulator::world;

/// Nothing about the samples: the row itself could not be played.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The world did not start, or did not change.
    #[error("cannot start or change the emulated world")]
    World(#[from] world::Error),
    /// A process did not start, or could not be asked.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The source did not start.
    #[error("cannot start the source of the samples")]
    Source(#[source] io::Error),
    /// The proxy between sender and sidecar did not start.
    #[error("cannot listen for the sender")]
    Listen(#[source] io::Error),
    /// Nothing arrived before the fault.
    #[error(
        "no sample arrived within {within:?}; responses to the sender: {responses:?}; the end of the proxy's log:\n{log}"
    )]
    NoFlow {
        /// How long it had.
        within: Duration,
        /// By status: none means that the sender never came.
        responses: BTreeMap<String, u64>,
        /// The end of its log.
        log: String,
    },
    /// The twin, where nothing fails, lacks samples.
    #[error("even without a fault {scraped} samples were scraped and {sent} sent")]
    Twin {
        /// Samples that were scraped.
        scraped: u64,
        /// Samples that were sent.
        sent: u64,
    },
    /// A program that the rows need is not there.
    #[error(
        "there is no {program}: install Debian's package {package}, or name one with --{program}"
    )]
    Missing {
        /// Its name.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// There is no such row.
    #[error("there is no row {0:?}; --list shows all")]
    NoSuchRow(String),
    /// A result could not be written.
    #[error("cannot write {path}")]
    Write {
        /// Where to.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}
