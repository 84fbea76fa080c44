//! One row of the durability test, as data.
//!
//! A row says what stands between sender and AMP, what goes wrong, how it is
//! fixed, what is promised about the samples, and which of the sidecar's
//! metrics shows that it happened. The builder's defaults are the common case:
//! a Prometheus, a fault of the usual length, nothing lost.

use std::time::Duration;

use serde_json::{Value, json};

use super::form::Form;
use super::shown::Shown;
use crate::peers::sender::Schema;
use emulator::fault::Fault;
use emulator::issuer::BrokenToken;
use emulator::tcp::TcpFault;
use emulator::tls::Presented;
use emulator::world::{Target, WorldConfig};

/// A row of the durability test.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name on the command line and in the table.
    pub name: &'static str,
    /// What goes wrong, in a few words.
    pub what: String,
    pub(super) sender: Sending,
    pub(super) series: usize,
    pub(super) world: WorldConfig,
    pub(super) flags: Vec<String>,
    /// Prometheus' settings of `remote_write`.
    pub(super) remote_write: Value,
    /// Done before the sidecar starts.
    pub(super) before: Vec<Act>,
    pub(super) begin: Vec<Act>,
    pub(super) length: Duration,
    pub(super) end: Vec<Act>,
    pub(super) ending: Ending,
    pub(super) promise: Promise,
    pub(super) shown: Shown,
    /// The Prometheus is one of a highly available pair.
    pub(super) is_replica: bool,
    /// It takes minutes whatever the form is, and is played in the full one alone.
    pub(super) is_long: bool,
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    Prometheus,
    Vmagent,
    /// So many built-in senders at once.
    Crowd(usize),
    /// One built-in sender that writes this version of the protocol.
    BuiltIn(Schema),
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Sets the target's script.
    Faults(Target, Vec<Fault>),
    /// Makes AMP redirect to a target that answers every GET with 200.
    Redirect(u16),
    /// Sets the script of the proxy before the target.
    Tcp(Target, Vec<TcpFault>),
    BreakToken(BrokenToken),
    RotateToken,
    RotateKeys,
    /// New keys into the credentials file.
    RotateCredentialsFile,
    /// A credentials file without the profile.
    SpoilCredentialsFile,
    /// Replaces the certificate by one that has expired.
    ExpireCertificate,
    /// Replaces the certificate by a valid one.
    RenewCertificate,
    /// A new certificate and key; the old certificate is revoked.
    SupersedeCertificate,
    /// Whether the trust anchor is enabled.
    TrustAnchor(bool),
    RevokeSessions,
    /// Moves the world's clock.
    Clock(i64),
    /// Whether the role may write.
    MayWrite(bool),
    /// How long sessions live that are issued from now on.
    SessionLife(Duration),
    /// So many connections to the sidecar that promise a body and send it byte by byte.
    Dribble(usize),
    /// The source shows an error with these words in a label, in its next so many scrapes.
    ShowError(&'static str, u64),
    /// The built-in sender's URL is changed to this.
    SendTo(SendTarget),
    /// The other Prometheus of a highly available pair starts; the first one is the elected one.
    StartReplica,
    Present(Presented),
    KillSidecar,
    /// SIGTERM, and nothing more until it has left.
    StopSidecar,
    StartSidecar,
    /// SIGKILL and a new start, every other second while the fault lasts.
    CrashLoop,
    /// SIGKILL, and at once another on the same database.
    RestartSender,
    Wait(Duration),
}

/// Where a sender writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendTarget {
    Right,
    /// The path of the right one, with a letter missing.
    Misspelled,
    /// The path of the right one, with a slash at its end.
    WithSlash,
    /// The right path, on the port of metrics and probes.
    AdminPort,
}

/// How the row ends for its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The sender scrapes no more and sends what it has.
    Finish,
    /// Sender and sidecar get SIGTERM at the same moment, as the fault begins.
    BothLeave,
    /// The sender gets SIGTERM as the fault begins, the sidecar once the sender has left.
    SidecarLast,
    /// The same, but the sender gets SIGTERM only once the sidecar answers that senders have caught up: kubelet with a `preStop` hook.
    AfterHook,
}

/// What is promised about the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// None is missing.
    Kept,
    /// Some are, whatever stands before AMP.
    Lost {
        why: &'static str,
        counted: LossCheck,
    },
}

/// How it is known which samples had to be lost, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LossCheck {
    /// The sidecar counted exactly the missing ones as lost.
    BySidecar,
    /// AMP refused exactly the missing ones.
    ByAmp,
    /// All missing ones are of the fault's time.
    InTheFault,
    /// All missing ones are of the series of this metric.
    OfMetric(&'static str),
}

