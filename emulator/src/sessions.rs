//! Role sessions: what STS hands out and AMP later looks up.
//!
//! In: a role's ARN, a session name, a life and the present time. Out: a
//! [`Session`] with fresh random keys, which [`Sessions::find`] gives back for
//! its access key id for as long as the world lives, also after it expired, so
//! that AMP can distinguish an expired session from one that never existed. Only
//! [`Sessions::revoke_all`] makes sessions unknown.
//!
//! Invariant: no two sessions share an access key id. The number held is
//! capped, the oldest dropped first, so that an endless soak stays flat.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::rand_core::{OsRng, RngCore as _};

use crate::iam::SessionPolicy;
use crate::secrets::Secrets;

/// Since 1970: longer than any world lives.
const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
const HELD_AT_MOST: usize = 50_000;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// One role session, as STS issued it.
#[derive(Clone)]
pub struct Session {
    /// `ASIA…`, 20 characters.
    pub access_key_id: String,
    /// 40 characters.
    pub secret_access_key: String,
    /// What the caller must send as `X-Amz-Security-Token`; empty of an IAM user's key, which has none.
    pub session_token: String,
    /// The IAM role, `arn:aws:iam::<account>:role/<path/><name>`.
    pub role_arn: String,
    /// The session's own ARN, `arn:aws:sts::<account>:assumed-role/<name>/<session>`.
    pub assumed_role_arn: String,
    /// The account that the role lies in.
    pub account: String,
    /// When the session ends.
    pub expiration: SystemTime,
    /// What it carries beyond its role.
    pub context: SessionContext,
}

/// What a caller gave a session along.
#[derive(Debug, Clone, Default)]
pub struct SessionContext {
    /// What it may do at most.
    pub policy: Option<SessionPolicy>,
    /// Who stands behind it, through all roles that follow.
    pub source_identity: Option<String>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
}

/// Every session issued so far. Clones share the same set.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    inner: Arc<Mutex<Issued>>,
}

#[derive(Debug, Default)]
struct Issued {
    by_key: HashMap<String, Session>,
    order: VecDeque<String>,
    total: u64,
    secrets: Secrets,
}

// === impl Sessions ===

impl Sessions {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a session of `role_arn` that ends at `now + life`.
    #[must_use]
    pub fn issue(
        &self,
        role_arn: &str,
        session_name: &str,
        life: Duration,
        now: SystemTime,
    ) -> Session {
        self.issue_with(role_arn, session_name, life, now, SessionContext::default())
    }

    /// The same, carrying more than its role.
    #[must_use]
    pub fn issue_with(
        &self,
        role_arn: &str,
        session_name: &str,
        life: Duration,
        now: SystemTime,
        context: SessionContext,
    ) -> Session {
        let role = RoleName::of(role_arn);
        let session = Session {
            access_key_id: format!("ASIA{}", random_base32(16)),
            secret_access_key: STANDARD.encode(random_bytes::<30>()),
            session_token: format!("IQoJb3JpZ2luX2Vj{}", STANDARD.encode(random_bytes::<240>())),
            role_arn: role_arn.to_owned(),
            assumed_role_arn: format!(
                "arn:{}:sts::{}:assumed-role/{}/{session_name}",
                role.partition, role.account, role.name
            ),
            account: role.account.to_owned(),
            expiration: now + life,
            context,
        };
        let mut issued = self.lock();
        issued.total += 1;
        issued
            .secrets
            .note("secret key", &session.secret_access_key);
        issued.secrets.note("session token", &session.session_token);
        issued.order.push_back(session.access_key_id.clone());
        issued
            .by_key
            .insert(session.access_key_id.clone(), session.clone());
        if issued.order.len() > HELD_AT_MOST
            && let Some(oldest) = issued.order.pop_front()
        {
            issued.by_key.remove(&oldest);
        }
        session
    }

