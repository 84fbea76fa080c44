//! Why a world does not start, or does not change.
//!
//! Below `controls` and `admin`, so that both can return it without importing the world.

use std::io;

use crate::anywhere::AnywhereError;
use crate::sts::TrustPolicyError;
use crate::tls::TlsError;

/// Why a world did not come into being, or would not change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be bound.
    #[error("cannot listen on port {port}")]
    Bind {
        /// The port asked for.
        port: u16,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The world's folder could not be made or written.
    #[error("cannot write in the world's folder")]
    Folder(#[source] io::Error),
    /// The issuer has no key.
    #[error("cannot make a signing key")]
    Key(#[from] rsa::Error),
    /// There are no certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Roles Anywhere has no certificate.
    #[error(transparent)]
    Anywhere(#[from] AnywhereError),
    /// The trust policy cannot be judged.
    #[error(transparent)]
    TrustPolicy(#[from] TrustPolicyError),
    /// The task that makes keys was ended.
    #[error("the runtime is shutting down")]
    Runtime(#[from] tokio::task::JoinError),
    /// A machine in Azure, and no Entra ID.
    #[error("a machine in Azure needs an Entra ID")]
    NoTenant,
    /// Signals cannot be waited for.
    #[error("cannot wait for signals")]
    Signal(#[source] io::Error),
}
