//! Why a soak could not be carried out.

use crate::peers::PeerError;
use emulator::world;

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum SoakError {
    /// The world.
    #[error(transparent)]
    World(#[from] world::Error),
    /// The sidecar.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The process cannot be read.
    #[error("the process cannot be read: {0}")]
    Process(#[from] std::io::Error),
}