    /// Makes an access key of an IAM user: it has no session token and never expires.
    #[must_use]
    pub fn issue_access_key(&self, user_arn: &str) -> Session {
        let key = Session {
            access_key_id: format!("AKIA{}", random_base32(16)),
            secret_access_key: STANDARD.encode(random_bytes::<30>()),
            session_token: String::new(),
            role_arn: user_arn.to_owned(),
            assumed_role_arn: user_arn.to_owned(),
            account: user_arn.split(':').nth(4).unwrap_or_default().to_owned(),
            expiration: SystemTime::UNIX_EPOCH + A_CENTURY,
            context: SessionContext::default(),
        };
        let mut issued = self.lock();
        issued.secrets.note("secret key", &key.secret_access_key);
        issued.by_key.insert(key.access_key_id.clone(), key.clone());
        key
    }

    /// The session with this access key id, expired or not.
    #[must_use]
    pub fn find(&self, access_key_id: &str) -> Option<Session> {
        self.lock().by_key.get(access_key_id).cloned()
    }

    /// Makes every session issued so far unknown.
    pub fn revoke_all(&self) {
        let mut issued = self.lock();
        issued.by_key.clear();
        issued.order.clear();
    }

    /// The secret keys and session tokens of all of them, revoked ones included.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        self.lock().secrets.all()
    }

    /// How many sessions were ever issued, revoked ones included.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Issued> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Session ===

impl Session {
    /// Whether its session policy, if it has one, leaves this to it.
    pub(crate) fn is_left(&self, action: &str, resource: &str) -> bool {
        self.context
            .policy
            .as_ref()
            .is_none_or(|policy| policy.allows(action, resource))
    }
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

struct RoleName<'a> {
    partition: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> RoleName<'a> {
    fn of(arn: &'a str) -> Self {
        let mut parts = arn.splitn(6, ':').skip(1);
        let partition = parts.next().unwrap_or("aws");
        let account = parts.nth(2).unwrap_or_default();
        let resource = parts.next().unwrap_or_default();
        Self {
            partition,
            account,
            name: resource.rsplit('/').next().unwrap_or_default(),
        }
    }
}

/// `N` random bytes from the operating system.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

/// Random letters and digits of the base-32 alphabet, at most 32 of them.
pub(crate) fn random_base32(length: usize) -> String {
    random_bytes::<32>()
        .iter()
        .take(length)
        .filter_map(|byte| BASE32.get(usize::from(byte % 32)))
        .map(|letter| char::from(*letter))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/team/amp-writer";

    #[test]
    fn a_session_is_found_by_its_key_and_shaped_like_the_real_one() {
        let sessions = Sessions::new();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let session = sessions.issue(ROLE, "pod-1", Duration::from_secs(60), now);
        assert_eq!(session.access_key_id.len(), 20);
        assert!(session.access_key_id.starts_with("ASIA"));
        assert_eq!(session.secret_access_key.len(), 40);
        assert_eq!(
            session.assumed_role_arn,
            "arn:aws:sts::123456789012:assumed-role/amp-writer/pod-1"
        );
        assert_eq!(session.account, "123456789012");
        assert_eq!(session.expiration, now + Duration::from_secs(60));
        let found = sessions.find(&session.access_key_id).expect("just issued");
        assert_eq!(found.session_token, session.session_token);
    }

    #[test]
    fn revoked_sessions_are_unknown() {
        let sessions = Sessions::new();
        let session = sessions.issue(ROLE, "a1", Duration::from_secs(1), SystemTime::UNIX_EPOCH);
        sessions.clone().revoke_all();
        assert!(sessions.find(&session.access_key_id).is_none());
        assert_eq!(sessions.issued(), 1);
    }

    #[test]
    fn debug_withholds_the_secrets() {
        let session = Sessions::new().issue(ROLE, "a1", Duration::ZERO, SystemTime::UNIX_EPOCH);
        let shown = format!("{session:?}");
        assert!(!shown.contains(&session.secret_access_key));
        assert!(!shown.contains(&session.session_token));
    }
}
