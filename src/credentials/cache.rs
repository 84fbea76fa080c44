//! The credentials' life beside the request path.
//!
//! A [`Refresher`] exchanges at half of the credentials' life (give or take a tenth), backs off between failed tries and
//! publishes what it got; the last good credentials stay until they really expire. Batches hold a [`Cache`] and only
//! read: [`Cache::get`] waits, at most [`LONGEST_WAIT`], only while an exchange is under way and nothing usable is held,
//! and [`Cache::renewed`] asks for better credentials after AMP refused the ones in use.
//!
//! Invariants: at most one exchange is in flight, because one task makes them all; expired credentials are never handed
//! out; a fault of an exchange never takes away usable credentials; AMP's refusals cause an exchange at most once in
//! [`REFUSAL_GAP`] or [`DENIAL_GAP`], however many batches they hit.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::identity::Identity;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::RoleSession;
use crate::credentials::sts::{Obtained, Pace};
use crate::faults::{Told, Watch};
use crate::telemetry::Meters;

/// How long a batch waits for an exchange that is under way.
pub const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The least time between two exchanges that AMP's refusals of token or signature ask for.
pub const REFUSAL_GAP: Duration = Duration::from_secs(10);
/// The same where AMP denies the role: somebody has to change a policy first, so there is less hurry.
pub const DENIAL_GAP: Duration = Duration::from_secs(30);
/// How often the refresher looks at the wall clock, which may be set or stand still while a machine sleeps.
const LOOK: Duration = Duration::from_secs(30);

/// The least time between two log lines of renewals that went well.
const LINE_GAP: Duration = Duration::from_secs(300);

/// Where credentials come from.
pub trait Source: Send + Sync + 'static {
    /// Why it may give none.
    type Error: Failure;
    /// One exchange.
    fn obtain(&self) -> impl Future<Output = Result<Obtained, Self::Error>> + Send;
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
    fn told(&self) -> Told;
}

/// Credentials in use.
#[derive(Debug)]
pub struct Held {
    /// What is signed with; its `Debug` withholds the keys.
    pub identity: Identity,
    /// When AWS stops taking them.
    pub expires: SystemTime,
    /// Counts exchanges, so that two holders can tell which is newer.
    generation: u64,
}

/// Why AMP did not take a request's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
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

#[derive(Debug, Clone)]
struct State {
    held: Option<Arc<Held>>,
    exchanging: bool,
    /// Why the last exchange failed; none after a good one.
    fault: Option<String>,
    generation: u64,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    wake: Notify,
    forced: Mutex<Option<Instant>>,
    clock: Clock,
}

/// What batches and probes read.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Shared>);

/// The task that makes every exchange.
#[derive(Debug)]
pub struct Refresher<S> {
    source: S,
    shared: Arc<Shared>,
    meters: Arc<Meters>,
    faults: Watch,
    /// When renewals were logged last, and how many came since.
    said: Mutex<(Option<Instant>, u32)>,
}

/// A cache and the task that fills it.
pub fn cache<S: Source>(
    source: S,
    clock: Clock,
    meters: Arc<Meters>,
    faults: Watch,
) -> (Cache, Refresher<S>) {
    // The first exchange begins with the task, so an early batch may wait for it.
    let state = State {
        held: None,
        exchanging: true,
        fault: None,
        generation: 0,
    };
    let (state, _) = watch::channel(state);
    let shared = Arc::new(Shared {
        state,
        wake: Notify::new(),
        forced: Mutex::new(None),
        clock,
    });
    (
        Cache(Arc::clone(&shared)),
        Refresher {
            source,
            shared,
            meters,
            faults,
            said: Mutex::default(),
        },
    )
}

#[cfg(test)]
impl Held {
    pub(crate) fn for_test(credentials: aws_credential_types::Credentials) -> Self {
        Self {
            identity: Identity::from(credentials),
            expires: SystemTime::UNIX_EPOCH,
            generation: 0,
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// What is done about it: the metric's label.
    #[must_use]
    pub fn mend(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Credentials | Self::Denied => "credentials",
        }
    }
}

// === impl Cache ===

impl Cache {
    /// Usable credentials, now or within [`LONGEST_WAIT`].
    ///
    /// # Errors
    /// [`Unavailable`], at once where no exchange is under way.
    pub async fn get(&self) -> Result<Arc<Held>, Unavailable> {
        if let Some(held) = self.usable(&self.0.state.borrow()) {
            return Ok(held);
        }
        self.wait(|state| self.usable(state)).await
    }

    /// Credentials newer than `refused`, from an exchange that this or another batch asked for; none is asked for within
    /// `gap` after the last one.
    ///
    /// # Errors
    /// [`Unavailable`] where the exchange fails, takes long, or one was asked for a moment ago.
    pub async fn renewed(&self, refused: &Held, gap: Duration) -> Result<Arc<Held>, Unavailable> {
        let newer = |state: &State| {
            self.usable(state)
                .filter(|held| held.generation > refused.generation)
        };
        if let Some(held) = newer(&self.0.state.borrow()) {
            return Ok(held);
        }
        self.force(gap)?;
        self.wait(newer).await
    }

    /// What the same request may be signed with once more, where there is something to do about the refusal.
    pub async fn again(&self, refused: Arc<Held>, refusal: Refusal) -> Option<Arc<Held>> {
        let gap = match refusal {
            Refusal::Clock => return Some(refused),
            Refusal::Credentials => REFUSAL_GAP,
            Refusal::Denied => DENIAL_GAP,
        };
        self.renewed(&refused, gap).await.ok()
    }

