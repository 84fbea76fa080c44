//! Whatever a world handed out that must be shown nowhere.
//!
//! In: each token, key and session as it is made. Out: all of them, revoked and rotated ones included, for a test that searches
//! what was shown. Bounded: the oldest go first.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

const KEPT_AT_MOST: usize = 4096;

/// Secrets, each with what it is. Clones share them.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<VecDeque<(&'static str, String)>>>);

impl Secrets {
    /// One more.
    pub fn note(&self, what: &'static str, secret: &str) {
        let mut secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if secrets.len() >= KEPT_AT_MOST {
            secrets.pop_front();
        }
        secrets.push_back((what, secret.to_owned()));
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, String)> {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().cloned().collect()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets([withheld])")
    }
}
