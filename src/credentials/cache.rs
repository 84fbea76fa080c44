//! Keeps credentials fresh, off the request path.
//!
//! A [`Refresher`] exchanges the token when half of the credentials' lifetime has passed (± a tenth), backs off after failures
//! and publishes the result; the last good credentials stay in use until they expire. After a failure it also retries as soon
//! as the token file changes; credentials of a source without expiry are replaced whenever it changes. Batches hold a [`Cache`] and only read: [`Cache::get`] waits, at most [`LONGEST_WAIT`], only while
//! an exchange is in progress and there are no usable credentials; [`Cache::refreshed`] requests new credentials after AMP rejected the
//! ones in use.
//!
//! Invariants: at most one exchange is in flight, because one task makes all of them; expired credentials are never handed out; a
//! failed exchange never discards usable credentials; AMP's rejections cause at most one exchange per [`REFUSAL_GAP`] or
//! [`DENIAL_GAP`], however many batches they hit. Pauses use monotonic time, so setting the wall clock back delays nothing.

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
use crate::telemetry::incidents::{Diagnosis, FIRST_CREDENTIALS, IncidentTracker};

/// How long a batch waits for an exchange that is in progress.
pub const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The minimum time between two exchanges that AMP's rejections of a token or signature cause.
pub const REFUSAL_GAP: Duration = Duration::from_secs(10);
/// The same where AMP denies the role: a policy has to change first, so there is less hurry.
pub const DENIAL_GAP: Duration = Duration::from_secs(30);
/// How often the refresher checks the wall clock, which may be set or stand still while the machine sleeps.
const LOOK: Duration = Duration::from_secs(30);
/// How often credentials without expiry are obtained again, whatever happens.
const NO_EXPIRY: Duration = Duration::from_secs(60 * 60);

/// Credentials with a lifetime below twice this are refreshed at this interval and may lapse in between.
const LEAST_GAP: Duration = Duration::from_secs(2);
/// How often to check a file for a change, and after a failure the minimum time to the exchange that it causes.
const TOKEN_LOOK: Duration = Duration::from_secs(2);
const TOKEN_GAP: Duration = Duration::from_secs(5);
/// The minimum time between two log lines of successful refreshes.
const LINE_GAP: Duration = Duration::from_secs(300);

/// Where credentials come from.
pub trait CredentialSource: Send + Sync + 'static {
    /// Why the source gave no credentials.
    type Error: Failure;
    /// One exchange.
    fn obtain(&self) -> impl Future<Output = Result<SessionCredentials, Self::Error>> + Send;
    /// Whether the next exchange would use another token than the last one did.
    fn changed(&self) -> impl Future<Output = bool> + Send {
        std::future::ready(false)
    }
    /// Whether a change ends the use of good credentials too: of those that an agent replaces, at a time that is not known.
    fn is_watched(&self) -> bool {
        false
    }
    /// The name of the session, for the log.
    fn session(&self) -> Option<&RoleSession>;
}

/// What the cache must know of a failed exchange.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// The metric's label.
    fn name(&self) -> &'static str;
    /// When to retry.
    fn pace(&self) -> Pace;
    /// What is wrong and what to do, for log and status page.
    fn diagnosis(&self) -> Diagnosis;
}

/// The credentials in use.
#[derive(Debug)]
pub struct ActiveCredentials {
    /// What requests are signed with; its `Debug` redacts the keys.
    pub identity: Identity,
    /// When AWS stops accepting them, if they say so.
    pub expires: Option<SystemTime>,
    obtained: SystemTime,
    /// Counts exchanges, so that two holders can compare whose is newer.
    generation: u64,
}

/// Why AMP rejected a request's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionCause {
    /// The signing time; the response has set the clock.
    Clock,
    Credentials,
    /// The role may not do it.
    Denied,
}

/// Why there are no credentials for a batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    /// No exchange has succeeded, and the last one failed.
    #[error("no AWS credentials yet: {}", .0.reason)]
    Never(Box<Diagnosis>),
    /// The credentials have expired, and the last exchange failed.
    #[error("no AWS credentials, the last ones have expired: {}", .0.reason)]
    Expired(Box<Diagnosis>),
    /// An exchange is under way and takes long.
    #[error("no AWS credentials: waiting for their source")]
    Waiting,
    /// AMP's rejections requested an exchange a moment ago.
    #[error("no AWS credentials: they were refreshed a moment ago")]
    JustRenewed,
}

/// The state of the credentials.
#[derive(Debug, Clone)]
pub struct CredentialStatus {
    /// The clock's time that expiry is compared with.
    pub now: SystemTime,
    /// When the credentials were obtained, and when they expire; they may have expired.
    pub active: Option<(SystemTime, Option<SystemTime>)>,
    /// Whether an exchange is in progress.
    pub exchanging: bool,
    /// When the next exchange is due.
    pub due: Option<SystemTime>,
    /// Why the last exchange failed; `None` after a success.
    pub error: Option<Diagnosis>,
}

#[derive(Debug, Clone)]
struct RefreshState {
    active: Option<Arc<ActiveCredentials>>,
    exchanging: bool,
    /// When the next exchange is due.
    due: Option<SystemTime>,
    /// Why the last exchange failed; `None` after a success.
    error: Option<Diagnosis>,
    generation: u64,
}

#[derive(Debug)]
struct CacheState {
    state: RwLock<RefreshState>,
    /// Waiters resume in order of arrival.
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
    /// When a refresh was logged last, and how many came since.
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

// === impl RejectionCause ===

impl RejectionCause {
    /// What is corrected before the retry: the metric's label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Credentials | Self::Denied => "credentials",
        }
    }
}

