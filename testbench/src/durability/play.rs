//! One row, played: a world, a proxy, a sender, a fault that comes and goes.
//!
//! ```text
//! start ─▶ it flows ─▶ fault begins ─▶ … ─▶ fault ends ─▶ it flows again ─▶ sender finishes ─▶ compare
//! ```
//!
//! In: a [`Row`] and the [`Fixture`]. Out: an [`Outcome`], or why the row could not be
//! played. Between sender and sidecar stands a [`emulator::tcp`] proxy without
//! faults, so that the [`ResponseObserver`] sees every response to the sender.
//!
//! Every wait is bounded, and running out of time is no error by itself: what
//! did not arrive shows as missing.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::Error;
use super::fixture::Fixture;
use super::outcome::{Outcome, Played};
use super::responses::{ResponseObserver, SecondObserver};
use super::row::{Act, Ending, Row, SendTarget};
use super::senders::Senders;
use crate::peers::compare::compare;
use crate::peers::metrics::Metrics;
use crate::peers::samples::Samples;
use crate::peers::sidecar::{Program, Sidecar};
use crate::peers::source::Source;
use crate::timestamp::millis;
use emulator::anywhere::{Anywhere, AnywhereError, LeafSpec};
use emulator::clock::Clock;
use emulator::fault::{Fault, FaultKind};
use emulator::tcp::TcpFaults;
use emulator::world::{Target, World};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Above the 90 s that the sidecar takes at most to leave, and Prometheus' flush of a minute.
const LEAVES_WITHIN: Duration = Duration::from_secs(110);
/// Within it no batch of 500 is full at 205 samples a second.
const A_BATCH_UNDER_WAY: Duration = Duration::from_millis(1500);
/// How long the `preStop` hooks of `deploy/` wait.
const HOOK: Duration = Duration::from_secs(60);
const CRASH_EVERY: Duration = Duration::from_secs(2);
const DRIBBLE_EVERY: Duration = Duration::from_secs(1);

/// Everything that runs for a row; all of it ends when this is dropped.
struct RowRun<'a> {
    row: &'a Row,
    fixture: &'a Fixture,
    senders: Senders,
    /// Where they write to.
    url: String,
    responses: Arc<ResponseObserver>,
    _tap: TcpFaults,
    /// Before the admin port, once somebody writes there.
    admin_tap: Option<TcpFaults>,
    sidecar: Sidecar,
    world: World,
    /// Answers every GET with 200.
    elsewhere: Source,
    dribblers: JoinSet<()>,
}

/// Plays a row.
pub(super) async fn play(row: &Row, fixture: &Fixture) -> Result<Outcome, Error> {
    let started = Instant::now();
    let mut run = RowRun::set(row, fixture).await?;
    let before = run.sidecar.metrics().await.ok();
    let (begun, begun_at) = (Instant::now(), Clock::new().now());
    let (sent, during) = match row.ending {
        Ending::Finish => run.fault_and_finish(begun).await?,
        Ending::BothLeave | Ending::SidecarLast | Ending::AfterHook => run.stop_both().await?,
    };
    let after = run.sidecar.metrics().await.ok();
    let store = run.world.store();
    Ok(Outcome::of(
        row,
        Played {
            responses: &run.responses,
            comparison: compare(&sent.samples, store),
            refused: store.stats().refused,
            metrics: [before, during, after],
            fault: (millis(begun_at), millis(sent.fault_over)),
            again_after: sent.again_after,
            left: sent.left,
            is_ours: matches!(fixture.program, Program::Sidecar(_)),
            log: run.sidecar.log().last_words(),
            took: started.elapsed(),
        },
    ))
}

/// What the sender had to send, and when it could again.
struct SentSamples {
    samples: Samples,
    fault_over: SystemTime,
    again_after: Option<Duration>,
    /// How the sidecar left, where it was to.
    left: Option<ExitStatus>,
}

// === impl RowRun ===

impl<'a> RowRun<'a> {
    /// Starts everything and waits until samples arrive.
    async fn set(row: &'a Row, fixture: &'a Fixture) -> Result<Self, Error> {
        let world = World::start(row.world.clone()).await?;
        for act in &row.before {
            change(&world, act)?;
        }
        let flags: Vec<_> = row.flags.iter().map(String::as_str).collect();
        let sidecar = Sidecar::start(&fixture.program, &world, &flags).await?;
        let responses = Arc::new(ResponseObserver::new());
        let tap = TcpFaults::observed(sidecar.listen(), Some(responses.clone()))
            .map_err(Error::Listen)?;
        let url = through(&sidecar, tap.address());
        let run = Self {
            row,
            fixture,
            senders: Senders::start(row, fixture, &url).await?,
            url,
            responses,
            _tap: tap,
            admin_tap: None,
            sidecar,
            world,
            elsewhere: Source::start(1).await.map_err(Error::Source)?,
            dribblers: JoinSet::new(),
        };
        run.flows().await?;
        Ok(run)
    }

