//! What every link of the way to credentials was last seen to hold, for whoever asks who this is to AWS.
//!
//! In: each token that is read and each session that is given. Out: a [`RoleChain`] of claims, names and times; the tokens and keys
//! themselves never come here. A link stays as it was last seen, so that a chain that broke shows how far it still holds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::claims::Claims;
use super::sts::SessionCredentials;
use super::token::Token;

/// Takes note; clones share what was seen.
#[derive(Debug, Clone, Default)]
pub struct IdentityTrail(Arc<Mutex<RoleChain>>);

/// What was seen last.
#[derive(Debug, Clone, Default)]
pub struct RoleChain {
    /// The projected token; none where there was none, or its claims cannot be read.
    pub token: Option<Claims>,
    /// The token that Entra ID gave for it.
    pub entra: Option<Claims>,
    /// One a role, in their order; those after the last that was given are missing.
    pub sessions: Vec<Session>,
}

/// A role session, as STS told of it.
#[derive(Debug, Clone)]
pub struct Session {
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session>`, where STS said so.
    pub arn: Option<String>,
    /// When AWS stops taking its credentials.
    pub expires: SystemTime,
}

// === impl Links ===

impl IdentityTrail {
    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> RoleChain {
        self.lock().clone()
    }

    pub(super) fn token(&self, token: Option<&Token>) {
        self.lock().token = token.and_then(Token::claims).cloned();
    }

    pub(super) fn entra(&self, token: &Token) {
        self.lock().entra = token.claims().cloned();
    }

    /// The session of a role, which is the one of this number.
    pub(super) fn session(&self, number: usize, obtained: &SessionCredentials) {
        let session = Session {
            arn: obtained.arn.clone(),
            expires: obtained.expires,
        };
        let sessions = &mut self.lock().sessions;
        match sessions.get_mut(number) {
            Some(before) => *before = session,
            None => sessions.push(session),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RoleChain> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
