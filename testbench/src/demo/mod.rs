//! The whole of it in a minute: a sender, the sidecar and a small AWS in which things go wrong.
//!
//! ```text
//! prepare ─▶ scenes, one after the other, and a look at everybody twice a second ─▶ drain ─▶ compare ─▶ Summary
//!            (plan)          (view)                                                  (traffic)
//! ```
//!
//! In: [`Options`] and a signal when to end. Out: a [`Summary`] whose `samples_lost` comes from comparing the sender's own
//! samples with AMP's store, not from anybody's counters. What the sidecar adds to a batch is measured in the calm
//! first scene (`latency`).
//!
//! Invariant: when [`run`] returns, however it does, every child has ended and every folder is removed.

mod error;
mod latency;
mod options;
mod paint;
mod picture;
mod plan;
mod strike;
mod summary;
mod survived;
mod traffic;
mod view;

use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use error::DemoError;
pub use latency::Latency;
pub use options::{Options, SenderChoice, Wanted};
pub use paint::Paint;
pub use plan::{Length, LengthError};
pub use strike::SceneResult;
pub use summary::{Seen, Summary};
pub use survived::SceneRow;

use crate::peers::PeerError;
use crate::peers::compare::{Comparison, compare};
use crate::peers::metrics::Metrics;
use crate::peers::samples::Samples;
use crate::peers::sidecar::{Program, Sidecar};
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, World, WorldConfig};
use latency::Probes;
use plan::{Plan, Scene};
use strike::{Evidence, Strikes};
use survived::Timeline;
use traffic::Traffic;
use view::{Glance, View};

const LOOK_EVERY: Duration = Duration::from_millis(500);
const REVOKE_EVERY: Duration = Duration::from_millis(100);
/// Prometheus pauses up to 5 s between tries.
const DRAIN_WITHIN: Duration = Duration::from_secs(45);
/// Prometheus reads its write-ahead log only after about 5 s; before, its counters say nothing.
const FLOWS_WITHIN: Duration = Duration::from_secs(20);
/// With nothing on its way for so long, nothing more will come.
const QUIET_AFTER: Duration = Duration::from_secs(4);
/// A scene lasts so much longer at most to strike: Prometheus pauses up to 5 s, and fills batches for as long.
const STRIKES_WITHIN: Duration = Duration::from_secs(20);
const END_WITHIN: Duration = Duration::from_secs(10);
/// There is nothing to wait for once the sender is done.
const SIDECAR_FLAGS: [&str; 1] = ["--drain-idle=100ms"];

/// Everybody, and what is known of them.
struct Demo {
    world: World,
    sidecar: Sidecar,
    traffic: Traffic,
    plan: Plan,
    view: View,
    probe: Option<JoinHandle<Option<Latency>>>,
    latency: Option<Latency>,
    probes: Probes,
    glance: Glance,
    strikes: Strikes,
    timeline: Timeline,
    token_rotations: u64,
    made_before: u64,
}

/// Runs the demo to its end.
///
/// # Errors
/// [`DemoError`]; samples that were lost are none, but part of the summary.
pub async fn run(
    options: &Options,
    mut wanted: watch::Receiver<Wanted>,
) -> Result<Summary, DemoError> {
    let prepared = tokio::select! {
        prepared = Demo::prepare(options) => prepared?,
        () = reached(&mut wanted, Wanted::End) => return Err(DemoError::Interrupted),
    };
    prepared.play(wanted).await
}

// === impl Demo ===

impl Demo {
    async fn prepare(options: &Options) -> Result<Self, DemoError> {
        let mut view = View::new(options.progress_on_stderr);
        view.note("looking for amp-sidecar; if it is not built yet, cargo builds it now");
        let program = Program::sidecar(options.sidecar.as_deref()).await?;
        let plan = Plan::new(options.length);
        let world = World::start(WorldConfig {
            session_life: Some(plan.session_life()),
            ..WorldConfig::default()
        })
        .await?;
        let sidecar = Sidecar::start(&program, &world, &SIDECAR_FLAGS).await?;
        let traffic = Traffic::start(&options.sender, options.series, sidecar.write_url()).await?;
        view.note(&format!(
            "{} ─▶ amp-sidecar ─▶ STS and AMP as the emulator plays them; {} series",
            traffic.sender(),
            options.series
        ));
        view.note(&format!("its status page: http://{}/", sidecar.admin()));
        Ok(Self {
            world,
            sidecar,
            traffic,
            plan,
            view,
            probe: None,
            latency: None,
            probes: Probes::default(),
            glance: Glance::default(),
            strikes: Strikes::default(),
            timeline: Timeline::default(),
            token_rotations: 0,
            made_before: 0,
        })
    }

