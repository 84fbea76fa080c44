//! The credentials' life beside the request path.
//!
//! A [`Refresher`] exchanges at half of the credentials' life (give or take a tenth), backs off between failed tries and
//! publishes what it got; the last good credentials stay until they really expire. Where a try has failed and there is
//! another token since, it does not wait out the pause. Batches hold a [`Cache`] and only
//! read: [`Cache::get`] waits, at most [`LONGEST_WAIT`], only while an exchange is under way and nothing usable is held,
//! and [`Cache::renewed`] asks for better credentials after AMP refused the ones in use.
//!
//! Invariants: at most one exchange is in flight, because one task makes them all; expired credentials are never handed
//! out; a fault of an exchange never takes away usable credentials; AMP's refusals cause an exchange at most once in
//! [`REFUSAL_GAP`] or [`DENIAL_GAP`], however many batches they hit. Pauses are measured by monotonic time: a wall clock that
//! is put back puts nothing off.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::identity::Identity;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::RoleSession;
use crate::credentials::sts::{Pace, SessionCredentials};
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};

/// How long a batch waits for an exchange that is under way.
pub const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The least time between two exchanges that AMP's refusals of token or signature ask for.
pub const REFUSAL_GAP: Duration = Duration::from_secs(10);
/// The same where AMP denies the role: somebody has to change a policy first, so there is less hurry.
pub const DENIAL_GAP: Duration = Duration::from_secs(30);
/// How often the refresher looks at the wall clock, which may be set or stand still while a machine sleeps.
const LOOK: Duration = Duration::from_secs(30);

/// Credentials that live for less than twice this are renewed once in so long, and may lapse in between.
const LEAST_GAP: Duration = Duration::from_secs(2);
/// After a failure: how often another token is looked for, and the least time to the exchange that it brings about.
const TOKEN_LOOK: Duration = Duration::from_secs(2);
const TOKEN_GAP: Duration = Duration::from_secs(5);
/// The least time between two log lines of renewals that went well.
const LINE_GAP: Duration = Duration::from_secs(300);

/// Where credentials come from.
pub trait CredentialSource: Send + Sync + 'static {
    /// Why it may give none.
    type Error: Failure;
    /// One exchange.
    fn obtain(&self) -> impl Future<Output = Result<SessionCredentials, Self::Error>> + Send;
    /// Whether the next exchange would show something else than the last one did.
    fn changed(&self) -> impl Future<Output = bool> + Send {
        std::future::ready(false)
    }
    /// The session that they are of, for the log.
    fn session(&self) -> Option<&RoleSession>;
}

/// What the cache must know of a failed exchange.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// The metric's label.
    fn name(&self) -> &'static str;
    /// How soon another try makes sense.
    fn pace(&self) -> Pace;
    /// What is wrong and what to do, for log and status page.
    fn diagnosis(&self) -> Diagnosis;
}

/// Credentials in use.
#[derive(Debug)]
pub struct ActiveCredentials {
    /// What is signed with; its `Debug` withholds the keys.
    pub identity: Identity,
    /// When AWS stops taking them.
    pub expires: SystemTime,
    obtained: SystemTime,
    /// Counts exchanges, so that two holders can tell which is newer.
    generation: u64,
}

/// Why AMP did not take a request's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionCause {
    /// The time that was signed; the answer has set the clock.
    Clock,
    /// The credentials.
    Credentials,
    /// The role may not do it.
    Denied,
}

/// Why there are no credentials for a batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    /// The last exchange failed.
    #[error("{0}")]
    Failed(String),
    /// An exchange is under way and takes long.
    #[error("waiting for credentials")]
    Waiting,
    /// AMP's refusals asked for an exchange a moment ago.
    #[error("credentials were renewed a moment ago")]
    JustRenewed,
}

