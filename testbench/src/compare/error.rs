//! Why nothing could be compared.

use std::io;

use crate::peers::PeerError;
use crate::peers::metrics::MetricError;
use emulator::world;

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The world did not start.
    #[error("cannot start or change the emulated world")]
    World(#[from] world::Error),
    /// A proxy did not start.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A proxy ended.
    #[error("a proxy ended unexpectedly")]
    Gone,
    /// A proxy signs wrongly, or signs where it should not.
    #[error("{proxy}: a batch was {}, which is not what was expected; the end of its log:\n{log}", if *signs { "signed and stored" } else { "not stored" })]
    Signature {
        /// Its name.
        proxy: String,
        /// Whether AMP took its batch.
        signs: bool,
        /// The end of its log.
        log: String,
    },
    /// A gateway takes batches of anybody.
    #[error("{proxy}: a batch without the bearer token was not refused")]
    Open {
        /// Its name.
        proxy: String,
    },
    /// Others were at work.
    #[error("the machine was not quiet: {0}")]
    Busy(String),
    /// Nothing came through a proxy.
    #[error("{proxy}: no batch came through; the end of its log:\n{log}")]
    NoFlow {
        /// Its name.
        proxy: String,
        /// The end of its log.
        log: String,
    },
    /// Batches failed.
    #[error("{failed} batches of {body} failed; the end of the proxy's log:\n{log}")]
    Failed {
        /// The body.
        body: String,
        /// How many.
        failed: u64,
        /// The end of its log.
        log: String,
    },
    /// A gateway's certificate could not be made.
    #[error("cannot make a gateway's certificate")]
    Certificate(#[from] rcgen::Error),
    /// A gateway's certificate is refused.
    #[error("rustls refuses a gateway's certificate")]
    Refused(#[from] rustls::Error),
    /// What ours shows on `/metrics` lacks something.
    #[error("cannot read the sidecar's metrics")]
    Metrics(#[from] MetricError),
    /// valgrind did not say how many instructions it counted.
    #[error("valgrind gave no count; the end of its log:\n{0}")]
    NoCount(String),
    /// A system call failed.
    #[error("a system call failed")]
    Io(#[source] io::Error),
    /// A result could not be written or read.
    #[error("cannot read or write {path}")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}