    /// A few batches in a row, so that connections are kept and shards have settled.
    async fn flows(&self) -> Result<(), Error> {
        let within = self.fixture.form.flows_within;
        let deadline = Instant::now() + within;
        while self.world.store().stats().batches < 3 || self.world.store().stats().samples == 0 {
            if Instant::now() > deadline {
                return Err(Error::NoFlow {
                    within,
                    responses: self.responses.answers(),
                    log: self.sidecar.log().last_words(),
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn fault_and_finish(
        &mut self,
        begun: Instant,
    ) -> Result<(SentSamples, Option<Metrics>), Error> {
        let row = self.row;
        let form = &self.fixture.form;
        for act in &row.begin {
            self.act(act).await?;
        }
        tokio::time::sleep_until(begun + row.length).await;
        let during = self.sidecar.metrics().await.ok();
        for act in &row.end {
            self.act(act).await?;
        }
        let (over, fault_over) = (Instant::now(), Clock::new().now());
        let again = if row.interrupts() {
            self.responses.success(over, form.flows_within).await
        } else {
            None
        };
        let again_after = again
            .map(|again| again - over)
            .filter(|_| self.responses.was_refused(begun));
        let samples = self
            .senders
            .finish(&self.world, form.settles_within)
            .await?;
        let sent = SentSamples {
            samples,
            fault_over,
            again_after,
            left: None,
        };
        Ok((sent, during))
    }

    /// Sender and sidecar get SIGTERM in the row's order, within the fault unless a hook waits for its end, and have until they are done.
    async fn stop_both(&mut self) -> Result<(SentSamples, Option<Metrics>), Error> {
        let row = self.row;
        for act in &row.begin {
            self.act(act).await?;
        }
        // Something must be on its way.
        tokio::time::sleep(A_BATCH_UNDER_WAY).await;
        let (senders, world, sidecar) = (&mut self.senders, &self.world, &mut self.sidecar);
        let over = async {
            if !row.end.is_empty() {
                tokio::time::sleep(row.length).await;
            }
            row.end.iter().try_for_each(|act| change(world, act))
        };
        let (signalled_at, left) = if row.ending == Ending::BothLeave {
            let stopping = senders.leave(LEAVES_WITHIN);
            let (signalled_at, over, left) = tokio::join!(stopping, over, leave(sidecar));
            over?;
            (signalled_at, left)
        } else {
            let stopping = async {
                if row.ending == Ending::AfterHook {
                    sidecar.caught_up(HOOK).await?;
                    senders.between_scrapes().await;
                }
                senders.leave(LEAVES_WITHIN).await
            };
            let (signalled_at, over) = tokio::join!(stopping, over);
            over?;
            (signalled_at, leave(sidecar).await)
        };
        let signalled_at = signalled_at?.unwrap_or_else(|| Clock::new().now());
        let (during, status) = left?;
        let sent = SentSamples {
            samples: self.senders.left(signalled_at).await?,
            fault_over: signalled_at,
            again_after: None,
            left: status,
        };
        Ok((sent, during))
    }

    fn path(&self) -> String {
        format!(
            "/workspaces/{}/api/v1/remote_write",
            self.world.workspace_id()
        )
    }

    fn url_of(&mut self, target: SendTarget) -> Result<String, Error> {
        let right = self.url.as_str();
        Ok(match target {
            SendTarget::Right => right.to_owned(),
            SendTarget::Misspelled => right.replace("remote_write", "remote_wrte"),
            SendTarget::WithSlash => format!("{right}/"),
            SendTarget::AdminPort => {
                let responses = Arc::new(SecondObserver(Arc::clone(&self.responses)));
                let tap = TcpFaults::observed(self.sidecar.admin(), Some(responses));
                let tap = self.admin_tap.insert(tap.map_err(Error::Listen)?);
                format!("http://{}{}", tap.address(), self.path())
            }
        })
    }

    async fn act(&mut self, act: &Act) -> Result<(), Error> {
        match act {
            Act::Redirect(status) => {
                let location = format!("http://{}/metrics", self.elsewhere.address());
                let kind = FaultKind::Redirect {
                    status: *status,
                    location,
                };
                self.world.faults(Target::Amp).set([Fault::new(kind)]);
            }
            Act::KillSidecar => self.sidecar.process_mut().kill().await?,
            Act::StopSidecar => {
                self.sidecar.process_mut().stop(LEAVES_WITHIN).await?;
            }
            Act::StartSidecar => self.sidecar.start_again().await?,
            Act::CrashLoop => {
                let until = Instant::now() + self.row.length;
                while Instant::now() < until {
                    self.sidecar.process_mut().kill().await?;
                    tokio::time::sleep(CRASH_EVERY / 2).await;
                    self.sidecar.start_again().await?;
                    tokio::time::sleep(CRASH_EVERY / 2).await;
                }
            }
            Act::Dribble(number) => {
                self.dribblers.abort_all();
                for _ in 0..*number {
                    self.dribblers
                        .spawn(dribble(self.sidecar.listen(), self.path()));
                }
            }
            Act::ShowError(text, scrapes) => self.senders.show_error(text, *scrapes),
            Act::SendTo(target) => {
                let url = self.url_of(*target)?;
                self.senders.write_to(&url)?;
            }
            Act::StartReplica => {
                let (row, fixture) = (self.row, self.fixture);
                self.senders.start_replica(row, fixture, &self.url).await?;
            }
            Act::RestartSender => self.senders.restart().await?,
            Act::Wait(wait) => tokio::time::sleep(*wait).await,
            other => change(&self.world, other)?,
        }
        Ok(())
    }
}

/// SIGTERM; what the sidecar shows a second later, and how it ends.
async fn leave(sidecar: &mut Sidecar) -> Result<(Option<Metrics>, Option<ExitStatus>), Error> {
    sidecar.process().terminate()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let during = sidecar.metrics().await.ok();
    Ok((during, sidecar.process_mut().wait(LEAVES_WITHIN).await?))
}

/// What concerns the world alone.
fn change(world: &World, act: &Act) -> Result<(), Error> {
    match act {
        Act::Faults(target, faults) => world.faults(*target).set(faults.iter().cloned()),
        Act::Tcp(target, faults) => {
            if let Some(proxy) = world.tcp(*target) {
                proxy.set(faults.iter().cloned());
            }
        }
        Act::BreakToken(how) => world.break_token(*how)?,
        Act::RotateToken => world.rotate_token()?,
        Act::RotateKeys => world.rotate_keys()?,
        Act::RotateCredentialsFile => world.rotate_credentials_file()?,
        Act::SpoilCredentialsFile => std::fs::write(world.credentials_file(), "[other]\n")
            .map_err(emulator::world::Error::Folder)?,
        Act::ExpireCertificate
        | Act::RenewCertificate
        | Act::SupersedeCertificate
        | Act::TrustAnchor(_) => {
            if let Some(anywhere) = world.anywhere() {
                change_anywhere(anywhere, act).map_err(emulator::world::Error::Anywhere)?;
            }
        }
        Act::RevokeSessions => world.sessions().revoke_all(),
        Act::Clock(offset) => world.clock().set_offset_seconds(*offset),
        Act::MayWrite(true) => world.amp().allow_roles([world.role_arn().to_owned()]),
        Act::MayWrite(false) => world.amp().allow_roles([]),
        Act::SessionLife(life) => world.sts().set_session_life(Some(*life)),
        Act::Present(presented) => world.present(*presented),
        // Not the world's: the run carries these out.
        Act::Redirect(_)
        | Act::KillSidecar
        | Act::StopSidecar
        | Act::StartSidecar
        | Act::CrashLoop
        | Act::RestartSender
        | Act::Dribble(_)
        | Act::ShowError(..)
        | Act::StartReplica
        | Act::SendTo(_)
        | Act::Wait(_) => {}
    }
    Ok(())
}

/// What concerns Roles Anywhere alone.
fn change_anywhere(anywhere: &Anywhere, act: &Act) -> Result<(), AnywhereError> {
    match act {
        Act::ExpireCertificate => {
            anywhere.replace(|leaf| leaf.life = time::Duration::seconds(-1))?;
        }
        Act::RenewCertificate => {
            anywhere.replace(|leaf| *leaf = LeafSpec::default())?;
        }
        Act::SupersedeCertificate => {
            anywhere.supersede()?;
        }
        Act::TrustAnchor(enabled) => {
            anywhere.change(|directory| directory.anchor_enabled = *enabled);
        }
        _ => {}
    }
    Ok(())
}

/// Promises more than it will ever send, until it is cut off.
async fn dribble(sidecar: SocketAddr, path: String) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: sidecar\r\nContent-Type: application/x-protobuf\r\n\
         Content-Encoding: snappy\r\nContent-Length: 100000\r\n\r\n"
    );
    let Ok(mut stream) = TcpStream::connect(sidecar).await else {
        return;
    };
    let mut next = head.as_bytes();
    while stream.write_all(next).await.is_ok() {
        next = b"x";
        tokio::time::sleep(DRIBBLE_EVERY).await;
    }
}

/// The sidecar's URL, by way of `tap`.
fn through(sidecar: &Sidecar, tap: SocketAddr) -> String {
    let own = sidecar.listen().to_string();
    sidecar.write_url().replacen(&own, &tap.to_string(), 1)
}