    /// What is missing, if anything is.
    ///
    /// # Errors
    /// [`Unavailable`] while there are no usable credentials.
    pub fn ready(&self) -> Result<(), Unavailable> {
        let state = self.0.state.borrow();
        self.usable(&state)
            .map(|_| ())
            .ok_or_else(|| state.unavailable())
    }

    fn usable(&self, state: &State) -> Option<Arc<Held>> {
        state
            .held
            .clone()
            .filter(|held| held.expires > self.0.clock.now())
    }

    /// Starts an exchange unless one is under way; refuses where the last forced one is too fresh.
    fn force(&self, gap: Duration) -> Result<(), Unavailable> {
        let mut forced = self.0.forced.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = false;
        let started = self.0.state.send_if_modified(|state| {
            fresh = forced.is_some_and(|at| at.elapsed() < gap);
            let start = !state.exchanging && !fresh;
            state.exchanging |= start;
            start
        });
        if started {
            *forced = Some(Instant::now());
            self.0.wake.notify_one();
        }
        if fresh && !started && !self.0.state.borrow().exchanging {
            Err(Unavailable::JustRenewed)
        } else {
            Ok(())
        }
    }

    async fn wait(
        &self,
        found: impl Fn(&State) -> Option<Arc<Held>>,
    ) -> Result<Arc<Held>, Unavailable> {
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut receiver = self.0.state.subscribe();
        loop {
            {
                let state = receiver.borrow_and_update();
                if let Some(held) = found(&state) {
                    return Ok(held);
                }
                if !state.exchanging {
                    return Err(state.unavailable());
                }
            }
            match tokio::time::timeout_at(deadline, receiver.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(Unavailable::Waiting),
            }
        }
    }
}

impl State {
    fn unavailable(&self) -> Unavailable {
        self.fault
            .clone()
            .map_or(Unavailable::Waiting, Unavailable::Failed)
    }
}

// === impl Refresher ===

impl<S: Source> Refresher<S> {
    /// Exchanges for ever; stops where it is dropped.
    pub async fn run(self) {
        let mut failures = 0;
        loop {
            self.shared.state.send_if_modified(|state| {
                let starts = !state.exchanging;
                state.exchanging = true;
                starts
            });
            let asked = Instant::now();
            let obtained = self.source.obtain().await;
            self.meters.exchanged(asked.elapsed());
            let due = match obtained {
                Ok(obtained) => {
                    failures = 0;
                    let due = self.publish(obtained);
                    self.faults.well();
                    due
                }
                Err(error) => {
                    let pause = backoff(error.pace(), failures);
                    self.fail(&error, pause);
                    failures += 1;
                    self.shared.clock.now() + pause
                }
            };
            self.sleep_until(due).await;
        }
    }

    /// Returns when the next exchange is due: at half of the life, give or take a tenth of it.
    fn publish(&self, obtained: Obtained) -> SystemTime {
        let now = self.shared.clock.now();
        let life = obtained.expires.duration_since(now).unwrap_or_default();
        let due = now + life.mul_f64(0.45 + 0.1 * fastrand::f64());
        self.meters.credentials_obtained(now, obtained.expires);
        self.say(&obtained, life);
        self.shared.state.send_modify(|state| {
            state.generation += 1;
            state.exchanging = false;
            state.fault = None;
            let identity = Identity::from(obtained.credentials);
            state.held = Some(Arc::new(Held {
                identity,
                expires: obtained.expires,
                generation: state.generation,
            }));
        });
        due
    }

    /// What AMP's refusals ask for, or STS gives for seconds only, is renewed too often for a line each.
    fn say(&self, obtained: &Obtained, life: Duration) {
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
            workspace = self.faults.workspace(),
            role_arn = session.map(|session| &session.role_arn),
            role_session_name = session.map(|session| &session.name),
            access_key_id = obtained.credentials.access_key_id(),
            valid_for_seconds = life.as_secs(),
            more_since_the_last_line = (unsaid > 0).then_some(unsaid),
            "credentials renewed"
        );
    }

    fn fail(&self, error: &S::Error, pause: Duration) {
        let now = self.shared.clock.now();
        let held = self.shared.state.borrow().held.clone();
        let left = held.map_or(Duration::ZERO, |held| {
            held.expires.duration_since(now).unwrap_or_default()
        });
        self.meters.exchange_failed(error.name());
        self.faults.met(error.name(), || Told {
            credentials_left: Some(left),
            ..error.told()
        });
        tracing::debug!(fault = error.name(), %error, credentials_left_seconds = left.as_secs(), next_try_seconds = pause.as_secs_f32(), "an exchange failed");
        let fault = error.to_string();
        self.shared.state.send_modify(|state| {
            state.exchanging = false;
            state.fault = Some(fault);
        });
    }

    /// A fault that keeps coming back is over some time after the last good exchange, not with it.
    fn still_well(&self) {
        if self.shared.state.borrow().fault.is_none() {
            self.faults.well();
        }
    }

    /// Until the wall clock shows `due`, or a batch asks.
    async fn sleep_until(&self, due: SystemTime) {
        while let Ok(left) = due.duration_since(self.shared.clock.now()) {
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(LOOK)) => self.still_well(),
                () = self.shared.wake.notified() => return,
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
