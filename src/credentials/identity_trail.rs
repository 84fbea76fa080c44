//! The last known state of each step from token to credentials, for the AWS identity on the status page.
//!
//! In: each token that is read and each session that STS gives. Out: a [`RoleChain`] of claims, names and times; tokens and keys
//! never come here. A step keeps its last state, so a chain that breaks shows how far it still works.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::claims::Claims;
use super::sts::SessionCredentials;
use super::token::Token;

/// Records the steps; clones share the record.
#[derive(Debug, Clone, Default)]
pub struct IdentityTrail(Arc<Mutex<RoleChain>>);

/// The last known state.
#[derive(Debug, Clone, Default)]
pub struct RoleChain {
    /// The projected token; `None` if there was none or its claims cannot be read.
    pub token: Option<Claims>,
    /// The token that Entra ID gave for it.
    pub entra: Option<Claims>,
    /// The certificate, where one signs; `None` if it cannot be used.
    pub certificate: Option<CertificateNames>,
    /// One per role, in order; those after the last success are missing.
    pub sessions: Vec<Session>,
}

/// What a certificate says of itself.
#[derive(Debug, Clone)]
pub struct CertificateNames {
    pub subject: String,
    pub issuer: String,
    /// In hexadecimal.
    pub serial: String,
    /// Its last second.
    pub not_after: SystemTime,
}

/// A role session, as STS described it.
#[derive(Debug, Clone)]
pub struct Session {
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session>`, if STS named it.
    pub arn: Option<String>,
    /// When its credentials expire, if that is known.
    pub expires: Option<SystemTime>,
}

// === impl IdentityTrail ===

impl IdentityTrail {
    /// The state now.
    #[must_use]
    pub fn snapshot(&self) -> RoleChain {
        self.lock().clone()
    }

    pub(super) fn token(&self, token: Option<&Token>) {
        self.lock().token = token.and_then(Token::claims).cloned();
    }

    pub(super) fn entra(&self, token: &Token) {
        self.lock().entra = token.claims().cloned();
    }

    pub(super) fn certificate(&self, certificate: Option<CertificateNames>) {
        self.lock().certificate = certificate;
    }

    /// The session of the role with this index.
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