/// How it stands with the credentials.
#[derive(Debug, Clone)]
pub struct CredentialStatus {
    /// The time by the clock that expiry is held against.
    pub now: SystemTime,
    /// When those held were obtained, and when AWS stops taking them; they may be over.
    pub active: Option<(SystemTime, SystemTime)>,
    /// Whether an exchange is under way.
    pub exchanging: bool,
    /// When the next exchange is due.
    pub due: Option<SystemTime>,
    /// Why the last exchange failed; none after a good one.
    pub error: Option<String>,
}

#[derive(Debug, Clone)]
struct RefreshState {
    active: Option<Arc<ActiveCredentials>>,
    exchanging: bool,
    /// When the next exchange is due.
    due: Option<SystemTime>,
    /// Why the last exchange failed; none after a good one.
    error: Option<String>,
    generation: u64,
}

#[derive(Debug)]
struct CacheState {
    state: RwLock<RefreshState>,
    /// Whoever waits goes on in the order of arrival.
    changed: Notify,
    forced: Mutex<Option<Instant>>,
    clock: Clock,
}

/// What batches and probes read.
#[derive(Debug, Clone)]
pub struct Cache(Arc<CacheState>);

/// The task that makes every exchange.
#[derive(Debug)]
pub struct Refresher<S> {
    source: S,
    shared: Arc<CacheState>,
    metrics: Arc<WorkspaceMetrics>,
    incidents: IncidentTracker,
    /// When renewals were logged last, and how many came since.
    said: Mutex<(Option<Instant>, u32)>,
}

/// A cache and the task that fills it.
pub fn cache<S: CredentialSource>(
    source: S,
    clock: Clock,
    metrics: Arc<WorkspaceMetrics>,
    incidents: IncidentTracker,
) -> (Cache, Refresher<S>) {
    // The first exchange begins with the task, so an early batch may wait for it.
    let state = RefreshState {
        active: None,
        exchanging: true,
        due: None,
        error: None,
        generation: 0,
    };
    let shared = Arc::new(CacheState {
        state: RwLock::new(state),
        changed: Notify::new(),
        forced: Mutex::new(None),
        clock,
    });
    (
        Cache(Arc::clone(&shared)),
        Refresher {
            source,
            shared,
            metrics,
            incidents,
            said: Mutex::default(),
        },
    )
}

// === impl Refusal ===

impl RejectionCause {
    /// What is corrected before the request is sent again: the metric's label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Credentials | Self::Denied => "credentials",
        }
    }
}

// === impl Shared ===

impl CacheState {
    fn state(&self) -> RwLockReadGuard<'_, RefreshState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut RefreshState)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }
}

// === impl Cache ===

impl Cache {
    /// Usable credentials, now or within [`LONGEST_WAIT`], but not after `deadline`.
    ///
    /// # Errors
    /// [`Unavailable`], at once where no exchange is under way.
    pub async fn get(&self, deadline: Instant) -> Result<Arc<ActiveCredentials>, Unavailable> {
        if let Some(active) = self.usable(&self.0.state()) {
            return Ok(active);
        }
        self.wait(deadline, |state| self.usable(state)).await
    }

    /// Credentials newer than `refused`, from an exchange that this or another batch asked for; none is asked for within
    /// `gap` after the last one, and none is waited for after `deadline`.
    ///
    /// # Errors
    /// [`Unavailable`] where the exchange fails, takes long, or one was asked for a moment ago.
    pub async fn renewed(
        &self,
        refused: &ActiveCredentials,
        gap: Duration,
        deadline: Instant,
    ) -> Result<Arc<ActiveCredentials>, Unavailable> {
        let newer = |state: &RefreshState| {
            self.usable(state)
                .filter(|active| active.generation > refused.generation)
        };
        if let Some(active) = newer(&self.0.state()) {
            return Ok(active);
        }
        self.force(gap)?;
        self.wait(deadline, newer).await
    }

