//! What the last exchange presented: enough to see that the next one would present something else.
//!
//! In: a token, a certificate or keys, as the SHA-256 of their bytes. Out: whether others are the same. No secret is kept.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

/// The SHA-256 of what an exchange presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

/// The digest of what was presented last; nothing if that could not be read.
#[derive(Debug, Default)]
pub(super) struct LastSent(Mutex<Option<Digest>>);

// === impl Digest ===

impl Digest {
    /// Of something in one part or several, none of which contains a null byte.
    pub(super) fn of<const N: usize>(parts: [&[u8]; N]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
            hash.update([0]);
        }
        Self(hash.finalize().into())
    }
}

// === impl LastSent ===

impl LastSent {
    pub(super) fn set(&self, sent: Option<Digest>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    pub(super) fn get(&self) -> Option<Digest> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
