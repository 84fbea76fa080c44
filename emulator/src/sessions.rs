//! The role sessions that STS gave out and that AMP accepts.
//!
//! STS issues, AMP looks up by access key id; both hold a clone of the same [`Sessions`]. Nothing expires from here by
//! itself: AMP must still recognise a session that has expired, since it answers that differently from an unknown one.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Temporary credentials of a role, as STS hands them out.
#[derive(Clone)]
pub struct Session {
    /// `ASIA…`, what a signature's credential scope begins with.
    pub access_key_id: String,
    /// What the signing key is derived from.
    pub secret_access_key: String,
    /// What `x-amz-security-token` must repeat.
    pub session_token: String,
    /// `arn:aws:iam::<account>:role/<name>`.
    pub role_arn: String,
    /// `arn:aws:sts::<account>:assumed-role/<name>/<session>`.
    pub assumed_role_arn: String,
    /// The role's account.
    pub account: String,
    /// From when on the credentials are refused.
    pub expiration: SystemTime,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("access_key_id", &self.access_key_id)
            .field("assumed_role_arn", &self.assumed_role_arn)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}

/// Every session ever issued and not revoked. Clones share the same table.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    table: Arc<Mutex<HashMap<String, Session>>>,
    issued: Arc<AtomicU64>,
}

impl Sessions {
    /// Makes and remembers credentials for `role_arn`.
    pub fn issue(
        &self,
        role_arn: &str,
        session_name: &str,
        life: Duration,
        now: SystemTime,
    ) -> Session {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let account = role_arn.split(':').nth(4).unwrap_or_default().to_owned();
        let role = role_arn.rsplit('/').next().unwrap_or_default();
        let session = Session {
            access_key_id: format!("ASIA{number:016}"),
            secret_access_key: format!("secret-{number:033}"),
            session_token: format!("token-{number:058}"),
            role_arn: role_arn.to_owned(),
            assumed_role_arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{session_name}"),
            account,
            expiration: now + life,
        };
        self.lock()
            .insert(session.access_key_id.clone(), session.clone());
        session
    }

    /// The session with this access key id, expired or not.
    pub fn find(&self, access_key_id: &str) -> Option<Session> {
        self.lock().get(access_key_id).cloned()
    }

    /// Forgets every session, as if their roles had been deleted.
    pub fn revoke_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
