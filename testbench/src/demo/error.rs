//! Why a demo has no summary.

use crate::peers::PeerError;
use emulator::world;

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A process could not be started, or ended on the way.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The world could not be started or changed.
    #[error(transparent)]
    World(#[from] world::Error),
    /// The source of the samples could not be started.
    #[error("cannot start the source of the samples")]
    Source(#[source] std::io::Error),
    /// The end came before the beginning.
    #[error("interrupted before anything was sent")]
    Interrupted,
}