    async fn play(mut self, mut wanted: watch::Receiver<Wanted>) -> Result<Summary, DemoError> {
        self.wait_for_flow(&mut wanted).await?;
        let started = Instant::now();
        let (listen, probes) = (self.sidecar.listen(), self.probes.clone());
        let probing = latency::measure(&self.world, listen, self.plan.probing(), probes);
        self.probe = Some(tokio::spawn(probing));
        let mut scenes = self.plan.scenes().peekable();
        // How much longer scenes took than planned.
        let mut delay = Duration::ZERO;
        while *wanted.borrow() < Wanted::End {
            let elapsed = started.elapsed();
            let is_late = |at: Duration| elapsed >= at + delay + STRIKES_WITHIN;
            if let Some((at, scene)) = scenes.next_if(|(at, _)| {
                elapsed >= *at + delay && (self.strikes.has_struck() || is_late(*at))
            }) {
                self.enter(scene, elapsed).await?;
                delay = elapsed.saturating_sub(at);
            }
            let left = self.plan.left(elapsed, delay);
            self.look(elapsed, left).await?;
            if scenes.peek().is_none() && left.is_some_and(|left| left.is_zero()) {
                self.strikes.end();
                break;
            }
            // Sessions of seconds are refreshed before many a request: revoked once, none would ever be refused.
            let is_revoking = self.strikes.is_waiting_in(Scene::SessionEnds);
            if is_revoking {
                self.world.sessions().revoke_all();
            }
            let pause = if is_revoking {
                REVOKE_EVERY
            } else {
                LOOK_EVERY
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = reached(&mut wanted, Wanted::End) => {}
            }
        }
        self.all_is_well();
        let (sent, comparison) = self.drain(started, &mut wanted).await?;
        let mut summary = self.sum_up(started.elapsed(), &comparison);
        summary.survived = self
            .timeline
            .rows(&sent, self.world.store(), self.strikes.results());
        self.view.finish();
        self.traffic.end(END_WITHIN).await?;
        self.sidecar.process_mut().stop(END_WITHIN).await?;
        Ok(summary)
    }

    /// The first scene begins once samples arrive.
    async fn wait_for_flow(
        &mut self,
        wanted: &mut watch::Receiver<Wanted>,
    ) -> Result<(), DemoError> {
        let started = Instant::now();
        let words = format!("waiting for the first samples of {}", self.traffic.sender());
        self.view.note(&words);
        while *wanted.borrow() < Wanted::End && started.elapsed() < FLOWS_WITHIN {
            self.sidecar.process_mut().check().await?;
            self.made_before = self.traffic.look().await?.made;
            if self.made_before > 0 && self.world.store().stats().samples > 0 {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(REVOKE_EVERY) => {}
                () = reached(wanted, Wanted::End) => {}
            }
        }
        Ok(())
    }

    /// Makes the world fail as the scene describes.
    async fn enter(&mut self, scene: Scene, elapsed: Duration) -> Result<(), DemoError> {
        let evidence = self.evidence(&self.sidecar.metrics().await?)?;
        self.all_is_well();
        self.strikes.begin(scene, evidence);
        self.timeline
            .begin(milliseconds(self.world.clock().now()), scene);
        match scene {
            Scene::Calm | Scene::StsIsBack | Scene::AmpAgrees | Scene::AmpIsBack => {}
            Scene::TokenRotates => {
                self.world.rotate_token()?;
                self.token_rotations += 1;
            }
            // Revoked until it strikes.
            Scene::SessionEnds => {}
            Scene::StsFails => self.world.faults(Target::Sts).set([unavailable_sts()]),
            Scene::AmpRefuses => self.world.faults(Target::Amp).set([expired_token()]),
            Scene::AmpFails => self.world.faults(Target::Amp).set([failing_amp()]),
        }
        self.glance.scene = scene.title();
        self.view.scene(elapsed, scene, self.traffic.sender());
        Ok(())
    }

    fn all_is_well(&self) {
        self.world.faults(Target::Sts).clear();
        self.world.faults(Target::Amp).clear();
    }

    fn evidence(&self, metrics: &Metrics) -> Result<Evidence, PeerError> {
        Ok(Evidence::read(&self.world, metrics)?)
    }