    /// What the same request may be signed with once more before `deadline`, where there is something to do about the refusal.
    pub async fn again(
        &self,
        refused: Arc<ActiveCredentials>,
        refusal: RejectionCause,
        deadline: Instant,
    ) -> Option<Arc<ActiveCredentials>> {
        let gap = match refusal {
            RejectionCause::Clock if self.is_usable(&refused) => return Some(refused),
            // By the time that was learned they are over.
            RejectionCause::Clock | RejectionCause::Credentials => REFUSAL_GAP,
            RejectionCause::Denied => DENIAL_GAP,
        };
        self.renewed(&refused, gap, deadline).await.ok()
    }

    /// What is missing, if anything is.
    ///
    /// # Errors
    /// [`Unavailable`] while there are no usable credentials.
    pub fn ready(&self) -> Result<(), Unavailable> {
        let state = self.0.state();
        self.usable(&state)
            .map(|_| ())
            .ok_or_else(|| state.unavailable())
    }

    /// How it stands, for whoever looks.
    #[must_use]
    pub fn status(&self) -> CredentialStatus {
        let state = self.0.state();
        CredentialStatus {
            now: self.0.clock.now(),
            active: state
                .active
                .as_ref()
                .map(|active| (active.obtained, active.expires)),
            exchanging: state.exchanging,
            due: state.due,
            error: state.error.clone(),
        }
    }

    fn usable(&self, state: &RefreshState) -> Option<Arc<ActiveCredentials>> {
        state.active.clone().filter(|active| self.is_usable(active))
    }

    fn is_usable(&self, active: &ActiveCredentials) -> bool {
        active.expires > self.0.clock.now()
    }

    /// Starts an exchange unless one is under way; refuses where the last forced one is too fresh.
    fn force(&self, gap: Duration) -> Result<(), Unavailable> {
        let mut forced = self.0.forced.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = forced.is_some_and(|at| at.elapsed() < gap);
        if self.0.state().exchanging {
            return Ok(());
        }
        if fresh {
            return Err(Unavailable::JustRenewed);
        }
        *forced = Some(Instant::now());
        self.0.change(|state| state.exchanging = true);
        Ok(())
    }

    async fn wait(
        &self,
        deadline: Instant,
        found: impl Fn(&RefreshState) -> Option<Arc<ActiveCredentials>>,
    ) -> Result<Arc<ActiveCredentials>, Unavailable> {
        let deadline = deadline.min(Instant::now() + LONGEST_WAIT);
        loop {
            let changed = self.0.changed.notified();
            {
                let state = self.0.state();
                if let Some(active) = found(&state) {
                    return Ok(active);
                }
                if !state.exchanging {
                    return Err(state.unavailable());
                }
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Err(Unavailable::Waiting);
            }
        }
    }
}

impl RefreshState {
    fn unavailable(&self) -> Unavailable {
        self.error
            .clone()
            .map_or(Unavailable::Waiting, Unavailable::Failed)
    }
}

// === impl Refresher ===

impl<S: CredentialSource> Refresher<S> {
    /// Exchanges for ever; stops where it is dropped.
    pub async fn run(self) {
        let mut failures = 0;
        loop {
            self.shared.change(|state| state.exchanging = true);
            let asked = Instant::now();
            let obtained = self.source.obtain().await;
            self.metrics.exchanged(asked.elapsed());
            match obtained {
                Ok(obtained) => {
                    failures = 0;
                    let (pause, due) = self.publish(obtained);
                    self.incidents.recover();
                    self.rest(pause, due).await;
                }
                Err(error) => {
                    let pause = backoff(error.pace(), failures);
                    self.fail(&error, pause);
                    failures += 1;
                    self.back_off(pause).await;
                }
            }
        }
    }