// === impl Row ===

impl Row {
    pub(super) fn new(form: &Form, name: &'static str, what: impl Into<String>) -> Self {
        let mut world = WorldConfig {
            tcp_faults: true,
            sts_https: true,
            ..WorldConfig::default()
        };
        world.amp.region = "eu-central-1".to_owned();
        Self {
            name,
            what: what.into(),
            sender: Sending::Prometheus,
            series: 200,
            world,
            flags: form.flags(),
            remote_write: form.remote_write(),
            before: Vec::new(),
            begin: Vec::new(),
            length: form.fault,
            end: Vec::new(),
            ending: Ending::Finish,
            promise: Promise::Kept,
            shown: Shown::outcome("stored"),
            is_replica: false,
            is_long: false,
        }
    }

    pub(super) fn sent_by(self, sender: Sending) -> Self {
        Self { sender, ..self }
    }

    pub(super) fn series(self, series: usize) -> Self {
        Self { series, ..self }
    }

    /// Sessions end after a while that is shorter than the fault.
    pub(super) fn short_sessions(mut self, form: &Form) -> Self {
        self.world.session_life = Some(form.session);
        self
    }

    pub(super) fn world(mut self, change: impl FnOnce(&mut WorldConfig)) -> Self {
        change(&mut self.world);
        self
    }

    pub(super) fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// The sidecar's deadline for a batch, whatever the form's is.
    pub(super) fn deadline(mut self, deadline: Duration) -> Self {
        self.flags
            .retain(|flag| !flag.starts_with("--upstream-timeout="));
        self.flag(format!("--upstream-timeout={}ms", deadline.as_millis()))
    }

    /// Prometheus keeps to so many shards: with one, whatever holds a batch holds all. Where it opens and closes shards by
    /// itself, it drops what a closed one has not sent within a minute.
    pub(super) fn shards(mut self, shards: usize) -> Self {
        let settings = self.remote_write.as_object_mut();
        let queue = settings.map(|all| all.entry("queue_config").or_insert_with(|| json!({})));
        if let Some(queue) = queue.and_then(Value::as_object_mut) {
            queue.insert("min_shards".to_owned(), shards.into());
            queue.insert("max_shards".to_owned(), shards.into());
        }
        self
    }

    /// Prometheus is one of a highly available pair, of which AMP takes one.
    pub(super) fn replica(self) -> Self {
        Self {
            is_replica: true,
            ..self
        }
    }

    /// Played in the full form alone.
    pub(super) fn long(self) -> Self {
        Self {
            is_long: true,
            ..self
        }
    }

    /// Prometheus has its queue's own settings in either form, so that a batch waits to be full.
    pub(super) fn default_queue(self) -> Self {
        let remote_write = json!({});
        Self {
            remote_write,
            ..self
        }
    }

    pub(super) fn first(mut self, act: Act) -> Self {
        self.before.push(act);
        self
    }

    pub(super) fn begin(mut self, act: Act) -> Self {
        self.begin.push(act);
        self
    }

    pub(super) fn end(mut self, act: Act) -> Self {
        self.end.push(act);
        self
    }

    pub(super) fn ending(self, ending: Ending) -> Self {
        Self { ending, ..self }
    }

    /// Lasts so long instead of as usual.
    pub(super) fn lasting(self, length: Duration) -> Self {
        Self { length, ..self }
    }

    /// A script that is on from beginning to end of the fault.
    pub(super) fn faults(self, target: Target, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.begin(Act::Faults(target, faults.into_iter().collect()))
            .end(Act::Faults(target, Vec::new()))
    }

    /// As [`Self::faults`], below HTTP.
    pub(super) fn tcp(self, target: Target, faults: impl IntoIterator<Item = TcpFault>) -> Self {
        self.begin(Act::Tcp(target, faults.into_iter().collect()))
            .end(Act::Tcp(target, Vec::new()))
    }

    pub(super) fn lost(self, counted: LossCheck, why: &'static str) -> Self {
        let promise = Promise::Lost { why, counted };
        Self { promise, ..self }
    }

    pub(super) fn shown(self, shown: Shown) -> Self {
        Self { shown, ..self }
    }

    /// Whether something changes while it flows, so that flowing again is worth waiting for.
    pub(super) fn interrupts(&self) -> bool {
        !self.begin.is_empty() || !self.end.is_empty()
    }

    /// Whether none of its samples may be missing.
    #[must_use]
    pub fn is_keepable(&self) -> bool {
        self.promise == Promise::Kept
    }
}