    /// Reads everybody's numbers, and shows them.
    async fn look(&mut self, elapsed: Duration, left: Option<Duration>) -> Result<(), DemoError> {
        self.sidecar.process_mut().check().await?;
        let flow = self.traffic.look().await?;
        if let Some(probe) = self.probe.take_if(|probe| probe.is_finished()) {
            self.latency = probe.await.ok().flatten();
        }
        let metrics = self.sidecar.metrics().await?;
        let evidence = self.evidence(&metrics)?;
        self.strikes.look(&evidence);
        let glance = &mut self.glance;
        glance.made = flow.made;
        glance.lost = flow.lost;
        let stored = self.world.store().stats().samples;
        glance.stored = stored.saturating_sub(self.probes.samples());
        let batches = "amp_sidecar_batches_total";
        let stored = metrics
            .count(batches, &[("outcome", "stored")])
            .map_err(PeerError::from)?;
        let all = metrics.count(batches, &[]).map_err(PeerError::from)?;
        glance.batches = stored.saturating_sub(self.probes.batches_through());
        glance.held_back = all.saturating_sub(stored);
        // Shown from the first exchange on.
        let exchanges = metrics
            .find_count(
                "amp_sidecar_credential_exchanges_total",
                &[("result", "ok")],
            )
            .map_err(PeerError::from)?;
        glance.refreshes = exchanges.unwrap_or(0);
        glance.expires_in = expires_in(&metrics, self.world.clock().now())?;
        self.view.show(elapsed, left, &self.glance);
        Ok(())
    }

    /// Lets the sender send what it has, and finds out what never arrived.
    async fn drain(
        &mut self,
        started: Instant,
        wanted: &mut watch::Receiver<Wanted>,
    ) -> Result<(Samples, Comparison), DemoError> {
        self.glance.scene = "the sender sends what is left";
        self.view.end(started.elapsed());
        self.traffic.stop_making().await?;
        let sent = self.traffic.samples().await?;
        let deadline = Instant::now() + DRAIN_WITHIN;
        let mut quiet_since = Instant::now();
        loop {
            self.look(started.elapsed(), Some(Duration::ZERO)).await?;
            let comparison = compare(&sent, self.world.store());
            if self.traffic.look().await?.pending > 0 {
                quiet_since = Instant::now();
            }
            let hopeless = quiet_since.elapsed() >= QUIET_AFTER || Instant::now() >= deadline;
            if comparison.missing == 0 || hopeless || *wanted.borrow() >= Wanted::Now {
                return Ok((sent, comparison));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = reached(wanted, Wanted::Now) => {}
            }
        }
    }

    fn sum_up(&self, lasted: Duration, comparison: &Comparison) -> Summary {
        let (sts, amp) = (
            self.world.journal(Target::Sts),
            self.world.journal(Target::Amp),
        );
        let statuses = amp.counts().statuses;
        let answered = |status: u16| statuses.get(&status).copied().unwrap_or_default();
        let failed_exchanges = sts.counts().faults.values().sum();
        let summary = Summary::new(
            self.traffic.sender().to_owned(),
            lasted,
            &self.glance,
            comparison,
            Seen {
                token_rotations: self.token_rotations,
                failed_exchanges,
                amp_403: answered(403),
                amp_500: answered(500),
            },
            self.latency,
            self.strikes.results(),
        );
        Summary {
            made_before: self.made_before,
            transcript: self.view.transcript().to_owned(),
            ..summary
        }
    }
}

fn milliseconds(now: SystemTime) -> i64 {
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Nothing before the first exchange.
fn expires_in(metrics: &Metrics, now: SystemTime) -> Result<Option<f64>, PeerError> {
    let name = "amp_sidecar_credentials_expire_timestamp_seconds";
    let expires = metrics.find_value(name, &[])?;
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let known = expires.filter(|expires| *expires > 0.0);
    Ok(known.map(|expires| expires - now.as_secs_f64()))
}

fn unavailable_sts() -> Fault {
    let body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Receiver</Type>\
                <Code>ServiceUnavailable</Code><Message>Service is unavailable</Message></Error></ErrorResponse>";
    Fault::new(FaultKind::answer(503, body))
}

fn expired_token() -> Fault {
    json_fault(
        403,
        "ExpiredTokenException",
        "The security token included in the request is expired",
    )
}

fn failing_amp() -> Fault {
    json_fault(500, "InternalServerException", "Internal server error")
}

fn json_fault(status: u16, kind: &str, message: &str) -> Fault {
    Fault::new(FaultKind::Answer {
        status,
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-amzn-errortype".to_owned(), kind.to_owned()),
        ],
        body: serde_json::json!({ "message": message }).to_string(),
    })
}

/// Returns once the caller wants that much; never where nobody is left to say so.
async fn reached(wanted: &mut watch::Receiver<Wanted>, that: Wanted) {
    if wanted.wait_for(|wanted| *wanted >= that).await.is_err() {
        std::future::pending().await
    }
}