    /// Returns when the next exchange is due, at half of the life, give or take a tenth of it: in how long, and by the clock.
    fn publish(&self, obtained: SessionCredentials) -> (Duration, SystemTime) {
        let now = self.shared.clock.now();
        let life = obtained.expires.duration_since(now).unwrap_or_default();
        let pause = life.mul_f64(0.45 + 0.1 * fastrand::f64()).max(LEAST_GAP);
        let due = now + pause;
        self.metrics.credentials_obtained(now, obtained.expires);
        self.say(&obtained, life);
        self.shared.change(|state| {
            state.generation += 1;
            state.exchanging = false;
            state.error = None;
            let identity = Identity::from(obtained.credentials);
            state.due = Some(due);
            state.active = Some(Arc::new(ActiveCredentials {
                identity,
                expires: obtained.expires,
                obtained: now,
                generation: state.generation,
            }));
        });
        (pause, due)
    }

    /// What AMP's refusals ask for, or STS gives for seconds only, is renewed too often for a line each.
    fn say(&self, obtained: &SessionCredentials, life: Duration) {
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, unsaid) = *said;
        if at.is_some_and(|at| now.duration_since(at) < LINE_GAP) {
            said.1 = unsaid + 1;
            return;
        }
        *said = (Some(now), 0);
        let session = self.source.session();
        tracing::info!(
            workspace = self.incidents.workspace(),
            role_arn = session.map(|session| &session.role_arn),
            role_session_name = session.map(|session| &session.name),
            access_key_id = obtained.credentials.access_key_id(),
            valid_for_seconds = life.as_secs(),
            suppressed = (unsaid > 0).then_some(unsaid),
            "credentials refreshed"
        );
    }

    fn fail(&self, error: &S::Error, pause: Duration) {
        let now = self.shared.clock.now();
        let active = self.shared.state().active.clone();
        let left = active.map_or(Duration::ZERO, |active| {
            active.expires.duration_since(now).unwrap_or_default()
        });
        self.metrics.exchange_failed(error.name());
        self.incidents.fail(error.name(), || Diagnosis {
            credentials_left: Some(left),
            ..error.diagnosis()
        });
        tracing::debug!(incident = error.name(), %error, credentials_left_seconds = left.as_secs(), next_try_seconds = pause.as_secs_f32(), "an exchange failed");
        let reason = error.diagnosis().to_string();
        self.shared.change(|state| {
            state.exchanging = false;
            state.due = Some(now + pause);
            state.error = Some(reason);
        });
    }

    /// A fault that keeps coming back is over some time after the last good exchange, not with it.
    fn still_well(&self) {
        if self.shared.state().error.is_none() {
            self.incidents.recover();
        }
    }

    /// Until the pause is over, the wall clock shows `due`, or a batch asks.
    async fn rest(&self, pause: Duration, due: SystemTime) {
        let over = Instant::now() + pause;
        while self.shared.clock.now() < due {
            let look = over.min(Instant::now() + LOOK);
            if self.is_asked_before(look).await || look == over {
                return;
            }
            self.still_well();
        }
    }

    /// Until the pause is over, there is another token, or a batch asks.
    async fn back_off(&self, pause: Duration) {
        let began = Instant::now();
        let over = began + pause;
        let mut look = began + TOKEN_GAP;
        while look < over {
            if self.is_asked_before(look).await || self.source.changed().await {
                return;
            }
            look = Instant::now() + TOKEN_LOOK;
        }
        self.is_asked_before(over).await;
    }

    /// Whether a batch asks for an exchange by then.
    async fn is_asked_before(&self, then: Instant) -> bool {
        loop {
            let changed = self.shared.changed.notified();
            if self.shared.state().exchanging {
                return true;
            }
            if tokio::time::timeout_at(then, changed).await.is_err() {
                return false;
            }
        }
    }
}

/// Doubles with each failure, of which the second half is left to chance.
fn backoff(pace: Pace, failures: u32) -> Duration {
    let (first, longest) = match pace {
        Pace::Soon => (Duration::from_secs(1), Duration::from_secs(15)),
        Pace::Slowly => (Duration::from_secs(5), Duration::from_secs(60)),
    };
    let full = first
        .saturating_mul(2_u32.saturating_pow(failures))
        .min(longest);
    full.mul_f64(0.5 + 0.5 * fastrand::f64())
}

#[cfg(test)]
mod tests;