// === impl CacheState ===

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
    /// [`Unavailable`], at once if no exchange is in progress.
    pub async fn get(&self, deadline: Instant) -> Result<Arc<ActiveCredentials>, Unavailable> {
        if let Some(active) = self.usable(&self.0.state()) {
            return Ok(active);
        }
        self.wait(deadline, |state| self.usable(state)).await
    }

    /// Credentials newer than `refused`, from an exchange that this or another batch requested. Requests none within `gap` after the
    /// last one, and waits for none after `deadline`.
    ///
    /// # Errors
    /// [`Unavailable`] if the exchange fails or takes too long, or if one was requested a moment ago.
    pub async fn refreshed(
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

    /// What to sign the same request with for one retry before `deadline`, if the rejection can be corrected.
    pub async fn again(
        &self,
        refused: Arc<ActiveCredentials>,
        refusal: RejectionCause,
        deadline: Instant,
    ) -> Option<Arc<ActiveCredentials>> {
        let gap = match refusal {
            RejectionCause::Clock if self.is_usable(&refused) => return Some(refused),
            // They expired while waiting.
            RejectionCause::Clock | RejectionCause::Credentials => REFUSAL_GAP,
            RejectionCause::Denied => DENIAL_GAP,
        };
        self.refreshed(&refused, gap, deadline).await.ok()
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

    /// A snapshot for status and probes.
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
        active
            .expires
            .is_none_or(|expires| expires > self.0.clock.now())
    }

    /// Starts an exchange unless one is in progress; refuses if the last forced one is too recent.
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
                // Of an exchange under way, the last one before it tells most.
                return Err(self.0.state().unavailable());
            }
        }
    }
}

impl RefreshState {
    fn unavailable(&self) -> Unavailable {
        match (self.error.clone().map(Box::new), &self.active) {
            (None, _) => Unavailable::Waiting,
            (Some(why), None) => Unavailable::Never(why),
            (Some(why), Some(_)) => Unavailable::Expired(why),
        }
    }
}

// === impl Unavailable ===

impl Unavailable {
    /// What to do about the exchange that failed.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Never(why) | Self::Expired(why) => why.remedy.as_deref(),
            Self::Waiting | Self::JustRenewed => None,
        }
    }
}

// === impl Refresher ===

impl<S: CredentialSource> Refresher<S> {
    /// Exchanges for ever; stops when dropped.
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

    /// Waits until the next exchange is due, at half of the lifetime ± a tenth: by monotonic time and by the clock.
    fn publish(&self, obtained: SessionCredentials) -> (Duration, SystemTime) {
        let now = self.shared.clock.now();
        let left = |expires: SystemTime| expires.duration_since(now).unwrap_or_default();
        let life = obtained.expires.map(left);
        let half = |life: Duration| life.mul_f64(0.45 + 0.1 * fastrand::f64()).max(LEAST_GAP);
        let pause = life.map_or(NO_EXPIRY, half);
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

    /// Refreshes that AMP's rejections cause, or that STS makes frequent by lifetimes of seconds, are too many for a line each.
    fn say(&self, obtained: &SessionCredentials, life: Option<Duration>) {
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
            role_session_name = session.and_then(|session| session.name.as_ref()),
            access_key_id = obtained.credentials.access_key_id(),
            valid_for_seconds = life.map(|life| life.as_secs()),
            suppressed = (unsaid > 0).then_some(unsaid),
            "credentials refreshed"
        );
    }

    fn fail(&self, error: &S::Error, pause: Duration) {
        let now = self.shared.clock.now();
        let active = self.shared.state().active.clone();
        let subject = active.is_none().then_some(&FIRST_CREDENTIALS);
        // None is left if there are none, and nobody knows how much if they have no expiry.
        let left = active.map_or(Some(Duration::ZERO), |active| {
            let expires = active.expires?;
            Some(expires.duration_since(now).unwrap_or_default())
        });
        self.metrics.exchange_failed(error.name());
        let diagnosis = error.diagnosis();
        self.incidents.fail(error.name(), || Diagnosis {
            credentials_left: left,
            subject,
            ..diagnosis.clone()
        });
        tracing::debug!(incident = error.name(), %error, credentials_left_seconds = left.map(|left| left.as_secs()), next_try_seconds = pause.as_secs_f32(), "an exchange failed");
        self.shared.change(|state| {
            state.exchanging = false;
            state.due = Some(now + pause);
            state.error = Some(diagnosis);
        });
    }

    /// A failure that keeps returning ends some time after the last good exchange, not with it.
    fn still_well(&self) {
        if self.shared.state().error.is_none() {
            self.incidents.recover();
        }
    }

    /// Until the pause is over, the wall clock reaches `due`, a watched source changes, or a batch requests an exchange.
    async fn rest(&self, pause: Duration, due: SystemTime) {
        let over = Instant::now() + pause;
        let watched = self.source.is_watched();
        let every = if watched { TOKEN_LOOK } else { LOOK };
        while self.shared.clock.now() < due {
            let look = over.min(Instant::now() + every);
            if self.is_asked_before(look).await
                || look == over
                || (watched && self.source.changed().await)
            {
                return;
            }
            self.still_well();
        }
    }

    /// Until the pause is over, the token changes, or a batch requests an exchange.
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

    /// Whether a batch requests an exchange by then.
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

/// Doubles with each failure; the second half is random.
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
